//! Two nodes of ours over TLS: what goes through, and what each end says when nothing does.

#[path = "support/pki.rs"]
mod pki;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use trunkline_etf::{Term, atom};
use trunkline_node::epmd::server::Server;
use trunkline_node::probe::{Depth, Probe, ProbeConfig, probe};
use trunkline_node::{Message, Node, NodeBuilder, Process, Target, Tls, TlsBuilder};
use trunkline_proto::{Cookie, NodeName, Reason, Step, TlsFault};

use crate::pki::Pki;

const SOON: Duration = Duration::from_secs(30);
const HOST: &str = "127.0.0.1";

/// What both ends use where a test says nothing else.
fn options(pki: &Pki, name: &str) -> TlsBuilder {
    Tls::builder()
        .cacertfile(pki.path("ca.pem"))
        .certfile(pki.path(&format!("{name}.pem")))
        .keyfile(pki.path(&format!("{name}.key")))
}

fn name(text: &str) -> NodeName {
    text.parse().expect("a node name")
}

fn cookie() -> Cookie {
    Cookie::new("monster").expect("a cookie")
}

fn epmd() -> Server {
    let any = "127.0.0.1:0".parse().expect("an address");
    Server::bind(&[any]).expect("a free port")
}

fn builder(epmd: &Server, who: &str) -> NodeBuilder<Cookie> {
    let listen: IpAddr = Ipv4Addr::LOCALHOST.into();
    let builder = Node::builder(name(who)).cookie(cookie());
    let builder = builder.epmd_port(epmd.port()).listen([listen], 0);
    builder.connect_timeout(SOON)
}

/// A node that listens; without `tls` a plain one.
async fn node(epmd: &Server, who: &str, tls: Option<Tls>) -> Node {
    let mut builder = builder(epmd, who);
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    builder.start().await.expect("it starts")
}

/// The way to `two@127.0.0.1`, walked to its end.
async fn look(epmd: &Server, tls: Option<Tls>) -> Probe {
    let config = ProbeConfig {
        cookie: Some(cookie()),
        depth: Depth::Handshake,
        epmd_port: epmd.port(),
        timeout: SOON,
        tls,
        ..ProbeConfig::new(name("probe@127.0.0.1"))
    };
    probe(&config, &Target::new(name("two@127.0.0.1"))).await
}

fn fault(probe: Probe) -> TlsFault {
    match probe.result.expect_err("a failure") {
        Reason::TlsFailed { fault, .. } => fault,
        other => panic!("{}: {other}", other.code()),
    }
}

async fn next(process: &mut Process) -> Message {
    let message = timeout(SOON, process.recv()).await;
    message.expect("a message").expect("the node lives")
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_small_messages_both_ways() {
    let (pki, epmd) = (Pki::new(), epmd());
    pki.issue("node", HOST);
    let tls = options(&pki, "node").mutual(true).build().expect("usable");
    let one = node(&epmd, "one@127.0.0.1", Some(tls.clone())).await;
    let two = node(&epmd, "two@127.0.0.1", Some(tls)).await;
    one.connect(&Target::new(two.name().clone()))
        .await
        .expect("it connects");
    let (mut a, mut b) = (one.process(), two.process());
    let large = Term::from(Bytes::from(vec![7; 64 << 20]));
    for i in 0..1000 {
        a.send(&b.pid(), &Term::from(i)).await.expect("connected");
    }
    a.send(&b.pid(), &large).await.expect("connected");
    a.send(&b.pid(), &atom!("end").into())
        .await
        .expect("connected");
    for i in 0..1000 {
        let Message::Term(term) = next(&mut b).await else {
            panic!("a term");
        };
        assert_eq!(term, Term::from(i));
    }
    assert!(matches!(next(&mut b).await, Message::Term(term) if term == large));
    b.send(&a.pid(), &large).await.expect("connected");
    assert!(matches!(next(&mut b).await, Message::Term(term) if term == Term::atom("end")));
    assert!(matches!(next(&mut a).await, Message::Term(term) if term == large));
}

/// So much waits here of what a peer sent that it is not read: that it has hung up is seen all the same,
/// though nothing is written to it.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_peer_that_is_not_read() {
    const COUNT: usize = 6;
    let (pki, epmd) = (Pki::new(), epmd());
    pki.issue("node", HOST);
    let tls = options(&pki, "node").build().expect("usable");
    let quiet = |builder: NodeBuilder<Cookie>| {
        let builder = builder.tls(tls.clone()).follow_tick_time(false);
        builder.tick_time(Duration::from_secs(3600))
    };
    // The first pause is an hour, and what comes after it has room in the system.
    let one = quiet(builder(&epmd, "one@127.0.0.1")).max_mailboxes(1 << 10);
    let one = one.start().await.expect("it starts");
    let two = quiet(builder(&epmd, "two@127.0.0.1"));
    let two = two.start().await.expect("it starts");
    let there = Target::new(one.name().clone());
    two.connect(&there).await.expect("it connects");
    let (stuck, sender) = (one.process(), two.process());
    for _ in 0..COUNT {
        let binary = Term::binary(vec![7; 8 << 10]);
        let sent = sender.send(&stuck.pid(), binary).await;
        sent.expect("connected");
        until("it is not read", || stuck.waiting() > 0).await;
    }
    drop(sender);
    two.shutdown(Duration::from_secs(5)).await;
    until("the end is seen", || one.connected().is_empty()).await;
    assert_eq!(stuck.waiting(), COUNT);
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let all = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, all).await.expect(what);
}

/// What a probe of a node with `theirs` finds on, by a caller with `ours`.
async fn verdict(theirs: TlsBuilder, ours: TlsBuilder) -> TlsFault {
    let epmd = epmd();
    let theirs = theirs.build().expect("usable");
    let _two = node(&epmd, "two@127.0.0.1", Some(theirs)).await;
    fault(look(&epmd, Some(ours.build().expect("usable"))).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_a_probe() {
    let (pki, epmd) = (Pki::new(), epmd());
    pki.issue("node", HOST);
    let tls = options(&pki, "node").build().expect("usable");
    let _two = node(&epmd, "two@127.0.0.1", Some(tls)).await;
    // A caller needs no certificate of its own where none is demanded.
    let bare = Tls::builder().cacertfile(pki.path("ca.pem"));
    let found = look(&epmd, Some(bare.build().expect("usable"))).await;
    found.result.expect("reached");
    let steps: Vec<Step> = found.steps.iter().map(|report| report.step).collect();
    let all = [
        Step::Resolve,
        Step::Epmd,
        Step::Port,
        Step::Tls,
        Step::Greeting,
        Step::Handshake,
    ];
    assert_eq!(steps, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_do_not_do() {
    let (pki, other) = (Pki::new(), Pki::new());
    pki.issue("node", HOST);
    pki.issue("elsewhere", "app.example.com");
    pki.issue_until("expired", HOST, 2020);
    other.issue("node", HOST);
    let ours = || options(&pki, "node");

    let elsewhere = verdict(options(&pki, "elsewhere"), ours()).await;
    assert_eq!(elsewhere, TlsFault::TheirHost);
    let expired = verdict(options(&pki, "expired"), ours()).await;
    assert_eq!(expired, TlsFault::TheirExpired);
    let stranger = verdict(options(&other, "node"), ours()).await;
    assert_eq!(stranger, TlsFault::TheirAuthority);

    // The same from the caller's side.
    let mutual = || ours().mutual(true);
    let none = Tls::builder().cacertfile(pki.path("ca.pem"));
    assert_eq!(verdict(mutual(), none).await, TlsFault::OurNone);
    let expired = verdict(mutual(), options(&pki, "expired")).await;
    assert_eq!(expired, TlsFault::OurExpired);
    let stranger = options(&other, "node").cacertfile(pki.path("ca.pem"));
    assert_eq!(verdict(mutual(), stranger).await, TlsFault::OurAuthority);
}

#[tokio::test(flavor = "multi_thread")]
async fn host_names_on_request() {
    let (pki, epmd) = (Pki::new(), epmd());
    pki.issue("elsewhere", "app.example.com");
    let tls = options(&pki, "elsewhere").build().expect("usable");
    let _two = node(&epmd, "two@127.0.0.1", Some(tls)).await;
    let ours = || Tls::builder().cacertfile(pki.path("ca.pem"));
    for good in [
        ours().server_name(None),
        ours().server_name(Some("App.example.com")),
        ours().verify(false),
    ] {
        let found = look(&epmd, Some(good.build().expect("usable"))).await;
        found.result.expect("reached");
    }
    let bad = ours().server_name(Some("other.example.com"));
    let bad = look(&epmd, Some(bad.build().expect("usable"))).await;
    assert_eq!(fault(bad), TlsFault::TheirHost);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_end_speaks_plain() {
    let (pki, epmd) = (Pki::new(), epmd());
    pki.issue("node", HOST);
    let tls = options(&pki, "node").build().expect("usable");
    let _two = node(&epmd, "two@127.0.0.1", Some(tls.clone())).await;
    let plain = look(&epmd, None).await;
    assert_eq!(plain.result.unwrap_err(), Reason::TlsRequired);
    let epmd = self::epmd();
    let _two = node(&epmd, "two@127.0.0.1", None).await;
    let secure = look(&epmd, Some(tls)).await;
    assert_eq!(secure.result.unwrap_err(), Reason::TlsNotSpoken);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_plain_node_is_told_from_a_dead_one() {
    // As OTP: waits for the rest of what looks like a long message; answers a plain name.
    let silent = |answer: Option<&'static [u8]>| {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let mut held = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let mut first = [0; 3];
                if let (Ok(()), Some(answer)) = (stream.read_exact(&mut first), answer)
                    && first[2] == b'N'
                {
                    stream.write_all(answer).ok();
                }
                held.push(stream);
            }
        });
        Target::new(name("two@127.0.0.1")).on_port(port)
    };
    let pki = Pki::new();
    let tls = Tls::builder().cacertfile(pki.path("ca.pem"));
    let config = ProbeConfig {
        timeout: Duration::from_secs(3),
        tls: Some(tls.build().expect("usable")),
        ..ProbeConfig::new(name("probe@127.0.0.1"))
    };
    let plain = probe(&config, &silent(Some(b"\0\x03sok"))).await;
    assert_eq!(plain.result.unwrap_err(), Reason::TlsNotSpoken);
    let dead = probe(&config, &silent(None)).await;
    let step = Step::Tls;
    assert_eq!(dead.result.unwrap_err(), Reason::Timeout { step });
    let web = probe(&config, &silent_web()).await;
    assert_eq!(web.result.unwrap_err().code(), "not_dist");
}

/// Answers everything with a page.
fn silent_web() -> Target {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for mut stream in listener.incoming().flatten() {
            let mut bytes = [0; 1024];
            if stream.read(&mut bytes).is_ok() {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok();
            }
        }
    });
    Target::new(name("two@127.0.0.1")).on_port(port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_used_for_the_next_connection() {
    let (pki, epmd) = (Pki::new(), epmd());
    pki.issue_until("node", HOST, 2020);
    let theirs = options(&pki, "node").build().expect("usable");
    let _two = node(&epmd, "two@127.0.0.1", Some(theirs)).await;
    let ours = || {
        let ours = Tls::builder().cacertfile(pki.path("ca.pem"));
        Some(ours.build().expect("usable"))
    };
    assert_eq!(fault(look(&epmd, ours()).await), TlsFault::TheirExpired);
    pki.issue("node", HOST);
    look(&epmd, ours()).await.result.expect("renewed");
    // While somebody writes them the last good ones are used.
    std::fs::write(pki.path("node.key"), "half of a k").expect("written");
    look(&epmd, ours()).await.result.expect("the last good one");
    std::fs::remove_file(pki.path("node.pem")).expect("removed");
    look(&epmd, ours()).await.result.expect("the last good one");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_allow_list_and_certificates() {
    let (pki, epmd) = (Pki::new(), epmd());
    pki.issue("node", HOST);
    pki.issue("elsewhere", "app.example.com");
    let optfile = pki.path("dist.conf");
    let file = |name: &str| pki.path(name).display().to_string();
    let options_of_otp = format!(
        "[{{server, [{{cacertfile, {ca:?}}}, {{certfile, {cert:?}}}, {{keyfile, {key:?}}}, \
         {{verify, verify_peer}}, {{verify_fun, {{inet_tls_dist, verify_client, []}}}}]}}].",
        ca = file("ca.pem"),
        cert = file("node.pem"),
        key = file("node.key"),
    );
    std::fs::write(&optfile, options_of_otp).expect("written");
    let tls = Tls::from_optfile(&optfile).expect("usable");
    let two = Node::builder(name("two@127.0.0.1"))
        .cookie(cookie())
        .epmd_port(epmd.port())
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .tls(tls)
        .allow(name("probe@127.0.0.1"));
    let _two = two.start().await.expect("it starts");
    let ours = |name: &str| Some(options(&pki, name).build().expect("usable"));
    look(&epmd, ours("node")).await.result.expect("let in");
    // It proves to be from another host than its name says.
    let elsewhere = look(&epmd, ours("elsewhere")).await.result.unwrap_err();
    assert!(
        matches!(elsewhere, Reason::Closed { .. }),
        "{}: {elsewhere}",
        elsewhere.code()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_used() {
    let pki = Pki::new();
    pki.issue("node", HOST);
    pki.issue("other", HOST);
    let said = |options: TlsBuilder| options.build().unwrap_err().to_string();
    let mixed = options(&pki, "node").keyfile(pki.path("other.key"));
    assert!(said(mixed).contains("is not the key of the certificate in"));
    let swapped = options(&pki, "node").keyfile(pki.path("ca.pem"));
    assert!(said(swapped).contains("holds no private key in PEM form"));
    let missing = options(&pki, "node").cacertfile(pki.path("nowhere.pem"));
    assert!(said(missing).contains("nowhere.pem: No such file"));
    let key_for_ca = options(&pki, "node").cacertfile(pki.path("node.key"));
    assert!(said(key_for_ca).contains("holds no certificate in PEM form"));
    assert!(said(Tls::builder()).contains("verify_peer needs cacertfile"));
    let sealed =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    std::fs::write(pki.path("node.key"), sealed).expect("written");
    assert!(said(options(&pki, "node")).contains("holds a key with a password"));

    let lonely = Tls::builder().cacertfile(pki.path("ca.pem"));
    let listening = Node::builder(name("two@127.0.0.1"))
        .cookie(cookie())
        .epmd(None)
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .tls(lonely.build().expect("usable"));
    let why = listening.start().await.expect_err("nothing to show");
    assert_eq!(
        why.to_string(),
        "the TLS options: has no certificate for a server: nobody can be let in"
    );
}

/// A copy of the file that has the same length and the same time: `cp -p` of a renewed one. (By which of
/// two ways it is found, see the tests of `tls/mod.rs` and `tls/files.rs`.)
#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_that_looks_like_the_old_one_is_used() {
    let (pki, epmd) = (Pki::new(), epmd());
    pki.issue_until("node", HOST, 2040);
    let file = pki.path("node.pem");
    let looks = || {
        let meta = std::fs::metadata(&file).expect("it is there");
        (meta.len(), meta.modified().expect("a time"))
    };
    let before = looks();
    let tls = options(&pki, "node").build().expect("usable");
    let _two = node(&epmd, "two@127.0.0.1", Some(tls)).await;
    let ours = Tls::builder().cacertfile(pki.path("ca.pem"));
    let ours = ours.build().expect("usable");
    let reached = look(&epmd, Some(ours.clone())).await.result;
    reached.expect("a certificate that holds");
    loop {
        pki.issue_until("node", HOST, 2010);
        if looks().0 == before.0 {
            break;
        }
    }
    let renewed = std::fs::File::options().write(true).open(&file);
    let timed = renewed.and_then(|file| file.set_modified(before.1));
    timed.expect("the time is set");
    assert_eq!(looks(), before);
    assert_eq!(fault(look(&epmd, Some(ours)).await), TlsFault::TheirExpired);
}

/// OTP's `depth`: so many authorities may stand between a certificate and one that is trusted.
#[tokio::test(flavor = "multi_thread")]
async fn chains_are_as_long_as_depth_says() {
    let (root, epmd) = (Pki::new(), epmd());
    let middle = root.below("middle");
    let near = middle.below("near");
    near.issue("node", HOST);
    // The chain out of order, and a certificate that has nothing to do with it.
    let stray = Pki::new();
    stray.below("stray");
    let chain = [
        near.path("node.pem"),
        stray.path("stray.pem"),
        root.path("middle.pem"),
        middle.path("near.pem"),
    ];
    let chain: Vec<String> = chain
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("it is there"))
        .collect();
    std::fs::write(near.path("chain.pem"), chain.concat()).expect("written");
    let theirs = Tls::builder()
        .verify(false)
        .certfile(near.path("chain.pem"))
        .keyfile(near.path("node.key"));
    let shows = theirs.build().expect("usable");
    let _two = node(&epmd, "two@127.0.0.1", Some(shows)).await;
    let with_depth = |depth: &str| {
        let ca = root.path("ca.pem");
        let client = format!("[{{client, [{{cacertfile, {ca:?}}}{depth}]}}].");
        let file = root.path("optfile");
        std::fs::write(&file, client).expect("written");
        Tls::from_optfile(file).expect("usable")
    };
    for depth in ["", ", {depth, 3}", ", {depth, 2}"] {
        let reached = look(&epmd, Some(with_depth(depth))).await.result;
        reached.unwrap_or_else(|why| panic!("{depth}: {why}"));
    }
    for depth in [", {depth, 1}", ", {depth, 0}"] {
        let refused = look(&epmd, Some(with_depth(depth))).await;
        let why = refused
            .result
            .expect_err("too many authorities")
            .to_string();
        assert!(why.contains("the TLS option depth allows no more"), "{why}");
    }
}

/// The same of a caller's certificate.
#[tokio::test(flavor = "multi_thread")]
async fn callers_chains_are_as_long_as_depth_says() {
    let root = Pki::new();
    let middle = root.below("middle");
    middle.issue("caller", HOST);
    root.issue("node", HOST);
    let chain = [middle.path("caller.pem"), root.path("middle.pem")];
    let chain = chain.map(|path| std::fs::read_to_string(path).expect("it is there"));
    std::fs::write(middle.path("chain.pem"), chain.concat()).expect("written");
    let ours = Tls::builder()
        .cacertfile(root.path("ca.pem"))
        .certfile(middle.path("chain.pem"))
        .keyfile(middle.path("caller.key"));
    let ours = ours.build().expect("usable");
    for (depth, reached) in [(1, true), (0, false)] {
        // Its own: the name of the round before may be taken yet.
        let epmd = epmd();
        let file = root.path("optfile");
        let path = |file: &str| root.path(file).display().to_string();
        let server = format!(
            "[{{server, [{{cacertfile, {:?}}}, {{certfile, {:?}}}, {{keyfile, {:?}}},
               {{verify, verify_peer}}, {{fail_if_no_peer_cert, true}}, {{depth, {depth}}}]}}].",
            path("ca.pem"),
            path("node.pem"),
            path("node.key")
        );
        std::fs::write(&file, server).expect("written");
        let theirs = Tls::from_optfile(file).expect("usable");
        let two = node(&epmd, "two@127.0.0.1", Some(theirs)).await;
        let found = look(&epmd, Some(ours.clone())).await;
        assert_eq!(found.result.is_ok(), reached, "{depth}: {:?}", found.result);
        assert!(two.shutdown(SOON).await.is_clean());
    }
}
