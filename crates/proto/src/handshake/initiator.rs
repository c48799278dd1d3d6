//! The side that dials.
//!
//! ```
//! use trunkline_proto::handshake::initiator::{AfterStatus, Start};
//! use trunkline_proto::handshake::{Challenge, Local, Status};
//! use trunkline_proto::{Creation, Flags};
//!
//! let me = Local::new("probe@10.0.0.2".parse()?, Flags::hidden_default(), Creation(1));
//! let (send_name, state) = Start::new(me, Some("app@10.0.0.1".parse()?)).send_name();
//! assert_eq!(send_name[0], b'N');
//! let AfterStatus::Go(state) = state.status(&Status::Ok.encode())? else { panic!() };
//! // What the other node would send:
//! let frame = Challenge {
//!     flags: Flags::hidden_default(),
//!     challenge: 7,
//!     creation: Creation(3),
//!     name: "app@10.0.0.1".parse()?,
//! };
//! let greeted = state.challenge(&frame.encode())?;
//! // A probe stops here; it has seen name, flags and creation and has shown no cookie.
//! assert_eq!(greeted.greeting().creation, Creation(3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloc::string::ToString;
use alloc::vec::Vec;

use super::{
    Challenge, ChallengeAck, ChallengeReply, Connected, Greeting, HandshakeError, Local, LocalName,
    SendName, Status,
};
use crate::{Cookie, Creation, Flags, NodeName, Reason, Step};

/// Nothing was sent yet.
#[derive(Clone, Debug)]
pub struct Start {
    me: Local,
    peer: Option<NodeName>,
}

impl Start {
    /// Dials `peer`; `None` takes whoever answers, for a probe that asks for the name.
    pub const fn new(me: Local, peer: Option<NodeName>) -> Self {
        Self { me, peer }
    }

    /// Step 1.
    pub fn send_name(self) -> (Vec<u8>, AwaitStatus) {
        let name = match &self.me.name {
            LocalName::Fixed(name) => name.to_string(),
            LocalName::Dynamic { host } => host.clone(),
        };
        let Local {
            flags, creation, ..
        } = self.me;
        let frame = SendName {
            flags,
            creation,
            name,
        }
        .encode();
        (
            frame,
            AwaitStatus {
                me: self.me,
                peer: self.peer,
            },
        )
    }
}

/// The name is sent, step 2 is due.
#[derive(Clone, Debug)]
pub struct AwaitStatus {
    me: Local,
    peer: Option<NodeName>,
}

/// What a status leads to.
#[derive(Clone, Debug)]
pub enum AfterStatus {
    /// The acceptor goes on.
    Go(AwaitChallenge),
    /// The acceptor has a connection to this name and asks what to do.
    Alive(AliveQuestion),
}

impl AwaitStatus {
    /// Step 2.
    pub fn status(self, frame: &[u8]) -> Result<AfterStatus, HandshakeError> {
        let Self {
            me:
                Local {
                    name,
                    flags,
                    creation,
                },
            peer,
        } = self;
        let go = |me, creation| {
            AfterStatus::Go(AwaitChallenge {
                me,
                creation,
                flags,
                peer: peer.clone(),
            })
        };
        match (Status::decode(frame)?, name) {
            (Status::Ok | Status::OkSimultaneous, LocalName::Fixed(me)) => Ok(go(me, creation)),
            (Status::Named { name, creation }, LocalName::Dynamic { .. }) => Ok(go(name, creation)),
            (Status::Alive, LocalName::Fixed(me)) => {
                let next = AwaitChallenge {
                    me,
                    creation,
                    flags,
                    peer,
                };
                Ok(AfterStatus::Alive(AliveQuestion { next }))
            }
            (Status::Nok, _) => Err(HandshakeError::Nok),
            (Status::NotAllowed, _) => Err(HandshakeError::NotAllowed),
            (other, _) => Err(HandshakeError::StatusNotDue(other)),
        }
    }

    /// What it means when the other end closes now.
    pub const fn closed(&self) -> Reason {
        Reason::Closed {
            step: Step::Greeting,
        }
    }
}

/// The acceptor still has a connection to this name.
#[derive(Clone, Debug)]
pub struct AliveQuestion {
    next: AwaitChallenge,
}

impl AliveQuestion {
    /// This node knows nothing of an old connection: the acceptor shall replace it.
    pub fn replace(self) -> (Vec<u8>, AwaitChallenge) {
        (Status::True.encode(), self.next)
    }

    /// The old connection stays. The acceptor closes this one.
    pub fn give_up(self) -> (Vec<u8>, HandshakeError) {
        (Status::False.encode(), HandshakeError::StillAlive)
    }
}

/// The acceptor goes on, step 3 is due.
#[derive(Clone, Debug)]
pub struct AwaitChallenge {
    me: NodeName,
    creation: Creation,
    flags: Flags,
    peer: Option<NodeName>,
}

impl AwaitChallenge {
    /// Step 3.
    pub fn challenge(self, frame: &[u8]) -> Result<Greeted, HandshakeError> {
        let Challenge {
            flags,
            challenge,
            creation,
            name,
        } = Challenge::decode(frame).map_err(HandshakeError::from_malformed)?;
        if let Some(wanted) = self.peer.filter(|wanted| *wanted != name) {
            return Err(HandshakeError::NameMismatch {
                wanted,
                actual: name,
            });
        }
        HandshakeError::check_flags(flags)?;
        Ok(Greeted {
            me: self.me,
            my_creation: self.creation,
            my_flags: self.flags,
            challenge,
            greeting: Greeting {
                name,
                flags,
                creation,
            },
        })
    }

    /// What it means when the other end closes now.
    pub const fn closed(&self) -> Reason {
        Reason::Closed {
            step: Step::Greeting,
        }
    }
}

/// The other node has said who it is. A probe stops here and closes.
#[derive(Clone, Debug)]
pub struct Greeted {
    me: NodeName,
    my_creation: Creation,
    my_flags: Flags,
    challenge: u32,
    greeting: Greeting,
}

impl Greeted {
    /// Who answers.
    pub const fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// Who answers.
    pub fn into_greeting(self) -> Greeting {
        self.greeting
    }

    /// Step 4. `challenge` has to be unpredictable.
    pub fn reply(self, cookie: &Cookie, challenge: u32) -> (Vec<u8>, AwaitAck) {
        let digest = cookie.digest(self.challenge);
        let frame = ChallengeReply { challenge, digest }.encode();
        let Greeting {
            name,
            flags,
            creation,
        } = self.greeting;
        let connected = Connected {
            me: self.me,
            my_creation: self.my_creation,
            peer: name,
            peer_flags: flags,
            flags: self.my_flags.shared_with(flags),
            creation,
        };
        (
            frame,
            AwaitAck {
                connected,
                cookie: cookie.clone(),
                challenge,
            },
        )
    }
}

/// The proof is sent, step 5 is due.
#[derive(Clone, Debug)]
pub struct AwaitAck {
    connected: Connected,
    cookie: Cookie,
    challenge: u32,
}

impl AwaitAck {
    /// Step 5.
    pub fn ack(self, frame: &[u8]) -> Result<Connected, HandshakeError> {
        let ChallengeAck { digest } = ChallengeAck::decode(frame)?;
        if !self.cookie.verify(self.challenge, &digest) {
            return Err(HandshakeError::CookieMismatch);
        }
        Ok(self.connected)
    }

    /// What it means when the other end closes now: an acceptor that finds another cookie in the
    /// proof closes without a byte.
    pub const fn closed(&self) -> Reason {
        Reason::CookieMismatch
    }
}
