//! `trunkline exec -- CMD…`: names the node, starts CMD in the environment that it needs, and is
//! the agent beside it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::timeout;
use trunkline_agent::Agent;
use trunkline_discovery::platform::{self, Env, FoundCookie, NameSource, Named};
use trunkline_proto::NodeName;

use super::env::unnamed;
use crate::child::{Again, Child, Ended, Passed, Program, Signals, StopSignal};
use crate::context::Context;
use crate::failure::Failure;
use crate::release::{
    Exports, ExportsFile, Plan, ReleaseArgs, Tool, WhoArgs, doubts, refuse_other_name,
};
use crate::{beside, cookies, runtime};

/// What the agent's end may take of the time that a platform gives between its first signal and SIGKILL:
/// of the two seconds that are promised, a quarter is for the start of the end and for the process's exit.
const OWN_PART: Duration = Duration::from_millis(1500);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    who: WhoArgs,
    #[command(flatten)]
    release: ReleaseArgs,
    /// The file that holds the cookie [default: RELEASE_COOKIE, else the release's, else the user's]
    #[arg(long, value_name = "FILE")]
    cookie_file: Option<PathBuf>,
    /// What CMD gets for the first SIGTERM or SIGINT [default: TERM]
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<StopSignal>,
    /// The program and its arguments, like bin/my_app start
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(crate) fn run(args: Args, cx: &Context) -> Result<ExitCode, Failure> {
    let program = Program::find(args.command.clone(), &cx.env)?;
    program.refuse_daemon()?;
    runtime::block_on(serve(&args, program, cx))
}

async fn serve(args: &Args, program: Program, cx: &Context) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen()?;
    let prepared = tokio::select! {
        prepared = prepare(args, &program, cx) => prepared?,
        signal = signals.stop() => {
            let number = u8::try_from(signal.as_raw()).unwrap_or_default();
            return Ok(Ended::Killed(number).exit_code());
        }
    };
    let Prepared {
        named,
        cookie,
        exports,
        env,
    } = prepared;
    let agent = beside::start(cx, &named, cookie, &env).await?;
    // Not before: were the agent refused, the file would be another one's.
    leave_exports(&named.node, &env, &exports);
    let child = Child::start(&program, &env)?;
    tracing::info!(
        "started {} as {} · pid {}",
        program.path.display(),
        named.node,
        child.pid()
    );
    let ended = accompany(
        &child,
        &mut signals,
        &agent,
        args.stop_signal.unwrap_or_default(),
    )
    .await;
    if timeout(OWN_PART, agent.shutdown()).await.is_err() {
        tracing::warn!("the agent did not end in time · exec · nothing, its links end with it");
    }
    Ok(ended.exit_code())
}

/// What CMD starts with.
struct Prepared {
    named: Named,
    cookie: FoundCookie,
    exports: Exports,
    env: Env,
}

/// Names the node, and puts what `env` prints and the cookie into CMD's environment.
async fn prepare(args: &Args, program: &Program, cx: &Context) -> Result<Prepared, Failure> {
    let named = name(args, cx).await?;
    let mut env = cx.env.clone();
    refuse_other_name(&program.argv, &env, &named.node)?;
    if let (Some(release), None) = (&program.release, env.get("RELEASE_ROOT")) {
        // Where the release's own cookie is. Its script sets the same.
        env.set("RELEASE_ROOT", &release.root);
    }
    let cookie = cookies::look(&env, args.cookie_file.as_deref(), cx)?.ok_or_else(cookies::none)?;
    let plan = Plan {
        env: &env,
        node: &named.node,
        named_by_flag: named.source == NameSource::Flag,
        platform: args.who.platform(&env),
        // Bare erl takes none from its environment.
        cookie: (args.release.tool != Tool::Erl).then_some(&cookie),
        args: &args.release,
    };
    let exports = plan.exports()?;
    if args.release.tool == Tool::Erl {
        doubts::own_cookie(program, &cookie, &env);
    }
    if let Some(release) = &program.release {
        doubts::env_sh(release, &named.node, &cookie, &env);
        doubts::vm_args(release, &named.node);
    }
    exports.apply(&mut env);
    Ok(Prepared {
        named,
        cookie,
        exports,
        env,
    })
}

async fn name(args: &Args, cx: &Context) -> Result<Named, Failure> {
    let options = args.who.name_options(args.release.force, cx)?;
    platform::name(&cx.env, &options)
        .await
        .map_err(|error| unnamed(&error))
}

/// For `bin/my_app remote` from another shell. CMD starts without it too.
fn leave_exports(node: &NodeName, env: &Env, exports: &Exports) {
    let file = ExportsFile::of(node, env);
    let path = file.path.display();
    if let Err(error) = file.write(node, exports) {
        tracing::warn!(
            "the exports are not written: {error} · {path} · set RELEASE_TMP to a folder of this user \
             (systemd: RuntimeDirectory=trunkline)"
        );
    } else if let Some(other) = &file.other {
        tracing::warn!(
            "the exports of {other} stay where other shells look first, those of {node} are beside \
             them · {path} · source that file, or give each node a RELEASE_TMP of its own"
        );
    }
}

/// Passes signals on until the child ends. Its links are its own while it drains: the agent only
/// stops dialling.
async fn accompany(
    child: &Child,
    signals: &mut Signals,
    agent: &Agent,
    mut stop: StopSignal,
) -> Ended {
    let mut again = Again::new();
    let mut up = pin!(beside::up(agent));
    loop {
        let passed = tokio::select! {
            biased;
            signal = signals.next() => stop.pass(signal),
            () = &mut up, if again.waits_for_node() => {
                again.up(child);
                continue;
            }
            () = again.blind() => {
                again.blindly(child);
                continue;
            }
        };
        match passed {
            Passed::Reap => {
                if let Some(ended) = child.reap() {
                    return ended;
                }
            }
            Passed::Stop(signal) => {
                child.signal(signal);
                again.asked(signal);
                agent.stop_dialling();
            }
            Passed::On(signal) => child.signal(signal),
            Passed::Nothing => {}
        }
    }
}
