//! `trunkline strategies [NAME]`: what is built in to find peers, and every option of one.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;
use trunkline_discovery::config::{Field, nearest};
use trunkline_discovery::strategies::{COMMON, Strategy, TABLE, find};

use crate::failure::Failure;
use crate::output::{self, JsonFlag};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its name, or that of the libcluster module: show every option of this one
    name: Option<String>,
    #[command(flatten)]
    output: JsonFlag,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    match &args.name {
        None => list(args.output)?,
        Some(name) => one(named(name)?, args.output)?,
    }
    output::done()
}

fn list(flag: JsonFlag) -> Result<(), Failure> {
    if flag.json {
        let strategies = TABLE.iter().map(|row| Row::new(row)).collect();
        return output::json(&List { strategies });
    }
    let width = TABLE.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for row in TABLE {
        let known_as = match row.modules {
            [] => String::new(),
            modules => format!(" ({})", modules.join(", ")),
        };
        line(
            &mut text,
            format_args!("{:width$}  {}{known_as}", row.name, row.summary),
        );
    }
    output::text(&text)
}

fn one(row: &Strategy, flag: JsonFlag) -> Result<(), Failure> {
    if flag.json {
        return output::json(&Details {
            row: Row::new(row),
            options: options(row).map(OptionOut::new).collect(),
            retired: row
                .retired
                .iter()
                .map(|(name, why)| Retired { name, why })
                .collect(),
            example: row.example.trim_end(),
        });
    }
    let mut text = format!("{}: {}\n", row.name, row.summary);
    if !row.modules.is_empty() {
        line(
            &mut text,
            format_args!("also accepted: {}", row.modules.join(", ")),
        );
    }
    for field in options(row) {
        text.push('\n');
        describe(&mut text, field);
    }
    for (name, why) in row.retired {
        line(&mut text, format_args!("\n{name}  not taken: {why}"));
    }
    let example = row.example.trim_end().replace('\n', "\n  ");
    line(
        &mut text,
        format_args!(
            "\nexample\n  [topologies.web]\n  strategy = \"{}\"\n  {example}",
            row.name
        ),
    );
    output::text(&text)
}

fn describe(text: &mut String, field: &Field) {
    let marks = match (field.required, field.secret) {
        (true, true) => "  (required, never shown)",
        (true, false) => "  (required)",
        (false, true) => "  (never shown)",
        (false, false) => "",
    };
    line(text, format_args!("{}{marks}", field.name));
    line(text, format_args!("  {}", field.summary));
    line(text, format_args!("  takes    {}", field.allowed));
    if let Some(default) = field.default {
        line(text, format_args!("  default  {default}"));
    }
    if let Some(example) = field.shown() {
        line(text, format_args!("  example  {} = {example}", field.name));
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes everything");
}

fn options(row: &Strategy) -> impl Iterator<Item = &'static Field> {
    row.fields.iter().chain(COMMON)
}

/// The row of this name, or exit 2 with the nearest one.
pub(super) fn named(name: &str) -> Result<&'static Strategy, Failure> {
    find(name).ok_or_else(|| {
        let names = || TABLE.iter().map(|row| row.name);
        let cure = match nearest(name, names()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("built in are {}", names().collect::<Vec<_>>().join(", ")),
        };
        Failure::usage(format!("there is no strategy '{name}'"), "NAME", cure)
    })
}

/// What `--json` prints without NAME.
#[derive(Serialize)]
struct List {
    strategies: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    /// What the same thing is called elsewhere; accepted as `strategy` too.
    modules: &'static [&'static str],
    summary: &'static str,
}

impl Row {
    fn new(row: &Strategy) -> Self {
        Self {
            name: row.name,
            modules: row.modules,
            summary: row.summary,
        }
    }
}

/// What `--json` prints with NAME.
#[derive(Serialize)]
struct Details<'a> {
    #[serde(flatten)]
    row: Row,
    options: Vec<OptionOut>,
    /// Options of its counterpart elsewhere that are refused here.
    retired: Vec<Retired>,
    /// A configuration that works, as TOML without the table's header.
    example: &'a str,
}

#[derive(Serialize)]
struct OptionOut {
    name: &'static str,
    summary: &'static str,
    allowed: &'static str,
    /// As TOML.
    default: Option<&'static str>,
    required: bool,
    secret: bool,
    /// As TOML.
    example: Option<&'static str>,
}

#[derive(Serialize)]
struct Retired {
    name: &'static str,
    why: &'static str,
}

impl OptionOut {
    fn new(field: &Field) -> Self {
        Self {
            name: field.name,
            summary: field.summary,
            allowed: field.allowed,
            default: field.default,
            required: field.required,
            secret: field.secret,
            example: field.shown(),
        }
    }
}
