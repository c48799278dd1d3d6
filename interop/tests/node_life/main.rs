//! How a node is found, what it is called, how connections come to be, how it ends: with OTP 25 and 27.

mod dials;
mod ends;
mod names;
mod ports;

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use trunkline_interop::otp::{Epmd, Release};
use trunkline_node::{Message, Node, NodeBuilder, Process};
use trunkline_proto::{Cookie, NodeName};

/// For what takes milliseconds, while others compile.
const SOON: Duration = Duration::from_secs(60);

const RELEASES: [Release; 2] = [Release::Otp25, Release::Otp27];

fn name(text: &str) -> NodeName {
    text.parse().expect("a node name")
}

fn cookie(text: &str) -> Cookie {
    Cookie::new(text).expect("a cookie")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn builder(epmd: &Epmd, text: &str) -> NodeBuilder<Cookie> {
    Node::builder(name(text))
        .cookie(cookie("monster"))
        .epmd_port(epmd.port)
        .listen([ip("127.0.0.1")], 0)
        .follow_tick_time(false)
        .connect_timeout(SOON)
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let polled = async {
        while !done() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let came = timeout(SOON, polled).await;
    came.unwrap_or_else(|_| panic!("it does not come to be: {what}"));
}

async fn received(mailbox: &mut Process) -> String {
    match timeout(SOON, mailbox.recv()).await {
        Ok(Some(Message::Term(term))) => term.to_string(),
        other => panic!("no message: {other:?}"),
    }
}
