//! BEAMs take turns to start, over all test programs that run.
//!
//! A BEAM computes for seconds until it is up. Where the worlds of several stories start theirs at once, twenty share two cores, and none is
//! up for twenty seconds: longer than what the stories wait for. With turns each is up soon, and the last of them no later than before.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::workspace;

/// How often those who wait look whether a place is free.
const STEP: Duration = Duration::from_millis(20);

/// Leave to start BEAMs, until it is dropped. The system takes it from a test that was killed.
#[derive(Debug)]
pub struct Turn {
    _places: Vec<File>,
}

impl Turn {
    /// Waits for leave to start this many at once. There are as many places as cores; a group that wants more has all of them.
    ///
    /// # Errors
    /// When the files of the places cannot be opened or locked.
    pub fn of(count: usize) -> Result<Self> {
        let cores = thread::available_parallelism().map_or(2, usize::from);
        Self::among(&workspace::target().join("interop/turns"), cores, count)
    }

    fn among(folder: &Path, places: usize, count: usize) -> Result<Self> {
        let wanted = count.clamp(1, places);
        fs::create_dir_all(folder)?;
        // One at a time takes places, so that no two wait for each other's, and a group's turn comes, too.
        let gate = File::create(folder.join("gate"))?;
        flock(&gate, FlockOperation::LockExclusive)?;
        let mut taken: BTreeMap<usize, File> = BTreeMap::new();
        loop {
            for n in 0..places {
                if taken.len() < wanted && !taken.contains_key(&n) {
                    let place = free(&folder.join(n.to_string()))?;
                    taken.extend(place.map(|file| (n, file)));
                }
            }
            if taken.len() == wanted {
                let places = taken.into_values().collect();
                return Ok(Self { _places: places });
            }
            thread::sleep(STEP);
        }
    }
}

/// The locked file of a place, unless somebody has it.
fn free(path: &Path) -> Result<Option<File>> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(why) => Err(io::Error::from(why)).with_context(|| path.display().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, RecvTimeoutError};

    use super::*;

    #[test]
    fn a_group_waits_until_all_places_are_free() {
        let dir = tempfile::tempdir().expect("a folder");
        let one = Turn::among(dir.path(), 2, 1).expect("a place");
        let other = Turn::among(dir.path(), 2, 1).expect("another place");
        let (send, taken) = mpsc::channel();
        let folder = dir.path().to_owned();
        let group = thread::spawn(move || {
            let turn = Turn::among(&folder, 2, 5);
            send.send(()).expect("the test waits");
            turn
        });
        for turn in [one, other] {
            let early = taken.recv_timeout(STEP * 5);
            assert_eq!(early, Err(RecvTimeoutError::Timeout));
            drop(turn);
        }
        let group = group.join().expect("no panic").expect("both places");
        assert_eq!(group._places.len(), 2);
        assert!(free(&dir.path().join("0")).expect("a file").is_none());
    }
}
