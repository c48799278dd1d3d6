//! What a socket has taken and the peer's system has not.

use tokio::net::TcpStream;

/// Bytes that were written and that the peer's system has not acknowledged. `None` where the system
/// does not say.
#[cfg(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "x86",
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "riscv64"
    )
))]
#[expect(
    unsafe_code,
    reason = "no crate that is used here has this call otherwise; without it a peer that reads less than a third \
              of a socket's buffer within its tick time (1.3 MB, measured) looks as one that does not read"
)]
pub(super) fn unacknowledged(socket: &TcpStream) -> Option<u64> {
    /// `tcp(7)`; on these architectures it has this number.
    const SIOCOUTQ: rustix::ioctl::Opcode = 0x5411;
    // SAFETY: SIOCOUTQ writes one `int` to where its argument points, and nothing else.
    let bytes = unsafe {
        let outq = rustix::ioctl::Getter::<SIOCOUTQ, core::ffi::c_int>::new();
        rustix::ioctl::ioctl(socket, outq)
    };
    u64::try_from(bytes.ok()?).ok()
}

#[cfg(not(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "x86",
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "riscv64"
    )
)))]
pub(super) fn unacknowledged(_: &TcpStream) -> Option<u64> {
    None
}
