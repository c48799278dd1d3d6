//! `trunkline env`: what a release needs in its environment.

use std::path::PathBuf;
use std::process::ExitCode;

use trunkline_discovery::platform::{self, NameSource, PlatformError};

use crate::context::Context;
use crate::failure::Failure;
use crate::release::{Format, GUARD, Plan, ReleaseArgs, WhoArgs, image};
use crate::{cookies, output, runtime};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    who: WhoArgs,
    #[command(flatten)]
    release: ReleaseArgs,
    /// Print RELEASE_COOKIE too
    #[arg(long)]
    with_cookie: bool,
    /// The file that holds the cookie [default: RELEASE_COOKIE, else the release's, else the user's]
    #[arg(long, value_name = "FILE", requires = "with_cookie")]
    cookie_file: Option<PathBuf>,
    /// How to print
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Sh)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// Prints the variables. In the `sh` format a failure prints what stops the shell that evaluates
/// it, beside the line on stderr.
pub(crate) fn run(args: Args, cx: &Context) -> Result<ExitCode, Failure> {
    match print(&args, args.format(), cx) {
        Ok(text) => output::bytes(&text)?,
        Err(failure) => {
            args.stop_shell()?;
            return Err(failure);
        }
    }
    output::done()
}

impl Args {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    /// Whoever has an image can read what is written into it.
    fn refuse_cookie(&self) -> Result<(), Failure> {
        if !self.with_cookie {
            return Ok(());
        }
        Err(Failure::usage(
            "an image is no place for a cookie: whoever has the image reads it",
            "--with-cookie",
            "set RELEASE_COOKIE where the image runs (on Fly: fly secrets set)",
        ))
    }

    /// Prints, in the `sh` format, what stops the shell that evaluates it.
    pub(super) fn stop_shell(&self) -> Result<(), Failure> {
        match self.format() {
            Format::Sh => output::text(GUARD),
            _ => Ok(()),
        }
    }
}

fn print(args: &Args, format: Format, cx: &Context) -> Result<Vec<u8>, Failure> {
    if format == Format::Dockerfile {
        let platform = args.who.platform(&cx.env);
        let image = image::exports(platform, args.who.name.as_ref(), &args.release);
        return format.render(&args.refuse_cookie().and(image)?);
    }
    let options = args.who.name_options(args.release.force, cx)?;
    let named = runtime::block_on(async {
        platform::name(&cx.env, &options)
            .await
            .map_err(|error| unnamed(&error))
    })?;
    let cookie = if args.with_cookie {
        let found = cookies::find(&cx.env, args.cookie_file.as_deref(), cx)?;
        Some(found.ok_or_else(cookies::none)?)
    } else {
        None
    };
    let plan = Plan {
        env: &cx.env,
        node: &named.node,
        named_by_flag: named.source == NameSource::Flag,
        platform: args.who.platform(&cx.env),
        cookie: cookie.as_ref(),
        args: &args.release,
    };
    format.render(&plan.exports()?)
}

/// The line for a node without a name.
pub(crate) fn unnamed(error: &PlatformError) -> Failure {
    let parts = (error.to_string(), error.place(), error.cure());
    if error.is_usage() {
        Failure::usage(parts.0, parts.1, parts.2)
    } else {
        Failure::operation(parts.0, parts.1, parts.2)
    }
}
