//! The guides say what works: their code blocks are tried here.
//!
//! | fence | what is done with it |
//! |---|---|
//! | `sh` | `sh -n` reads it |
//! | `sh run` | run with the binary on the path; it must exit 0, and print the `output` block that follows |
//! | `toml` | it is TOML |
//! | `toml check` | `trunkline config check` finds no mistake in it |
//! | `dockerfile` | known instructions; words in `[…]` are strings; a `CMD` that starts with trunkline runs |

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

mod util;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use util::{FLY_GUIDE, TRUNKLINE, texts};

/// A fenced block.
#[derive(Debug)]
struct Block {
    /// File and line, for errors.
    place: String,
    /// What stands behind the fence: `sh run`.
    kind: String,
    text: String,
}

#[test]
fn shell_blocks_are_read_by_a_shell() {
    let mut seen = 0;
    for (_, block) in blocks().iter().filter(|(_, b)| b.kind.starts_with("sh")) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("block.sh");
        fs::write(&file, &block.text).unwrap();
        let output = Command::new("/bin/sh").arg("-n").arg(&file).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}: {output:?}", block.place);
        seen += 1;
    }
    assert!(seen > 5, "only {seen} blocks");
}

#[test]
fn shell_blocks_that_can_be_run_do_what_they_say() {
    let all = blocks();
    for (nth, (guide, block)) in all.iter().enumerate() {
        if block.kind != "sh run" {
            continue;
        }
        let host = Host::new(guide);
        let output = host.command("/bin/sh").args(["-ec", &block.text]).output();
        let (out, err) = texts(&output.unwrap());
        let place = &block.place;
        let expected = all.get(nth + 1).filter(|(_, next)| next.kind == "output");
        match expected {
            Some((_, next)) => assert_eq!(out, next.text, "{place}: {err}"),
            None => assert_eq!(out, "", "{place} has no output block: {err}"),
        }
        assert_eq!(err, "", "{place}");
    }
}

#[test]
fn configurations_have_no_mistake() {
    let mut checked = 0;
    for (guide, block) in blocks() {
        if !block.kind.starts_with("toml") {
            continue;
        }
        let parsed = block.text.parse::<toml::Table>();
        parsed.unwrap_or_else(|error| panic!("{}: {error}", block.place));
        if block.kind == "toml check" {
            let host = Host::new(&guide);
            host.file("trunkline.toml", &block.text, 0o600);
            let mut command = host.command(TRUNKLINE);
            let output = command.args(["config", "check"]).output().unwrap();
            assert!(output.status.success(), "{}: {output:?}", block.place);
            checked += 1;
        }
    }
    assert!(checked >= 4, "only {checked} configurations");
}

/// What Docker would refuse, or start as one word.
#[test]
fn dockerfiles_start_what_they_mean() {
    const KNOWN: [&str; 9] = [
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "ENV",
        "USER",
        "ENTRYPOINT",
        "CMD",
        "EXPOSE",
    ];
    let mut started = 0;
    for (guide, block) in blocks() {
        if block.kind != "dockerfile" {
            continue;
        }
        for line in block.text.lines().filter(|line| !line.starts_with('#')) {
            let (word, rest) = line.split_once(' ').unwrap();
            assert!(KNOWN.contains(&word), "{}: {line}", block.place);
            if !matches!(word, "CMD" | "ENTRYPOINT") {
                continue;
            }
            let words: Vec<String> = serde_json::from_str(rest)
                .unwrap_or_else(|error| panic!("{}: {line}: {error}", block.place));
            let spaced = words.iter().any(|word| word.contains(' '));
            assert!(!spaced, "{}: {line}: one word for each string", block.place);
            if words[0] == "trunkline" {
                let env_sh = block_with(&guide, "eval \"$(trunkline env)\"");
                assert_eq!(starts_the_release(&guide, &words, &env_sh, &[]), "");
                started += 1;
            }
        }
    }
    assert!(started >= 1);
}

/// Whoever followed Fly's own guide has nothing to change, unless the image is none of Fly's.
#[test]
fn flys_own_env_sh_is_as_good() {
    let words = ["trunkline", "exec", "--", "/app/bin/hello", "start"].map(String::from);
    assert_eq!(starts_the_release("fly", &words, FLY_GUIDE, &[]), "");
    let named = [("RELEASE_NODE", "hello@fdaa::1")];
    let warned = starts_the_release("fly", &words, FLY_GUIDE, &named);
    assert!(
        warned.contains("the release sets RELEASE_NODE itself"),
        "{warned}"
    );
}

/// `CMD` with a release in whose place a script says what it was given. What it is warned of.
fn starts_the_release(
    guide: &str,
    words: &[String],
    env_sh: &str,
    vars: &[(&str, &str)],
) -> String {
    let host = Host::new(guide);
    let script = "#!/bin/sh\necho \"$1 as $RELEASE_NODE with $ERL_AFLAGS\"\n";
    host.file("app/bin/hello", script, 0o700);
    host.file("app/releases/start_erl.data", "13.1.5 0.1.0\n", 0o600);
    host.file("app/releases/0.1.0/env.sh", env_sh, 0o600);
    host.file("app/trunkline.toml", &configuration(guide), 0o600);
    let app = host.dir.path().join("app");
    let at = |word: &String| word.replace("/app", app.to_str().unwrap());
    let words: Vec<_> = words.iter().map(at).collect();
    let mut command = host.command(TRUNKLINE);
    // Nobody is to be asked here.
    let output = command
        .args(&words[1..])
        .env("RELEASE_TMP", app.join("tmp"))
        .env("DNS_CLUSTER_QUERY", "");
    let output = output.envs(vars.iter().copied()).output().unwrap();
    let (out, err) = texts(&output);
    let node = vars.first().map_or(
        "hello-01H9RK9EYO9PGNBYAKGXSHV0PH@fdaa:0:1da8:a7b:ac4:b204:7e29:2",
        |(_, node)| node,
    );
    let expected = format!("start as {node} with -proto_dist inet6_tcp\n");
    assert_eq!(out, expected, "{err}");
    let warnings = err.lines().filter(|line| line.contains("WARN"));
    warnings.collect()
}

/// The shell block of a guide that holds this line.
fn block_with(guide: &str, line: &str) -> String {
    let found = blocks().into_iter().find(|(name, block)| {
        name == guide && block.kind.starts_with("sh") && block.text.lines().any(|l| l == line)
    });
    found.unwrap().1.text
}

/// The first configuration of a guide.
fn configuration(guide: &str) -> String {
    let mut all = blocks().into_iter();
    let found = all.find(|(name, block)| name == guide && block.kind == "toml check");
    found.unwrap().1.text
}

/// Every block of every guide, with the guide's name.
fn blocks() -> Vec<(String, Block)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides");
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    paths.sort();
    let of = |path: &PathBuf| {
        let guide = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(path).unwrap();
        let found = fenced(&guide, &text);
        found
            .into_iter()
            .map(move |block| (guide.clone(), block))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

fn fenced(guide: &str, text: &str) -> Vec<Block> {
    let mut all = Vec::new();
    let mut open: Option<Block> = None;
    for (nth, line) in text.lines().enumerate() {
        let fence = line.strip_prefix("```");
        match (&mut open, fence) {
            (None, None) => {}
            (None, Some(kind)) => {
                open = Some(Block {
                    place: format!("docs/guides/{guide}.md:{}", nth + 1),
                    kind: kind.into(),
                    text: String::new(),
                });
            }
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (Some(_), Some(_)) => all.extend(open.take()),
        }
    }
    assert!(open.is_none(), "{guide}: a fence is open at the end");
    all
}

/// Where a guide's reader is: a folder, the platform's environment, and programs that are not here.
struct Host {
    dir: tempfile::TempDir,
    vars: Vec<(&'static str, &'static str)>,
}

impl Host {
    fn new(guide: &str) -> Self {
        let vars = match guide {
            "fly" => vec![
                ("FLY_APP_NAME", "hello"),
                ("FLY_PRIVATE_IP", "fdaa:0:1da8:a7b:ac4:b204:7e29:2"),
                (
                    "FLY_IMAGE_REF",
                    "registry.fly.io/hello:deployment-01H9RK9EYO9PGNBYAKGXSHV0PH",
                ),
                ("FLY_REGION", "sea"),
            ],
            _ => vec![
                ("RELEASE_NODE", "my_app@10.0.0.5"),
                ("DIGITALOCEAN_TOKEN", "dop_v1_0123456789"),
            ],
        };
        let dir = tempfile::tempdir().unwrap();
        let this = Self { dir, vars };
        for program in ["fly", "docker"] {
            this.file(&format!("bin/{program}"), "#!/bin/sh\n", 0o700);
        }
        this
    }

    fn file(&self, name: &str, text: &str, mode: u32) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let binary = Path::new(TRUNKLINE).parent().unwrap();
        let bin = self.dir.path().join("bin");
        let path = format!("{}:{}:/usr/bin:/bin", bin.display(), binary.display());
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.dir.path());
        command
            .envs(self.vars.iter().copied())
            .env("PATH", path)
            .env("XDG_RUNTIME_DIR", self.dir.path())
            .env("RELEASE_COOKIE", "sesame-0123456789-sesame");
        command
    }
}
