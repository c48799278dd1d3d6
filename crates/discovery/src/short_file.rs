//! Reading a file that a person names and that holds one short text: it may be the wrong one.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// A pipe has a program at its other end, such as a password manager that asks its server; a FIFO may
/// have none, and would be waited for without end.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was read.
pub(crate) struct ShortFile {
    /// Its bytes, at most as many as were asked for. May be secret.
    pub(crate) secret_bytes: Zeroizing<Vec<u8>>,
    /// The permission bits.
    pub(crate) mode: u32,
}

/// The first `most` bytes of `path`, which may be a pipe (`<(pass show cookie)`).
///
/// # Errors
/// What the system says; a directory; a pipe into which nobody writes for five seconds.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<ShortFile> {
    let nonblocking = OFlags::NONBLOCK.bits();
    let flags = i32::try_from(nonblocking).map_err(|_| ErrorKind::Unsupported)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(ErrorKind::IsADirectory, "it is a directory"));
    }
    let mut secret_bytes = Zeroizing::new(Vec::with_capacity(256));
    let mut file = file.take(most);
    let end = Instant::now() + PATIENCE;
    let waits = !metadata.is_file();
    loop {
        if waits {
            wait(file.get_ref(), end)?;
        }
        match file.read_to_end(&mut secret_bytes) {
            Ok(_) => break,
            Err(error) if waits && error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ShortFile {
        secret_bytes,
        mode: metadata.permissions().mode() & 0o7777,
    })
}

/// Until there is something to read, or the end.
fn wait(file: &File, end: Instant) -> io::Result<()> {
    let left = end.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).map_err(|_| ErrorKind::InvalidInput)?;
    let mut fds = [PollFd::new(file, PollFlags::IN)];
    match poll(&mut fds, Some(&left)) {
        Ok(0) => {
            let what = format!("nobody writes into this pipe for {} s", PATIENCE.as_secs());
            Err(io::Error::new(ErrorKind::TimedOut, what))
        }
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn text(path: &Path) -> Result<String, String> {
        let read = read(path, 10).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(read.secret_bytes.to_vec()).unwrap())
    }

    #[test]
    fn files_of_every_kind() {
        let dir = tempfile::tempdir().unwrap();
        let (file, fifo) = (dir.path().join("file"), dir.path().join("fifo"));
        fs::write(&file, "0123456789abc").unwrap();
        assert_eq!(text(&file), Ok("0123456789".into()));
        assert_eq!(text(dir.path()), Err("it is a directory".into()));
        assert_eq!(text(Path::new("/dev/zero")), Ok("\0".repeat(10)));

        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let writer = std::thread::spawn({
            let fifo = fifo.clone();
            move || {
                let mut fifo = OpenOptions::new().write(true).open(fifo).unwrap();
                for part in ["hu", "sh\n"] {
                    fifo.write_all(part.as_bytes()).unwrap();
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        });
        assert_eq!(text(&fifo), Ok("hush\n".into()));
        writer.join().unwrap();
        let alone = text(&fifo).unwrap_err();
        assert_eq!(alone, "nobody writes into this pipe for 5 s");
    }
}
