//! What is allowed and rarely meant.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use toml::{Table, Value};
use trunkline_discovery::config::ConfigError as OptionError;
use trunkline_discovery::strategies;
use trunkline_proto::{NameForm, NodeName};

use super::check::Finding;
use super::document::Document;

/// One finding for each thing that should be looked at. `path` is the file, where it is one.
pub(super) fn suspicious(
    root: &Table,
    document: Option<&Document>,
    path: Option<&Path>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mode = path.and_then(|path| path.metadata().ok());
    if let Some(mode) = mode
        .filter(Metadata::is_file)
        .map(|file| file.mode() & 0o777)
    {
        permissions(mode, root, &mut found);
    }
    engine(table(root, "engine"), &mut found);
    for (name, options) in table(root, "topologies") {
        if let Value::Table(options) = options {
            topology(&format!("topologies.{name}"), options, root, &mut found);
        }
    }
    twins(root, &mut found);
    let located = found.iter().map(|error| Finding::option(document, error));
    located.collect()
}

/// A token in the file is everybody's who can read it, and who can write it decides who is connected.
fn permissions(mode: u32, root: &Table, found: &mut Vec<OptionError>) {
    if mode & 0o022 != 0 {
        let what = format!("others can write this file (mode {mode:04o})");
        found.push(OptionError::new("", None, what, "chmod go-w"));
    }
    if mode & 0o044 == 0 {
        return;
    }
    for (name, options) in table(root, "topologies") {
        let row = options.get("strategy").and_then(Value::as_str);
        let fields = row
            .and_then(strategies::find)
            .map_or(&[][..], |row| row.fields);
        for field in fields.iter().filter(|field| field.secret) {
            if options.get(field.name).is_some_and(Value::is_str) {
                let key = field.name;
                let what = format!("{key} stands in a file that others can read (mode {mode:04o})");
                let cure = format!("chmod 0600, or {key} = {{ env = \"NAME\" }}");
                let path = format!("topologies.{name}");
                found.push(OptionError::new(path, Some(key), what, cure));
            }
        }
    }
}

fn engine(engine: &Table, found: &mut Vec<OptionError>) {
    for (key, value) in engine {
        if !NUMBERS.contains(&key.as_str()) {
            milliseconds("engine", key, value, found);
        }
    }
    let mut say = |key, what: &str, cure: &str| {
        found.push(OptionError::new("engine", Some(key), what, cure));
    };
    if engine.get("on_removed").and_then(Value::as_str) == Some("disconnect") {
        say(
            "on_removed",
            "on_removed = \"disconnect\" cuts living nodes off, and with prevent_overlapping_partitions \
             others lose their links for a moment",
            "leave it out: a node that is not listed any more leaves by itself",
        );
    }
    let share = engine.get("removal_guard");
    let share = share.and_then(|v| v.as_float().or_else(|| v.as_integer().map(|n| n as f64)));
    if share.is_some_and(|share| share >= 1.0) {
        say(
            "removal_guard",
            "removal_guard = 1.0 lets a topology lose everybody in one step",
            "use 0.5, the default",
        );
    }
}

/// Keys of `[engine]` whose numbers count something else than milliseconds.
const NUMBERS: &[&str] = &[
    "max_connects",
    "removal_misses",
    "removal_guard",
    "expected_size",
];

/// Seconds written where a bare number means milliseconds. Nobody means so few of them.
const FEW: std::ops::Range<i64> = 1..100;

fn milliseconds(path: &str, key: &str, value: &Value, found: &mut Vec<OptionError>) {
    let Some(number) = value.as_integer().filter(|number| FEW.contains(number)) else {
        return;
    };
    let what = format!("{key} = {number} is {number} milliseconds");
    let cure = format!("did you mean \"{number}s\"?");
    found.push(OptionError::new(path, Some(key), what, cure));
}

fn topology(path: &str, options: &Table, root: &Table, found: &mut Vec<OptionError>) {
    let row = options.get("strategy").and_then(Value::as_str);
    let row = row.and_then(strategies::find);
    for (key, value) in options {
        if key.ends_with("interval") || key.ends_with("timeout") {
            milliseconds(path, key, value, found);
        }
    }
    let check = table(options, "health_check");
    if let Some(value) = check.get("timeout") {
        milliseconds(&format!("{path}.health_check"), "timeout", value, found);
    }
    match row.map(|row| row.name) {
        Some("digitalocean") => whole_account(path, options, found),
        Some("dns") => fly_without_ipv6(path, options, found),
        Some("epmd") => forms(path, options, root, found),
        _ => {}
    }
}

fn whole_account(path: &str, options: &Table, found: &mut Vec<OptionError>) {
    let filters = ["tag_name", "name", "region", "vpc_uuid"];
    if !filters.iter().any(|key| options.contains_key(*key)) {
        let what = "every Droplet of the account is taken for a node";
        let cure = "set tag_name, name, region or vpc_uuid";
        found.push(OptionError::new(path, None, what, cure));
    }
}

/// Fly's private network has IPv6 addresses only.
fn fly_without_ipv6(path: &str, options: &Table, found: &mut Vec<OptionError>) {
    let Some(Value::Array(types)) = options.get("resource_types") else {
        return;
    };
    let has = |kind: &str| types.iter().any(|t| t.as_str() == Some(kind));
    let query = options.get("query").and_then(Value::as_str);
    let on_fly = query.is_some_and(|query| query.trim_end_matches('.').ends_with(".internal"));
    if on_fly && has("a") && !has("aaaa") {
        let what = "resource_types has no \"aaaa\", and .internal on Fly has nothing else";
        let cure = "add \"aaaa\", or leave resource_types out";
        found.push(OptionError::new(path, Some("resource_types"), what, cure));
    }
}

/// Nodes with short and with long names never connect.
fn forms(path: &str, options: &Table, root: &Table, found: &mut Vec<OptionError>) {
    let Some(Value::Array(hosts)) = options.get("hosts") else {
        return;
    };
    let hosts = hosts.iter().filter_map(Value::as_str);
    let own = table(root, "node").get("name").and_then(Value::as_str);
    let mut by_form: BTreeMap<&str, NodeName> = BTreeMap::new();
    for name in own.into_iter().chain(hosts) {
        let bare = name.trim().trim_start_matches(':').trim_matches('"');
        if let Ok(name) = bare.parse::<NodeName>() {
            by_form.entry(form(&name)).or_insert(name);
        }
    }
    let mut forms = by_form.into_iter();
    if let (Some((one, a)), Some((other, b))) = (forms.next(), forms.next()) {
        let what = format!("{a} is a {one} name and {b} a {other} one: such nodes never connect");
        let cure = "start all nodes with the same form, -name or -sname";
        found.push(OptionError::new(path, Some("hosts"), what, cure));
    }
}

fn form(name: &NodeName) -> &'static str {
    match name.form() {
        NameForm::Short => "short",
        NameForm::Long => "long",
    }
}

/// Two topologies that ask the same are one too many.
fn twins(root: &Table, found: &mut Vec<OptionError>) {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (name, options) in table(root, "topologies") {
        // Only compared, never shown: it may hold a secret.
        let options = options.to_string();
        if let Some(first) = seen.get(&options) {
            let what = format!("{name} is the same as {first}");
            let path = format!("topologies.{name}");
            found.push(OptionError::new(path, None, what, "remove one of them"));
        } else {
            seen.insert(options, name.clone());
        }
    }
}

fn table<'t>(root: &'t Table, name: &str) -> &'t Table {
    static EMPTY: std::sync::LazyLock<Table> = std::sync::LazyLock::new(Table::new);
    root.get(name).and_then(Value::as_table).unwrap_or(&EMPTY)
}
