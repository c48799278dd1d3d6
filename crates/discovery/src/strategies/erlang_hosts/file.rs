//! Which file: as OTP's `net_adm:host_file/0` finds it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::consult;
use crate::DiscoverError;
use crate::platform::Env;

/// The file's name in each folder.
const NAME: &str = ".hosts.erlang";

/// More than any list of hosts; a wrong path must not fill memory.
const MAX_FILE: u64 = 1 << 20;

/// Where the file may be, first come first served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places(Vec<PathBuf>);

impl Places {
    /// This file and no other.
    pub(super) fn only(path: PathBuf) -> Self {
        Self(vec![path])
    }

    /// The current directory, the home directory, Erlang's user configuration, and the root of the
    /// release or of OTP.
    pub(super) fn usual(env: &Env) -> Self {
        let home = env.path("HOME").map(Path::to_owned);
        let config = env.path("XDG_CONFIG_HOME").map(Path::to_owned);
        let config = config.or_else(|| Some(home.as_ref()?.join(".config")));
        let roots = ["RELEASE_ROOT", "ROOTDIR"].map(|name| env.path(name).map(Path::to_owned));
        let folders = [
            Some(PathBuf::from(".")),
            home,
            config.map(|dir| dir.join("erlang")),
        ];
        let folders = folders.into_iter().chain(roots).chain([otp_root(env)]);
        let mut places: Vec<_> = folders.flatten().map(|folder| folder.join(NAME)).collect();
        // Each is named once in an error.
        let all = places.clone();
        let mut n = 0;
        places.retain(|place| {
            n += 1;
            !all[..n - 1].contains(place)
        });
        Self(places)
    }

    /// The hosts in the first file that exists. It is read whole each time: whatever replaced it, and
    /// however, is seen.
    pub(super) fn read(&self) -> Result<Vec<String>, DiscoverError> {
        for path in &self.0 {
            match open(path) {
                Ok(text) => return hosts(path, text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
                Err(error) => {
                    let cure = "make it a file that this user can read";
                    return Err(failed(path, error.to_string(), cure));
                }
            }
        }
        Err(self.missing())
    }

    fn missing(&self) -> DiscoverError {
        if let [path] = &self.0[..] {
            let cure = format!("write it, one host on a line: {EXAMPLE}");
            return failed(path, "there is no such file".into(), &cure);
        }
        let places: Vec<_> = self
            .0
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        DiscoverError::NotReady {
            what: format!(
                "there is no .hosts.erlang, looked for {}",
                places.join(", ")
            ),
            cure: format!("write one, one host on a line: {EXAMPLE}; or name it with path"),
        }
    }
}

const EXAMPLE: &str = "'host.example.org'.";

fn hosts(path: &Path, bytes: Vec<u8>) -> Result<Vec<String>, DiscoverError> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let read = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + read.iter().filter(|byte| **byte == b'\n').count();
        failed(path, format!("line {line} is no UTF-8"), "save it as UTF-8")
    })?;
    let hosts = consult::hosts(&text).map_err(|mistake| {
        let cure = format!("write one host on a line: {EXAMPLE}");
        failed(
            path,
            format!("line {}: {}", mistake.line, mistake.what),
            &cure,
        )
    })?;
    if hosts.is_empty() {
        let cure = "write the hosts into it, or switch the topology off with enabled = false";
        return Err(failed(path, "it holds no host".into(), cure));
    }
    Ok(hosts)
}

fn open(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would be waited for.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is larger than any list of hosts"));
    }
    Ok(bytes)
}

fn failed(path: &Path, why: String, cure: &str) -> DiscoverError {
    DiscoverError::File {
        path: path.display().to_string(),
        why,
        cure: cure.into(),
    }
}

/// `code:root_dir()` of the OTP that `erl` in `PATH` starts: `erl` is a link to `ROOT/bin/erl`.
fn otp_root(env: &Env) -> Option<PathBuf> {
    let path = env.get("PATH")?;
    let erl = std::env::split_paths(path).map(|folder| folder.join("erl"));
    let erl = erl
        .filter_map(|erl| std::fs::canonicalize(erl).ok())
        .next()?;
    Some(erl.parent()?.parent()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_order_of_otp() {
        let root = tempfile::tempdir().unwrap();
        let at = |part: &str| root.path().join(part);
        let env: Env = [
            ("HOME", at("home")),
            ("RELEASE_ROOT", at("release")),
            ("PATH", at("bin")),
        ]
        .into_iter()
        .collect();
        std::fs::create_dir_all(at("otp/bin")).unwrap();
        std::fs::create_dir_all(at("bin")).unwrap();
        std::fs::write(at("otp/bin/erl"), "").unwrap();
        std::os::unix::fs::symlink(at("otp/bin/erl"), at("bin/erl")).unwrap();
        let Places(found) = Places::usual(&env);
        let otp = std::fs::canonicalize(at("otp")).unwrap();
        let expected = [
            PathBuf::from("./.hosts.erlang"),
            at("home/.hosts.erlang"),
            at("home/.config/erlang/.hosts.erlang"),
            at("release/.hosts.erlang"),
            otp.join(".hosts.erlang"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_first_that_exists_counts() {
        let root = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| root.path().join(name));
        let places = Places(vec![one.clone(), two.clone()]);
        let line = || {
            places
                .read()
                .map_err(|error| format!("{error} · {}", error.cure()))
        };
        assert!(
            line()
                .unwrap_err()
                .starts_with("there is no .hosts.erlang, looked for /")
        );
        std::fs::write(&two, "two.\n").unwrap();
        assert_eq!(line().unwrap(), ["two"]);
        // A broken one is not passed over.
        std::fs::write(&one, "one").unwrap();
        assert_eq!(
            line().unwrap_err(),
            format!(
                "{}: line 1: no dot ends \"one\" · write one host on a line: 'host.example.org'.",
                one.display()
            )
        );
        std::fs::write(&one, "% nobody").unwrap();
        assert!(line().unwrap_err().contains("it holds no host · "));
        std::fs::write(&one, b"one.\n'\xff'.\n").unwrap();
        assert!(line().unwrap_err().contains("line 2 is no UTF-8 · "));
        std::fs::write(&one, " ".repeat(MAX_FILE as usize + 1)).unwrap();
        assert!(
            line()
                .unwrap_err()
                .contains("larger than any list of hosts · ")
        );
        std::fs::remove_file(&one).unwrap();
        std::fs::create_dir(&one).unwrap();
        assert!(line().unwrap_err().contains("it is no file · "));
    }
}
