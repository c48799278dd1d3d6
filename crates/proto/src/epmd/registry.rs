//! The table of names, as a machine: a server reads requests, asks [`Registry::answer`], writes.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use thiserror::Error;

use super::{AliveResponse, NameEntry, NamesResponse, PortResponse, Registration, Request};
use crate::Creation;

/// How many names that are gone keep their creation, as OTP's epmd does; older ones raise the
/// creation that new names get, so that none is handed out twice.
const MAX_REMEMBERED: usize = 1000;

/// Beside an error OTP's epmd sends this creation.
const CREATION_OF_AN_ERROR: Creation = Creation(99);

/// Who is registered.
///
/// ```
/// use trunkline_proto::epmd::{NodeType, Registration, Registry};
///
/// let mut registry = Registry::new(1_795_305_879);
/// let app = registry.register(Registration::new("app", 9100, NodeType::VISIBLE)).unwrap();
/// assert_eq!(registry.lookup("app").unwrap().port, 9100);
/// registry.unregister(app.id);
/// assert!(registry.lookup("app").is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Registry {
    /// Newest last.
    entries: Vec<Entry>,
    /// Names that are gone and the creation each had; oldest first.
    gone: VecDeque<(String, Creation)>,
    /// What a name that is not remembered gets.
    fresh: Creation,
    next_id: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    id: u64,
    creation: Creation,
    registration: Registration,
}

/// A registration that holds until [`Registry::unregister`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Which registration, for the connection that holds it.
    pub id: u64,
    /// The node's creation.
    pub creation: Creation,
}

/// Another node has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the name is taken")]
pub struct NameTaken;

/// What the server knows about the one who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Where EPMD itself listens: part of some answers.
    pub epmd_port: u16,
    /// The request came over loopback. Others may not kill or stop.
    pub loopback: bool,
    /// `-relaxed_command_check`: kill with live nodes, and stop, are allowed.
    pub relaxed: bool,
}

/// What to write, and what to do then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What to write; empty when the connection closes without a word.
    pub bytes: Vec<u8>,
    /// What to do when it is written.
    pub then: Then,
}

/// What a server does after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Close the connection.
    Close,
    /// Keep it, and call [`Registry::unregister`] with the id when it ends.
    Hold(Registered),
    /// Close the connection and end.
    Exit,
}

impl Registry {
    /// An empty table. `seed` is the first creation, best the time in seconds since 1970: a
    /// restarted EPMD then hands out other creations than before. 0 is taken as 1.
    pub fn new(seed: u32) -> Self {
        Self {
            entries: Vec::new(),
            gone: VecDeque::new(),
            fresh: Creation(seed.max(1)),
            next_id: 1,
        }
    }

    /// Registers a node. A name that was registered before gets the creation after its last one.
    pub fn register(&mut self, registration: Registration) -> Result<Registered, NameTaken> {
        if self.lookup(&registration.alive).is_some() {
            return Err(NameTaken);
        }
        let creation = self
            .recall(&registration.alive)
            .map_or(self.fresh, following);
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.entries.push(Entry {
            id,
            creation,
            registration,
        });
        Ok(Registered { id, creation })
    }

    /// Ends a registration; does nothing when it has ended.
    pub fn unregister(&mut self, id: u64) {
        if let Some(at) = self.entries.iter().position(|entry| entry.id == id) {
            let entry = self.entries.remove(at);
            self.remember(entry.registration.alive, entry.creation);
        }
    }

    /// The node with this alive part.
    pub fn lookup(&self, alive: &str) -> Option<&Registration> {
        self.registrations()
            .find(|registration| registration.alive == alive)
    }

    /// Who is registered, newest first.
    pub fn registrations(&self) -> impl Iterator<Item = &Registration> {
        self.entries.iter().rev().map(|entry| &entry.registration)
    }

    /// The answer to NAMES_REQ.
    pub fn names(&self, epmd_port: u16) -> NamesResponse {
        let names = self
            .registrations()
            .map(|node| NameEntry {
                alive: node.alive.clone(),
                port: node.port,
            })
            .collect();
        NamesResponse {
            epmd_port: u32::from(epmd_port),
            names,
        }
    }

    /// The answer to DUMP_REQ. What OTP calls `fd` is the registration's id.
    pub fn dump(&self, epmd_port: u16) -> Vec<u8> {
        let mut out = u32::from(epmd_port).to_be_bytes().to_vec();
        for Entry {
            id,
            registration: Registration { alive, port, .. },
            ..
        } in self.entries.iter().rev()
        {
            let line = alloc::format!("active name     <{alive}> at port {port}, fd = {id}\n\0");
            out.extend_from_slice(line.as_bytes());
        }
        out
    }

    /// Answers one request.
    pub fn answer(&mut self, request: Request, access: Access) -> Answer {
        match request {
            Request::Alive2(registration) => self.alive2(registration),
            Request::PortPlease2 { alive } => Answer::close(self.port_please2(&alive)),
            Request::Names => Answer::close(self.names(access.epmd_port).encode()),
            Request::Dump => Answer::close(self.dump(access.epmd_port)),
            Request::Kill => self.kill(access),
            Request::Stop { alive } => Answer::close(self.stop(&alive, access)),
        }
    }

    fn alive2(&mut self, registration: Registration) -> Answer {
        let extended = registration.highest >= 6;
        let (result, creation, then) = match self.register(registration) {
            Ok(registered) => (0, registered.creation, Then::Hold(registered)),
            Err(NameTaken) => (1, CREATION_OF_AN_ERROR, Then::Close),
        };
        let response = if extended {
            AliveResponse::Extended { result, creation }
        } else {
            AliveResponse::Old {
                result,
                creation: small(creation),
            }
        };
        Answer {
            bytes: response.encode(),
            then,
        }
    }

    fn port_please2(&self, alive: &str) -> Vec<u8> {
        let response = self
            .lookup(alive)
            .map_or(PortResponse::Unknown { result: 1 }, |node| {
                PortResponse::Found(node.clone())
            });
        // A registration that came in a request fits into an answer.
        response.encode().unwrap_or_default()
    }

    fn kill(&self, access: Access) -> Answer {
        if !access.loopback {
            Answer::close(Vec::new())
        } else if access.relaxed || self.entries.is_empty() {
            Answer {
                bytes: b"OK".to_vec(),
                then: Then::Exit,
            }
        } else {
            Answer::close(b"NO".to_vec())
        }
    }

    fn stop(&mut self, alive: &str, access: Access) -> Vec<u8> {
        if !(access.loopback && access.relaxed) {
            return Vec::new();
        }
        match self
            .entries
            .iter()
            .find(|entry| entry.registration.alive == alive)
        {
            Some(entry) => {
                let id = entry.id;
                self.unregister(id);
                b"STOPPED".to_vec()
            }
            // Both words, as OTP's epmd writes them.
            None => b"NOEXISTSTOPPED".to_vec(),
        }
    }

    fn recall(&mut self, alive: &str) -> Option<Creation> {
        let at = self.gone.iter().position(|(name, _)| name == alive)?;
        self.gone.remove(at).map(|(_, creation)| creation)
    }

    fn remember(&mut self, alive: String, creation: Creation) {
        self.gone.push_back((alive, creation));
        if self.gone.len() > MAX_REMEMBERED
            && let Some((_, forgotten)) = self.gone.pop_front()
        {
            self.fresh = self.fresh.max(following(forgotten));
        }
    }
}

impl Answer {
    const fn close(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            then: Then::Close,
        }
    }
}

/// The creation after this one; never 0, which stands for any.
fn following(creation: Creation) -> Creation {
    Creation(creation.0.wrapping_add(1).max(1))
}

/// What is left of a creation for nodes that know two bits of it: 1 to 3.
fn small(creation: Creation) -> u16 {
    match creation.0 % 3 {
        0 => 1,
        1 => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epmd::NodeType;

    fn node(alive: &str) -> Registration {
        Registration::new(alive, 1111, NodeType::HIDDEN)
    }

    #[test]
    fn a_name_has_one_holder() {
        let mut registry = Registry::new(7);
        let first = registry.register(node("a")).unwrap();
        assert_eq!(registry.register(node("a")), Err(NameTaken));
        registry.unregister(first.id);
        let second = registry.register(node("a")).unwrap();
        assert_eq!(second.creation, Creation(8));
        // The first holder's connection may end late.
        registry.unregister(first.id);
        assert!(registry.lookup("a").is_some());
    }

    #[test]
    fn memory_is_bounded_and_creations_do_not_return() {
        let mut registry = Registry::new(1);
        for _ in 0..5 {
            let held = registry.register(node("a")).unwrap();
            registry.unregister(held.id);
        }
        for n in 0..MAX_REMEMBERED {
            let held = registry.register(node(&alloc::format!("n{n}"))).unwrap();
            registry.unregister(held.id);
        }
        assert_eq!(registry.gone.len(), MAX_REMEMBERED);
        assert_eq!(registry.register(node("a")).unwrap().creation, Creation(6));
    }

    #[test]
    fn strangers_cannot_stop_or_kill() {
        let mut registry = Registry::new(1);
        let far = Access {
            epmd_port: 4369,
            loopback: false,
            relaxed: true,
        };
        let near = Access {
            loopback: true,
            relaxed: false,
            ..far
        };
        assert_eq!(
            registry.answer(Request::Kill, far),
            Answer::close(Vec::new())
        );
        registry.register(node("a")).unwrap();
        let stop = || Request::Stop { alive: "a".into() };
        assert_eq!(registry.answer(stop(), far), Answer::close(Vec::new()));
        assert_eq!(registry.answer(stop(), near), Answer::close(Vec::new()));
        assert!(registry.lookup("a").is_some());
    }
}
