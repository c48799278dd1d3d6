//! What reqwest's errors mean to us.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::CertificateError;

use crate::DiscoverError;
use crate::error::DnsFailure;

/// Whose fault `error` is. reqwest buries the cause; it is looked for in the chain.
pub(super) fn classify(error: &reqwest::Error, from: &str, timeout: Duration) -> DiscoverError {
    let from = || from.to_owned();
    if let Some(why) = find::<DnsFailure>(error) {
        return DiscoverError::Dns {
            name: host(&from()),
            why: why.clone(),
        };
    }
    if let Some(tls) = find_tls(error) {
        return DiscoverError::Tls {
            to: from(),
            why: tls,
        };
    }
    // While connecting or later: one state of things, and one line in the log.
    if error.is_timeout() {
        return DiscoverError::Timeout {
            from: from(),
            after: timeout,
        };
    }
    if error.is_connect() {
        let why = find::<io::Error>(error).map_or_else(|| root(error), io_text);
        return DiscoverError::Connect { to: from(), why };
    }
    DiscoverError::BadBody {
        from: from(),
        why: root(error),
    }
}

/// The whole chain on one line, for errors that are none of the kinds above.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

fn io_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::HostUnreachable => "no route to the host".into(),
        io::ErrorKind::NetworkUnreachable => "the network is unreachable".into(),
        io::ErrorKind::ConnectionReset => "the connection was reset".into(),
        io::ErrorKind::TimedOut => "no answer".into(),
        _ => error.to_string(),
    }
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// rustls' errors travel inside `io::Error`s, whose `source` skips what they wrap.
fn find_tls(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls_text(tls));
    }
    let io = error.downcast_ref::<io::Error>();
    match io.and_then(io::Error::get_ref) {
        Some(wrapped) => find_tls(wrapped),
        None => find_tls(error.source()?),
    }
}

/// Without the times that rustls adds: one fault is one text, and one line in the log.
fn tls_text(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(reason) = error else {
        return error.to_string();
    };
    match reason {
        CertificateError::UnknownIssuer => {
            "its certificate is signed by a CA that is not trusted".into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name".into()
        }
        _ => error.to_string(),
    }
}

fn root(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

fn host(origin: &str) -> String {
    let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host)
        .to_owned()
}
