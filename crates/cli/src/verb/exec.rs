//! `trunkline exec -- CMD…`: names the node, starts CMD in the environment that it needs, and is
//! the agent beside it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::timeout;
use trunkline_agent::Agent;
use trunkline_discovery::platform::{self, CookieSource, Env, FoundCookie, NameSource, Named};

use super::env::unnamed;
use crate::child::{Again, Child, Ended, Passed, Program, Signals, StopSignal};
use crate::context::Context;
use crate::failure::Failure;
use crate::release::{
    Exports, Plan, ReleaseArgs, Tool, WhoArgs, exports_path, refuse_other_name, write_exports,
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
    leave_exports(&env, &exports);
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
        warn_of_own_cookie(program, &cookie, &env);
    }
    warn_of_env_sh(program, &cookie);
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

/// `erl` has its cookie from a file of its own, or from its arguments.
fn warn_of_own_cookie(program: &Program, cookie: &FoundCookie, env: &Env) {
    let by_flag = |word: &OsString| word == "-setcookie" || word == "--cookie";
    let home = ["HOME", "XDG_CONFIG_HOME"];
    let home: Env = home
        .into_iter()
        .filter_map(|name| Some((name, env.get(name)?)))
        .collect();
    let own = platform::cookie(&home, None, None).ok().flatten();
    let same = own.is_some_and(|own| own.secret_cookie == cookie.secret_cookie);
    if !same && !program.argv.iter().any(by_flag) {
        tracing::warn!(
            "erl will not use the cookie of {}, it reads its own file · $HOME/.erlang.cookie · \
             write the same one there, with mode 0400",
            cookie.source
        );
    }
}

fn warn_of_env_sh(program: &Program, cookie: &FoundCookie) {
    let Some(release) = &program.release else {
        return;
    };
    if let Some(path) = release.env_sh_with_name() {
        tracing::warn!(
            "the release sets RELEASE_NODE itself, the agent serves only the name that it gave · {} \
             · replace that line: eval \"$(trunkline env)\"",
            path.display()
        );
    } else if let Some(path) = release.env_sh_without_us() {
        tracing::warn!(
            "remote and rpc of this release will not find the node from another shell · {} · add \
             this line: eval \"$(trunkline env)\"",
            path.display()
        );
    }
    // Set before us, it is the agent's as well.
    let from_environment = cookie.source == CookieSource::Environment;
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
