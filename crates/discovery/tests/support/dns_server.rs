//! A DNS server over UDP that answers as a closure says.

use std::net::{IpAddr, SocketAddr};

use tokio::net::UdpSocket;

#[derive(Clone, Debug)]
pub enum Answer {
    /// These addresses; of none there is NODATA.
    Records(Vec<IpAddr>),
    /// An error by its number: 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED.
    Code(u8),
    Silence,
}

pub struct DnsServer {
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl DnsServer {
    /// `script` is told the name (lower case, without a final dot) and whether AAAA is asked for.
    pub async fn start(script: impl Fn(&str, bool) -> Answer + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut packet = [0; 1500];
            loop {
                let (len, from) = socket.recv_from(&mut packet).await.unwrap();
                let (name, aaaa, end) = question(&packet[..len]);
                if let Some(reply) = reply(&packet[..end], script(&name, aaaa)) {
                    socket.send_to(&reply, from).await.unwrap();
                }
            }
        });
        Self { address, task }
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// RFC 1035 section 4: a header of 12 bytes, then labels, type and class.
fn question(packet: &[u8]) -> (String, bool, usize) {
    let mut labels = Vec::new();
    let mut at = 12;
    while packet[at] != 0 {
        let len = usize::from(packet[at]);
        labels.push(String::from_utf8_lossy(&packet[at + 1..at + 1 + len]).to_lowercase());
        at += 1 + len;
    }
    (labels.join("."), packet[at + 2] == 28, at + 5)
}

fn reply(question: &[u8], answer: Answer) -> Option<Vec<u8>> {
    let (code, records) = match answer {
        Answer::Records(records) => (0, records),
        Answer::Code(code) => (code, Vec::new()),
        Answer::Silence => return None,
    };
    let mut reply = question.to_vec();
    reply[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    reply[6..12].copy_from_slice(&[0, records.len() as u8, 0, 0, 0, 0]);
    for ip in records {
        let (kind, data) = match ip {
            IpAddr::V4(ip) => (1, ip.octets().to_vec()),
            IpAddr::V6(ip) => (28, ip.octets().to_vec()),
        };
        // A pointer to the name, type, class, a TTL of one second, length.
        reply.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 1, 0, data.len() as u8]);
        reply.extend(data);
    }
    Some(reply)
}
