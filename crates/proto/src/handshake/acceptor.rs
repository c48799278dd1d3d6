//! The side that listens.
//!
//! ```
//! use trunkline_proto::handshake::acceptor::{AfterName, AwaitName};
//! use trunkline_proto::handshake::{Local, SendName, Status};
//! use trunkline_proto::{Creation, Flags};
//!
//! let flags = Flags::hidden_default();
//! let state = AwaitName::new("app@10.0.0.1".parse()?, flags, Creation(3));
//! // What a caller would send:
//! let frame = SendName { flags, creation: Creation(1), name: "probe@10.0.0.2".into() };
//! let AfterName::Caller(caller) = state.name(&frame.encode())? else { panic!() };
//! let (status, challenger) = caller.accept();
//! assert_eq!(status, Status::Ok.encode());
//! let (_send_challenge, _await_reply) = challenger.challenge(4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloc::string::String;
use alloc::vec::Vec;

use super::{
    Challenge, ChallengeAck, ChallengeReply, Connected, Greeting, HandshakeError, Malformed,
    SendName, Status,
};
use crate::{Cookie, Creation, Flags, NodeName, Reason, Step};

/// This node, which has a name.
#[derive(Clone, Debug)]
struct Me {
    name: NodeName,
    flags: Flags,
    creation: Creation,
}

/// Someone has connected, step 1 is due.
#[derive(Clone, Debug)]
pub struct AwaitName {
    me: Me,
}

impl AwaitName {
    /// Waits for a caller's name.
    pub const fn new(name: NodeName, flags: Flags, creation: Creation) -> Self {
        Self {
            me: Me {
                name,
                flags,
                creation,
            },
        }
    }

    /// Step 1. A caller that lacks flags is an error whose farewell tells it so.
    pub fn name(self, frame: &[u8]) -> Result<AfterName, HandshakeError> {
        let SendName {
            flags,
            creation,
            name,
        } = SendName::decode(frame).map_err(HandshakeError::from_malformed)?;
        HandshakeError::check_flags(flags)?;
        if flags.contains(Flags::NAME_ME) {
            return Ok(AfterName::Nameless(Nameless {
                me: self.me,
                host: name,
                flags,
            }));
        }
        let name = name.parse().map_err(|_| Malformed::BadName)?;
        let greeting = Greeting {
            name,
            flags,
            creation,
        };
        Ok(AfterName::Caller(Caller {
            me: self.me,
            greeting,
        }))
    }

    /// What it means when the other end closes now.
    pub const fn closed(&self) -> Reason {
        Reason::Closed {
            step: Step::Greeting,
        }
    }
}

/// What a name leads to.
#[derive(Clone, Debug)]
pub enum AfterName {
    /// A node with a name; the driver looks into its connections and decides.
    Caller(Caller),
    /// A node that asks for a name.
    Nameless(Nameless),
}

/// A node has said who it is; nothing was answered yet.
#[derive(Clone, Debug)]
pub struct Caller {
    me: Me,
    greeting: Greeting,
}

impl Caller {
    /// Who calls.
    pub const fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// Step 2, `ok`: there is no other connection between the two.
    pub fn accept(self) -> (Vec<u8>, Challenger) {
        self.go(&Status::Ok)
    }

    /// Step 2, `ok_simultaneous`: this node dials the caller too and drops its attempt
    /// ([`super::race`]).
    pub fn accept_simultaneous(self) -> (Vec<u8>, Challenger) {
        self.go(&Status::OkSimultaneous)
    }

    /// Step 2, `alive`: there is a connection to that name; the caller has to say what to do.
    pub fn alive(self) -> (Vec<u8>, AwaitAlive) {
        let (frame, next) = self.go(&Status::Alive);
        (frame, AwaitAlive { next })
    }

    /// Step 2, `nok`: this node dials the caller too, and keeps its attempt ([`super::race`]). Write
    /// this and close.
    pub fn refuse_nok(self) -> Vec<u8> {
        Status::Nok.encode()
    }

    /// Step 2, `not_allowed`. Write this and close.
    pub fn refuse(self) -> Vec<u8> {
        Status::NotAllowed.encode()
    }

    fn go(self, status: &Status) -> (Vec<u8>, Challenger) {
        let Self { me, greeting } = self;
        (status.encode(), Challenger { me, greeting })
    }
}

/// A node asks for a name; nothing was answered yet.
#[derive(Clone, Debug)]
pub struct Nameless {
    me: Me,
    host: String,
    flags: Flags,
}

impl Nameless {
    /// The part after the `@` that the name has to have.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What it can do.
    pub const fn flags(&self) -> Flags {
        self.flags
    }

    /// Step 2, `named:`. Neither name nor creation may have been in use; OTP takes 13 random
    /// characters and a random creation. Both ends count as hidden to each other.
    pub fn accept(mut self, name: NodeName, creation: Creation) -> (Vec<u8>, Challenger) {
        self.me.flags = self.me.flags.with(Flags::NAME_ME).without(Flags::PUBLISHED);
        let frame = Status::Named {
            name: name.clone(),
            creation,
        }
        .encode();
        let greeting = Greeting {
            name,
            flags: self.flags,
            creation,
        };
        (
            frame,
            Challenger {
                me: self.me,
                greeting,
            },
        )
    }

    /// Step 2, `not_allowed`. Write this and close.
    pub fn refuse(self) -> Vec<u8> {
        Status::NotAllowed.encode()
    }
}

/// The caller was asked whether it knows of the connection that there is already.
#[derive(Clone, Debug)]
pub struct AwaitAlive {
    next: Challenger,
}

impl AwaitAlive {
    /// The caller's answer. It goes on when the caller wants the old connection replaced; end that
    /// one when the caller has proved its cookie, before the acknowledgement is written.
    pub fn status(self, frame: &[u8]) -> Result<Challenger, HandshakeError> {
        match Status::decode(frame)? {
            Status::True => Ok(self.next),
            Status::False => Err(HandshakeError::StillAlive),
            other => Err(HandshakeError::StatusNotDue(other)),
        }
    }

    /// What it means when the other end closes now.
    pub const fn closed(&self) -> Reason {
        Reason::Closed {
            step: Step::Greeting,
        }
    }
}

/// The caller may go on; step 3 is to be sent.
#[derive(Clone, Debug)]
pub struct Challenger {
    me: Me,
    greeting: Greeting,
}

impl Challenger {
    /// Step 3. `challenge` has to be unpredictable.
    pub fn challenge(self, challenge: u32) -> (Vec<u8>, AwaitReply) {
        let Me {
            name,
            flags,
            creation,
        } = self.me;
        let frame = Challenge {
            flags,
            challenge,
            creation,
            name: name.clone(),
        }
        .encode();
        let connected = Connected {
            me: name,
            my_creation: creation,
            peer: self.greeting.name,
            peer_flags: self.greeting.flags,
            flags: flags.shared_with(self.greeting.flags),
            creation: self.greeting.creation,
        };
        (
            frame,
            AwaitReply {
                connected,
                challenge,
            },
        )
    }
}

/// The challenge is sent, step 4 is due.
#[derive(Clone, Debug)]
pub struct AwaitReply {
    connected: Connected,
    challenge: u32,
}

impl AwaitReply {
    /// Who calls: the cookie may depend on it.
    pub const fn peer(&self) -> &NodeName {
        &self.connected.peer
    }

    /// Step 4, and the frame of step 5. With another cookie there is nothing to write: close.
    pub fn reply(
        self,
        frame: &[u8],
        cookie: &Cookie,
    ) -> Result<(Vec<u8>, Connected), HandshakeError> {
        let ChallengeReply { challenge, digest } = ChallengeReply::decode(frame)?;
        if !cookie.verify(self.challenge, &digest) {
            return Err(HandshakeError::CookieMismatch);
        }
        let ack = ChallengeAck {
            digest: cookie.digest(challenge),
        };
        Ok((ack.encode(), self.connected))
    }

    /// What it means when the other end closes now.
    pub const fn closed(&self) -> Reason {
        Reason::Closed {
            step: Step::Handshake,
        }
    }
}
