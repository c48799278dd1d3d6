//! The link protocol, with a peer that does what another may at the worst moment.

mod support;

use std::time::Duration;

use support::{Conn, cookie, name, peer, pid};
use tokio::time::timeout;
use trunkline_etf::{Term, term};
use trunkline_node::{Message, Node};
use trunkline_proto::control::Control;

const PATIENT: Duration = Duration::from_secs(30);

/// A link that crosses an unlink is undone by it: what comes of it until the acknowledgement is nothing,
/// and what comes after is. Acknowledgements of other unlinks mean nothing.
#[tokio::test]
async fn a_link_that_crosses_an_unlink_is_none() {
    let app = peer(|wire| {
        let Some(stream) = wire.connect() else {
            return;
        };
        let mut conn = Conn::new(stream);
        let mut me = None;
        let id = loop {
            match conn.next().map(|signal| signal.control) {
                Some(Control::Link { from, .. }) => me = Some(from),
                Some(Control::UnlinkId { id, .. }) => break id,
                Some(_) => {}
                None => return,
            }
        };
        let me = me.expect("it links before it unlinks");
        let link = Control::Link {
            from: pid(1),
            to: me.clone(),
        };
        let ends = |why: &'static str| {
            let exit = Control::PayloadExit {
                from: pid(1),
                to: me.clone(),
                token: None,
            };
            (exit, Term::atom(why))
        };
        let acknowledges = |id| Control::UnlinkIdAck {
            id,
            from: pid(1),
            to: me.clone(),
        };
        for unlink in [None, Some(id.wrapping_add(7))] {
            if let Some(other) = unlink {
                conn.send(&acknowledges(other), None);
            }
            conn.send(&link, None);
            let (exit, why) = ends("too_early");
            conn.send(&exit, Some(&why));
        }
        conn.send(&acknowledges(id), None);
        conn.send(&link, None);
        let (exit, why) = ends("in_time");
        conn.send(&exit, Some(&why));
        conn.next();
    });
    let node = Node::builder(name("me@127.0.0.1")).cookie(cookie("monster"));
    let node = node.follow_tick_time(false).connect_timeout(PATIENT);
    let node = node.start().await.expect("it starts");
    node.connect(&app).await.expect("it connects");
    let mut process = node.process();
    process.trap_exit(true);
    process.link(&pid(1));
    process.unlink(&pid(1));
    let first = timeout(PATIENT, process.recv()).await.expect("in time");
    let reason = term!(in_time);
    assert_eq!(
        first,
        Some(Message::Exit {
            from: pid(1),
            reason
        })
    );
    let other = node.process();
    other.send(&process.pid(), term!(last)).await.ok();
    assert_eq!(process.recv().await, Some(Message::Term(term!(last))));
}
