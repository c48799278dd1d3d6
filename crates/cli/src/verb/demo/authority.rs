//! The only name server that the demo's nodes know: one name, one A record for each node.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

/// The name under which all nodes are found.
pub(super) const QUERY: &str = "nodes.demo.internal";

/// Answers are never kept: the demo's sources ask often.
const TTL: u32 = 0;

/// More than any question has.
const MAX_QUESTION: usize = 1232;

/// A running name server; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Authority {
    addr: SocketAddr,
    task: AbortHandle,
}

impl Authority {
    /// Answers on a free port of 127.0.0.1.
    pub(super) async fn start(nodes: Vec<Ipv4Addr>) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = socket.local_addr()?;
        let task = tokio::spawn(serve(socket, nodes)).abort_handle();
        Ok(Self { addr, task })
    }

    /// Where it answers.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, nodes: Vec<Ipv4Addr>) {
    let mut question = vec![0; MAX_QUESTION];
    loop {
        let (len, from) = match socket.recv_from(&mut question).await {
            Ok(received) => received,
            // On Linux an earlier answer that nobody took shows up here.
            Err(why) => {
                tracing::debug!(%why, "name server");
                continue;
            }
        };
        let answer = question.get(..len).and_then(|asked| answer(asked, &nodes));
        if let Some(answer) = answer
            && let Err(why) = socket.send_to(&answer, from).await
        {
            tracing::debug!(%why, "name server");
        }
    }
}

/// The answer to a question; `None` to what is none.
fn answer(question: &[u8], nodes: &[Ipv4Addr]) -> Option<Vec<u8>> {
    let asked = Message::from_vec(question).ok()?;
    if asked.metadata.message_type != MessageType::Query {
        return None;
    }
    let query = asked.queries.first()?.clone();
    let mut answer = Message::response(asked.metadata.id, OpCode::Query);
    answer.metadata.authoritative = true;
    answer.metadata.recursion_desired = asked.metadata.recursion_desired;
    let name = Name::from_ascii(format!("{QUERY}.")).ok()?;
    if *query.name() != name {
        answer.metadata.response_code = ResponseCode::NXDomain;
    } else if query.query_type() == RecordType::A {
        for ip in nodes {
            let record = Record::from_rdata(name.clone(), TTL, RData::A(A(*ip)));
            answer.add_answer(record);
        }
    }
    answer.add_query(query);
    answer.to_vec().ok()
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;

    use super::*;

    fn ask(name: &str, record: RecordType) -> Message {
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), record));
        let nodes = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];
        let bytes = answer(&question.to_vec().unwrap(), &nodes).unwrap();
        let answer = Message::from_vec(&bytes).unwrap();
        assert_eq!(answer.metadata.id, question.metadata.id);
        answer
    }

    #[test]
    fn knows_one_name_and_one_type() {
        assert_eq!(ask("nodes.demo.internal.", RecordType::A).answers.len(), 2);
        let other_type = ask("nodes.demo.internal.", RecordType::AAAA);
        assert!(other_type.answers.is_empty());
        assert_eq!(other_type.metadata.response_code, ResponseCode::NoError);
        let other_name = ask("example.org.", RecordType::A);
        assert_eq!(other_name.metadata.response_code, ResponseCode::NXDomain);
    }

    #[test]
    fn garbage_has_no_answer() {
        assert_eq!(answer(b"", &[]), None);
        assert_eq!(answer(&[0xff; 40], &[]), None);
    }
}
