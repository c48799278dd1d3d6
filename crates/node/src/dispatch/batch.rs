//! The messages of one read, on their way to their processes.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use bytes::Bytes;
use trunkline_etf::{Atom, Pid, RawTerm, Reference, Term};
use trunkline_proto::Flags;
use trunkline_proto::conn::Signal;
use trunkline_proto::control::{Control, PidOrName};

use crate::gate::Open;
use crate::link::Link;
use crate::mailbox::{Body, Queue};
use crate::process::Then;
use crate::process::state::Inner;
use crate::process::table::{Via, number};
use crate::shared::Shared;
use crate::slot::Answer;

/// The messages of one read. Each mailbox is locked once, and its process woken at most once, for all
/// of them. What a message changes elsewhere (links, monitors, exits) has happened when
/// [`Batch::signal`] returns, behind the messages that came before it for the same process; messages
/// are in the mailboxes at the latest when [`Batch::finish`] returns, or this is dropped, and those
/// whose they are woken last of all. Hold none over an `await`.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    shared: &'a Shared,
    link: &'a Arc<Link>,
    /// `None`: the connection was ended by somebody else than its reader, and is told to be over.
    open: Option<Open<'a>>,
    then: Then,
    /// What came last was a message for `memory.last`.
    message: bool,
    /// By a pid, which is somebody else's never; a name may be.
    by_pid: bool,
    memory: Memory,
}

/// What batches use again and again.
#[derive(Debug, Default)]
struct Memory {
    boxes: Vec<Collected>,
    /// Where in `boxes` a process is, by its number.
    places: HashMap<u64, usize, BuildHasherDefault<Spread>>,
    /// Whom the last message was for, and where that is.
    last: Option<usize>,
    last_name: Option<(Atom, usize)>,
    /// Empty, with the memory that they had.
    spare: Vec<Queue>,
}

/// Spreads numbers that this node has given away itself.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // Of the golden ratio: numbers in a row lie far apart.
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// For one process.
#[derive(Debug)]
struct Collected {
    inner: Arc<Inner>,
    queue: Queue,
}

/// As many empty queues are kept for the next batch of a thread.
const SPARE: usize = 8;

thread_local! {
    static MEMORY: Cell<Option<Memory>> = const { Cell::new(None) };
}

impl Shared {
    /// Takes what one read of this connection brings.
    pub(crate) fn batch<'a>(&'a self, link: &'a Arc<Link>) -> Batch<'a> {
        Batch {
            shared: self,
            link,
            open: link.gate.enter(),
            then: Then::default(),
            message: false,
            by_pid: false,
            memory: MEMORY.take().unwrap_or_default(),
        }
    }
}

impl Batch<'_> {
    /// A message came in. `false` where the peer says something in the name of a process that is another
    /// node's, as OTP looks at it: it breaks the protocol, and nothing is done.
    #[must_use]
    pub(crate) fn signal(&mut self, signal: Signal) -> bool {
        if self.open.is_none() {
            return true;
        }
        tracing::trace!(peer = %self.link.info.peer, control = ?signal.control, "in");
        let Signal {
            control, payload, ..
        } = signal;
        self.message = false;
        match with_payload(control, payload) {
            (Control::Send { to, .. } | Control::SendSender { to, .. }, Some(payload)) => {
                self.message(&to, payload);
            }
            (Control::RegSend { to, .. }, Some(payload)) => self.named(to, payload),
            (control @ (Control::MonitorP { .. } | Control::DemonitorP { .. }), None) => {
                return self.monitor(control);
            }
            (control, payload) => {
                if sender(&control).is_some_and(|from| from.node != self.link.atom) {
                    return false;
                }
                // It must not overtake what came before it.
                if let Some(to) = receiver(&control) {
                    self.flush_of(to);
                } else {
                    self.flush();
                }
                let body = payload.map(|payload| self.body(payload));
                self.shared.deliver(control, body, &mut self.then);
                self.shared.settle(&mut self.then);
            }
        }
        true
    }

    /// As [`signal`](Self::signal), of a small message: `payload` is empty where there is none.
    #[must_use]
    pub(crate) fn small(&mut self, control: Control, payload: &[u8]) -> bool {
        if self.open.is_none() {
            return true;
        }
        tracing::trace!(peer = %self.link.info.peer, ?control, "in");
        self.message = false;
        let place = match &control {
            Control::Send { to, .. } | Control::SendSender { to, .. } => {
                let place = self.place_of(to);
                self.by_pid = place.is_some();
                place
            }
            Control::RegSend { to, .. } => {
                self.by_pid = false;
                self.place_of_name(to)
            }
            Control::AliasSend { alias, .. } => {
                self.aliased(alias, payload);
                return true;
            }
            _ => return self.monitor(control),
        };
        match (place, control) {
            (Some(place), _) => {
                self.memory.last = Some(place);
                self.message = true;
                self.alike(payload);
            }
            (None, Control::Send { to, .. } | Control::SendSender { to, .. }) => {
                self.nobodys(&to.into(), copied(payload));
            }
            (None, Control::RegSend { to, .. }) => self.nobodys(&to.into(), copied(payload)),
            _ => {}
        }
        true
    }

    /// A small message for whoever waits for an answer, or has an alias.
    fn aliased(&mut self, alias: &Reference, payload: &[u8]) {
        // It must not overtake what came before it.
        self.flush();
        let body = Body::copied(payload, &self.link.account);
        self.shared.to_alias(alias, body, &mut self.then);
        self.shared.settle(&mut self.then);
    }

    /// MONITOR_P or DEMONITOR_P. Nobody can tell whether it comes, or goes, before what came before it. `false` as
    /// [`signal`](Self::signal).
    fn monitor(&mut self, control: Control) -> bool {
        let (Control::MonitorP {
            from,
            to,
            reference,
        }
        | Control::DemonitorP {
            from,
            to,
            reference,
        }) = &control
        else {
            return true;
        };
        if from.node != self.link.atom {
            return false;
        }
        let shared = self.shared;
        let found = self.find(to);
        if let Control::DemonitorP { .. } = control {
            shared.unwatched(found, to, reference);
            return true;
        }
        let refused = shared.watched(found, from.clone(), to.clone(), reference.clone());
        self.then.extend(refused);
        shared.settle(&mut self.then);
        true
    }

    /// The last message of the read before was for this process: as if it had come now.
    pub(crate) fn resume(&mut self, receiver: &Arc<Inner>) {
        if self.open.is_some() {
            let place = self.place_for(Arc::clone(receiver));
            self.memory.last = Some(place);
            (self.message, self.by_pid) = (true, true);
        }
    }

    /// For whom the last message was, when that was the last that came and named its receiver by
    /// pid. The next read may be [resumed](Self::resume) with it.
    pub(crate) fn receiver(&self) -> Option<&Arc<Inner>> {
        let last = self.memory.last.filter(|_| self.message && self.by_pid)?;
        self.memory.boxes.get(last).map(|one| &one.inner)
    }

    /// Whether the last thing that came was a message for a mailbox.
    #[inline]
    pub(crate) fn is_message(&self) -> bool {
        self.message
    }

    /// A small message like the one before, but for the payload.
    #[inline]
    pub(crate) fn alike(&mut self, payload: &[u8]) {
        let memory = &mut self.memory;
        if let Some(one) = memory.last.and_then(|last| memory.boxes.get_mut(last)) {
            one.queue.push_small(payload);
        }
    }

    /// The answer to a call was too long to be held: whoever waits for it hears so.
    pub(crate) fn answer_lost(&mut self, alias: &Reference, reason: Term) {
        if let Some(Via::Slot(slot)) = self.shared.processes.via(alias) {
            slot.put(Answer::Down(reason.into()), &mut self.then);
        }
    }

    fn message(&mut self, to: &Pid, payload: RawTerm) {
        match self.place_of(to) {
            Some(place) => {
                self.by_pid = true;
                self.put(place, payload);
            }
            None => self.nobodys(&to.clone().into(), payload),
        }
    }

    fn named(&mut self, to: Atom, payload: RawTerm) {
        match self.place_of_name(&to) {
            Some(place) => {
                self.by_pid = false;
                self.put(place, payload);
            }
            None => self.nobodys(&to.into(), payload),
        }
    }

    /// Where the messages of the process with this name are gathered.
    fn place_of_name(&mut self, name: &Atom) -> Option<usize> {
        if let Some((last, place)) = &self.memory.last_name
            && last == name
        {
            return Some(*place);
        }
        let inner = self.shared.processes.find_name(name)?;
        let place = self.place_for(inner);
        self.memory.last_name = Some((name.clone(), place));
        Some(place)
    }

    fn find(&mut self, who: &PidOrName) -> Option<&Inner> {
        let place = match who {
            PidOrName::Pid(pid) => self.place_of(pid)?,
            PidOrName::Name(name) => self.place_of_name(name)?,
        };
        Some(&self.memory.boxes.get(place)?.inner)
    }

    fn nobodys(&mut self, to: &PidOrName, payload: RawTerm) {
        let body = self.body(payload);
        self.shared.unclaimed(to, body, &mut self.then);
        self.shared.settle(&mut self.then);
    }

    fn body(&self, payload: RawTerm) -> Body {
        Body::came(payload, &self.link.account)
    }

    fn put(&mut self, place: usize, payload: RawTerm) {
        self.memory.last = Some(place);
        self.message = true;
        if let Some(one) = self.memory.boxes.get_mut(place) {
            one.queue.push_raw(payload);
        }
    }

    /// Where the messages of a process are gathered; `None` when there is no such process.
    fn place_of(&mut self, to: &Pid) -> Option<usize> {
        let memory = &self.memory;
        if let Some(last) = memory.last
            && memory
                .boxes
                .get(last)
                .is_some_and(|one| one.inner.pid == *to)
        {
            return Some(last);
        }
        if let Some(place) = memory.places.get(&number(to))
            && memory
                .boxes
                .get(*place)
                .is_some_and(|one| one.inner.pid == *to)
        {
            return Some(*place);
        }
        let inner = self.shared.processes.find(to)?;
        Some(self.place_for(inner))
    }

    fn place_for(&mut self, inner: Arc<Inner>) -> usize {
        let memory = &mut self.memory;
        *memory.places.entry(number(&inner.pid)).or_insert_with(|| {
            let queue = memory.spare.pop().unwrap_or_default();
            memory.boxes.push(Collected { inner, queue });
            memory.boxes.len() - 1
        })
    }

    fn flush_of(&mut self, to: &Pid) {
        if let Some(place) = self.memory.places.get(&number(to)).copied() {
            self.flush_at(place);
        }
        self.shared.settle(&mut self.then);
    }

    fn flush(&mut self) {
        for place in 0..self.memory.boxes.len() {
            self.flush_at(place);
        }
        self.shared.settle(&mut self.then);
    }

    fn flush_at(&mut self, place: usize) {
        let Some(Collected { inner, queue }) = self.memory.boxes.get_mut(place) else {
            return;
        };
        if queue.is_empty() {
            return;
        }
        queue.charge(&self.link.account);
        inner.messages(queue, &mut self.then);
    }

    /// All of the read were there.
    pub(crate) fn finish(self) {}
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let panics = std::thread::panicking();
        let flushed = if panics {
            Ok(())
        } else {
            catch_unwind(AssertUnwindSafe(|| self.flush()))
        };
        if panics || flushed.is_err() {
            // The connection ends, and what was not handed over is lost with it. Who was to be woken
            // before, by nobody else, is woken.
            drop(self.open.take());
            let then = &mut self.then;
            let _a_second_panic = catch_unwind(AssertUnwindSafe(|| then.wake_all()));
            return flushed.unwrap_or_else(|panic| resume_unwind(panic));
        }
        let mut memory = std::mem::take(&mut self.memory);
        memory.places.clear();
        (memory.last, memory.last_name) = (None, None);
        while let Some(one) = memory.boxes.pop() {
            if memory.spare.len() < SPARE {
                memory.spare.push(one.queue);
            }
        }
        MEMORY.set(Some(memory));
        // Whoever is woken may end the connection, which closes the gate.
        drop(self.open.take());
        self.then.wake_all();
    }
}

/// A term that lies in somebody else's memory.
fn copied(payload: &[u8]) -> RawTerm {
    RawTerm::new(Bytes::copy_from_slice(payload))
}

/// A reason that travels in the control message, as older nodes send it, is counted and kept as one that
/// is a payload.
fn with_payload(control: Control, payload: Option<RawTerm>) -> (Control, Option<RawTerm>) {
    if !matches!(
        control,
        Control::Exit { .. } | Control::Exit2 { .. } | Control::MonitorPExit { .. }
    ) {
        return (control, payload);
    }
    let fitted = control.fit(Flags::EXIT_PAYLOAD);
    (fitted.control, fitted.payload.as_ref().map(RawTerm::from))
}

/// Whose signal it is, where it has to be one of the node that sends it: what makes and breaks links, as
/// monitors, and what ends a process (`erts_net_message` in OTP's `dist.c`; messages are not looked at).
const fn sender(control: &Control) -> Option<&Pid> {
    match control {
        Control::Link { from, .. }
        | Control::UnlinkId { from, .. }
        | Control::UnlinkIdAck { from, .. }
        | Control::Exit { from, .. }
        | Control::PayloadExit { from, .. }
        | Control::Exit2 { from, .. }
        | Control::PayloadExit2 { from, .. } => Some(from),
        _ => None,
    }
}

/// Whose mailbox it concerns.
const fn receiver(control: &Control) -> Option<&Pid> {
    match control {
        Control::Exit { to, .. }
        | Control::PayloadExit { to, .. }
        | Control::Exit2 { to, .. }
        | Control::PayloadExit2 { to, .. }
        | Control::MonitorPExit { to, .. }
        | Control::PayloadMonitorPExit { to, .. }
        | Control::Link { to, .. }
        | Control::UnlinkId { to, .. }
        | Control::UnlinkIdAck { to, .. }
        | Control::SpawnReply { to, .. } => Some(to),
        // Who it concerns is not in it, or it concerns nobody's mailbox and does not come often.
        _ => None,
    }
}
