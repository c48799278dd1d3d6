//! What hickory's errors mean to us.

use std::io::ErrorKind;

use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;

use crate::error::DnsFailure;

/// `None`: the name exists and has no such records, which is an answer.
pub(super) fn read(error: &NetError) -> Option<DnsFailure> {
    Some(match error {
        NetError::Timeout => DnsFailure::Timeout,
        NetError::Dns(DnsError::NoRecordsFound(none)) => return code(none.response_code),
        NetError::Dns(DnsError::ResponseCode(response)) => return code(*response),
        NetError::NoConnections => DnsFailure::Other("no name server can be reached".into()),
        NetError::Io(io) if io.kind() == ErrorKind::TimedOut => DnsFailure::Timeout,
        NetError::Io(io) if io.kind() == ErrorKind::ConnectionRefused => {
            DnsFailure::Other("nothing answers at the name server's port".into())
        }
        NetError::Io(io) => DnsFailure::Other(format!("the name server cannot be reached: {io}")),
        other => DnsFailure::Other(other.to_string()),
    })
}

fn code(code: ResponseCode) -> Option<DnsFailure> {
    Some(match code {
        ResponseCode::NoError => return None,
        ResponseCode::NXDomain => DnsFailure::NoSuchName,
        ResponseCode::ServFail => DnsFailure::ServerFailure,
        ResponseCode::Refused => DnsFailure::Refused,
        other => DnsFailure::Other(format!("the name server answered {other}")),
    })
}
