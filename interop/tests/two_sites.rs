//! One node, two topologies: `dns` for the app, `digitalocean` for a second site. Every host has the same file, so that each node is one
//! site's own and, for one node here, both sites'. Each topology forgets its own nodes and nobody else's.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use trunkline_interop::agent::{Agent, Place};
use trunkline_interop::digitalocean::{Api, Authority, Droplet, Trouble};
use trunkline_interop::dns::{NameServer, Record};
use trunkline_interop::netns::{API_HOST, Host, Lab};
use trunkline_interop::otp::{Otp, Release};
use trunkline_interop::wait;

const COOKIE: &str = "two-sites-0123456789-abcdefghij";
const PATIENCE: Duration = Duration::from_secs(90);
const DNS_HOST: u8 = 201;
const ZONE: &str = "internal";
const NAME: &str = "app.internal";

/// Longer than misses, grace and audit.
const WHILE: Duration = Duration::from_secs(6);

/// The app's site, the second one, and who is listed in both.
const APP: [u8; 3] = [1, 2, BOTH];
const FAR: [u8; 3] = [BOTH, 4, 5];
const BOTH: u8 = 3;
const ALL: [u8; 5] = [1, 2, BOTH, 4, 5];

const CONFIG: &str = "[engine]\nremoval_grace = \"1s\"\naudit_interval = \"3s\"\nbackoff_max = \"2s\"\n\
     [topologies.app]\nstrategy = \"dns\"\nquery = \"app.internal\"\nresource_types = [\"a\"]\npolling_interval = \"500ms\"\n\
     [topologies.far]\nstrategy = \"digitalocean\"\ntag_name = \"web\"\nnode_basename = \"app\"\npolling_interval = \"500ms\"\n";

const NOT_OURS: &str = "the source lists others, and not our own node";

#[test]
fn otp_25_every_edge_ours() {
    let _took = wait::Took::new("two sites, OTP 25, connect_all false");
    each_forgets_only_its_own(Release::Otp25, false);
}

#[test]
fn otp_27() {
    let _took = wait::Took::new("two sites, OTP 27");
    each_forgets_only_its_own(Release::Otp27, true);
}

fn each_forgets_only_its_own(otp: Release, connect_all: bool) {
    let mut sites = Sites::new(otp, connect_all);
    for n in ALL {
        sites.boot(n);
    }
    sites.until_whole(&ALL);
    second_sites_are_said_once_and_are_no_alarm(&sites);

    // A node of the app leaves the DNS and dies.
    sites.loses_app(2);
    sites.forgets(&[1, BOTH, 4, 5], 2, "app");
    sites.until_whole(&[1, BOTH, 4, 5]);

    // A Droplet is destroyed.
    sites.loses_far(5);
    sites.forgets(&[1, BOTH, 4], 5, "far");
    sites.until_whole(&[1, BOTH, 4]);

    sites.regains();
    api_fails(&mut sites);
    sites.regains();
    dns_fails(&mut sites);
    sites.regains();
    listed_by_both(&mut sites);

    // Nobody but the node that was taken out of a site was ever alarmed for it, through all of that.
    for n in [1, 4] {
        assert_eq!(sites.count(n, NOT_OURS, ""), 0, "{}", sites.report());
        assert_eq!(sites.count(n, "unlisted", ""), 0, "{}", sites.report());
        assert_eq!(sites.count(n, "is not listed here", ""), 1);
        assert_eq!(sites.count(n, "our own node is no longer listed", ""), 0);
    }
    assert_eq!(sites.api.violations(), [""; 0]);
}

fn second_sites_are_said_once_and_are_no_alarm(sites: &Sites) {
    for (numbers, home, other) in [([1, 2], "app", "far"), ([4, 5], "far", "app")] {
        for n in numbers {
            let line =
                format!("INFO our own node is not listed here, it is one of {home} · {other}");
            sites.says(n, &line, 1);
        }
    }
    sites.calm("all up");
    assert_eq!(sites.count(BOTH, "not listed", ""), 0);
    for n in ALL {
        assert_eq!(sites.count(n, NOT_OURS, ""), 0, "{}", sites.report());
    }
}

/// The API knows nothing: what the DNS no longer lists is forgotten, what is gone from the second site is not.
fn api_fails(sites: &mut Sites) {
    sites.api.fault(Trouble::Status(500));
    for n in ALL {
        sites.says(n, "500", 1);
    }
    sites.loses_far(5);
    sites.loses_app(2);
    sites.forgets(&[1, BOTH, 4], 2, "app");
    sites.kept(&[1, BOTH, 4], 5);
    sites.api.heal();
    sites.forgets(&[1, BOTH, 4], 5, "far");
}

/// The same the other way round.
fn dns_fails(sites: &mut Sites) {
    sites.server.fail(ZONE).unwrap();
    for n in ALL {
        sites.says(n, "SERVFAIL", 1);
    }
    // Another record and a failing zone: the record is not served yet.
    sites.dies(2);
    sites.loses_far(5);
    sites.forgets(&[1, BOTH, 4], 5, "far");
    sites.kept(&[1, BOTH, 4], 2);
    sites.list(&[1, BOTH]);
    sites.forgets(&[1, BOTH, 4], 2, "app");
}

/// Who is listed twice stays while one of both lists it, and is dialled again when a link to it is lost.
fn listed_by_both(sites: &mut Sites) {
    let others = [1, 2, 4, 5];
    let forgotten = others.map(|n| sites.count(n, "forgotten", &name(BOTH)));
    assert_eq!(forgotten, [0; 4]);

    sites.list(&[1, 2]);
    for n in others {
        sites.no_longer(n, BOTH, "app", 1);
    }
    sites.says(BOTH, &format!("WARN {NOT_OURS} · app"), 1);
    sites.torn_and_joined(&[1, 4]);
    sites.list(&APP);
    sites.says(BOTH, "the answers look right again · app", 1);
    for n in others {
        sites.says(n, &format!("again: {} · app", name(BOTH)), 1);
    }

    sites.api.destroy(sites.droplet(BOTH).id);
    for n in others {
        sites.no_longer(n, BOTH, "far", 1);
    }
    let left =
        "our own node is no longer listed, its links stay, another topology needs them · far";
    sites.says(BOTH, left, 1);
    sites.torn_and_joined(&[1, 4]);
    sites.api.put(sites.droplet(BOTH));
    sites.says(BOTH, "our own node is listed again · far", 1);
    for n in others {
        sites.says(n, &format!("new: {} · far", name(BOTH)), 1);
    }
    sites.until_whole(&ALL);

    let forgotten = others.map(|n| sites.count(n, "forgotten", &name(BOTH)));
    assert_eq!(forgotten, [0; 4], "{}", sites.report());
}

struct Sites {
    otp: Release,
    connect_all: bool,
    live: BTreeMap<u8, (Agent, Otp)>,
    /// How often each node was lost so far.
    deaths: BTreeMap<u8, usize>,
    hosts: BTreeMap<u8, Host>,
    server: NameServer,
    api: Api,
    // Last: the network goes when everything on it has gone.
    _lab: Lab,
}

impl Sites {
    fn new(otp: Release, connect_all: bool) -> Self {
        let lab = Lab::new().unwrap();
        let authority = Authority::new().unwrap();
        let ca = lab.dir().join("ca.pem");
        authority.write(&ca).unwrap();
        let api = Api::start(&lab.host(API_HOST).unwrap(), &authority).unwrap();
        let server = NameServer::start(&lab.host(DNS_HOST).unwrap(), 1).unwrap();
        let access = format!("token = \"{}\"\napi_ca_file = {ca:?}\n", api.token());
        let mut hosts = BTreeMap::new();
        for n in ALL {
            let host = lab.host(n).unwrap();
            host.resolve_with(&[server.host().private().into()], &[])
                .unwrap();
            let config = [CONFIG, &access].concat();
            std::fs::write(host.dir().join("trunkline.toml"), config).unwrap();
            hosts.insert(n, host);
        }
        let mut sites = Self {
            otp,
            connect_all,
            live: BTreeMap::new(),
            deaths: BTreeMap::new(),
            hosts,
            server,
            api,
            _lab: lab,
        };
        sites.list(&APP);
        for n in FAR {
            sites.api.put(sites.droplet(n));
        }
        sites
    }

    fn droplet(&self, n: u8) -> Droplet {
        Droplet::of(&self.hosts[&n], &format!("web-{n}"))
    }

    /// Who is in the DNS.
    fn list(&mut self, numbers: &[u8]) {
        let records = numbers
            .iter()
            .map(|n| Record::address(NAME, self.hosts[n].private()));
        self.server.serve(ZONE, records.collect()).unwrap();
    }

    /// A node with its agent.
    fn boot(&mut self, n: u8) {
        let host = &self.hosts[&n];
        host.cable(true).unwrap();
        let mesh = self.connect_all.to_string();
        // A host that is gone is missed soon.
        let args = [
            "-kernel",
            "connect_all",
            &mesh,
            "-kernel",
            "net_ticktime",
            "4",
        ];
        let node = Otp::on(host, self.otp, &name(n), COOKIE, &args).unwrap();
        let agent = Place::new(host, &name(n), COOKIE).run("run.log").unwrap();
        self.live.insert(n, (agent, node));
    }

    fn dies(&mut self, n: u8) {
        let (agent, node) = self.live.remove(&n).unwrap();
        drop(node);
        drop(agent);
        *self.deaths.entry(n).or_default() += 1;
    }

    fn loses_app(&mut self, n: u8) {
        let rest: Vec<u8> = APP.into_iter().filter(|it| *it != n).collect();
        self.list(&rest);
        self.dies(n);
    }

    fn loses_far(&mut self, n: u8) {
        self.api.destroy(self.droplet(n).id);
        self.hosts[&n].pull_the_plug().unwrap();
        self.dies(n);
    }

    /// Both sites are as at first.
    fn regains(&mut self) {
        self.list(&APP);
        for n in [2, 5] {
            self.boot(n);
        }
        self.api.put(self.droplet(5));
        self.until_whole(&ALL);
        self.calm("whole again");
    }

    /// Just this topology no longer lists it, and each of these (which were there all the time) forgets it, once for each death.
    fn forgets(&self, seers: &[u8], n: u8, topology: &str) {
        let other = if topology == "app" { "far" } else { "app" };
        for seer in seers {
            let all = self.deaths[&n];
            self.says(
                *seer,
                &format!("dead and no longer listed, forgotten · {}", name(n)),
                all,
            );
            self.no_longer(*seer, n, topology, all);
            self.no_longer(*seer, n, other, 0);
        }
    }

    /// It is dead, and is not forgotten although there is time for that.
    fn kept(&self, seers: &[u8], n: u8) {
        let count = |seer: &u8| self.count(*seer, "forgotten", &name(n));
        let before: Vec<usize> = seers.iter().map(count).collect();
        wait::stays("nobody is forgotten", WHILE, || {
            let now: Vec<usize> = seers.iter().map(count).collect();
            (now == before).then_some(()).ok_or_else(|| self.report())
        });
    }

    /// The lines of `seer` that say so of `n`: this often.
    fn no_longer(&self, seer: u8, n: u8, topology: &str, times: usize) {
        let end = format!(" · {topology}");
        let count = || {
            let lines = self.live[&seer].0.lines().into_iter();
            let gone = format!("no longer: {}", name(n));
            lines
                .filter(|it| it.contains(&gone) && it.ends_with(&end))
                .count()
        };
        if wait::within(PATIENCE, || (count() == times).then_some(())).is_none() {
            panic!(
                "{seer}: {} no longer in {topology}, {times} times:\n{}",
                name(n),
                self.report()
            );
        }
    }

    /// The links of these to [`BOTH`] are cut, and there again. Where nodes connect by themselves that would tear all others.
    fn torn_and_joined(&self, seers: &[u8]) {
        let seers = if self.connect_all { &[] } else { seers };
        for seer in seers {
            let connected = || self.count(*seer, "INFO connected", &name(BOTH));
            let before = connected();
            let cut = format!("erlang:disconnect_node('{}')", name(BOTH));
            self.live[seer].1.eval(&cut).unwrap();
            wait::until(format!("{seer} is connected again"), PATIENCE, || {
                (connected() > before).then_some(())
            });
        }
        self.until_whole(&ALL);
        self.calm("torn and joined");
    }

    fn until_whole(&self, numbers: &[u8]) {
        for n in numbers {
            let others = numbers.iter().filter(|other| *other != n);
            let others: Vec<String> = others.map(|n| format!("'{}'", name(*n))).collect();
            let expected = format!("[{}]", others.join(","));
            let sees = || self.live[n].1.eval("lists:sort(nodes())").ok();
            let whole = || sees().filter(|seen| *seen == expected);
            if wait::within(PATIENCE, whole).is_none() {
                panic!("{n} sees {:?}, not {expected}:\n{}", sees(), self.report());
            }
        }
    }

    /// After a moment nobody says anything more.
    fn calm(&self, what: &str) {
        let logs = || -> Vec<_> { self.live.values().map(|(agent, _)| agent.lines()).collect() };
        let mut before = logs();
        let mut since = std::time::Instant::now();
        let calm = wait::within(PATIENCE, || {
            let now = logs();
            if now != before {
                before = now;
                since = std::time::Instant::now();
            }
            (since.elapsed() > WHILE).then_some(())
        });
        assert!(calm.is_some(), "{what}: {}", self.report());
    }

    fn count(&self, n: u8, what: &str, peer: &str) -> usize {
        self.live[&n].0.count(what, peer)
    }

    fn says(&self, n: u8, what: &str, times: usize) {
        let said = || (self.count(n, what, "") == times).then_some(());
        if wait::within(PATIENCE, said).is_none() {
            panic!(
                "{n} does not say {times} times {what:?}:\n{}",
                self.report()
            );
        }
    }

    fn report(&self) -> String {
        let each = self
            .live
            .iter()
            .map(|(n, (agent, _))| format!("--- {n}\n{}", agent.output()));
        each.collect::<Vec<_>>().join("\n")
    }
}

/// A node's name, whichever site it is of.
fn name(n: u8) -> String {
    format!("app@10.20.0.{n}")
}
