//! CMD: the program, its arguments, and what kind of release it is.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use trunkline_discovery::platform::{Env, fly};

use crate::failure::Failure;

/// A shell's exit codes for what cannot be run and what is not there.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// A program that is there and may be executed.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The file.
    pub(crate) path: PathBuf,
    /// All words as given, the name first.
    pub(crate) argv: Vec<OsString>,
    /// The release that it belongs to, when its folder looks like one.
    pub(crate) release: Option<Release>,
}

/// A release: `bin/`, `releases/` and so on below one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    /// That folder.
    pub(crate) root: PathBuf,
    /// `env.sh` of the version that will start: mix releases have one.
    pub(crate) env_sh: Option<PathBuf>,
    /// The flags for `erl` of that version, or those that the environment names.
    pub(crate) vm_args: PathBuf,
}

impl Program {
    /// Looks it up as a shell does: on `PATH` unless there is a slash in it.
    pub(crate) fn find(argv: Vec<OsString>, env: &Env) -> Result<Self, Failure> {
        let name = argv.first().map(PathBuf::from).unwrap_or_default();
        if name.as_os_str().is_empty() {
            return Err(Failure::usage(
                "the name of the program is empty",
                "trunkline exec",
                "name the release's script, like /app/bin/my_app (is a variable not set?)",
            ));
        }
        let path = locate(&name, env)?;
        let release = Release::of(&path, env);
        Ok(Self {
            path,
            argv,
            release,
        })
    }

    /// Refuses what goes into the background: it would leave nobody to stand beside.
    pub(crate) fn refuse_daemon(&self) -> Result<(), Failure> {
        let word = self.argv.get(1).and_then(|word| word.to_str());
        match word.filter(|word| matches!(*word, "daemon" | "daemon_iex")) {
            None => Ok(()),
            Some(word) => Err(Failure::usage(
                format!("{word} leaves for the background, and the agent would end with it"),
                "trunkline exec",
                "use start, and let systemd or the container keep it running",
            )),
        }
    }

    /// The failure for a program that the kernel would not start.
    pub(super) fn not_started(&self, error: &io::Error) -> Failure {
        let code = match error.kind() {
            ErrorKind::NotFound => NOT_FOUND,
            _ => NOT_EXECUTABLE,
        };
        Failure::new(
            code,
            format!("cannot start it: {error}"),
            self.path.display().to_string(),
            "check the file, and the interpreter in its first line",
        )
    }
}

fn locate(name: &Path, env: &Env) -> Result<PathBuf, Failure> {
    let shown = name.display();
    if name.components().count() > 1 || name.is_absolute() {
        return match executable(name) {
            Ok(()) => Ok(name.to_owned()),
            Err(NOT_FOUND) => Err(Failure::new(
                NOT_FOUND,
                format!("{shown} does not exist"),
                "trunkline exec",
                "name the release's script, like /app/bin/my_app",
            )),
            Err(code) => Err(Failure::new(
                code,
                format!("{shown} is not executable"),
                "trunkline exec",
                "name a program, or chmod +x it",
            )),
        };
    }
    let dirs = env
        .get("PATH")
        .map(|path| std::env::split_paths(path).collect());
    let dirs: Vec<PathBuf> = dirs.unwrap_or_default();
    dirs.into_iter()
        .map(|dir| dir.join(name))
        .find(|path| executable(path).is_ok())
        .ok_or_else(|| {
            Failure::new(
                NOT_FOUND,
                format!("there is no program {shown} on PATH"),
                "trunkline exec",
                "write its path, like /app/bin/my_app",
            )
        })
}

fn executable(path: &Path) -> Result<(), u8> {
    let is_file = fs::metadata(path).map_err(|_| NOT_FOUND)?.is_file();
    if is_file && access(path, Access::EXEC_OK).is_ok() {
        Ok(())
    } else {
        Err(NOT_EXECUTABLE)
    }
}

impl Release {
    /// The release whose `bin` folder holds `program`, links followed as the script follows its
    /// own; else the one that `RELEASE_ROOT` names.
    fn of(program: &Path, env: &Env) -> Option<Self> {
        let from_program = fs::canonicalize(program)
            .ok()
            .and_then(|path| Some(path.parent()?.parent()?.to_owned()));
        let from_env = env.path("RELEASE_ROOT").map(Path::to_owned);
        from_program
            .into_iter()
            .chain(from_env)
            .find_map(|root| Self::at(root, env))
    }

    fn at(root: PathBuf, env: &Env) -> Option<Self> {
        let data = fs::read_to_string(root.join("releases/start_erl.data")).ok()?;
        let version = env
            .text("RELEASE_VSN")
            .or_else(|| data.split_whitespace().nth(1))?;
        let folder = root.join("releases").join(version);
        let env_sh = folder.join("env.sh");
        let env_sh = env_sh.is_file().then_some(env_sh);
        let vm_args = env.path("RELEASE_VM_ARGS").map(Path::to_owned);
        let vm_args = vm_args.unwrap_or_else(|| folder.join("vm.args"));
        Some(Self {
            root,
            env_sh,
            vm_args,
        })
    }

    /// The `env.sh` that does not call `trunkline env`, when there is one: tools of the release
    /// that are started elsewhere will not know the node's name.
    pub(crate) fn env_sh_without_us(&self) -> Option<&Path> {
        let calls = |command: &str| command.contains("trunkline") && command.contains(" env");
        self.env_sh_where(calls, false)
    }

    /// The `env.sh` that names the node itself, when there is one: tools of the release find it, but
    /// it may be another name than the agent's.
    pub(crate) fn env_sh_with_name(&self) -> Option<&Path> {
        self.env_sh_where(|command| command.contains("RELEASE_NODE="), true)
    }

    /// Whether `env.sh` names the node as Fly's guide does, and nowhere otherwise.
    pub(crate) fn env_sh_is_flys(&self) -> bool {
        let names = |command: &str| command.contains("RELEASE_NODE=");
        let other = |command: &str| names(command) && !command.ends_with(fly::GUIDE);
        self.env_sh_where(names, true).is_some() && self.env_sh_where(other, false).is_some()
    }

    /// The `env.sh` that sets `RELEASE_COOKIE` itself, when there is one.
    pub(crate) fn env_sh_with_cookie(&self) -> Option<&Path> {
        self.env_sh_where(|command| command.contains("RELEASE_COOKIE="), true)
    }

    /// `env.sh`, when whether it has such a line, comments aside, is `wanted`.
    fn env_sh_where(&self, such: impl Fn(&str) -> bool, wanted: bool) -> Option<&Path> {
        let path = self.env_sh.as_deref()?;
        let text = fs::read_to_string(path).ok()?;
        let mut lines = text.lines().map(str::trim);
        let has = lines.any(|line| !line.starts_with('#') && such(line));
        (has == wanted).then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(env_sh: &str) -> (tempfile::TempDir, Release) {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("releases/0.1.0")).unwrap();
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::write(root.join("releases/start_erl.data"), "13.1.5 0.1.0").unwrap();
        fs::write(root.join("releases/0.1.0/env.sh"), env_sh).unwrap();
        fs::write(root.join("bin/app"), "").unwrap();
        let found = Release::of(&root.join("bin/app"), &Env::from_iter([("", "")])).unwrap();
        assert_eq!(found.root, root);
        (dir, found)
    }

    #[test]
    fn env_sh_that_calls_us() {
        for line in [
            "eval \"$(trunkline env)\"",
            "  eval \"$(/usr/local/bin/trunkline env --dist-port 9000)\"",
            "eval \"$(trunkline --config /etc/t.toml env)\"",
        ] {
            let (_dir, release) = release(&format!("#!/bin/sh\n{line}\n"));
            assert_eq!(release.env_sh_without_us(), None, "{line}");
        }
        for line in ["# eval \"$(trunkline env)\"", "export A=1", ""] {
            let (_dir, release) = release(line);
            assert!(release.env_sh_without_us().is_some(), "{line}");
        }
    }
}
