//! `trunkline discover`: one look through every topology, or with `--watch` all that changes.

mod watch;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;
use trunkline_agent::AgentConfig;
use trunkline_agent::identity::{Identity, build_cx};
use trunkline_agent::look::{Look, LookedAt, look};
use trunkline_discovery::Env;
use trunkline_discovery::health::Verdict;
use trunkline_proto::NodeName;

use crate::context::Context;
use crate::failure::Failure;
use crate::flags::duration;
use crate::output::{self, JsonFlag, SyntaxFlag};
use crate::runtime::block_on;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long to wait for the answers: 5s, 500ms
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// Stay, and print a line for each change, until SIGINT or SIGTERM
    #[arg(long, conflicts_with = "timeout")]
    watch: bool,
    #[command(flatten)]
    output: JsonFlag,
    #[command(flatten)]
    syntax: SyntaxFlag,
}

/// On a laptop no metadata service answers, and nobody waits for it.
const WHO_AM_I: Duration = Duration::from_secs(2);

pub(crate) fn run(args: Args, cx: &Context) -> Result<ExitCode, Failure> {
    let config = AgentConfig::load(cx.config_file()?, &cx.env)?;
    let topologies = config.build(&build_cx(&cx.env)?)?;
    block_on(async {
        if args.watch {
            return watch::run(topologies, &config, &cx.env, args.output, args.syntax).await;
        }
        let me = who_am_i(&config, &cx.env).await;
        let looks = look(topologies, me, args.timeout).await;
        if args.output.json {
            output::json(&Out::new(&looks))?;
        } else {
            let texts = looks.iter().map(|look| text(look, args.syntax));
            output::text(&texts.collect::<String>())?;
        }
        verdict(&looks)
    })
}

/// The own node's name. Only some strategies want it, and they say so when it is missing.
async fn who_am_i(config: &AgentConfig, env: &Env) -> Option<NodeName> {
    match timeout(WHO_AM_I, Identity::find(config, env)).await {
        Ok(Ok(found)) => found.map(|identity| identity.node),
        Ok(Err(error)) => {
            tracing::info!("the own node has no name here: {error}");
            None
        }
        Err(_) => None,
    }
}

/// One line on stderr for the first source that does not know.
fn verdict(looks: &[Look]) -> Result<ExitCode, Failure> {
    let mut errors = looks.iter().flat_map(|look| &look.errors);
    let Some((source, error)) = errors.next() else {
        return output::done();
    };
    let more = match errors.count() {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    let what = format!("{error}{more}");
    Err(Failure::operation(what, source.to_string(), error.cure()))
}

/// What `--json` prints.
#[derive(Serialize)]
struct Out<'a> {
    topologies: Vec<TopologyOut<'a>>,
}

#[derive(Serialize)]
struct TopologyOut<'a> {
    name: &'a str,
    strategy: &'a str,
    /// Why nobody is asked, when the configuration switches it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    off: Option<&'a str>,
    error: Option<String>,
    peers: Vec<PeerOut<'a>>,
    /// What was passed over, and why.
    notes: &'a [String],
}

#[derive(Serialize)]
struct PeerOut<'a> {
    node: &'a str,
    address: Option<String>,
    port: Option<u16>,
    health: &'static str,
    reason: Option<ReasonOut<'a>>,
    labels: &'a BTreeMap<String, String>,
    /// Whether it is the node of this host.
    #[serde(rename = "self")]
    is_self: bool,
}

#[derive(Serialize)]
struct ReasonOut<'a> {
    code: &'static str,
    text: &'a str,
}

impl<'a> Out<'a> {
    fn new(looks: &'a [Look]) -> Self {
        let topologies = looks.iter().map(|look| TopologyOut {
            name: &look.topology,
            strategy: look.strategy,
            off: look.off.as_deref(),
            error: joined_errors(look),
            peers: look.peers.iter().map(PeerOut::new).collect(),
            notes: &look.notes,
        });
        Self {
            topologies: topologies.collect(),
        }
    }
}

impl<'a> PeerOut<'a> {
    fn new(looked_at: &'a LookedAt) -> Self {
        let LookedAt { peer, health } = looked_at;
        let address = peer.address.or_else(|| peer.node.ip());
        Self {
            node: peer.node.as_str(),
            address: address.map(|ip| ip.to_string()),
            port: peer.port,
            health: word(health.as_ref()),
            reason: ReasonOut::new(health.as_ref()),
            labels: &peer.labels,
            is_self: peer.is_self,
        }
    }
}

impl<'a> ReasonOut<'a> {
    fn new(health: Option<&'a Verdict>) -> Option<Self> {
        match health {
            Some(Verdict::Fail(text)) => Some(Self {
                code: "port_unreachable",
                text,
            }),
            _ => None,
        }
    }
}

const fn word(health: Option<&Verdict>) -> &'static str {
    match health {
        None => "unchecked",
        Some(Verdict::Pass) => "passing",
        Some(Verdict::Fail(_)) => "failing",
    }
}

fn joined_errors(look: &Look) -> Option<String> {
    let texts: Vec<_> = look
        .errors
        .iter()
        .map(|(_, error)| error.to_string())
        .collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// For people: a line for the topology, one for each peer.
fn text(look: &Look, syntax: SyntaxFlag) -> String {
    let mut out = format!("{} ({}): ", look.topology, look.strategy);
    match (&look.off, look.peers.len()) {
        (Some(why), _) => write!(out, "off, {why}"),
        (None, 0) if !look.errors.is_empty() => write!(out, "not known"),
        (None, 1) => write!(out, "1 node"),
        (None, n) => write!(out, "{n} nodes"),
    }
    .expect("a String takes everything");
    out.push('\n');
    for LookedAt { peer, health } in &look.peers {
        out.push_str("  ");
        out.push_str(&syntax.node(peer.node.as_str()));
        if peer.is_self {
            out.push_str("  (this node)");
        }
        out.push_str(&shown(&peer.labels));
        match health {
            None => {}
            Some(Verdict::Pass) => out.push_str("  passing"),
            Some(Verdict::Fail(why)) => {
                out.push_str("  failing: ");
                out.push_str(why);
            }
        }
        out.push('\n');
    }
    for (source, error) in &look.errors {
        writeln!(out, "  error: {error} · {source} · {}", error.cure())
            .expect("a String takes everything");
    }
    for note in &look.notes {
        writeln!(out, "  note: {note}").expect("a String takes everything");
    }
    out
}

/// `  region=nyc3 tags.role=web`, by name; nothing when there are none. What others wrote is quoted
/// where it could be taken for something else, or do something to a terminal.
fn shown(labels: &BTreeMap<String, String>) -> String {
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_graphic() && !"\"=".contains(c))
    };
    let word = |text: &str| {
        if plain(text) {
            text.to_owned()
        } else {
            format!("{text:?}")
        }
    };
    let all = labels.iter();
    let all: Vec<_> = all
        .map(|(key, value)| format!("{}={}", word(key), word(value)))
        .collect();
    if all.is_empty() {
        String::new()
    } else {
        format!("  {}", all.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_cannot_be_taken_for_something_else() {
        let all = [
            ("name", "web 1\u{1b}[31m"),
            ("region", "fra1"),
            ("tags.a=b", ""),
            ("x", "a\"b"),
        ];
        let all = all.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(
            shown(&BTreeMap::from(all)),
            "  name=\"web 1\\u{1b}[31m\" region=fra1 \"tags.a=b\"=\"\" x=\"a\\\"b\""
        );
        assert_eq!(shown(&BTreeMap::new()), "");
    }
}
