//! How processes end, and what the node does about it.

use std::sync::Arc;

use trunkline_etf::{Atom, Pid, Term, atom};
use trunkline_proto::control::{Control, PidOrName};

use super::dest::{Dest, Place};
use super::send::atom_of;
use super::state::{Inner, Monitored, State, Watcher};
use super::{Outgoing, Then};
use crate::shared::Shared;

impl Shared {
    /// The process has ended: nobody finds it any more, and those who watch it are told. Nothing
    /// the second time.
    pub(crate) fn ended(&self, inner: &Arc<Inner>, reason: Term) {
        let mut then = Then::default();
        self.end_of(inner, reason, &mut then);
        self.carry_out(then);
    }

    /// Ends all processes of the node, and every one that begins from now on. Wakers come after the last:
    /// one that panics spares nobody.
    pub(crate) fn end_processes(&self) {
        let mut then = Then::default();
        for inner in self.processes.close() {
            inner.end(atom!("shutdown").into(), &mut then);
        }
        for inner in self.processes.run_on() {
            inner.abort();
        }
        self.carry_out(then);
    }

    /// A new process. Where the node ends, it does so too.
    pub(crate) fn new_process(&self, task: bool) -> Arc<Inner> {
        let (inner, lives) = self.processes.add(task);
        if !lives {
            let mut then = Then::default();
            inner.end(atom!("shutdown").into(), &mut then);
            self.carry_out(then);
        }
        inner
    }

    /// What has to be told when a process has ended.
    pub(crate) fn end_of(&self, inner: &Arc<Inner>, reason: Term, then: &mut Then) {
        let Some((state, reason)) = inner.finish(reason) else {
            return;
        };
        if inner.runs() && self.processes.runs_on(inner) {
            inner.abort();
        }
        let State {
            queue,
            waker,
            name,
            links,
            monitors,
            watchers,
            aliases,
            ..
        } = state;
        // What waited is paid back.
        drop(queue);
        then.wake(waker);
        self.processes.remove(&inner.pid);
        if let Some(name) = name {
            self.processes.release_name(&name, &inner.pid);
        }
        for alias in aliases.keys() {
            self.processes.unroute(alias);
        }
        let pid = &inner.pid;
        let links = links.into_iter().map(|to| exit(pid, to, reason.clone()));
        let watchers = watchers.into_iter();
        let downs =
            watchers.map(|(reference, watcher)| watcher.down_of(pid, reference, reason.clone()));
        let demonitors = monitors.into_iter().map(|(reference, watched)| {
            let Monitored { node, target } = watched;
            let control = Control::DemonitorP {
                from: pid.clone(),
                to: target,
                reference,
            };
            Outgoing::Signal(node, control)
        });
        then.extend(links.chain(downs).chain(demonitors));
    }

    // ---- names ----

    pub(crate) fn register(&self, name: &Atom, inner: &Arc<Inner>) -> bool {
        *name != "undefined"
            && !self.answers_for(&PidOrName::Name(name.clone()))
            && self.processes.register(name.clone(), inner)
    }

    pub(crate) fn whereis(&self, name: &Atom) -> Option<Pid> {
        Some(self.processes.find_name(name)?.pid.clone())
    }

    /// Where a monitor or a call goes; the name of nobody where that is nowhere.
    pub(crate) fn place(&self, dest: Dest<'_>) -> Result<Place, PidOrName> {
        let here = |who| Place {
            node: self.atom.clone(),
            who,
        };
        match dest {
            Dest::Pid(pid) => Ok(Place {
                node: pid.node.clone(),
                who: pid.clone().into(),
            }),
            Dest::Name(name) => Ok(here(name.into())),
            Dest::NameAt(name, node) => match atom_of(node) {
                Ok(node) => Ok(Place {
                    node,
                    who: name.into(),
                }),
                Err(_) => Err(name.into()),
            },
            Dest::Alias(_) => Err(PidOrName::Name(Atom::from(false))),
        }
    }
}

impl Watcher {
    /// This process, which the watcher may know by a name, has ended, or is nobody.
    pub(crate) fn down_of(
        self,
        pid: &Pid,
        reference: trunkline_etf::Reference,
        reason: Term,
    ) -> Outgoing {
        match self.down(reference, reason) {
            Outgoing::Signal(node, control) => Outgoing::Of(pid.clone(), node, control),
            other => other,
        }
    }

    pub(crate) fn down(self, reference: trunkline_etf::Reference, reason: Term) -> Outgoing {
        let node = self.pid.node.clone();
        let control = Control::MonitorPExit {
            from: self.named,
            to: self.pid,
            reference,
            reason,
        };
        Outgoing::Signal(node, control)
    }
}

/// A link breaks.
pub(crate) fn exit(from: &Pid, to: Pid, reason: Term) -> Outgoing {
    let node = to.node.clone();
    let control = Control::Exit {
        from: from.clone(),
        to,
        token: None,
        reason,
    };
    Outgoing::Signal(node, control)
}

#[cfg(test)]
mod tests {
    use trunkline_proto::Cookie;

    use super::*;
    use crate::Node;
    use crate::mailbox::Body;
    use crate::process::Message;
    use crate::process::state::By;

    /// Its owner drops a process that an exit signal has just reached.
    #[tokio::test]
    async fn what_ends_a_process_first_is_why_it_ended() {
        let node = Node::builder("one@127.0.0.1".parse().unwrap());
        let node = node.cookie(Cookie::new("monster").unwrap());
        let node = node.start().await.unwrap();
        let mut me = node.process();
        let other = node.process();
        me.monitor(&other.pid());
        let inner = node.shared.processes.find(&other.pid()).unwrap();
        let mut then = Then::default();
        let kill = Body::Term(atom!("kill").into());
        inner.exit(me.pid(), kill, By::Call, &mut then);
        drop(other);
        node.shared.carry_out(then);
        let Some(Message::Down { reason, .. }) = me.recv().await else {
            panic!("it is told");
        };
        assert_eq!(reason, atom!("killed").into());
    }
}
