//! `trunkline man [--dir DIR]`, from the definitions of the verbs themselves.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use crate::failure::Failure;
use crate::{Cli, output};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write trunkline.1 and one page per verb into this folder, which is made when it is missing
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut command = Cli::command();
    command.build();
    match &args.dir {
        None => output::bytes(
            &page(&command, "trunkline").map_err(|error| not_written(&error, "stdout"))?,
        )?,
        Some(dir) => {
            let place = dir.display().to_string();
            write_all(&command, dir).map_err(|error| not_written(&error, &place))?;
        }
    }
    output::done()
}

fn not_written(error: &io::Error, place: &str) -> Failure {
    let what = format!("the pages are not written: {error}");
    Failure::operation(what, place, "name a folder that this user can write")
}

fn write_all(command: &Command, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let mut pages = vec![(command.clone(), "trunkline".to_owned())];
    while let Some((command, name)) = pages.pop() {
        fs::write(dir.join(format!("{name}.1")), page(&command, &name)?)?;
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            pages.push((verb.clone(), format!("{name}-{}", verb.get_name())));
        }
    }
    Ok(())
}

/// `trunkline-config-check` is the page of `trunkline config check`.
fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let version = format!("trunkline {}", env!("CARGO_PKG_VERSION"));
    let mut page = Vec::new();
    // Without a date: the same binary writes the same page.
    Man::new(command.clone().display_name(name.to_owned()))
        .title(name.to_uppercase())
        .source(version)
        .manual("Trunkline")
        .render(&mut page)?;
    Ok(page)
}
