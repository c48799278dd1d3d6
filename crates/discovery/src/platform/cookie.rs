//! The cookie that is used here: where it comes from, and what is wrong with it.

use std::fmt;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;
use trunkline_proto::Cookie;

use super::Env;
use crate::short_file;

/// More than any cookie file holds; a wrong path (`/dev/zero`) must not fill memory.
const MAX_FILE: u64 = 4096;

/// A cookie, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCookie {
    /// The secret.
    pub secret_cookie: Cookie,
    /// Where it was found.
    pub source: CookieSource,
    /// The permission bits of the file that holds it, when it is a file.
    pub file_mode: Option<u32>,
}

/// Where a cookie comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieSource {
    /// The file that the command line names.
    Flag(PathBuf),
    /// The configuration.
    Config,
    /// The environment variable `RELEASE_COOKIE`.
    Environment,
    /// `$RELEASE_ROOT/releases/COOKIE`, made by `mix release`.
    Release(PathBuf),
    /// `$HOME/.erlang.cookie`.
    Home(PathBuf),
    /// `$XDG_CONFIG_HOME/erlang/.erlang.cookie`.
    Xdg(PathBuf),
}

impl fmt::Display for CookieSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config => f.write_str("the configuration"),
            Self::Environment => f.write_str("RELEASE_COOKIE"),
            Self::Flag(path) | Self::Release(path) | Self::Home(path) | Self::Xdg(path) => {
                path.display().fmt(f)
            }
        }
    }
}

/// Why a cookie that should be there cannot be used. The next source is not tried then: it would
/// silently be another cluster's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no cookie in {place}: {why}")]
pub struct CookieFileError {
    /// The file or variable.
    pub place: String,
    /// What is wrong, without a byte of the secret.
    pub why: String,
}

/// The cookie, from the first of: the file `flag`, `config`, `RELEASE_COOKIE`,
/// `$RELEASE_ROOT/releases/COOKIE`, `$HOME/.erlang.cookie`,
/// `$XDG_CONFIG_HOME/erlang/.erlang.cookie`. `None` when none of them is there.
pub fn cookie(
    env: &Env,
    flag: Option<&Path>,
    config: Option<&Cookie>,
) -> Result<Option<FoundCookie>, CookieFileError> {
    if let Some(path) = flag {
        let found = file_cookie(path, CookieSource::Flag(path.to_owned()))?;
        return found.map(Some).ok_or_else(|| CookieFileError {
            place: path.display().to_string(),
            why: "there is no such file".to_owned(),
        });
    }
    if let Some(cookie) = config {
        return Ok(Some(FoundCookie {
            secret_cookie: cookie.clone(),
            source: CookieSource::Config,
            file_mode: None,
        }));
    }
    if let Some(found) = env_cookie(env)? {
        return Ok(Some(found));
    }
    for source in files(env) {
        let (CookieSource::Release(path) | CookieSource::Home(path) | CookieSource::Xdg(path)) =
            &source
        else {
            continue;
        };
        if let Some(found) = file_cookie(&path.clone(), source)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// `RELEASE_COOKIE`, byte for byte as the BEAM takes it: a trailing newline is part of it.
pub fn env_cookie(env: &Env) -> Result<Option<FoundCookie>, CookieFileError> {
    let Some(value) = env.get("RELEASE_COOKIE") else {
        return Ok(None);
    };
    let secret_cookie = Cookie::new(value.as_bytes()).map_err(|error| CookieFileError {
        place: "RELEASE_COOKIE".to_owned(),
        why: error.to_string(),
    })?;
    Ok(Some(FoundCookie {
        secret_cookie,
        source: CookieSource::Environment,
        file_mode: None,
    }))
}

/// The cookie in a file, read as OTP reads it: the first line, without CR and LF. `None` when there
/// is no such file.
pub fn file_cookie(
    path: &Path,
    source: CookieSource,
) -> Result<Option<FoundCookie>, CookieFileError> {
    let fail = |why: String| CookieFileError {
        place: path.display().to_string(),
        why,
    };
    let file = match short_file::read(path, MAX_FILE) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(fail(error.to_string())),
    };
    let line = file
        .secret_bytes
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    let secret_cookie = Cookie::new(line).map_err(|error| fail(error.to_string()))?;
    Ok(Some(FoundCookie {
        secret_cookie,
        source,
        file_mode: Some(file.mode),
    }))
}

/// The files that may hold it, in order.
fn files(env: &Env) -> impl Iterator<Item = CookieSource> {
    let in_dir = |variable: &str, file: &str| env.path(variable).map(|dir| dir.join(file));
    [
        in_dir("RELEASE_ROOT", "releases/COOKIE").map(CookieSource::Release),
        in_dir("HOME", ".erlang.cookie").map(CookieSource::Home),
        in_dir("XDG_CONFIG_HOME", "erlang/.erlang.cookie").map(CookieSource::Xdg),
    ]
    .into_iter()
    .flatten()
}

impl FoundCookie {
    /// What is wrong with it, worst first; nothing when it is a good one.
    pub fn weaknesses(&self) -> Vec<Weakness> {
        let secret = self.secret_cookie.expose();
        let mut distinct = [false; 256];
        secret
            .iter()
            .for_each(|byte| distinct[usize::from(*byte)] = true);
        let variety = distinct.iter().filter(|seen| **seen).count();
        // `mix release` makes its file readable for everybody: no operator can be told to mend that.
        let closed_to_others = match self.source {
            CookieSource::Release(_) => 0o022,
            _ => 0o077,
        };
        let mode = self.file_mode.filter(|mode| mode & closed_to_others != 0);
        [
            secret.ends_with(b"\n").then_some(Weakness::TrailingNewline),
            is_well_known(secret).then_some(Weakness::WellKnown),
            (secret.len() < MIN_CHARS).then_some(Weakness::Short),
            (variety < MIN_VARIETY).then_some(Weakness::LowVariety),
            secret.starts_with(b"-").then_some(Weakness::LeadingDash),
            mode.map(|mode| Weakness::FileMode { mode }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// OTP's own are 20 capital letters: 94 bits. Handshakes can be listened to, and a digest of the
/// cookie tried offline.
const MIN_CHARS: usize = 20;
/// 20 random letters have fewer different ones once in a hundred thousand cookies.
const MIN_VARIETY: usize = 8;

/// From documentation and images: the first that anybody tries.
const WELL_KNOWN: [&str; 16] = [
    "nocookie",
    "cookie",
    "secret",
    "monster",
    "changeme",
    "change-me",
    "change_me",
    "password",
    "erlang",
    "elixir",
    "rabbit",
    "test",
    "mycookie",
    "my-app-cookie",
    "some-secret-value",
    "my-secret-cookie",
];

fn is_well_known(secret: &[u8]) -> bool {
    let text = secret.trim_ascii();
    WELL_KNOWN
        .iter()
        .any(|known| text.eq_ignore_ascii_case(known.as_bytes()))
}

/// What can be wrong with a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Weakness {
    /// The variable ends with a newline, which is part of the secret.
    TrailingNewline,
    /// It stands in somebody's documentation.
    WellKnown,
    /// Fewer than 20 characters.
    Short,
    /// Fewer than 8 different characters.
    LowVariety,
    /// `erl -setcookie` takes it for a flag.
    LeadingDash,
    /// Others can read the file (that of a release: write it), and the BEAM refuses it.
    FileMode {
        /// The permission bits.
        mode: u32,
    },
}

impl Weakness {
    /// The stable code, as in `cookie check --json`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TrailingNewline => "trailing_newline",
            Self::WellKnown => "well_known",
            Self::Short => "short",
            Self::LowVariety => "low_variety",
            Self::LeadingDash => "leading_dash",
            Self::FileMode { .. } => "file_mode",
        }
    }

    /// What to do about it, one clause in the imperative.
    pub const fn cure(self) -> &'static str {
        match self {
            Self::TrailingNewline => "set it without one: printf %s, not echo",
            Self::WellKnown | Self::Short | Self::LowVariety | Self::LeadingDash => {
                "make a new one: trunkline cookie generate"
            }
            Self::FileMode { .. } => "chmod 400 the file",
        }
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrailingNewline => {
                f.write_str("it ends with a newline, which the BEAM takes as part of it")
            }
            Self::WellKnown => f.write_str("it is one that everybody tries first"),
            Self::Short => write!(f, "it has fewer than {MIN_CHARS} characters"),
            Self::LowVariety => write!(f, "it has fewer than {MIN_VARIETY} different characters"),
            Self::LeadingDash => f.write_str("it begins with -, which erl takes for a flag"),
            Self::FileMode { mode } => {
                let verb = if mode & 0o022 == 0 { "read" } else { "write" };
                write!(f, "its file has mode {mode:04o}, others can {verb} it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOOD: &str = "QWERTZUIOPASDFGHJKLY";

    fn weak(secret: &str, file_mode: Option<u32>) -> Vec<&'static str> {
        let found = FoundCookie {
            secret_cookie: Cookie::new(secret).unwrap(),
            source: CookieSource::Environment,
            file_mode,
        };
        found.weaknesses().into_iter().map(Weakness::code).collect()
    }

    #[test]
    fn weaknesses() {
        assert_eq!(weak(GOOD, None), [""; 0]);
        assert_eq!(weak(GOOD, Some(0o400)), [""; 0]);
        assert_eq!(weak(GOOD, Some(0o640)), ["file_mode"]);
        assert_eq!(weak(&format!("{GOOD}\n"), None), ["trailing_newline"]);
        assert_eq!(weak(&format!("-{GOOD}"), None), ["leading_dash"]);
        assert_eq!(weak("Secret", None), ["well_known", "short", "low_variety"]);
        assert_eq!(weak(&"ab".repeat(20), None), ["low_variety"]);
    }

    #[test]
    fn a_release_that_everybody_can_read_is_how_mix_makes_it() {
        let found = |mode| FoundCookie {
            secret_cookie: Cookie::new(GOOD).unwrap(),
            source: CookieSource::Release("releases/COOKIE".into()),
            file_mode: Some(mode),
        };
        assert_eq!(found(0o644).weaknesses(), []);
        let open = found(0o666).weaknesses();
        assert_eq!(open, [Weakness::FileMode { mode: 0o666 }]);
        assert!(open[0].to_string().ends_with("others can write it"));
    }

    #[test]
    fn order_of_sources() {
        let dir = tempfile::tempdir().unwrap();
        let path = |file: &str| {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        let (flag, release) = (path("flag"), path("rel/releases/COOKIE"));
        let (home, xdg) = (
            path("home/.erlang.cookie"),
            path("xdg/erlang/.erlang.cookie"),
        );
        for (file, text) in [
            (&flag, "1\n"),
            (&release, "4\r\n5"),
            (&home, "5"),
            (&xdg, "6"),
        ] {
            fs::write(file, text).unwrap();
        }
        let mut env: Env = [
            ("RELEASE_COOKIE", "3\n".into()),
            ("HOME", dir.path().join("home")),
        ]
        .into_iter()
        .collect();
        env.set("RELEASE_ROOT", dir.path().join("rel"));
        env.set("XDG_CONFIG_HOME", dir.path().join("xdg"));
        let config = Cookie::new("2").unwrap();
        let found = |env: &Env, flag, config| {
            let found = cookie(env, flag, config).unwrap().unwrap();
            String::from_utf8(found.secret_cookie.expose().to_vec()).unwrap()
        };
        assert_eq!(found(&env, Some(flag.as_path()), Some(&config)), "1");
        assert_eq!(found(&env, None, Some(&config)), "2");
        assert_eq!(found(&env, None, None), "3\n");
        env.set("RELEASE_COOKIE", "");
        assert_eq!(found(&env, None, None), "4");
        fs::remove_file(release).unwrap();
        assert_eq!(found(&env, None, None), "5");
        fs::remove_file(home).unwrap();
        assert_eq!(found(&env, None, None), "6");
        fs::remove_file(xdg).unwrap();
        assert_eq!(cookie(&env, None, None), Ok(None));
    }

    #[test]
    fn errors_hold_no_secret_and_end_the_search() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cookie");
        fs::write(&path, "\nsecond line").unwrap();
        let env = Env::from_iter([("", "")]);
        let error = cookie(&env, Some(&path), None).unwrap_err();
        assert_eq!(error.why, "the cookie is empty");
        fs::remove_file(&path).unwrap();
        assert_eq!(
            cookie(&env, Some(&path), None).unwrap_err().why,
            "there is no such file"
        );
    }
}
