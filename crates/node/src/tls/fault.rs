//! Why a TLS handshake failed, in words for who is on call.

use std::io;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use trunkline_proto::{Reason, Step, TlsFault};

use super::verify::Refused;
use crate::handshake::stranger;
use crate::transport::HandshakeFailed;

/// Which end we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// We called; whether we had a certificate to show.
    Caller { shows: bool },
    /// We were called.
    Called,
}

/// The reason for a handshake that failed.
pub(super) fn explain(failed: &HandshakeFailed, side: Side) -> Reason {
    if let Some(alien) = alien(&failed.heard, side) {
        return alien;
    }
    match rustls_error(&failed.why) {
        Some(error) => of_error(error, side),
        None => Reason::Closed { step: Step::Tls },
    }
}

/// The reason that lies in a failed read after the handshake: a caller hears only then that it is
/// refused, with TLS 1.3.
pub(crate) fn of_io(why: &io::Error) -> Option<Reason> {
    let side = Side::Caller { shows: true };
    rustls_error(why).map(|error| of_error(error, side))
}

fn rustls_error(why: &io::Error) -> Option<&Error> {
    why.get_ref()?.downcast_ref()
}

/// What answers, or calls, with something that is no TLS.
fn alien(heard: &[u8], side: Side) -> Option<Reason> {
    match (heard, side) {
        ([] | [0x14..=0x17, 0x03, ..], _) => None,
        // The length of a plain send_name, 'n' or 'N' behind it.
        ([0, _, b'n' | b'N', ..], Side::Called) => Some(Reason::TlsNotSpoken),
        (bytes, _) => Some(stranger(bytes)),
    }
}

fn of_error(error: &Error, side: Side) -> Reason {
    let (fault, detail) = match error {
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::NoCertificatesPresented => (
            TlsFault::TheirNone,
            "the caller shows no certificate".to_owned(),
        ),
        Error::AlertReceived(alert) => of_alert(*alert, side),
        Error::PeerIncompatible(why) => {
            let why = format!("{why:?}");
            let (fault, what) = if why.contains("Tls12") || why.contains("Version") {
                (TlsFault::Version, "no TLS version in common")
            } else {
                (
                    TlsFault::Ciphers,
                    "no cipher suite, curve or signature in common",
                )
            };
            (fault, format!("{what} ({why})"))
        }
        Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => (
            TlsFault::Version,
            "the other end speaks no TLS version from 1.2 on".to_owned(),
        ),
        other => (TlsFault::Other, other.to_string()),
    };
    Reason::TlsFailed { fault, detail }
}

/// We refuse the peer's certificate.
fn of_certificate(why: &CertificateError) -> (TlsFault, String) {
    let theirs = "the other node's certificate";
    match why {
        CertificateError::ExpiredContext { time, not_after } => {
            let ago = age(*not_after, *time);
            (
                TlsFault::TheirExpired,
                format!("{theirs} expired {ago} ago"),
            )
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            let left = age(*time, *not_before);
            let detail = format!("{theirs} is not valid for another {left}");
            (TlsFault::TheirExpired, detail)
        }
        CertificateError::Expired => (TlsFault::TheirExpired, format!("{theirs} has expired")),
        CertificateError::NotValidYet => {
            (TlsFault::TheirExpired, format!("{theirs} is not valid yet"))
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            TlsFault::TheirAuthority,
            format!("{theirs} is signed by no authority that is known here"),
        ),
        CertificateError::Other(other) => match other.0.downcast_ref() {
            Some(refused @ Refused::Host { .. }) => (
                TlsFault::TheirHost,
                format!("{theirs} is another's: {refused}"),
            ),
            Some(refused) => (
                TlsFault::TheirCertificate,
                format!("{theirs} is refused: {refused}"),
            ),
            None => (TlsFault::TheirCertificate, format!("{theirs}: {other}")),
        },
        other => (TlsFault::TheirCertificate, format!("{theirs}: {other}")),
    }
}

/// The peer refuses us.
fn of_alert(alert: AlertDescription, side: Side) -> (TlsFault, String) {
    use AlertDescription as A;

    let refused = "the other node refuses the certificate shown here";
    match alert {
        A::CertificateExpired => (
            TlsFault::OurExpired,
            format!("{refused}: it has expired (certificate_expired)"),
        ),
        A::UnknownCA => (
            TlsFault::OurAuthority,
            format!("{refused}: it knows no authority that signed it (unknown_ca)"),
        ),
        A::BadCertificate
        | A::CertificateUnknown
        | A::UnsupportedCertificate
        | A::CertificateRevoked => (
            TlsFault::OurCertificate,
            format!("{refused} ({})", name(alert)),
        ),
        A::CertificateRequired => (
            TlsFault::OurNone,
            "the other node demands a certificate and none was shown (certificate_required)"
                .to_owned(),
        ),
        A::ProtocolVersion => (
            TlsFault::Version,
            "no TLS version in common (protocol_version)".to_owned(),
        ),
        A::InsufficientSecurity => (
            TlsFault::Ciphers,
            "no cipher suite in common (insufficient_security)".to_owned(),
        ),
        // What OTP says for many things: see `docs/guides/tls.md`.
        A::HandshakeFailure => match side {
            Side::Called => (
                TlsFault::OurCertificate,
                format!("{refused}, as OTP does when it names another host (handshake_failure)"),
            ),
            Side::Caller { shows: false } => (
                TlsFault::OurNone,
                "the other node breaks off; it may demand a certificate, and none is configured \
                 here (handshake_failure)"
                    .to_owned(),
            ),
            Side::Caller { shows: true } => (
                TlsFault::OurCertificate,
                format!("{refused}, or has no cipher suite in common (handshake_failure)"),
            ),
        },
        other => (
            TlsFault::Other,
            format!("the other node breaks off ({})", name(other)),
        ),
    }
}

/// As the specification writes it: `BadCertificate` is `bad_certificate`.
fn name(alert: AlertDescription) -> String {
    let mut name = String::new();
    for c in format!("{alert:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

fn age(from: UnixTime, to: UnixTime) -> String {
    let seconds = to.as_secs().saturating_sub(from.as_secs());
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn fault(reason: &Reason) -> TlsFault {
        match reason {
            Reason::TlsFailed { fault, .. } => *fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn alerts_as_the_end_hears_them() {
        let alert = |alert, side| fault(&of_error(&Error::AlertReceived(alert), side));
        let bare = Side::Caller { shows: false };
        let shown = Side::Caller { shows: true };
        use AlertDescription as A;
        assert_eq!(alert(A::HandshakeFailure, bare), TlsFault::OurNone);
        assert_eq!(alert(A::HandshakeFailure, shown), TlsFault::OurCertificate);
        assert_eq!(
            alert(A::HandshakeFailure, Side::Called),
            TlsFault::OurCertificate
        );
        assert_eq!(alert(A::CertificateExpired, shown), TlsFault::OurExpired);
        assert_eq!(alert(A::UnknownCA, Side::Called), TlsFault::OurAuthority);
        assert_eq!(alert(A::ProtocolVersion, bare), TlsFault::Version);
        let odd = of_error(&Error::AlertReceived(A::InternalError), bare);
        assert_eq!(
            odd.to_string(),
            "TLS failed: the other node breaks off (internal_error)"
        );
    }

    #[test]
    fn how_long_ago() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        assert_eq!(age(at(0), at(1)), "1 second");
        assert_eq!(age(at(0), at(86_400)), "24 hours");
        assert_eq!(age(at(0), at(200_000)), "2 days");
        assert_eq!(age(at(5), at(0)), "0 seconds");
    }

    #[test]
    fn what_is_no_tls() {
        let bare = Side::Caller { shows: false };
        let web = alien(b"HTTP/1.1 400 Bad", bare).unwrap();
        assert_eq!(web.code(), "not_dist");
        let plain = alien(&[0, 21, b'N', 0, 0], Side::Called);
        assert_eq!(plain, Some(Reason::TlsNotSpoken));
        assert_eq!(alien(&[0x16, 3, 1, 0], Side::Called), None);
    }
}
