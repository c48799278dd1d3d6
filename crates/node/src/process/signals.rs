//! Links, monitors and exit signals.

use std::sync::MutexGuard;

use trunkline_etf::{Atom, Pid, Reference, Term, atom};
use trunkline_proto::NodeName;
use trunkline_proto::control::{Control, PidOrName};

use super::dest::Place;
use super::ending::exit;
use super::send::atom_of;
use super::state::{Inner, Life, Monitored, State};
use super::{AliasMode, Dest, ExitReason, Outgoing, Process, Then};
use crate::SendError;

impl Process {
    /// Links to a process: when one ends the other hears of it by an exit signal. One that is not
    /// there, or cannot be reached, has ended: `noproc`, `noconnection`.
    pub fn link(&self, to: &Pid) {
        if let Some(there) = self.shared.processes.find(to) {
            return self.link_here(&there);
        }
        let is_new = |mut state: MutexGuard<'_, State>| state.links.insert(to.clone());
        if *to != self.inner.pid && self.inner.living().is_some_and(is_new) {
            self.say_link(to);
        }
    }

    /// Both know of it at once: the other may unlink at the same moment.
    fn link_here(&self, there: &Inner) {
        if there.pid == self.inner.pid {
            return;
        }
        let (mut here, mut other) = self.inner.with(there);
        if here.life == Life::Ended || !here.links.insert(there.pid.clone()) {
            return;
        }
        if other.life == Life::Running {
            other.links.insert(self.inner.pid.clone());
            return;
        }
        drop((here, other));
        let gone = exit(&there.pid, self.pid(), atom!("noproc").into());
        self.shared.carry_out(gone.into());
    }

    fn say_link(&self, to: &Pid) {
        let control = Control::Link {
            from: self.inner.pid.clone(),
            to: to.clone(),
        };
        if self.shared.signal(&to.node, control).is_err() {
            let lost = Control::Exit {
                from: to.clone(),
                to: self.inner.pid.clone(),
                token: None,
                reason: atom!("noconnection").into(),
            };
            self.shared
                .carry_out(Outgoing::Signal(self.shared.atom.clone(), lost).into());
        }
        let state = self.inner.state();
        if state.life == Life::Ended {
            drop(state);
            // Ended meanwhile, it may have said so to one that was not linked yet.
            let gone = exit(&self.inner.pid, to.clone(), atom!("noproc").into());
            self.shared.carry_out(gone.into());
        } else if !state.links.contains(to) {
            // It was told meanwhile that the link is lost, with a connection, and said this by the next one; or it has unlinked.
            self.say_unlink(state, to);
        }
    }

    /// Has the other side forget a link that is none here.
    fn say_unlink(&self, mut state: MutexGuard<'_, State>, to: &Pid) {
        let id = self.shared.processes.unique();
        state.unlinking.insert(to.clone(), id);
        drop(state);
        let control = Control::UnlinkId {
            id,
            from: self.inner.pid.clone(),
            to: to.clone(),
        };
        self.shared
            .carry_out(Outgoing::Signal(to.node.clone(), control).into());
    }

    /// Ends a link. From its return on nothing comes of it, but a [`Message::Exit`](crate::Message::Exit)
    /// that has come already.
    pub fn unlink(&self, to: &Pid) {
        if let Some(there) = self.shared.processes.find(to) {
            if there.pid != self.inner.pid {
                let (mut here, mut other) = self.inner.with(&there);
                here.links.remove(&there.pid);
                other.links.remove(&self.inner.pid);
            }
            return;
        }
        let connected = self.shared.link(to.node.as_str());
        let mut state = self.inner.state();
        if !state.links.remove(to) {
            return;
        }
        // A former incarnation is not told, and acknowledges nothing.
        if connected.is_none_or(|link| link.is_there(to)) {
            self.say_unlink(state, to);
        }
    }

    /// Monitors a process, by pid or by name: when it ends one [`Message::Down`](crate::Message::Down)
    /// comes. One that is not there, or cannot be reached, has ended: `noproc`, `noconnection`. Of a node that knows no monitors (without
    /// the flags `DIST_MONITOR` and `DIST_MONITOR_NAME`; every BEAM has them) only the loss of the connection is heard, as in OTP.
    pub fn monitor<'a>(&self, target: impl Into<Dest<'a>>) -> Reference {
        let reference = self.shared.processes.reference();
        self.start_monitor(target.into(), reference.clone());
        reference
    }

    /// As [`monitor`](Self::monitor), and the reference is an alias of this process as long as `mode`
    /// says: `monitor(process, Target, [{alias, Mode}])`.
    pub fn monitor_with_alias<'a>(
        &self,
        target: impl Into<Dest<'a>>,
        mode: AliasMode,
    ) -> Reference {
        let reference = self.shared.processes.reference();
        self.add_alias(reference.clone(), mode);
        self.start_monitor(target.into(), reference.clone());
        reference
    }

    fn start_monitor(&self, target: Dest<'_>, reference: Reference) {
        let place = self.shared.place(target);
        let (node, target) = match place {
            Ok(Place { node, who }) => (node, who),
            // An alias, or a name that cannot be one: nobody.
            Err(name) => return self.nobody(&reference, name),
        };
        let monitored = Monitored {
            node: node.clone(),
            target: target.clone(),
        };
        if self.watches(&reference, monitored) {
            self.say_monitor(&node, target, &reference);
        }
    }

    fn say_monitor(&self, node: &Atom, target: PidOrName, reference: &Reference) {
        let control = Control::MonitorP {
            from: self.inner.pid.clone(),
            to: target.clone(),
            reference: reference.clone(),
        };
        if self.shared.signal(node, control).is_err() {
            self.fires(reference, atom!("noconnection"));
        }
        let state = self.inner.state();
        let is_away = *node != self.shared.atom;
        let is_lost = is_away && !state.monitors.contains_key(reference);
        let is_over = state.life == Life::Ended || is_lost;
        drop(state);
        if is_over {
            // It may have ended, or have been told that the connection is lost, before it said this by the next one.
            let control = Control::DemonitorP {
                from: self.inner.pid.clone(),
                to: target,
                reference: reference.clone(),
            };
            let gone = Outgoing::Signal(node.clone(), control);
            self.shared.carry_out(gone.into());
        }
    }

    /// A monitor of nobody: it fires at once.
    fn nobody(&self, reference: &Reference, target: PidOrName) {
        let monitored = Monitored {
            node: self.shared.atom.clone(),
            target,
        };
        if self.watches(reference, monitored) {
            self.fires(reference, atom!("noproc"));
        }
    }

    /// `false` when the process has ended.
    fn watches(&self, reference: &Reference, monitored: Monitored) -> bool {
        let insert = |mut state: MutexGuard<'_, State>| {
            state.monitors.insert(reference.clone(), monitored);
        };
        self.inner.living().map(insert).is_some()
    }

    /// Demonitored meanwhile, it does not.
    fn fires(&self, reference: &Reference, why: Atom) {
        let reason = Term::from(why).into();
        let mut then = Then::default();
        self.shared
            .down(&self.inner.pid, reference, reason, &mut then);
        self.shared.carry_out(then);
    }

    /// Ends a monitor, and forgets its [`Message::Down`](crate::Message::Down) if that has come and was
    /// not received: `demonitor(Reference, [flush])`. `false` when it had fired, or was none.
    pub fn demonitor(&mut self, reference: &Reference) -> bool {
        let mut state = self.inner.state();
        let was_alias = state.aliases.contains_key(reference);
        let told = state.demonitor(&self.inner.pid, reference);
        let left = self.inner.left();
        self.received.forget_down(reference, left, &mut state.queue);
        // Another's alias, or the reference of a call, stays what it is.
        let alias_ended = was_alias && !state.aliases.contains_key(reference);
        drop(state);
        if alias_ended {
            self.shared.processes.unroute(reference);
        }
        self.count();
        let was = told.is_some();
        if let Some(told) = told {
            self.shared.carry_out(told.into());
        }
        was
    }

    /// Monitors a node: when the connection to it is lost one
    /// [`Message::NodeDown`](crate::Message::NodeDown) comes for each call; at once when there is
    /// none and none comes to be.
    pub fn monitor_node(&self, node: &NodeName) {
        let Ok(node) = atom_of(node) else {
            return;
        };
        if node == self.shared.atom {
            return;
        }
        let count = |mut state: MutexGuard<'_, State>| {
            *state.nodes.entry(node.clone()).or_default() += 1;
        };
        if self.inner.living().map(count).is_some() && self.shared.reach_for(&node).is_err() {
            let mut then = Then::default();
            self.inner.no_node(node, &mut then);
            self.shared.carry_out(then);
        }
    }

    /// Takes back one [`monitor_node`](Self::monitor_node).
    pub fn demonitor_node(&self, node: &NodeName) {
        let Ok(node) = atom_of(node) else {
            return;
        };
        self.inner.state().take_node(&node);
    }

    /// Sends an exit signal, as `exit(Pid, Reason)`: `kill` ends whoever it reaches, `normal` nobody
    /// but the process itself, anything else those that do not trap exits.
    ///
    /// # Errors
    /// When the node is not connected.
    pub fn exit(&self, to: &Pid, reason: impl ExitReason) -> Result<(), SendError> {
        let control = Control::Exit2 {
            from: self.inner.pid.clone(),
            to: to.clone(),
            token: None,
            reason: reason.into_reason(),
        };
        self.shared.signal(&to.node, control)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::{Duration, Instant};

    use trunkline_proto::Cookie;

    use super::*;
    use crate::{DownReason, Message, Node, Target};

    async fn node(name: &str) -> Node {
        let node = Node::builder(name.parse().unwrap()).cookie(Cookie::new("monster").unwrap());
        let node = node
            .listen([std::net::Ipv4Addr::LOCALHOST.into()], 0)
            .epmd(None);
        node.auto_connect(false).start().await.unwrap()
    }

    /// One links and unlinks, the other unlinks, at the same moment, as often as two seconds allow.
    #[tokio::test]
    async fn a_link_has_two_ends_or_none() {
        let node = node("one@127.0.0.1").await;
        let (one, other) = (node.process(), node.process());
        let (first, second) = (one.pid(), other.pid());
        // An id without a creation is one of ours, too.
        let itself = Pid {
            creation: 0,
            ..first.clone()
        };
        one.link(&itself);
        one.unlink(&itself);
        let meet = Barrier::new(2);
        let begun = Instant::now();
        let goes_on = std::sync::atomic::AtomicBool::new(true);
        let mut half: Option<u32> = None;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                loop {
                    meet.wait();
                    if !goes_on.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                    other.unlink(&first);
                    meet.wait();
                }
            });
            for round in 0.. {
                one.link(&second);
                let last = half.is_some() || begun.elapsed() > Duration::from_secs(2);
                goes_on.store(!last, std::sync::atomic::Ordering::Relaxed);
                meet.wait();
                if last {
                    break;
                }
                one.unlink(&second);
                one.link(&second);
                meet.wait();
                let here = one.inner.state().links.contains(&second);
                let there = other.inner.state().links.contains(&first);
                half = (here != there).then_some(round);
            }
        });
        assert_eq!(half, None, "half a link in that round");
    }

    /// Who has been told that a connection is lost sends by no connection, or by another.
    #[tokio::test(flavor = "multi_thread")]
    async fn who_was_told_of_the_end_sends_nothing_by_it() {
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        one.connect(&there).await.unwrap();
        let (mut told, later) = (one.process(), one.process());
        let far = two.process().pid();
        told.send(&far, Term::atom("before")).await.unwrap();
        told.send(&far, Term::atom("again")).await.unwrap();
        told.monitor_node(two.name());
        // Whoever tells all is kept at the next one.
        let held = later.inner.state();
        let shared = std::sync::Arc::clone(&one.shared);
        let link = shared.link(two.name().as_str()).unwrap();
        let ends = std::thread::spawn(move || shared.end(&link, DownReason::Disconnected));
        let begun = Instant::now();
        while told.waiting() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "nobody is told");
            std::thread::yield_now();
        }
        let sends = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap().block_on(async {
                let heard = told.recv().await;
                (told.send(&far, Term::atom("late")).await, heard)
            })
        });
        while !sends.is_finished() && begun.elapsed() < Duration::from_millis(200) {
            std::thread::yield_now();
        }
        drop(held);
        ends.join().unwrap();
        let (sent, heard) = sends.join().unwrap();
        assert!(matches!(heard, Some(Message::NodeDown { .. })), "{heard:?}");
        assert_eq!(sent, Err(SendError::NotConnected));
    }

    /// A connection is lost, and there is another one, between the two steps by which a process links, or monitors.
    #[tokio::test]
    async fn who_was_told_that_all_is_lost_is_not_linked_by_the_next_connection() {
        let (one, two) = (node("one@127.0.0.1").await, node("two@127.0.0.1").await);
        let there = Target::new(two.name().clone()).on_port(two.port().unwrap());
        one.connect(&there).await.unwrap();
        let (mut me, mut other) = (one.process(), two.process());
        me.trap_exit(true);
        let far = other.pid();
        me.inner.state().links.insert(far.clone());
        let reference = me.shared.processes.reference();
        let target = PidOrName::from(far.clone());
        let monitored = Monitored {
            node: far.node.clone(),
            target: target.clone(),
        };
        assert!(me.watches(&reference, monitored));
        one.disconnect(two.name());
        for _ in 0..2 {
            let told = me.recv().await;
            let lost = matches!(told, Some(Message::Exit { .. } | Message::Down { .. }));
            assert!(lost, "{told:?}");
        }
        one.connect(&there).await.unwrap();
        me.say_link(&far);
        me.say_monitor(&far.node, target, &reference);
        me.send(&far, Term::atom("behind")).await.unwrap();
        assert!(other.recv().await.is_some());
        let is_left = || {
            let state = other.inner.state();
            !state.links.is_empty() || !state.watchers.is_empty()
        };
        let begun = Instant::now();
        while is_left() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "half a link, or half a monitor"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(other.waiting() == 0, "nothing broke there");
    }

    /// The link is given up while its node is dialled, and that turns out to be another incarnation.
    #[tokio::test]
    async fn an_unlink_that_is_never_sent_is_not_waited_for() {
        let two = node("two@127.0.0.1").await;
        let one = Node::builder("one@127.0.0.1".parse().unwrap());
        let one = one.cookie(Cookie::new("monster").unwrap()).epmd(None);
        let one = one.peer_port(two.port().unwrap()).start().await.unwrap();
        let (me, mut former) = (one.process(), two.process().pid());
        former.creation ^= 1 << 20;
        me.link(&former);
        me.unlink(&former);
        assert_eq!(me.inner.state().unlinking.len(), 1);
        let begun = Instant::now();
        while !me.inner.state().unlinking.is_empty() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "it waits for ever"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(
            one.shared.link("two@127.0.0.1").is_some(),
            "the node is there"
        );
        assert!(one.is_alive(&me.pid()), "nothing came of it");
    }

    /// Somebody ends the process between the two steps by which it links, or monitors.
    #[tokio::test]
    async fn what_crosses_the_end_of_its_process_does_not_stay() {
        let node = Node::builder("one@127.0.0.1".parse().unwrap());
        let node = node.cookie(Cookie::new("monster").unwrap());
        let node = node.start().await.unwrap();
        let (me, mut other) = (node.process(), node.process());
        other.trap_exit(true);
        let (my, their) = (me.pid(), other.pid());
        me.inner.state().links.insert(their.clone());
        let reference = me.shared.processes.reference();
        let target = PidOrName::from(their.clone());
        let monitored = Monitored {
            node: me.shared.atom.clone(),
            target: target.clone(),
        };
        assert!(me.watches(&reference, monitored));
        other.exit(&my, atom!("kill")).unwrap();
        assert!(!node.is_alive(&my));
        me.say_link(&their);
        me.say_monitor(&me.shared.atom, target, &reference);
        let linked = !other.inner.state().links.is_empty();
        let watched = !other.inner.state().watchers.is_empty();
        assert!(!linked && !watched);
        let told = other.recv().await;
        assert!(matches!(told, Some(Message::Exit { from, .. }) if from == my));
    }
}
