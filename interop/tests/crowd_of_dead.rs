//! A name with 300 addresses of which 295 are dead: the five live nodes are connected as if they were alone, and the dead are
//! asked ever more rarely.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv6Addr, TcpListener};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use trunkline_interop::agent::Place;
use trunkline_interop::dns::{NameServer, Record};
use trunkline_interop::netns::{Host, Lab};
use trunkline_interop::otp::{Otp, Release};
use trunkline_interop::process::Process;
use trunkline_interop::wait;

const COOKIE: &str = "crowd-0123456789-abcdefghij";
const NAME: &str = "crowd.internal";

/// The member with the agent; the others only run their node.
const ME: u8 = 1;
const LIVE: std::ops::RangeInclusive<u8> = 2..=6;

/// The last groups of the dead's addresses. As text they come before those of the living, and the agent takes names in their order.
const DEAD: std::ops::Range<u16> = 0x1000..0x1000 + 295;

/// What 295 dead hosts may cost. One by one, the `net_kernel` of OTP takes seven seconds for each.
const COST: Duration = Duration::from_millis(250);

/// The least of so many counts: what else the machine does only adds to it.
const ROUNDS: usize = 3;

const PATIENCE: Duration = Duration::from_secs(60);

/// How long the dead are watched, from the agent's start.
const WATCHED: Duration = Duration::from_secs(60);

/// Attempts at one address in that time: waits are 1, 2, 4, 8, 16 and then 30 s, shortened by at most a half, so that the eighth
/// attempt is due after 45.5 s and the ninth after 60.5 s.
const ATTEMPTS: u64 = 8;

/// Packets to one that does not answer at all: each attempt lasts 5 s there, so that the seventh is due after 60.5 s, and in each the
/// kernel sends the first packet every second (before Linux 6.5 at 0, 1 and 3 s), the sixth at the instant in which the attempt ends: on a
/// busy machine it leaves.
const SILENT_PACKETS: u64 = 6 * 6;

/// OTP's own way to connect is off: each edge is the agent's.
const ARGS: [&str; 7] = [
    "-proto_dist",
    "inet6_tcp",
    "-kernel",
    "connect_all",
    "false",
    "prevent_overlapping_partitions",
    "false",
];

/// Writes down when each node comes up.
const RECORDER: &str = "register(ups, spawn(fun() -> net_kernel:monitor_nodes(true), \
    (fun F(L) -> receive {nodeup, N} -> F([{N, erlang:system_time(millisecond)} | L]); {get, P} -> P ! {ups, L}, F(L); \
    clear -> F([]); _ -> F(L) end end)([]) end)), ok";

#[test]
fn the_dead_delay_nobody_and_are_left_in_peace() {
    let _took = wait::Took::new("295 dead of 300");
    let lab = Lab::new().unwrap();
    let mut dns = NameServer::start(&lab.host(53).unwrap(), 1).unwrap();
    dns.host().firewall(&["tcp dport 53 counter"]).unwrap();
    let graveyard = lab.host(90).unwrap();
    let _silent = bury(&graveyard);
    let hosts: Vec<Host> = (ME..=*LIVE.end()).map(|n| lab.host(n).unwrap()).collect();
    let nodes: Vec<Otp> = hosts.iter().map(node).collect();
    let me = &nodes[0];
    assert_eq!(me.eval(RECORDER).unwrap(), "ok");
    configure(&hosts[0], dns.host());

    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        dns.serve("internal", records(&hosts, 0)).unwrap();
        without.push(run(&hosts[0], me, None));
        dns.serve("internal", records(&hosts, DEAD.len())).unwrap();
        let watched = (round == ROUNDS).then_some(&graveyard);
        with.push(run(&hosts[0], me, watched));
    }
    let (without, with) = (
        without.into_iter().min().unwrap(),
        with.into_iter().min().unwrap(),
    );
    println!("five live nodes after {without:?}, among 295 dead ones after {with:?}");
    assert!(
        with < without + COST,
        "{without:?} without the dead, {with:?} with them"
    );
    let over_tcp = dns.host().run("nft", &["list", "table", "inet", "lab"]);
    let over_tcp = over_tcp.unwrap();
    assert!(
        !over_tcp.contains("packets 0 "),
        "not cut short: {over_tcp}"
    );
    assert!(!me.output().contains("REPORT"), "{}", me.output());
}

fn node(host: &Host) -> Otp {
    let name = format!("app@{}", host.fly6());
    Otp::on(host, Release::Otp25, &name, COOKIE, &ARGS).unwrap()
}

fn configure(host: &Host, dns: &Host) {
    let text = format!(
        "[topologies.crowd]\nstrategy = 'dns'\nquery = '{NAME}'\nresource_types = ['aaaa']\nnameservers = ['{}']\n",
        dns.private()
    );
    fs::write(host.dir().join("trunkline.toml"), text).unwrap();
}

/// The agent anew beside a node without links: from its start to the last live edge. What the dead see is held against the bounds
/// when their host is given.
fn run(host: &Host, me: &Otp, graveyard: Option<&Host>) -> Duration {
    me.eval("[erlang:disconnect_node(N) || N <- nodes(connected)]")
        .unwrap();
    wait::until("no links", PATIENCE, || {
        (me.eval("nodes(connected)").unwrap() == "[]").then_some(())
    });
    me.eval("ups ! clear").unwrap();
    if let Some(graveyard) = graveyard {
        count(graveyard);
    }
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let command = Place::new(host, me.name(), COOKIE).command(&["run"]);
    let mut agent = host.start(command, "agent.log").unwrap();
    let Some(last) = wait::within(PATIENCE, || last_edge(me)) else {
        let links = me.eval("nodes()");
        panic!("not all live edges: {links:?}\n{}", agent.output());
    };
    let took = last.saturating_sub(begun);
    println!("all live edges after {took:?}");
    if let Some(graveyard) = graveyard {
        watch(graveyard, &agent, begun + WATCHED);
    }
    agent.signal(Signal::TERM);
    agent.wait(PATIENCE);
    took
}

/// When the last of the live came up, once all have.
fn last_edge(me: &Otp) -> Option<Duration> {
    let list = "ups ! {get, self()}, receive {ups, L} -> {length(L), lists:max([0 | [T || {_, T} <- L]])} end";
    let said = me.eval(list).ok()?;
    let (number, at) = said.trim_matches(['{', '}']).split_once(',')?;
    let all = number == LIVE.count().to_string();
    all.then(|| Duration::from_millis(at.parse().unwrap()))
}

/// Until `end` since the epoch: no dead address is asked more often than its backoff allows, and none is given up.
fn watch(graveyard: &Host, agent: &Process, end: Duration) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    thread::sleep(end.saturating_sub(now));
    let counts = packets(graveyard);
    let all: u64 = counts.values().sum();
    let (cpu, memory) = cost(agent.id());
    println!(
        "{all} packets to {} dead addresses in {WATCHED:?}, processor {cpu:?}, memory {memory} KiB",
        counts.len()
    );
    for n in DEAD {
        let address = dead(n);
        let count = counts.get(&address).copied().unwrap_or_default();
        let most = match Kind::of(n) {
            Kind::Dropped => SILENT_PACKETS,
            Kind::Refused | Kind::Mute => ATTEMPTS,
        };
        assert!(
            (2..=most).contains(&count),
            "{count} packets to {address}, at most {most}"
        );
    }
}

/// What is wrong with a dead one.
enum Kind {
    /// Nothing comes back.
    Dropped,
    /// A reset comes back.
    Refused,
    /// It takes the connection and says nothing.
    Mute,
}

impl Kind {
    /// Each a third, in rows: rules of a firewall are about ranges.
    fn of(n: u16) -> Self {
        match (n - DEAD.start) / 100 {
            0 => Self::Dropped,
            1 => Self::Refused,
            _ => Self::Mute,
        }
    }
}

/// One of [`DEAD`].
fn dead(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfdaa, 0, 0x1da8, 0xa7b, 0xac2, 0, 0, n)
}

/// All dead addresses on one host.
fn bury(host: &Host) -> thread::JoinHandle<()> {
    let mut lines = String::new();
    for n in DEAD {
        writeln!(lines, "addr add {}/64 dev eth0 nodad", dead(n)).unwrap();
    }
    let file = host.dir().join("addresses");
    fs::write(&file, lines).unwrap();
    host.run("ip", &["-batch", file.to_str().unwrap()]).unwrap();
    let range = |from: u16, to: u16| format!("ip6 daddr {}-{}", dead(from), dead(to));
    let dropped = range(DEAD.start, DEAD.start + 99);
    let refused = range(DEAD.start + 100, DEAD.start + 199);
    host.firewall(&[
        &format!("{dropped} tcp dport 4369 drop"),
        &format!("{refused} tcp dport 4369 reject with tcp reset"),
    ])
    .unwrap();
    let listener: TcpListener = host.listen((Ipv6Addr::UNSPECIFIED, 4369)).unwrap();
    thread::spawn(move || {
        // Kept, and never read.
        let _streams: Vec<_> = listener.incoming().collect();
    })
}

/// Counts the first packets of connections to each address, from now on.
fn count(host: &Host) {
    let script = "add table inet watch\n\
        add set inet watch asked { type ipv6_addr; flags dynamic; size 1024; counter; }\n\
        add chain inet watch input { type filter hook input priority -10; }\n\
        add rule inet watch input tcp dport 4369 tcp flags & (syn | ack) == syn add @asked { ip6 daddr counter }\n";
    let file = host.dir().join("watch.nft");
    fs::write(&file, script).unwrap();
    host.run("nft", &["-f", file.to_str().unwrap()]).unwrap();
}

/// What was counted. nft prints `fdaa::1 counter packets 3 bytes 240, …`.
fn packets(host: &Host) -> BTreeMap<Ipv6Addr, u64> {
    let text = host.run("nft", &["list", "set", "inet", "watch", "asked"]);
    let text = text.unwrap();
    let elements = text.split("elements = {").nth(1).unwrap_or_default();
    let words = |element: &str| {
        let words: Vec<_> = element.split_whitespace().map(str::to_owned).collect();
        Some((words.first()?.parse().ok()?, words.get(3)?.parse().ok()?))
    };
    elements.split(',').filter_map(words).collect()
}

/// The name's addresses: our own, the five, and so many of the dead.
fn records(hosts: &[Host], dead_ones: usize) -> Vec<Record> {
    let live = hosts.iter().map(Host::fly6);
    let all = live.chain(DEAD.take(dead_ones).map(dead));
    all.map(|address| Record::address(NAME, address)).collect()
}

/// Processor time so far, and resident memory in KiB.
fn cost(pid: u32) -> (Duration, u64) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|field| field.parse::<u64>().unwrap()).sum();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let memory = line.unwrap().split_whitespace().next().unwrap();
    let hertz = rustix::param::clock_ticks_per_second();
    (
        Duration::from_millis(ticks * 1000 / hertz),
        memory.parse().unwrap(),
    )
}
