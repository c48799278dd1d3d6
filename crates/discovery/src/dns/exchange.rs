//! One question to one server: over UDP, and over TCP when the answer does not fit.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use rand::RngExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use super::message::Question;
use super::verdict::{Flaw, Said};

/// A datagram that is longer than this is no answer of a server that heard what we take.
const MAX_DATAGRAM: usize = 4096;
/// A question that is lost is sent again after this, then after twice that; sooner when less time
/// is left.
const RESEND: Duration = Duration::from_secs(1);

/// The answer of `server`, by `until`. A message with a response code that tells of a failure is
/// `Ok` here; it answers the question in any case.
pub(super) async fn ask(
    server: SocketAddr,
    question: &Question,
    until: Instant,
) -> Result<Message, Said> {
    let first = datagrams(server, question, true, until).await;
    let answer = match first {
        // Servers from before EDNS (RFC 6891 section 7).
        Ok(message) if denies_edns(&message) => datagrams(server, question, false, until).await,
        other => other,
    };
    match answer {
        Ok(message) if message.metadata.truncation => stream(server, question, until)
            .await
            .map_err(|said| Said::NotOverTcp(Box::new(said))),
        // Whatever it was that came, over TCP it comes from the server itself.
        Err(said @ Said::NoAnswer(_)) => stream(server, question, until).await.map_err(|_| said),
        other => other,
    }
}

fn denies_edns(message: &Message) -> bool {
    message.edns.is_none()
        && matches!(
            message.metadata.response_code,
            ResponseCode::FormErr | ResponseCode::NotImp
        )
        || message.metadata.response_code == ResponseCode::BADVERS
}

async fn datagrams(
    server: SocketAddr,
    question: &Question,
    edns: bool,
    until: Instant,
) -> Result<Message, Said> {
    let id = rand::rng().random();
    let packet = question.packet(id, edns).ok_or(UNSENDABLE)?;
    let exchange = async {
        // The system chooses a port for each question, and gives only what this server sends there.
        let socket = UdpSocket::bind(any(server)).await?;
        socket.connect(server).await?;
        let mut pause = RESEND.min(until.saturating_duration_since(Instant::now()) / 4);
        let mut room = vec![0; MAX_DATAGRAM];
        for _ in 0..2 {
            socket.send(&packet).await?;
            let resend_at = Instant::now() + pause;
            if let Ok(answer) =
                timeout_at(resend_at, receive(&socket, &mut room, id, question)).await
            {
                return answer;
            }
            pause *= 2;
        }
        // The last one without EDNS: some middleboxes drop what they do not know.
        let plain = question.packet(id, false).unwrap_or(packet);
        socket.send(&plain).await?;
        receive(&socket, &mut room, id, question).await
    };
    match timeout_at(until, exchange).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Err(unreachable(&error)),
        Err(_) => Err(Said::Timeout),
    }
}

/// Waits for the answer. What has another id or question was not meant for us, and is passed over.
async fn receive(
    socket: &UdpSocket,
    room: &mut [u8],
    id: u16,
    question: &Question,
) -> io::Result<Result<Message, Said>> {
    loop {
        let len = socket.recv(room).await?;
        let datagram = room.get(..len).unwrap_or_default();
        if datagram.get(..2) != Some(&id.to_be_bytes()[..]) {
            continue;
        }
        match Message::from_vec(datagram) {
            Ok(message) if question.is_answered_by(&message) => return Ok(Ok(message)),
            Ok(_) => {}
            Err(_) if is_cut_off(datagram) => {
                return Ok(Err(Said::NoAnswer(Flaw::CutOff)));
            }
            Err(_) => return Ok(Err(Said::NoAnswer(Flaw::Malformed))),
        }
    }
}

/// Some servers cut in the middle of a record; the TC bit is in the header all the same.
fn is_cut_off(datagram: &[u8]) -> bool {
    datagram.get(2).is_some_and(|flags| flags & 0x02 != 0)
}

async fn stream(server: SocketAddr, question: &Question, until: Instant) -> Result<Message, Said> {
    let id: u16 = rand::rng().random();
    let packet = question.packet(id, true).ok_or(UNSENDABLE)?;
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        let len = u16::try_from(packet.len()).map_err(io::Error::other)?;
        stream
            .write_all(&[&len.to_be_bytes()[..], &packet].concat())
            .await?;
        let len = stream.read_u16().await?;
        // Memory follows the bytes that come, not the length that is announced.
        let mut answer = Vec::new();
        (&mut stream)
            .take(len.into())
            .read_to_end(&mut answer)
            .await?;
        if answer.len() < usize::from(len) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(answer)
    };
    let answer = match timeout_at(until, exchange).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(unreachable(&error)),
        Err(_) => return Err(Said::Timeout),
    };
    let message = Message::from_vec(&answer).map_err(|_| Said::NoAnswer(Flaw::Malformed))?;
    if message.metadata.id != id || !question.is_answered_by(&message) {
        return Err(Said::NoAnswer(Flaw::OtherQuestion));
    }
    if message.metadata.truncation {
        return Err(Said::NoAnswer(Flaw::CutOff));
    }
    Ok(message)
}

/// Names that came through our own parser can be sent; an alias that cannot is the server's.
const UNSENDABLE: Said = Said::NoAnswer(Flaw::Aliases);

fn any(server: SocketAddr) -> SocketAddr {
    if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    }
}

fn unreachable(error: &io::Error) -> Said {
    match error.kind() {
        ErrorKind::ConnectionRefused => Said::Closed,
        ErrorKind::TimedOut => Said::Timeout,
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            Said::Unreachable("it closed the connection".into())
        }
        ErrorKind::HostUnreachable => Said::Unreachable("no route to the host".into()),
        ErrorKind::NetworkUnreachable => Said::Unreachable("the network is unreachable".into()),
        _ => Said::Unreachable(error.to_string()),
    }
}
