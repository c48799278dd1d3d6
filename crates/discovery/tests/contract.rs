//! What every strategy keeps to. A new row in the table needs a stand-in here, a page in
//! `docs/strategies/`, and recorded replies where it reads somebody's format.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::future::Future;
use std::time::Duration;

use support::dns_server::{Answer, DnsServer};
use support::epmd::Mapper;
use support::http_server::{HttpServer, Reply, ok, status};
use support::{cx, fixture, hosts, start};
use toml::{Table, Value};
use trunkline_discovery::config::Field;
use trunkline_discovery::strategies::{self, COMMON, Strategy, TABLE, Topology};
use trunkline_discovery::{ConfigError, Env};
use trunkline_proto::NodeName;

const SECRET: &str = "sesame-0123456789";

/// What the other side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Good,
    Empty,
    Broken,
    Hung,
}

/// Options that lead to a stand-in, which lives as long as the second part.
type StandIn = (String, Box<dyn std::any::Any>);

/// `None`: the strategy cannot get there, because it asks nobody.
async fn stand_in(strategy: &str, mode: Mode) -> Option<StandIn> {
    match strategy {
        "digitalocean" => {
            let reply = match mode {
                Mode::Good => ok(fixture("digitalocean/droplets_tagged.json")),
                Mode::Empty => ok(fixture("digitalocean/empty.json")),
                Mode::Broken => status(500, &fixture("digitalocean/error_500.json")),
                Mode::Hung => Reply::Hang,
            };
            let server = HttpServer::start(move |_| reply.clone()).await;
            let url = server.url();
            let options =
                format!("token = '{SECRET}'\napi_url = '{url}'\nmetadata_url = '{url}'\n");
            Some((options, Box::new(server)))
        }
        "dns" => {
            let answer = match mode {
                Mode::Good => Answer::Records(vec!["10.0.0.1".parse().unwrap()]),
                Mode::Empty => Answer::Records(Vec::new()),
                Mode::Broken => Answer::Code(2),
                Mode::Hung => Answer::Silence,
            };
            let server = DnsServer::start(move |_, _| answer.clone()).await;
            let options = format!(
                "query = 'app.internal'\nresource_types = ['a']\nnameservers = ['{}']\n",
                server.address
            );
            Some((options, Box::new(server)))
        }
        "epmd" => (mode == Mode::Good)
            .then(|| ("hosts = ['app@10.0.0.1']\n".to_owned(), Box::new(()) as _)),
        "fly" => {
            let answer = match mode {
                Mode::Good => Answer::Records(vec!["fdaa::1".parse().unwrap()]),
                Mode::Empty => Answer::Records(Vec::new()),
                Mode::Broken => Answer::Code(2),
                Mode::Hung => Answer::Silence,
            };
            let server = DnsServer::start(move |_, _| answer.clone()).await;
            let options = format!("app = 'hello'\nnameservers = ['{}']\n", server.address);
            Some((options, Box::new(server)))
        }
        "erlang_hosts" => {
            port_mapper("10.0.0.1", mode);
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(&file, "'10.0.0.1'.\n").unwrap();
            let options = format!("path = '{}'\n", file.path().display());
            Some((options, Box::new(file)))
        }
        "local_epmd" => {
            port_mapper("127.0.0.1", mode);
            Some((String::new(), Box::new(())))
        }
        other => panic!("{other} has no stand-in: give it one"),
    }
}

/// The EPMD at this address.
fn port_mapper(ip: &str, mode: Mode) {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| ((*name).to_owned(), 9000))
            .collect()
    };
    let mapper = match mode {
        Mode::Good => Mapper::Lists(names(&["app", "web", "-tool", "rem-1a2b-app"])),
        Mode::Empty => Mapper::Lists(Vec::new()),
        Mode::Broken => Mapper::Babbles,
        Mode::Hung => Mapper::Hangs,
    };
    hosts().set(ip, mapper);
}

fn table(row: &Strategy, options: &str) -> Table {
    let mut table: Table = options
        .parse()
        .unwrap_or_else(|error| panic!("{}: {error}\n{options}", row.name));
    table.insert("strategy".into(), row.name.into());
    table
}

fn build(table: &Table) -> Result<Topology, ConfigError> {
    strategies::build("web", table, &cx())
}

/// Runs `test` with each row's stand-in in `mode`.
async fn each<F>(mode: Mode, test: impl Fn(&'static Strategy, String) -> F)
where
    F: Future<Output = ()>,
{
    for row in TABLE {
        if let Some((options, _server)) = stand_in(row.name, mode).await {
            test(row, format!("strategy = '{}'\n{options}", row.name)).await;
        }
    }
}

fn fields(row: &Strategy) -> impl Iterator<Item = &Field> {
    row.fields.iter().chain(COMMON)
}

#[test]
fn names_are_found_by_row_and_module() {
    for row in TABLE {
        for name in row.modules.iter().chain([&row.name]) {
            let found = strategies::find(name).map(|found| found.name);
            assert_eq!(found, Some(row.name), "{name}");
        }
    }
    for (strategy, cure) in [
        ("\"digitalocaen\"", "did you mean \"digitalocean\"?"),
        (
            "\"zookeeper\"",
            "one of \"digitalocean\", \"dns\", \"epmd\", \"erlang_hosts\", \"fly\", \"local_epmd\"",
        ),
        (
            "7",
            "one of \"digitalocean\", \"dns\", \"epmd\", \"erlang_hosts\", \"fly\", \"local_epmd\"",
        ),
    ] {
        let table = format!("strategy = {strategy}\n").parse().unwrap();
        let error = strategies::build("web", &table, &cx()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("topologies.web: strategy = {strategy} is not allowed")
        );
        assert!(error.cure().contains(cure), "{}", error.cure());
    }
    let missing = strategies::build("web", &Table::new(), &cx()).unwrap_err();
    assert_eq!(missing.to_string(), "topologies.web: strategy is missing");
}

#[test]
fn examples_build_and_defaults_are_what_they_say() {
    for row in TABLE {
        let plain =
            build(&table(row, row.example)).unwrap_or_else(|error| panic!("{}: {error}", row.name));
        for field in fields(row) {
            let Some(default) = field.default else {
                continue;
            };
            let mut explicit = table(row, row.example);
            let value: Table = format!("value = {default}").parse().unwrap();
            if explicit
                .insert(field.name.into(), value["value"].clone())
                .is_some()
            {
                continue;
            }
            let explicit = build(&explicit).unwrap_or_else(|error| panic!("{}: {error}", row.name));
            assert_eq!(
                normal(&format!("{plain:?}")),
                normal(&format!("{explicit:?}")),
                "{}.{}",
                row.name,
                field.name
            );
        }
        let ids: Vec<_> = plain.sources.iter().map(|source| &source.id.0).collect();
        assert!(ids.iter().all(|id| id.starts_with("web/")), "{ids:?}");
    }
}

/// Debug output without what differs between two clients (pointers, random seeds).
fn normal(debug: &str) -> String {
    debug
        .split(", ")
        .filter(|part| !part.contains("0x"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    for row in TABLE {
        for field in fields(row) {
            let mut options = table(row, row.example);
            let misspelt = format!("{}s", field.name.replace('_', "-"));
            options.insert(misspelt.clone(), "x".into());
            let error = build(&options).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("topologies.web: unknown key {misspelt}")
            );
            assert_eq!(error.cure(), format!("did you mean {}?", field.name));
        }
    }
}

#[test]
fn wrong_values_name_key_value_and_what_is_allowed() {
    for row in TABLE {
        for field in fields(row) {
            let mut options = table(row, row.example);
            options.insert(
                field.name.into(),
                Value::Array(vec![Value::Array(Vec::new())]),
            );
            let error = build(&options).expect_err(field.name);
            assert_eq!(error.key.as_deref(), Some(field.name), "{error}");
            let shown = if field.secret { "(hidden)" } else { "[[]]" };
            assert!(
                error
                    .to_string()
                    .contains(&format!("{} = {shown}", field.name)),
                "{error}"
            );
            assert!(
                error.cure().contains(field.allowed),
                "{error}: {}",
                error.cure()
            );
        }
    }
}

#[test]
fn what_is_not_enabled_is_off_and_needs_nothing_but_keys_that_exist() {
    for row in TABLE {
        let off = build(&table(row, "enabled = false")).expect(row.name);
        assert_eq!(off.off.as_deref(), Some("enabled is false"), "{}", row.name);
        assert!(off.sources.is_empty(), "{}", row.name);
        let misspelt = table(row, "enabled = false\nenabeld = true");
        assert!(build(&misspelt).is_err(), "{}", row.name);
    }
}

#[test]
fn required_keys_are_asked_for() {
    for row in TABLE {
        for field in fields(row).filter(|field| field.required) {
            let mut options = table(row, row.example);
            options
                .remove(field.name)
                .expect("the example has what is required");
            let error = build(&options).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("topologies.web: {} is missing", field.name)
            );
        }
    }
}

#[tokio::test]
async fn secrets_are_nowhere() {
    each(Mode::Broken, async |row, options| {
        let topology = support::build(&options).unwrap();
        assert!(!format!("{topology:?}").contains(SECRET), "{}", row.name);
        let report = start(&options, Some("app@10.0.0.9")).next().await;
        assert!(!format!("{report:?} {}", support::line(&report)).contains(SECRET));
    })
    .await;
    let env = Env::from_iter([("TOKEN", SECRET)]);
    assert!(!format!("{:?}", strategies_cx(env)).contains(SECRET));
}

fn strategies_cx(env: Env) -> trunkline_discovery::config::BuildCx {
    trunkline_discovery::config::BuildCx::new(env)
}

#[tokio::test]
async fn a_good_answer_holds_canonical_names_and_addresses() {
    each(Mode::Good, async |row, options| {
        let answer = start(&options, Some("app@10.0.0.9"))
            .next()
            .await
            .answer
            .unwrap();
        assert!(!answer.peers.is_empty(), "{}", row.name);
        for peer in &answer.peers {
            assert_eq!(peer.node, peer.node.canonical(), "{}", row.name);
            assert_eq!(peer.address, peer.node.ip(), "{}", row.name);
            // A fixed list holds the own node whether it was written into it or not.
            let own = peer.node.as_str() == "app@10.0.0.9";
            assert_eq!(peer.is_self, own, "{}", row.name);
        }
    })
    .await;
}

#[tokio::test]
async fn self_is_recognised() {
    each(Mode::Good, async |row, options| {
        let found = start(&options, Some("app@10.0.0.9"))
            .next()
            .await
            .answer
            .unwrap();
        let first: &NodeName = &found.peers[0].node;
        let again = start(&options, Some(first.as_str()))
            .next()
            .await
            .answer
            .unwrap();
        let selves: Vec<_> = again.peers.iter().filter(|peer| peer.is_self).collect();
        assert_eq!(selves.len(), 1, "{}", row.name);
        assert_eq!(&selves[0].node, first, "{}", row.name);
    })
    .await;
}

#[tokio::test]
async fn an_error_is_no_empty_answer_and_has_a_cure() {
    each(Mode::Broken, async |row, options| {
        let report = start(&options, Some("app@10.0.0.9")).next().await;
        let error = report.answer.expect_err(row.name);
        assert!(
            !error.to_string().is_empty() && !error.cure().is_empty(),
            "{}",
            row.name
        );
        assert!(
            !format!("{error}{}", error.cure()).contains('\n'),
            "{}",
            row.name
        );
    })
    .await;
}

#[tokio::test]
async fn an_empty_answer_is_an_answer() {
    each(Mode::Empty, async |row, options| {
        let answer = start(&options, Some("app@10.0.0.9")).next().await.answer;
        assert_eq!(answer.expect(row.name).peers, []);
    })
    .await;
}

#[tokio::test]
async fn who_does_not_answer_times_out() {
    each(Mode::Hung, async |row, options| {
        let cx = support::hasty(cx());
        let mut running = support::start_with(&options, Some("app@10.0.0.9"), &cx);
        let report = running.next().await;
        report.answer.expect_err(row.name);
    })
    .await;
}

#[tokio::test]
async fn a_source_ends_when_it_is_told_to() {
    for mode in [Mode::Good, Mode::Hung] {
        each(mode, async |row, options| {
            let mut running = start(&options, Some("app@10.0.0.9"));
            if mode == Mode::Good {
                running.next().await;
            }
            for handle in running.handles.drain(..) {
                handle.stop(Duration::from_secs(5)).await;
            }
            let rest = async { while running.reports.recv().await.is_some() {} };
            let ended = tokio::time::timeout(support::DEADLINE, rest).await;
            ended.unwrap_or_else(|_| panic!("{} still runs", row.name));
        })
        .await;
    }
}

#[test]
fn every_option_has_a_default_or_an_example() {
    for row in TABLE {
        for field in fields(row) {
            let shown = field.default.or(field.example);
            let shown = shown.unwrap_or_else(|| panic!("{}: {}", row.name, field.name));
            let line = format!("{} = {shown}", field.name);
            assert!(line.parse::<Table>().is_ok(), "{}: {line}", row.name);
        }
    }
}

#[test]
fn every_strategy_has_a_page_that_names_every_option() {
    for row in TABLE {
        let path = format!(
            "{}/../../docs/strategies/{}.md",
            env!("CARGO_MANIFEST_DIR"),
            row.name
        );
        let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        for field in fields(row) {
            let line = page
                .lines()
                .find(|line| line.starts_with(&format!("| `{}` |", field.name)));
            let line = line.unwrap_or_else(|| panic!("{path} has no row for {}", field.name));
            if let Some(default) = field.default {
                assert!(
                    line.contains(&format!("`{default}`")),
                    "{path}: {line}\nhas not {default}"
                );
            }
        }
        let list = format!(
            "{}/../../docs/strategies/README.md",
            env!("CARGO_MANIFEST_DIR")
        );
        let list = std::fs::read_to_string(&list).unwrap_or_else(|error| panic!("{list}: {error}"));
        let link = format!("| [`{0}`]({0}.md) | {1} |", row.name, row.summary);
        assert!(
            list.contains(&link),
            "docs/strategies/README.md has no row {link}"
        );
        for module in row.modules {
            assert!(page.contains(module), "{path} does not name {module}");
        }
    }
}

#[test]
fn examples_on_the_pages_build() {
    for row in TABLE {
        let path = format!(
            "{}/../../docs/strategies/{}.md",
            env!("CARGO_MANIFEST_DIR"),
            row.name
        );
        let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let blocks: Vec<_> = page.split("```toml\n").skip(1).collect();
        assert!(!blocks.is_empty(), "{path} has no example");
        for block in blocks {
            let text = block.split("```").next().unwrap();
            let file: Table = text
                .parse()
                .unwrap_or_else(|e| panic!("{path}: {e}\n{text}"));
            let topologies = file["topologies"].as_table().expect("topologies");
            for (name, options) in topologies {
                let options = options.as_table().expect("a table");
                let on_fly = Env::from_iter([("FLY_APP_NAME", "hello-elixir")]);
                let cx = trunkline_discovery::config::BuildCx {
                    env: on_fly,
                    ..cx()
                };
                if let Err(error) = strategies::build(name, options, &cx) {
                    // A variable of the example is not set here.
                    assert!(error.is_elsewhere(), "{path}: {error} · {}", error.cure());
                }
            }
        }
    }
}
