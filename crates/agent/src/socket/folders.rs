//! The folders in which agents keep their sockets.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

const SHARED: &str = "/run/trunkline";
const PRIVATE: &str = "/tmp/trunkline-";

/// The longest path that fits into a socket address on Linux, the final NUL left out.
const MAX_PATH: usize = 107;

/// Where sockets are made and looked for.
#[derive(Clone, Debug)]
pub struct Folders {
    own: Vec<PathBuf>,
    uid: u32,
}

impl Folders {
    /// For this process's user and the given `$XDG_RUNTIME_DIR`.
    pub fn new(xdg_runtime_dir: Option<&Path>) -> Self {
        let uid = rustix::process::getuid().as_raw();
        let mut own = Vec::new();
        if let Some(dir) = xdg_runtime_dir.filter(|dir| dir.is_absolute()) {
            own.push(dir.join("trunkline"));
        }
        own.push(SHARED.into());
        own.push(format!("{PRIVATE}{uid}").into());
        Self { own, uid }
    }

    /// Only a folder that cannot be made, because `file` is none.
    #[cfg(test)]
    pub(super) fn nowhere(file: &Path) -> Self {
        let uid = rustix::process::getuid().as_raw();
        let own = vec![file.join("trunkline")];
        Self { own, uid }
    }

    /// The first folder in which this user can make a socket, made when it is missing.
    pub(super) fn writable(&self) -> io::Result<&Path> {
        let mut last = io::ErrorKind::NotFound.into();
        for dir in &self.own {
            match prepare(dir, self.uid) {
                Ok(()) => return Ok(dir),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The folders of this user, as text.
    pub(crate) fn names(&self) -> Vec<String> {
        let dirs = self.own.iter();
        dirs.map(|dir| dir.display().to_string()).collect()
    }

    /// Every socket in the folders that belong to this user; root looks into those of others too.
    pub(super) fn sockets(&self) -> Vec<PathBuf> {
        let mut dirs = self.own.clone();
        if self.uid == 0 {
            dirs.extend(foreign());
        }
        let mut found: Vec<_> = dirs.iter().flat_map(|dir| list(dir)).collect();
        found.retain(|path| path.extension().is_some_and(|ext| ext == "sock"));
        found.sort();
        found.dedup();
        found
    }
}

/// `<dir>/<node>.<extension>`; a name too long for a socket address is cut and told apart by a hash.
pub(super) fn path_in(dir: &Path, node: &str, extension: &str) -> PathBuf {
    let plain = dir.join(format!("{node}.{extension}"));
    if plain.as_os_str().len() <= MAX_PATH {
        return plain;
    }
    // FNV-1a: both ends need the same function, in any build.
    let hash = node.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    dir.join(format!("{hash:016x}.{extension}"))
}

/// Makes `dir`, and refuses one in which somebody else could replace our socket.
fn prepare(dir: &Path, uid: u32) -> io::Result<()> {
    let mode = if dir == Path::new(SHARED) {
        0o755
    } else {
        0o700
    };
    match fs::DirBuilder::new().mode(mode).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let meta = fs::symlink_metadata(dir)?;
    let ours = meta.uid() == uid || meta.uid() == 0;
    // Others may write there only under the sticky bit, as in /tmp.
    let guarded = meta.mode() & 0o022 == 0 || meta.mode() & 0o1000 != 0;
    if !meta.is_dir() || !ours || !guarded {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK)?;
    Ok(())
}

/// The folders of other users, each only when it belongs to the user that its name says.
fn foreign() -> Vec<PathBuf> {
    let in_tmp = list(Path::new("/tmp")).into_iter().filter_map(|path| {
        let uid = path.to_str()?.strip_prefix(PRIVATE)?.parse::<u32>().ok()?;
        owned_by(&path, uid).then_some(path)
    });
    let in_run = list(Path::new("/run/user")).into_iter().filter_map(|path| {
        let uid = path.file_name()?.to_str()?.parse::<u32>().ok()?;
        let path = path.join("trunkline");
        owned_by(&path, uid).then_some(path)
    });
    in_tmp.chain(in_run).collect()
}

fn owned_by(dir: &Path, uid: u32) -> bool {
    fs::symlink_metadata(dir).is_ok_and(|meta| meta.is_dir() && meta.uid() == uid)
}

fn list(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_still_has_a_path() {
        let dir = Path::new("/run/trunkline");
        let short = path_in(dir, "app@10.0.0.1", "sock");
        assert_eq!(short, Path::new("/run/trunkline/app@10.0.0.1.sock"));
        let (a, b) = ("a".repeat(200) + "@h", "a".repeat(200) + "@i");
        assert!(path_in(dir, &a, "sock").as_os_str().len() <= MAX_PATH);
        assert_ne!(path_in(dir, &a, "sock"), path_in(dir, &b, "sock"));
    }

    #[test]
    fn a_folder_open_to_others_is_passed_over() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("trunkline");
        let uid = rustix::process::getuid().as_raw();
        prepare(&dir, uid).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(prepare(&dir, uid).is_err());
    }
}
