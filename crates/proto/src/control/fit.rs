//! Which form of a message a connection has: what both ends announced decides.

use trunkline_etf::Term;

use super::{AltactTo, Control};
use crate::Flags;

/// A message in the form that a connection has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// What is sent.
    pub control: Control,
    /// The payload that it has got: a reason that travels in the control message elsewhere.
    pub payload: Option<Term>,
}

impl Control {
    /// The form that says the same where `flags` hold:
    ///
    /// - EXIT, EXIT2 and MONITOR_P_EXIT give their reason to the payload where
    ///   [`EXIT_PAYLOAD`](Flags::EXIT_PAYLOAD) holds;
    /// - SEND_SENDER becomes SEND where [`SEND_SENDER`](Flags::SEND_SENDER) does not hold;
    /// - ALTACT_SIG_SEND becomes what it stands for where [`ALTACT_SIG`](Flags::ALTACT_SIG) does not
    ///   hold; a priority is lost then.
    ///
    /// Everything else stays as it is.
    #[must_use]
    pub fn fit(self, flags: Flags) -> Fitted {
        let fitted = match self {
            altact @ Self::AltactSend { .. } if !flags.contains(Flags::ALTACT_SIG) => {
                altact.without_altact().into()
            }
            exit if flags.contains(Flags::EXIT_PAYLOAD) => exit.with_payload(),
            other => other.into(),
        };
        match fitted.control {
            Self::SendSender { to, token, .. } if !flags.contains(Flags::SEND_SENDER) => Fitted {
                control: Self::Send { to, token },
                ..fitted
            },
            _ => fitted,
        }
    }

    /// Whether [`fit`](Self::fit) would change nothing, as is mostly so.
    #[must_use]
    pub fn fits(&self, flags: Flags) -> bool {
        match self {
            Self::AltactSend { .. } => flags.contains(Flags::ALTACT_SIG),
            Self::SendSender { .. } => flags.contains(Flags::SEND_SENDER),
            Self::Exit { .. } | Self::Exit2 { .. } | Self::MonitorPExit { .. } => {
                !flags.contains(Flags::EXIT_PAYLOAD)
            }
            _ => true,
        }
    }

    fn without_altact(self) -> Self {
        match self {
            Self::AltactSend {
                flags,
                from,
                to: AltactTo::Pid(to),
                token,
            } if flags & Self::ALTACT_EXIT != 0 => Self::PayloadExit2 { from, to, token },
            Self::AltactSend {
                from, to, token, ..
            } => match to {
                AltactTo::Pid(to) => Self::SendSender { from, to, token },
                AltactTo::Alias(alias) => Self::AliasSend { from, alias, token },
                AltactTo::Name(to) => Self::RegSend { from, to, token },
            },
            other => other,
        }
    }

    fn with_payload(self) -> Fitted {
        let (control, reason) = match self {
            Self::Exit {
                from,
                to,
                token,
                reason,
            } => (Self::PayloadExit { from, to, token }, reason),
            Self::Exit2 {
                from,
                to,
                token,
                reason,
            } => (Self::PayloadExit2 { from, to, token }, reason),
            Self::MonitorPExit {
                from,
                to,
                reference,
                reason,
            } => {
                let control = Self::PayloadMonitorPExit {
                    from,
                    to,
                    reference,
                };
                (control, reason)
            }
            other => return other.into(),
        };
        Fitted {
            control,
            payload: Some(reason),
        }
    }
}

impl From<Control> for Fitted {
    fn from(control: Control) -> Self {
        Self {
            control,
            payload: None,
        }
    }
}
