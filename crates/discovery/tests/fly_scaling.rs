//! What the engine makes of the answers of `fly` while an app is scaled, stopped and deployed: only
//! time is made up.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::dns_server::Answer;
use support::fly_dns::FlyDns;
use support::{DEADLINE, cx, hosts, start_with};
use trunkline_discovery::config::BuildCx;
use trunkline_discovery::{Env, SourceHandle};
use trunkline_proto::{Creation, Instant, NodeName, Reason, Step};
use trunkline_reconcile::evidence::TopologyId;
use trunkline_reconcile::{Action, Config, Engine};

const ONE: &str = "6e82@fdaa::1 sea web";
const TWO: &str = "0e28@fdaa::2 ewr web";
const THREE: &str = "5683@fdaa::3 sea web";
const ME: &str = "hello-01H@fdaa::1";
/// Between two answers.
const POLL: Duration = Duration::from_secs(15);

/// One machine's engine, fed with what its source says.
struct Machine {
    dns: FlyDns,
    engine: Engine,
    running: support::Running,
    now: Instant,
    links: BTreeSet<NodeName>,
    /// The nodes that can be connected.
    lives: BTreeSet<&'static str>,
}

impl Machine {
    async fn start(machines: &[&str], more: &str) -> Self {
        let dns = FlyDns::start(machines).await;
        let own = [
            ("FLY_APP_NAME", "hello"),
            ("FLY_PRIVATE_IP", "fdaa::1"),
            ("FLY_MACHINE_ID", "6e82"),
        ];
        let cx = BuildCx {
            env: own.into_iter().collect::<Env>(),
            // What is no answer is waited out, at each of many looks.
            timeout: Duration::from_secs(1),
            ..cx()
        };
        let options = dns.options(&format!("polling_interval = '100ms'\n{more}"));
        let running = start_with(&options, Some(ME), &cx);
        let mut engine = Engine::new(ME.parse().unwrap(), Config::default(), 7);
        for handle in &running.handles {
            let topology = TopologyId("web".into());
            engine.add_source(handle.id().clone(), topology, handle.kind());
        }
        engine.me_up(Instant::ZERO, &BTreeSet::new());
        Self {
            dns,
            engine,
            running,
            now: Instant::ZERO,
            links: BTreeSet::new(),
            lives: BTreeSet::new(),
        }
    }

    /// The answers that follow the last change of the zone, as many as make up this time, and what
    /// the engine says meanwhile.
    async fn pass(&mut self, time: Duration) -> Vec<String> {
        self.settle().await;
        let mut said = Vec::new();
        let end = self.now + time;
        while self.now < end {
            let next = self.now + POLL;
            while let Some(due) = self.engine.poll_timeout().filter(|due| *due <= next) {
                self.now = self.now.max(due);
                self.engine.handle_timeout(self.now);
                self.act();
            }
            self.now = next;
            let report = tokio::time::timeout(DEADLINE, self.running.next()).await;
            let report = report.unwrap();
            if report.answer.is_err() {
                self.hurry();
            }
            let answer = report.answer.map_err(Into::into);
            self.engine.observe(self.now, &report.source, answer);
            self.act();
            let events = std::iter::from_fn(|| self.engine.poll_event());
            said.extend(events.map(|event| event.to_string()));
        }
        said
    }

    /// An answer may be under way that was asked for before the zone changed.
    async fn settle(&mut self) {
        for _ in 0..2 * self.running.handles.len() {
            if self.running.next().await.answer.is_err() {
                self.hurry();
            }
        }
    }

    /// After errors a source waits longer each time.
    fn hurry(&self) {
        self.running.handles.iter().for_each(SourceHandle::poke);
    }

    /// Who lives connects at once.
    fn act(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            let at = self.now;
            match action {
                Action::Connect { target, .. } => {
                    let result = self.meets(&target.node);
                    if result.is_ok() {
                        self.links.insert(target.node.clone());
                        self.engine.link_up(at, &target.node);
                    }
                    self.engine.connect_result(at, &target.node, result.into());
                }
                Action::Look { target } => {
                    let found = self.meets(&target.node).map(|()| Creation(1));
                    self.engine.looked(at, &target.node, found);
                }
                Action::Audit => self.engine.audit(at, &self.links.clone()),
                _ => {}
            }
        }
    }

    fn meets(&self, node: &NodeName) -> Result<(), Reason> {
        match self.lives.contains(node.as_str()) {
            true => Ok(()),
            false => Err(Reason::Timeout { step: Step::Port }),
        }
    }

    /// These nodes live; the links to all others end.
    fn live(&mut self, nodes: &[&'static str]) {
        self.lives = nodes.iter().copied().collect();
        let at = self.now;
        let (kept, lost) = std::mem::take(&mut self.links)
            .into_iter()
            .partition(|peer| self.lives.contains(peer.as_str()));
        self.links = kept;
        let lost: BTreeSet<_> = lost;
        for peer in lost {
            self.engine.link_down(at, &peer, "connection_closed");
        }
    }

    fn links(&self) -> Vec<&str> {
        self.links.iter().map(NodeName::as_str).collect()
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const H2: &str = "hello-01H@fdaa::2";
const H3: &str = "hello-01H@fdaa::3";
const J2: &str = "hello-01J@fdaa::2";

/// `fly machine clone`, then autostop takes the clone, then it is started again, and a third: one
/// line for each change, and nothing while we are alone.
#[tokio::test]
async fn cloned_stopped_and_started() {
    let mut machine = Machine::start(&[ONE], "").await;
    assert_eq!(machine.pass(5 * MINUTE).await, [""; 0], "alone is quiet");
    machine.live(&[H2]);
    machine.dns.set(&[ONE, TWO]);
    assert_eq!(
        machine.pass(MINUTE).await,
        [
            "2 nodes listed · new: hello-01H@fdaa::2 · web",
            "connected · hello-01H@fdaa::2"
        ]
    );
    machine.live(&[]);
    machine.dns.set(&[ONE]);
    let stopped = machine.pass(5 * MINUTE).await;
    assert_eq!(stopped.len(), 4, "{stopped:#?}");
    assert!(stopped[0].starts_with("connection lost: "), "{stopped:#?}");
    assert!(stopped[1].starts_with("cannot connect "), "{stopped:#?}");
    // A sample misses a machine now and then: the line comes with the third answer.
    assert!(
        stopped[2].starts_with("1 node listed · no longer: "),
        "{stopped:#?}"
    );
    assert_eq!(
        stopped[3],
        "dead and no longer listed, forgotten · hello-01H@fdaa::2"
    );
    assert_eq!(machine.pass(5 * MINUTE).await, [""; 0], "alone again");
    machine.live(&[H2, H3]);
    machine.dns.set(&[ONE, TWO, THREE]);
    assert_eq!(
        machine.pass(MINUTE).await,
        [
            "3 nodes listed · new: hello-01H@fdaa::2, hello-01H@fdaa::3 · web",
            "connected · hello-01H@fdaa::2",
            "connected · hello-01H@fdaa::3"
        ]
    );
}

/// Whatever the name server says, who is connected stays so.
#[tokio::test]
async fn a_name_server_in_trouble() {
    let mut machine = Machine::start(&[ONE, TWO, THREE], "").await;
    machine.live(&[H2, H3]);
    machine.pass(MINUTE).await;
    for fault in [
        Answer::Code(2),
        Answer::Code(3),
        Answer::Records(Vec::new()),
        Answer::Records(vec!["fdaa::1".parse().unwrap()]),
        Answer::Raw(vec![0; 3]),
    ] {
        machine.dns.fault("hello.internal", fault.clone());
        let trouble = machine.pass(MINUTE).await;
        assert_eq!(machine.links(), [H2, H3], "{fault:?} {trouble:#?}");
        assert_eq!(
            trouble.len(),
            1,
            "{fault:?}: one line for one change: {trouble:#?}"
        );
        machine.dns.heal();
        let healed = machine.pass(MINUTE).await;
        assert_eq!(machine.links(), [H2, H3], "{fault:?} {healed:#?}");
        assert!(healed.len() <= 1, "{fault:?}: {healed:#?}");
    }
}

/// A machine is deployed anew: the same address, another image. It is another cluster by default.
#[tokio::test]
async fn another_image_is_another_cluster() {
    let mut machine = Machine::start(&[ONE, TWO, THREE], "").await;
    machine.live(&[H2, H3]);
    machine.pass(MINUTE).await;
    machine.live(&[J2, H3]);
    let deployed = machine.pass(5 * MINUTE).await;
    assert_eq!(machine.links(), [H3]);
    assert_eq!(deployed.len(), 2, "{deployed:#?}");
    assert!(deployed[1].starts_with("cannot connect "), "{deployed:#?}");
}

#[tokio::test]
async fn learned_images_are_one_cluster() {
    hosts().list("fdaa::1", &["hello-01H"]);
    hosts().list("fdaa::2", &["hello-01H"]);
    let mut machine = Machine::start(&[ONE, TWO], "basename = 'learn'").await;
    machine.live(&[H2]);
    machine.pass(MINUTE).await;
    assert_eq!(machine.links(), [H2]);
    machine.live(&[J2]);
    hosts().list("fdaa::2", &["hello-01J"]);
    let deployed = machine.pass(5 * MINUTE).await;
    assert_eq!(machine.links(), [J2]);
    let forgotten = "dead and no longer listed, forgotten · hello-01H@fdaa::2";
    assert!(
        deployed.iter().any(|line| line == forgotten),
        "{deployed:#?}"
    );
    assert_eq!(machine.pass(5 * MINUTE).await, [""; 0], "all is quiet");
}
