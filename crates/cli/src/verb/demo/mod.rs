//! `trunkline demo`: N nodes on this host find each other, one is killed and comes back.

mod authority;
mod fleet;
mod mesh;
pub(crate) mod node;
mod orders;

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use self::authority::QUERY;
use self::fleet::Fleet;
use self::mesh::{Edges, Index, Mesh};
use self::orders::Report;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, JsonFlag};
use crate::runtime::block_on;

/// More is a matter of seconds even on a slow machine; a mesh that is not whole by then has a fault.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many nodes
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u8).range(2..=50))]
    nodes: u8,
    /// End as soon as the mesh is whole
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    output: JsonFlag,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    nodes: Vec<NodeLine<'a>>,
    #[serde(flatten)]
    edges: Edges,
    /// Handshakes that succeeded, since the beginning.
    handshakes: usize,
    /// Milliseconds since the first node was started, or since the event before.
    ms: u64,
}

#[derive(Serialize)]
struct NodeLine<'a> {
    node: &'a str,
    /// Null while it is dead.
    pid: Option<u32>,
}

pub(crate) fn run(args: Args, cx: &Context) -> Result<ExitCode, Failure> {
    let log_level = cx.log_level().unwrap_or("error").to_owned();
    block_on(async {
        let mut demo = Demo::set_up(&args, log_level).await?;
        let shown = demo.show(args.once);
        let interrupted = tokio::signal::ctrl_c();
        let result = tokio::select! {
            result = shown => result,
            _ = interrupted, if !args.once => Ok(()),
        };
        demo.fleet.end().await;
        result.map(|()| ExitCode::SUCCESS)
    })
}

struct Demo {
    fleet: Fleet,
    mesh: Mesh,
    names: Vec<String>,
    json: bool,
    begun: Instant,
    /// The event before.
    since: Instant,
}

impl Demo {
    async fn set_up(args: &Args, log_level: String) -> Result<Self, Failure> {
        let fleet = Fleet::new(args.nodes, log_level).await?;
        let names = fleet.names();
        let now = Instant::now();
        Ok(Self {
            mesh: Mesh::new(names.clone()),
            fleet,
            names,
            json: args.output.json,
            begun: now,
            since: now,
        })
    }

    async fn show(&mut self, once: bool) -> Result<(), Failure> {
        self.say(&format!(
            "{} nodes, each a process of its own, with a random cookie. They know one name, {QUERY}, \
             and who answers for it: {}. Port mappers: port {}.",
            self.names.len(),
            self.fleet.nameserver(),
            self.fleet.epmd_port()
        ))?;
        for index in 0..self.names.len() {
            self.fleet.start(index).await?;
        }
        self.until("the mesh is whole", Mesh::is_whole).await?;
        self.milestone("mesh")?;
        if once {
            return Ok(());
        }
        let last = self.names.len() - 1;
        self.kill(last).await?;
        self.fleet.start(last).await?;
        self.until("the mesh is whole again", Mesh::is_whole)
            .await?;
        self.milestone("returned")?;
        self.say("It stays like this until Ctrl-C.")?;
        loop {
            self.step().await?;
        }
    }

    async fn kill(&mut self, index: Index) -> Result<(), Failure> {
        let pid = self.fleet.pid(index).unwrap_or_default();
        self.say(&format!("kill -9 {pid}, which is {}", self.name(index)))?;
        self.fleet.kill(index).await;
        self.mesh.died(index);
        self.until("the others have noticed", |mesh| !mesh.seen(index))
            .await?;
        self.milestone("killed")
    }

    /// Listens to the nodes until `done`.
    async fn until(&mut self, what: &str, done: impl Fn(&Mesh) -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + LIMIT;
        while !done(&self.mesh) {
            if let Ok(result) = timeout_at(deadline, self.step()).await {
                result?;
                continue;
            }
            let missing = self.mesh.edges().missing;
            let missing: Vec<_> = missing
                .iter()
                .map(|(a, b)| format!("{a} and {b}"))
                .collect();
            return Err(Failure::operation(
                format!(
                    "not after {LIMIT:?}: {what}; not connected: {}",
                    missing.join(", ")
                ),
                "demo",
                "run it with --log-level info and see what the nodes say",
            ));
        }
        self.say(what)
    }

    /// One report of one node.
    async fn step(&mut self) -> Result<(), Failure> {
        let (index, report) = self.fleet.next().await;
        let name = self.name(index).to_owned();
        match report {
            Some(Report::Ready) => {
                let pid = self.fleet.pid(index).unwrap_or_default();
                self.say(&format!("{name} is up, process {pid}"))
            }
            Some(Report::Up { peer }) => match self.mesh.index(&peer) {
                Some(other) if self.mesh.up(index, other) => {
                    self.say(&format!("{name} and {peer} are connected"))
                }
                _ => Ok(()),
            },
            Some(Report::Down { peer, why }) => {
                if let Some(other) = self.mesh.index(&peer) {
                    self.mesh.down(index, other);
                }
                self.say(&format!("{name} lost {peer}: {why}"))
            }
            Some(Report::Failed { why }) => Err(Failure::operation(why, name, "see above")),
            None => Err(Failure::operation(
                "a node ended by itself",
                name,
                "run the demo with --log-level info and see what it says",
            )),
        }
    }

    /// Something to look at.
    fn milestone(&mut self, event: &'static str) -> Result<(), Failure> {
        let ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since = Instant::now();
        if !self.json {
            let handshakes = match self.mesh.handshakes() {
                1 => "1 handshake".to_owned(),
                n => format!("{n} handshakes"),
            };
            return output::text(&format!(
                "\n{}\n{ms} ms, {handshakes} so far\n\n",
                self.mesh.matrix()
            ));
        }
        let nodes = self.names.iter().enumerate();
        output::json(&Line {
            event,
            nodes: nodes
                .map(|(index, node)| NodeLine {
                    node,
                    pid: self.fleet.pid(index),
                })
                .collect(),
            edges: self.mesh.edges(),
            handshakes: self.mesh.handshakes(),
            ms,
        })
    }

    /// Progress, for people.
    fn say(&self, what: &str) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        let seconds = self.begun.elapsed().as_secs_f64();
        output::text(&format!("{seconds:7.3} s  {what}\n"))
    }

    fn name(&self, index: Index) -> &str {
        self.names.get(index).map_or("", String::as_str)
    }
}
