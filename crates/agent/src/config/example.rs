//! A commented configuration: every section, every key, from the tables that the readers use.

use std::fmt::Write as _;

use toml::Table;
use trunkline_discovery::config::Field;
use trunkline_discovery::strategies::{COMMON, Strategy, TABLE};

use super::{ADMIN_FIELDS, ENGINE_FIELDS, NODE_FIELDS};

/// A file with every section and every key. `strategies` become topologies; with none every one
/// that is built in is shown, as comments. It passes [`check`](super::check) as it is, without its
/// comments, and with any one key set.
pub fn example(strategies: &[&'static Strategy]) -> String {
    let mut out = String::from(HEAD);
    section(
        &mut out,
        "node",
        "the node that the agent serves",
        NODE_FIELDS,
    );
    section(
        &mut out,
        "engine",
        "when to connect, and when to forget",
        ENGINE_FIELDS,
    );
    out.push_str(TOPOLOGIES);
    if strategies.is_empty() {
        for row in TABLE {
            topology(&mut out, row, "#");
        }
    }
    for row in strategies {
        topology(&mut out, row, "");
    }
    section(
        &mut out,
        "admin",
        "where the agent answers, and to whom",
        ADMIN_FIELDS,
    );
    out
}

const HEAD: &str = "\
# Configuration of trunkline.
# Text stands behind '# ', a key that has its default behind '#': remove that to set it.
# Durations are \"5s\", \"500ms\", \"2m\", \"1h\", or a bare number of milliseconds.
";

const TOPOLOGIES: &str = "
# Who is out there: as many topologies as you like, each with a name of its own.
# Without any the environment chooses one: FLY_APP_NAME, DNS_CLUSTER_QUERY, KUBERNETES_SERVICE_HOST,
# DIGITALOCEAN_TOKEN, else the local port mapper.
";

fn section(out: &mut String, name: &str, what: &str, fields: &[Field]) {
    line(out, format_args!("\n# {what}\n[{name}]"));
    for field in fields {
        document(out, field);
        set(out, field, "#");
    }
}

/// `off` is what stands before the lines that make it a topology: `#` for none.
fn topology(out: &mut String, row: &Strategy, off: &str) {
    let name = row.name;
    line(out, format_args!("\n# {}", row.summary));
    if !row.modules.is_empty() {
        line(
            out,
            format_args!("# also accepted: {}", row.modules.join(", ")),
        );
    }
    line(out, format_args!("{off}[topologies.{name}]"));
    line(out, format_args!("{off}strategy = \"{name}\""));
    let example: Table = row.example.parse().unwrap_or_default();
    for field in row.fields.iter().chain(COMMON) {
        document(out, field);
        // What the environment may say (the app of a Fly Machine) is set, too: else the example
        // would work there only.
        let is_set = field.required || example.contains_key(field.name);
        set(out, field, if is_set { off } else { "#" });
    }
}

fn document(out: &mut String, field: &Field) {
    let required = if field.required { ", required" } else { "" };
    line(out, format_args!("\n# {}{required}", field.summary));
    line(out, format_args!("#   {}", field.allowed));
}

fn set(out: &mut String, field: &Field, off: &str) {
    // What cannot be set yet has nothing to show.
    if let Some(value) = field.default.or(field.example) {
        line(out, format_args!("{off}{} = {value}", field.name));
    }
}

fn line(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use trunkline_discovery::Env;

    use super::super::check;
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        let env: Env = [("FLY_APP_NAME", "hello")].into_iter().collect();
        let checked = check(Some((Path::new("x.toml"), text)), &env);
        let all = checked.mistakes.iter();
        all.map(|mistake| format!("{mistake}\n{text}")).collect()
    }

    fn all() -> Vec<String> {
        let each = TABLE.iter().map(|row| example(&[*row]));
        [example(&[]), example(TABLE)]
            .into_iter()
            .chain(each)
            .collect()
    }

    #[test]
    fn it_passes_as_it_is_and_without_its_comments() {
        for text in all() {
            assert_eq!(mistakes(&text), [""; 0]);
            let bare: Vec<_> = text.lines().filter(|l| !l.starts_with('#')).collect();
            assert_eq!(mistakes(&bare.join("\n")), [""; 0]);
        }
    }

    /// Keys that exclude each other are tried one at a time.
    fn only_what_is_required(row: &'static Strategy) -> String {
        let set: Table = row.example.parse().unwrap();
        let fields = row.fields.iter();
        let optional = fields.filter(|f| !f.required && set.contains_key(f.name));
        optional.fold(example(&[row]), |text, field| {
            let (on, off) = (
                format!("\n{} = ", field.name),
                format!("\n#{} = ", field.name),
            );
            text.replace(&on, &off)
        })
    }

    #[test]
    fn every_key_can_be_set_to_what_is_shown() {
        for row in TABLE {
            let text = only_what_is_required(row);
            let lines: Vec<_> = text.lines().collect();
            let is_off = |line: &str| {
                line.starts_with('#')
                    && line.contains(" = ")
                    && !line.starts_with("# ")
                    && !line.starts_with("#  ")
            };
            let off: Vec<_> = (0..lines.len()).filter(|n| is_off(lines[*n])).collect();
            assert!(off.len() > 15, "{text}");
            for at in off {
                let mut set: Vec<_> = lines.clone();
                set[at] = &lines[at][1..];
                assert_eq!(mistakes(&set.join("\n")), [""; 0], "{}", lines[at]);
            }
        }
    }

    #[test]
    fn every_key_is_in_it_with_its_default() {
        let text = example(&[]);
        let fields = [NODE_FIELDS, ENGINE_FIELDS, ADMIN_FIELDS, COMMON];
        let own = TABLE.iter().map(|row| row.fields);
        for field in fields.into_iter().chain(own).flatten() {
            assert!(text.contains(field.summary), "{}", field.name);
            let value = field.default.or(field.example);
            let value = value.unwrap_or_else(|| panic!("{} shows nothing", field.name));
            let line = format!("\n#{} = {value}\n", field.name);
            assert!(text.contains(&line), "{line}");
        }
    }

    /// Whatever stands somewhere, all of it is judged, without an end that does not come or a panic.
    #[test]
    fn any_value_anywhere_is_judged() {
        let junk = [
            "5",
            "-1",
            "true",
            "1.5",
            "\"\"",
            "\"x\"",
            "\"a.b\"",
            "[]",
            "[5]",
            "[\"\"]",
            "{}",
            "{ env = \"X\" }",
            "{ file = \"/nonexistent\" }",
            "{ a = { b = [] } }",
            "1979-05-27",
        ];
        for row in TABLE {
            let text = example(&[*row]);
            let lines: Vec<_> = text.lines().map(|l| l.trim_start_matches('#')).collect();
            let keys = lines
                .iter()
                .filter(|l| !l.starts_with(' ') && l.contains(" = "));
            let keys: Vec<_> = keys
                .filter_map(|l| l.split_once(" = "))
                .map(|(k, _)| k)
                .collect();
            for value in junk {
                // All at once, in a topology with dots in its name, and everywhere else.
                let body: String = keys.iter().map(|k| format!("{k} = {value}\n")).collect();
                for section in ["topologies.\"a.b\"", "node", "engine", "admin", "node.tls"] {
                    let text = format!(
                        "[{section}]\n{}\n[topologies.\"a.b.c\"]\nstrategy = 5\n",
                        without_twins(&body)
                    );
                    assert!(!mistakes(&text).is_empty(), "{text}");
                    let named =
                        text.replace("strategy = ", &format!("strategy = \"{}\" #", row.name));
                    mistakes(&named);
                }
            }
        }
    }

    /// A key twice is no TOML.
    fn without_twins(body: &str) -> String {
        let mut seen = std::collections::BTreeSet::new();
        let lines = body
            .lines()
            .filter(|line| seen.insert(line.split(' ').next()));
        lines.map(|line| format!("{line}\n")).collect()
    }
}
