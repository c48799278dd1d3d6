//! What a half does when it is its turn.

use std::time::Duration;

use trunkline_etf::{Term, atom, term};
use trunkline_node::Message;

use crate::half::{Half, Watched, is_poke};

/// A call may meet a node that stands still.
const CALL: Duration = Duration::from_secs(2);

/// So much is said before a half may end.
const TALKED: u64 = 300;

impl Half {
    /// The reason, when it is to end.
    pub(crate) async fn acts(&mut self) -> Option<Term> {
        match self.rng.up_to(100) {
            1..=50 => self.sends_some().await,
            51..=55 => {
                let size = 65_536 + self.rng.size(500_000);
                self.sends(size).await;
            }
            56 => {
                let size = self.rng.size(4_000_000);
                self.sends(size).await;
            }
            57..=65 => self.links_or_not().await,
            66..=72 => self.watches(),
            73..=78 => self.unwatches(),
            79..=83 => {
                let reason = term!({poke, (self.sent)});
                self.process.exit(&self.other.pid, reason).ok();
            }
            84..=88 => self.calls().await,
            89..=90 => self.calls_a_function().await,
            91 if self.sent >= TALKED => return Some(term!({bye, (self.sent)})),
            92 if self.nodes < 4 => {
                self.process.monitor_node(self.world.peer(self.other.slot));
                self.nodes += 1;
            }
            93..=94 => self.meets_the_former().await,
            _ => {}
        }
        None
    }

    async fn sends_some(&mut self) {
        for _ in 0..self.rng.up_to(20) {
            let size = self.rng.size(200);
            if !self.sends(size).await {
                return;
            }
        }
    }

    /// The next message, by one of the three ways.
    async fn sends(&mut self, size: usize) -> bool {
        self.sent += 1;
        let filler = vec![self.sent.to_le_bytes()[0]; size];
        let message = term!({seq, (self.process.pid()), (self.sent), (Term::binary(filler))});
        let (process, other) = (&self.process, &self.other);
        let sent = match self.rng.up_to(4) {
            1 => process.send(&other.alias, message).await,
            2 => {
                let to = (&other.name, self.world.peer(other.slot));
                process.send(to, message).await
            }
            _ => process.send(&other.pid, message).await,
        };
        // What was not sent is as lost as what was on its way.
        self.world
            .count(if sent.is_ok() { "sent" } else { "not sent" });
        sent.is_ok()
    }

    async fn links_or_not(&mut self) {
        if !self.begins {
            return;
        }
        if !self.linked {
            self.process.link(&self.other.pid);
            (self.linked, self.links) = (true, self.links + 1);
            self.world.count("links");
            return;
        }
        self.process.unlink(&self.other.pid);
        // What came before `unlink` may lie there; after it nothing comes.
        let other = self.other.pid.clone();
        let came = |message: &Message| matches!(message, Message::Exit { from, reason } if *from == other && !is_poke(reason));
        let lay = self
            .process
            .recv_matching_timeout(Duration::ZERO, came)
            .await;
        self.world.count(if lay.is_ok() {
            "broken before unlink"
        } else {
            "unlinked"
        });
        self.linked = false;
    }

    /// Links to, unlinks from, monitors and addresses one of an incarnation that is gone: nobody, and nothing ends by it.
    async fn meets_the_former(&mut self) {
        let former = self.former.clone();
        self.world.count("met the former");
        if self.former_linked {
            self.process.unlink(&former);
            let came = |message: &Message| matches!(message, Message::Exit { from, .. } if *from == former);
            let lay = self.process.recv_matching_timeout(Duration::ZERO, came);
            lay.await.ok();
        } else {
            self.process.link(&former);
        }
        self.former_linked = !self.former_linked;
        let monitor = self.process.monitor(&former);
        self.monitors.insert(monitor, Watched::Pid);
        self.process.exit(&former, atom!("kill")).ok();
        self.process.send(&former, term!(lost)).await.ok();
    }

    fn watches(&mut self) {
        if self.monitors.len() > 8 {
            return;
        }
        let (monitor, what) = if self.rng.up_to(2) == 1 {
            (self.process.monitor(&self.other.pid), Watched::Pid)
        } else {
            let server = (atom!("soak"), self.world.peer(self.other.slot));
            (self.process.monitor(server), Watched::Name)
        };
        self.monitors.insert(monitor, what);
        self.world.count("monitors");
    }

    fn unwatches(&mut self) {
        let extra = self
            .monitors
            .keys()
            .find(|one| Some(*one) != self.main.as_ref());
        if let Some(monitor) = extra.cloned() {
            self.process.demonitor(&monitor);
            self.monitors.remove(&monitor);
            self.world.count("demonitored");
        }
    }

    async fn calls(&mut self) {
        let filler = vec![7_u8; self.rng.size(3000)];
        let question = term!({question, (self.rng.next()), (Term::binary(filler))});
        let server = (atom!("soak_echo"), self.world.peer(self.other.slot));
        match self.process.call(server, question.clone(), CALL).await {
            Ok(answer) if answer == question => self.world.count("calls"),
            Ok(answer) => self
                .world
                .breaks(format!("asked {question}, answered {answer}")),
            Err(_) => self.world.count("calls failed"),
        }
    }

    async fn calls_a_function(&mut self) {
        let (one, two) = (self.rng.next() >> 8, self.rng.next() >> 8);
        let peer = self.world.peer(self.other.slot);
        let args = vec![Term::from(one), Term::from(two)];
        match self
            .world
            .node()
            .erpc(peer, "erlang", "+", args, CALL)
            .await
        {
            Ok(sum) if sum.as_u64() == Some(one + two) => self.world.count("erpc"),
            Ok(sum) => self.world.breaks(format!("{one} + {two} is {sum}")),
            Err(_) => self.world.count("erpc failed"),
        }
    }
}
