//! How much may wait for one process.

/// How much may wait for a process. Default of a process: any amount, as in Erlang. Messages never exceed it:
/// what the process has taken out counts until it is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxMailbox {
    /// How many messages.
    pub messages: usize,
    /// How many bytes, as they came from another node; what a message of this node has is not
    /// counted.
    pub bytes: usize,
    /// What happens to what is more.
    pub when_full: WhenFull,
}

/// What happens when more comes than may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The process ends for the reason `{max_mailbox, Messages, Bytes}`: what waited.
    Kill,
    /// New messages are dropped, and counted
    /// ([`Process::dropped`](crate::Process::dropped)). Exit signals and the news of monitors are not.
    DropNew,
}
