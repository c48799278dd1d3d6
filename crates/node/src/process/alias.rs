//! Aliases of processes.

/// How long an alias is one (`erlang:alias/1`, `erlang:monitor/3`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AliasMode {
    /// Until [`Process::unalias`](crate::Process::unalias): `explicit_unalias`.
    Explicit,
    /// Until one message has come by it: `reply`.
    Reply,
    /// With a monitor: until that ends, by itself or by
    /// [`Process::demonitor`](crate::Process::demonitor): `{alias, demonitor}`. Without one as `Explicit`.
    Demonitor,
    /// With a monitor: until that ends, or one message has come by it, which ends the monitor too:
    /// `{alias, reply_demonitor}`. Without one as `Reply`.
    ReplyDemonitor,
}
