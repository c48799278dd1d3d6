//! `trunkline exec -- CMD…`: names the node, starts CMD in the environment that it needs, and is
//! the agent beside it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::timeout;
use trunkline_discovery::platform::{self, CookieSource, Env, FoundCookie, NameSource, Named};

use super::env::unnamed;
use crate::child::{Child, Ended, Passed, Program, Signals, StopSignal};
use crate::context::Context;
use crate::failure::Failure;
use crate::release::{Exports, Plan, ReleaseArgs, WhoArgs, exports_path, write_exports};
use crate::{beside, cookies, runtime};

/// What the agent may take of the time that a platform gives between its first signal and SIGKILL.
const OWN_PART: Duration = Duration::from_secs(2);

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
    let agent = beside::Agent::start(cx, &prepared.env)?;
    let child = Child::start(&program, &prepared.env)?;
    tracing::info!(
        "started {} as {} · pid {}",
        program.path.display(),
        prepared.node,
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
    node: trunkline_proto::NodeName,
    env: Env,
}

/// Names the node, puts what `env` prints and the cookie into CMD's environment, and leaves the
/// exports for other shells.
async fn prepare(args: &Args, program: &Program, cx: &Context) -> Result<Prepared, Failure> {
    let named = name(args, cx).await?;
    let mut env = cx.env.clone();
    if let (Some(release), None) = (&program.release, env.get("RELEASE_ROOT")) {
        // Where the release's own cookie is. Its script sets the same.
        env.set("RELEASE_ROOT", &release.root);
    }
    let cookie = cookies::find(&env, args.cookie_file.as_deref(), cx)?;
    let plan = Plan {
        env: &env,
        node: &named.node,
        named_by_flag: named.source == NameSource::Flag,
        cookie: cookie.as_ref(),
        args: &args.release,
    };
    let exports = plan.exports()?;
    leave_exports(&env, &exports);
    warn_of_env_sh(program, cookie.as_ref());
    exports.apply(&mut env);
    Ok(Prepared {
        node: named.node,
        env,
    })
}

async fn name(args: &Args, cx: &Context) -> Result<Named, Failure> {
    let options = args.who.name_options(args.release.force, cx)?;
    let named = platform::name(&cx.env, &options)
        .await
        .map_err(|error| unnamed(&error))?;
    tracing::info!("this node is {} · from {}", named.node, named.source);
    Ok(named)
}

/// For `bin/my_app remote` from another shell. CMD starts without it too.
fn leave_exports(env: &Env, exports: &Exports) {
    let path = exports_path(env);
    if let Err(error) = write_exports(&path, exports) {
        tracing::warn!(
            "the exports are not written: {error} · {} · set RELEASE_TMP to a folder of this user \
             (systemd: RuntimeDirectory=trunkline)",
            path.display()
        );
    }
}

fn warn_of_env_sh(program: &Program, cookie: Option<&FoundCookie>) {
    let Some(release) = &program.release else {
        return;
    };
    if let Some(path) = release.env_sh_without_us() {
        tracing::warn!(
            "remote and rpc of this release will not find the node from another shell · {} · add \
             this line: eval \"$(trunkline env)\"",
            path.display()
        );
    }
    // Set before us, it is the agent's as well.
    let from_environment = cookie.is_some_and(|found| found.source == CookieSource::Environment);
    if let Some(path) = release.env_sh_with_cookie().filter(|_| !from_environment) {
        tracing::warn!(
            "the release sets RELEASE_COOKIE itself, the agent may use another one · {} · set it \
             in the environment of trunkline exec instead",
            path.display()
        );
    }
}

/// Passes signals on until the child ends. Its links are its own while it drains: the agent only
/// stops dialling.
async fn accompany(
    child: &Child,
    signals: &mut Signals,
    agent: &beside::Agent,
    mut stop: StopSignal,
) -> Ended {
    loop {
        match stop.pass(signals.next().await) {
            Passed::Reap => {
                if let Some(ended) = child.reap() {
                    return ended;
                }
            }
            Passed::Stop(signal) => {
                child.signal(signal);
                agent.stop_dialling();
            }
            Passed::On(signal) => child.signal(signal),
            Passed::Nothing => {}
        }
    }
}
