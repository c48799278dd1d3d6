//! What processes say again and again by one connection: encoded once, and kept beside the queue, under its lock.

use trunkline_etf::{Pid, Reference, Term, atom};
use trunkline_proto::Instant;
use trunkline_proto::conn::{Outbound, Payload, PushError, Queued};
use trunkline_proto::control::{Control, PidOrName};

/// Of several processes, each in a place by its number: what has more than one sender at a time has few of them mostly.
#[derive(Default)]
pub(super) struct Again([Option<Box<Said>>; PLACES]);

const PLACES: usize = 16;

/// What one process said last.
struct Said {
    id: u32,
    serial: u32,
    /// What goes before a message to this process.
    send: Option<(Pid, Vec<u8>)>,
    call: Option<Call>,
}

/// What a call consists of beside the request: all of it but the reference, which stands at the end of `monitor` and of
/// `begin`.
struct Call {
    server: PidOrName,
    /// MONITOR_P. With another operation it is DEMONITOR_P.
    monitor: Vec<u8>,
    /// What sends the request.
    control: Vec<u8>,
    /// `{'$gen_call', {From, [alias|Reference]}, Request}` up to the request.
    begin: Vec<u8>,
}

/// A reference of ours has three words.
const WORDS: usize = 12;

/// The tag of the tuple, its arity, the tag of a number: what comes before the operation.
const OPERATION: usize = 3;

/// DEMONITOR_P.
const DEMONITOR: u8 = 20;

impl Again {
    /// What goes before a message of `from` to `to`; `control` makes it anew.
    pub(super) fn send(
        &mut self,
        from: &Pid,
        to: &Pid,
        control: impl FnOnce() -> Control,
    ) -> &[u8] {
        let said = self.said(from);
        match &mut said.send {
            Some((last, _)) if last == to => {}
            other => *other = Some((to.clone(), control().encoded())),
        }
        said.send.as_ref().map_or(&[], |(_, control)| control)
    }

    /// Queues monitor and request of a call. `control` makes anew what sends the request.
    pub(super) fn call(
        &mut self,
        (out, now): (&mut Outbound, Instant),
        called: Called<'_>,
        request: &Term,
        control: impl FnOnce() -> Control,
    ) -> Result<Queued, PushError> {
        let from = called.from;
        let said = self.said(from);
        if said
            .call
            .as_ref()
            .is_none_or(|call| call.server != *called.server)
        {
            said.call = Some(Call::new(&called, &control()));
        }
        // There is one now.
        let Some(call) = &mut said.call else {
            return Err(PushError::Payload);
        };
        let words = words(called.reference);
        put_last(&mut call.monitor, words);
        put_last(&mut call.begin, words);
        if called.monitors {
            out.push_again(now, from, true, &call.monitor, Payload::None)?;
        }
        let request = Payload::Last(&call.begin, request);
        out.push_again(now, from, true, &call.control, request)
    }

    /// Queues that a call is over.
    pub(super) fn call_ends(
        &mut self,
        (out, now): (&mut Outbound, Instant),
        called: Called<'_>,
    ) -> Result<Queued, PushError> {
        let from = called.from;
        let said = &mut self.said(from).call;
        match said.as_mut().filter(|call| call.server == *called.server) {
            Some(call) => {
                put_last(&mut call.monitor, words(called.reference));
                let monitor = set_operation(&mut call.monitor, DEMONITOR);
                let queued = out.push_again(now, from, false, &call.monitor, Payload::None);
                set_operation(&mut call.monitor, monitor);
                queued
            }
            None => {
                let control = Control::DemonitorP {
                    from: from.clone(),
                    to: called.server.clone(),
                    reference: called.reference.clone(),
                };
                out.push_again(now, from, false, &control.encoded(), Payload::None)
            }
        }
    }

    fn said(&mut self, from: &Pid) -> &mut Said {
        let [first, ..] = from.id.to_le_bytes();
        let place = &mut self.0[usize::from(first) % PLACES];
        // All that send by a connection are of one node.
        let is_other = |said: &mut Box<Said>| (said.id, said.serial) != (from.id, from.serial);
        place.take_if(is_other);
        place.get_or_insert_with(|| {
            Box::new(Said {
                id: from.id,
                serial: from.serial,
                send: None,
                call: None,
            })
        })
    }
}

/// Who calls whom, and how the answer finds back.
#[derive(Clone, Copy)]
pub(crate) struct Called<'a> {
    pub(crate) from: &'a Pid,
    pub(crate) server: &'a PidOrName,
    pub(crate) reference: &'a Reference,
    /// The other node sends to aliases.
    pub(crate) aliases: bool,
    /// The other node knows monitors.
    pub(crate) monitors: bool,
}

impl Called<'_> {
    /// What sends the request.
    pub(crate) fn control(&self) -> Control {
        let from = self.from.clone();
        match self.server {
            PidOrName::Pid(to) => Control::SendSender {
                from,
                to: to.clone(),
                token: None,
            },
            PidOrName::Name(to) => Control::RegSend {
                from,
                to: to.clone(),
                token: None,
            },
        }
    }

    /// `{From, [alias|Reference]}`.
    fn client(&self) -> Term {
        let reference = Term::from(self.reference);
        let tag = if self.aliases {
            Term::list_with_tail([atom!("alias")], reference)
        } else {
            reference
        };
        Term::tuple([Term::from(self.from), tag])
    }

    /// `{'$gen_call', {From, [alias|Reference]}, Request}`.
    pub(crate) fn message(&self, request: Term) -> Term {
        Term::tuple([atom!("$gen_call").into(), self.client(), request])
    }
}

impl Call {
    fn new(called: &Called<'_>, control: &Control) -> Self {
        let monitor = Control::MonitorP {
            from: called.from.clone(),
            to: called.server.clone(),
            reference: called.reference.clone(),
        };
        let mut begin = Vec::new();
        Term::tuple([atom!("$gen_call").into(), called.client()]).encode_bare(&mut begin);
        // The tag of a small tuple, and its arity: one part more.
        if let [_, arity, ..] = &mut *begin {
            *arity += 1;
        }
        Self {
            server: called.server.clone(),
            monitor: monitor.encoded(),
            control: control.encoded(),
            begin,
        }
    }
}

/// As the wire has them. A reference of ours has three.
fn words(reference: &Reference) -> [u8; WORDS] {
    let mut bytes = [0; WORDS];
    for (to, word) in bytes
        .as_chunks_mut::<4>()
        .0
        .iter_mut()
        .zip(reference.words())
    {
        *to = word.to_be_bytes();
    }
    bytes
}

fn put_last(bytes: &mut [u8], words: [u8; WORDS]) {
    if let Some(last) = bytes.last_chunk_mut() {
        *last = words;
    }
}

/// The operation that was there.
fn set_operation(control: &mut [u8], operation: u8) -> u8 {
    let place = control.get_mut(OPERATION);
    place.map_or(0, |place| std::mem::replace(place, operation))
}

#[cfg(test)]
mod tests {
    use trunkline_etf::term;
    use trunkline_proto::Flags;
    use trunkline_proto::conn::{DEFAULT_TICK_TIME, Inbound, Limits};

    use super::*;

    fn pid(node: &str, id: u32) -> Pid {
        Pid {
            node: trunkline_etf::Atom::new(node).unwrap(),
            id,
            serial: 0,
            creation: 3,
        }
    }

    fn reference(n: u32) -> Reference {
        Reference::new(atom!("me@h"), 3, &[n, n + 1, n + 2]).unwrap()
    }

    /// What is said by heart reads as what is made for each call anew, for processes that share a place, too.
    #[test]
    fn what_is_said_again_is_what_was_meant() {
        let flags = Flags::hidden_default();
        let mut out = Outbound::new(Instant::ZERO, flags, flags, DEFAULT_TICK_TIME);
        let (mut wanted, mut calls) = (Vec::new(), 0);
        let servers = [
            PidOrName::from(atom!("server")),
            PidOrName::from(pid("you@h", 7)),
        ];
        for aliases in [true, false] {
            // A connection has them or not.
            let mut again = Again::default();
            for (from, server) in [(1, 0), (1, 1), (1, 1), (17, 1), (2, 0), (1, 1), (1, 1)] {
                let (from, server) = (pid("me@h", from), &servers[server]);
                calls += 3;
                let reference = reference(calls);
                let called = Called {
                    from: &from,
                    server,
                    reference: &reference,
                    monitors: true,
                    aliases,
                };
                let request = term!({add, (calls)});
                let (now, control) = (Instant::ZERO, || called.control());
                again
                    .call((&mut out, now), called, &request, control)
                    .unwrap();
                again.call_ends((&mut out, now), called).unwrap();
                let (to, reference) = (server.clone(), reference.clone());
                wanted.push((
                    Control::MonitorP {
                        from: from.clone(),
                        to: to.clone(),
                        reference: reference.clone(),
                    },
                    None,
                ));
                wanted.push((called.control(), Some(called.message(request))));
                let from = from.clone();
                wanted.push((
                    Control::DemonitorP {
                        from,
                        to,
                        reference,
                    },
                    None,
                ));
            }
        }
        let mut inbound = Inbound::new(Instant::ZERO, flags, DEFAULT_TICK_TIME, Limits::default());
        while !out.is_empty() {
            let bytes: Vec<u8> = out.segments().flatten().copied().collect();
            inbound.read_buf().extend_from_slice(&bytes);
            out.sent(bytes.len());
        }
        inbound.advance(Instant::ZERO);
        let limits = trunkline_etf::Limits::default();
        for (control, message) in wanted {
            let signal = inbound.next().unwrap().unwrap();
            assert_eq!(signal.control, control);
            let payload = signal.payload.map(|raw| raw.decode(&limits).unwrap());
            assert_eq!(payload, message);
        }
        assert!(inbound.next().is_none());
    }
}
