//! Fly's guide on clustering, to its end: machines in two regions, `Node.list` and `Node.get_cookie()` in a remote shell.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use trunkline_interop::fly::machine::App;
use trunkline_interop::fly::{Fly, Settings};
use trunkline_interop::in_every_fly_world;
use trunkline_interop::terminal::remote;

in_every_fly_world!(the_guide);

fn the_guide(settings: Settings) {
    let app = App::hello();
    let mut fly = Fly::new(settings).unwrap();
    fly.scale(&app, &[1]).unwrap();
    fly.until_booted(1);
    fly.scale(&app, &[2, 3]).unwrap();
    fly.met("three machines", &[1, 2, 3]);
    for n in 1..=3 {
        let log = fly.member(n).agent_log();
        assert!(
            log.iter().any(|line| line.contains("topology fly (fly)")),
            "{log:#?}"
        );
        // A neighbour that is just starting may be seen without its node, or without a port mapper. Else there is nothing to warn of.
        let starts = ["(not_registered)", "refuses the connection"];
        let odd = log.iter().find(|line| {
            line.starts_with("WARN") && !starts.iter().any(|text| line.contains(text))
        });
        assert_eq!(odd, None, "{log:#?}");
    }
    for n in 1..=2 {
        console(&fly, n);
    }
    // A remote shell is nobody's news.
    fly.recorded("after the shells", |_| Vec::new());
}

/// `fly ssh console --pty -C "/app/bin/hello_elixir remote"`.
fn console(fly: &Fly, n: u8) {
    let member = fly.member(n);
    let mut shell = fly.command(n, member.release.script()).unwrap();
    shell.arg("remote");
    let lines = ["Node.list", "Node.get_cookie()"];
    let said = remote(&shell, &lines, &member.host.dir().join("remote.txt")).unwrap();
    // The list may be broken anywhere between two names.
    let listed = said[0].replace(['\r', '\n', ' '], "");
    for other in fly.members() {
        let name = format!(":\"{}\"", other.node);
        assert_eq!(
            listed.matches(&name).count(),
            usize::from(other.node != member.node),
            "{name} in {said:?}"
        );
    }
    assert_eq!(listed.matches("@fdaa").count(), 2, "{said:?}");
    assert!(
        said[1].contains(&format!(":{:?}", fly.machine(n).app.cookie)),
        "{said:?}"
    );
}
