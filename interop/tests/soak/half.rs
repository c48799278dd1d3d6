//! One half of a pair, and what it may hear of the other. What both say to each other stands in `fixtures/erlang/soak.erl`, whose
//! halves do the same.
//!
//! - What the other sends comes in the order in which it was sent, by whatever way, and nothing comes twice. Nothing is missing
//!   either as long as no connection was lost: after a loss a new monitor and a question (in this order) show from where on.
//! - Each monitor fires once, each link breaks once, nothing of them comes after `demonitor` and `unlink`.
//! - Of a process that has ended nothing comes any more, and all that it sent has come before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_etf::{Atom, Pid, Reference, Term, atom, term};
use trunkline_node::{AliasMode, Message, Process, RecvError};

use crate::SOON;
use crate::rng::Rng;
use crate::world::{Phase, World};

/// How long nothing more must come of one that has ended.
const LINGER: Duration = Duration::from_millis(200);

/// The other half, and the ways to it.
#[derive(Debug)]
pub(crate) struct Other {
    pub(crate) pid: Pid,
    pub(crate) alias: Reference,
    pub(crate) name: Atom,
    pub(crate) slot: usize,
}

/// What is monitored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    Pid,
    Name,
}

/// Whether what comes must follow what came.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sync {
    Lost,
    Asked(Reference),
    Synced,
}

pub(crate) struct Half {
    pub(crate) process: Process,
    pub(crate) world: Arc<World>,
    pub(crate) rng: Rng,
    pub(crate) other: Other,
    pub(crate) begins: bool,
    pub(crate) monitors: HashMap<Reference, Watched>,
    pub(crate) main: Option<Reference>,
    pub(crate) linked: bool,
    pub(crate) links: u64,
    pub(crate) sent: u64,
    /// A process of an incarnation of the other's node that there never was, and whether it is linked.
    pub(crate) former: Pid,
    pub(crate) former_linked: bool,
    /// Calls of `monitor_node` that have not been answered.
    pub(crate) nodes: u64,
    sync: Sync,
    again: Option<Instant>,
    exits: u64,
    last: u64,
}

impl Half {
    /// Asks a node for a partner; `None` when none comes.
    pub(crate) async fn initiator(
        mut process: Process,
        world: &Arc<World>,
        slot: usize,
        seed: u64,
    ) -> Option<Self> {
        let token = seed >> 40;
        let (alias, name) = addresses(&process, token);
        let node = world.peer(slot).clone();
        let request = term!({partner, (process.pid()), (alias), (name), (token), (seed >> 16)});
        process.send((atom!("soak"), &node), request).await.ok()?;
        // Its node may be on its way up: what was sent to a name that nobody has yet is lost.
        let limit = Duration::from_secs(1);
        let first = process.recv_matching_timeout(limit, |message| is_hello(message, token));
        let hello = first.await.ok()?.into_term();
        let half = Self::with(process, world, &hello, true, seed);
        world.count("pairs begun here");
        half
    }

    /// Answers the request of another half.
    pub(crate) async fn partner(
        process: Process,
        world: &Arc<World>,
        request: &Term,
    ) -> Option<Self> {
        let [_, _, _, _, token, seed] = request.as_tuple()? else {
            return None;
        };
        let (token, seed) = (token.as_u64()?, seed.as_u64()?);
        let (alias, name) = addresses(&process, token);
        let mut half = Self::with(process, world, request, false, seed)?;
        world.count("pairs begun there");
        half.resync().await;
        let hello = term!({hello, (half.process.pid()), (alias), (name), (token)});
        half.process.send(&half.other.pid, hello).await.ok();
        Some(half)
    }

    fn with(
        process: Process,
        world: &Arc<World>,
        said: &Term,
        begins: bool,
        seed: u64,
    ) -> Option<Self> {
        let [_, pid, alias, name, ..] = said.as_tuple()? else {
            return None;
        };
        let pid = pid.as_pid()?.clone();
        let creation = pid.creation.wrapping_add(1);
        let former = Pid {
            creation,
            ..pid.clone()
        };
        let other = Other {
            slot: world.slot(&pid.node)?,
            alias: alias.as_reference()?.clone(),
            name: name.as_atom()?.clone(),
            pid,
        };
        world.begins(process.pid());
        Some(Self {
            process,
            world: Arc::clone(world),
            rng: Rng::new(seed),
            other,
            begins,
            monitors: HashMap::new(),
            main: None,
            linked: false,
            links: 0,
            sent: 0,
            former,
            former_linked: false,
            nodes: 0,
            sync: Sync::Lost,
            again: begins.then(Instant::now),
            exits: 0,
            last: 0,
        })
    }

    /// Until the pair ends; the reason for which this half does.
    pub(crate) async fn run(mut self) -> Term {
        let pid = self.process.pid();
        let reason = self.talk().await;
        self.world.ends(&pid);
        reason
    }

    async fn talk(&mut self) -> Term {
        let mut due = Instant::now();
        loop {
            if self.world.phase() == Phase::Ending && self.again.is_some() && self.is_told() {
                return atom!("normal").into();
            }
            let wait = due.saturating_duration_since(Instant::now());
            match self.process.recv_timeout(wait).await {
                Ok(message) => {
                    if let Some(end) = self.hears(message).await {
                        return end;
                    }
                }
                Err(RecvError::Timeout) => {
                    if let Some(end) = self.turn().await {
                        return end;
                    }
                    due = Instant::now() + Duration::from_millis(self.rng.up_to(20));
                }
                Err(why) => {
                    self.breaks(format!("ended from outside: {why}"));
                    return atom!("normal").into();
                }
            }
        }
    }

    /// Something of its own: nothing any more when all is to end.
    async fn turn(&mut self) -> Option<Term> {
        if self.world.phase() == Phase::Ending {
            let monitors = self.monitors.len();
            let text = format!(
                "{:?}, begins {}, linked {}, {monitors} monitors, {} of nodes, {:?}",
                self.other.pid, self.begins, self.linked, self.nodes, self.sync
            );
            self.world.waits(&self.process.pid(), text);
            return None;
        }
        if self.again.is_some_and(|due| due <= Instant::now()) {
            self.resync().await;
        }
        self.acts().await
    }

    /// Everything that was to fire has.
    fn is_told(&self) -> bool {
        self.monitors.is_empty() && !self.linked && !self.former_linked && self.nodes == 0
    }

    /// The monitor goes before the question: an answer that comes before the monitor has fired came over the same connection.
    async fn resync(&mut self) {
        let main = self.process.monitor(&self.other.pid);
        self.monitors.insert(main.clone(), Watched::Pid);
        // Any reference that nobody has seen.
        let question = self.process.alias(AliasMode::Explicit);
        self.process.unalias(&question);
        let asked = term!({resync, (self.process.pid()), (question.clone())});
        self.process.send(&self.other.pid, asked).await.ok();
        (self.main, self.again) = (Some(main), None);
        self.sync = Sync::Asked(question);
        self.world.count("monitors");
    }

    async fn hears(&mut self, message: Message) -> Option<Term> {
        match message {
            Message::Term(term) => self.told(&term).await,
            Message::Exit { from, reason } if from == self.other.pid => {
                self.exit(&reason);
                None
            }
            Message::Down {
                reference, reason, ..
            } => self.down(&reference, &reason).await,
            Message::Exit { from, .. } if self.former_linked && from == self.former => {
                self.former_linked = false;
                None
            }
            Message::NodeDown { .. } if self.nodes > 0 => {
                self.nodes -= 1;
                None
            }
            other => {
                self.breaks(format!("unexpected {other:?}"));
                None
            }
        }
    }

    async fn told(&mut self, term: &Term) -> Option<Term> {
        let parts = term.as_tuple().unwrap_or_default();
        match parts {
            [what, from, number, filler] if what.is_atom("seq") && self.is_other(from) => {
                self.takes(number.as_u64(), filler);
            }
            [what, from, question] if what.is_atom("resync") && self.is_other(from) => {
                let (me, question) = (self.process.pid(), question.clone());
                let answer = term!({synced, (me), (question), (self.sent), (self.links)});
                self.process.send(&self.other.pid, answer).await.ok();
            }
            [what, from, question, number, links]
                if what.is_atom("synced") && self.is_other(from) =>
            {
                self.synced(question, number.as_u64(), links.as_u64());
            }
            _ => self.breaks(format!("unexpected {term}")),
        }
        None
    }

    fn is_other(&self, from: &Term) -> bool {
        from.as_pid() == Some(&self.other.pid)
    }

    fn takes(&mut self, number: Option<u64>, filler: &Term) {
        let number = number.unwrap_or_default();
        let filler = filler.as_binary().unwrap_or_default();
        let byte = number.to_le_bytes()[0];
        if filler
            .iter()
            .step_by(1021)
            .chain(filler.last())
            .any(|found| *found != byte)
        {
            self.breaks(format!("the filler of {number} is not its own"));
        }
        let follows = match self.sync {
            Sync::Synced => number == self.last + 1,
            _ => number > self.last,
        };
        if !follows {
            self.breaks(format!("{number} came after {}", self.last));
        }
        if self.sync == Sync::Synced {
            self.world.goes_on(self.other.slot);
        }
        self.last = number;
    }

    fn synced(&mut self, question: &Term, number: Option<u64>, links: Option<u64>) {
        let (number, links) = (number.unwrap_or_default(), links.unwrap_or_default());
        if number < self.last {
            self.breaks(format!("at {number}, but {} has come", self.last));
        }
        if self.exits > links {
            self.breaks(format!("{} links broke of {links}", self.exits));
        }
        self.last = self.last.max(number);
        if matches!(&self.sync, Sync::Asked(asked) if question.as_reference() == Some(asked)) {
            self.sync = Sync::Synced;
            self.world.count("synced");
        }
    }

    fn exit(&mut self, reason: &Term) {
        if let Some([what, number]) = reason.as_tuple()
            && what.is_atom("poke")
        {
            let number = number.as_u64().unwrap_or_default();
            let exact = self.sync == Sync::Synced;
            if number < self.last || exact && number != self.last {
                self.breaks(format!("poked at {number}, but {} has come", self.last));
            }
            self.world.count("pokes");
        } else if !self.begins {
            self.exits += 1;
            self.world.count("links of theirs broken");
        } else if self.linked {
            self.linked = false;
            self.world.count("links broken");
        } else {
            self.breaks(format!("a link that is none broke: {reason}"));
        }
    }

    async fn down(&mut self, reference: &Reference, reason: &Term) -> Option<Term> {
        if self.monitors.remove(reference).is_none() {
            self.breaks(format!("a monitor that is none fired: {reason}"));
            return None;
        }
        self.world.count("monitors fired");
        if self.main.as_ref() != Some(reference) {
            return None;
        }
        if reason.is_atom("noconnection") {
            let wait = Duration::from_millis(50 + self.rng.up_to(450));
            (self.sync, self.again) = (Sync::Lost, Some(Instant::now() + wait));
            return None;
        }
        self.ended(reason);
        self.linger().await;
        Some(atom!("normal").into())
    }

    /// The other has ended, and says how much it had sent.
    fn ended(&self, reason: &Term) {
        if let Some([what, number]) = reason.as_tuple()
            && what.is_atom("bye")
        {
            let number = number.as_u64().unwrap_or_default();
            let exact = self.sync == Sync::Synced;
            if number < self.last || exact && number != self.last {
                self.breaks(format!("ended at {number}, but {} has come", self.last));
            }
            self.world.count("ends with all heard");
        } else {
            self.world.count("ends unseen");
        }
    }

    /// Nothing comes of one that has ended but the end of its links and monitors, which must come.
    async fn linger(&mut self) {
        let begun = Instant::now();
        loop {
            let open = self.linked || self.monitors.values().any(|kind| *kind == Watched::Pid);
            let wait = if open { SOON } else { LINGER };
            let over = begun.elapsed() >= wait;
            match self
                .process
                .recv_timeout(if over { Duration::ZERO } else { LINGER })
                .await
            {
                Ok(Message::Down { reference, .. })
                    if self.monitors.remove(&reference).is_some() => {}
                Ok(Message::Exit { from, reason })
                    if from == self.other.pid && !is_poke(&reason) =>
                {
                    self.exit(&reason);
                }
                Ok(Message::NodeDown { .. }) if self.nodes > 0 => self.nodes -= 1,
                Ok(Message::Exit { from, .. }) if self.former_linked && from == self.former => {
                    self.former_linked = false;
                }
                Ok(message) => self.breaks(format!("after the end came {message:?}")),
                Err(RecvError::Timeout) if !over => {}
                Err(RecvError::Timeout) if !open => return,
                Err(why) => {
                    self.breaks(format!(
                        "linked {}, {:?}: {why}",
                        self.linked, self.monitors
                    ));
                    return;
                }
            }
        }
    }

    fn breaks(&self, what: String) {
        let (me, other) = (self.process.pid(), &self.other.pid);
        let text = format!(
            "{me:?} of {other:?}, begins {}, {:?}: {what}",
            self.begins, self.sync
        );
        self.world.breaks(text);
    }
}

fn addresses(process: &Process, token: u64) -> (Reference, Atom) {
    process.trap_exit(true);
    let name = Atom::new(&format!("half_{token}")).expect("an atom");
    // Another may have it, by the seed: then what goes to the name is not sent.
    process.register(&name);
    (process.alias(AliasMode::Explicit), name)
}

fn is_hello(message: &Message, token: u64) -> bool {
    let parts = message.as_term().and_then(Term::as_tuple);
    matches!(parts, Some([what, _, _, _, said]) if what.is_atom("hello") && said.as_u64() == Some(token))
}

pub(crate) fn is_poke(reason: &Term) -> bool {
    matches!(reason.as_tuple(), Some([what, _]) if what.is_atom("poke"))
}
