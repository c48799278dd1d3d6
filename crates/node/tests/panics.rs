//! Panics of processes, and the hook that the program has for panics: alone in its program, as that has one.

use std::panic::{self, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::timeout;
use trunkline_etf::term;
use trunkline_node::{Message, Node};
use trunkline_proto::Cookie;

/// A crash reporter hears of each, with the backtrace; one that the process catches is no end of it.
#[tokio::test]
async fn the_programs_hook_hears_of_panics_in_processes() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    panic::set_hook(Box::new({
        let heard = Arc::clone(&heard);
        move |info| {
            let text = info.payload_as_str().map(ToOwned::to_owned);
            heard.lock().expect("no panic").extend(text);
        }
    }));
    let node = Node::builder("one@127.0.0.1".parse().expect("a node name"));
    let node = node.cookie(Cookie::new("monster").expect("a cookie"));
    let node = node.start().await.expect("it starts");
    let mut me = node.process();
    me.trap_exit(true);
    let pid = me.spawn_link(async |_| {
        let caught = catch_unwind(|| panic!("its own"));
        assert!(caught.is_ok(), "its end");
    });
    let ended = timeout(Duration::from_secs(20), me.recv()).await;
    let ended = ended.expect("in time").expect("the process lives");
    let Message::Exit { from, reason } = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(from, pid);
    let parts = reason.as_tuple().expect("a tuple");
    assert_eq!(parts[..2], [term!(panic), term!("its end")]);
    let place = parts[2].to_text().expect("a place");
    assert!(place.contains("panics.rs:"), "{place}");
    // Not under the lock: the hook takes it, should this panic.
    let heard = heard.lock().expect("no panic").clone();
    assert_eq!(heard, ["its own", "its end"]);
}
