//! Certificates and keys from PEM files, and whether a file is still the one that was read.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::TlsError;
use super::names::issuer_and_subject;

/// All public authorities fit many times; a wrong path (`/dev/zero`) must not fill memory.
const MAX_FILE: u64 = 4 << 20;

/// How many links a chain of ours may have.
const MAX_CHAIN: usize = 10;

/// What a file looked like when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    path: PathBuf,
    /// `None` when it is not there.
    seen: Option<Seen>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    modified: SystemTime,
    len: u64,
    /// Which file it is and when anything of it was changed, which `cp -p` and `mv` cannot hide.
    inode: Option<Inode>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inode {
    device: u64,
    number: u64,
    changed: SystemTime,
}

/// Clocks of file systems stand still for some milliseconds, or for a second or two on old ones: what
/// changes in the moment in which it was looked at looks the same.
const MOMENT: Duration = Duration::from_secs(3);

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        let seen = std::fs::metadata(path).ok();
        Self {
            path: path.to_owned(),
            seen: seen.and_then(|file| Seen::of(&file)),
        }
    }

    /// Whether a change after `now` shows. That of a file from the future does: it has another time, then.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        self.seen.as_ref().is_none_or(|seen| {
            let changed = seen.inode.as_ref().map(|inode| inode.changed);
            let last = changed.map_or(seen.modified, |changed| changed.max(seen.modified));
            let apart = now
                .duration_since(last)
                .unwrap_or_else(|why| why.duration());
            apart > MOMENT
        })
    }
}

impl Seen {
    fn of(file: &Metadata) -> Option<Self> {
        Some(Self {
            modified: file.modified().ok()?,
            len: file.len(),
            inode: Inode::of(file),
        })
    }
}

impl Inode {
    #[cfg(unix)]
    fn of(file: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;

        let seconds = u64::try_from(file.ctime()).ok()?;
        let nanoseconds = u32::try_from(file.ctime_nsec()).ok()?;
        let since = Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds.into());
        Some(Self {
            device: file.dev(),
            number: file.ino(),
            changed: SystemTime::UNIX_EPOCH.checked_add(since)?,
        })
    }

    #[cfg(not(unix))]
    const fn of(_file: &Metadata) -> Option<Self> {
        None
    }
}

/// The whole file.
pub(super) fn read(path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)
        .and_then(|file| file.take(max + 1).read_to_end(&mut bytes))
        .map_err(|why| TlsError::new(path, why.to_string()))?;
    if bytes.len() as u64 > max {
        return Err(TlsError::new(path, "is too large"));
    }
    Ok(bytes)
}

/// Every certificate in a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path, MAX_FILE)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|why| TlsError::new(path, why.to_string()))?;
    if found.is_empty() {
        return Err(TlsError::new(path, "holds no certificate in PEM form"));
    }
    Ok(found)
}

/// Whom to trust.
pub(super) fn authorities(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    let (_, refused) = roots.add_parsable_certificates(certificates(path)?);
    if roots.is_empty() {
        let why = format!("holds no certificate that can be used ({refused} cannot be read)");
        return Err(TlsError::new(path, why));
    }
    Ok(Arc::new(roots))
}

/// The certificate to show, with its chain, and its key. What the chain lacks is completed from
/// `cacertfile`, as OTP does.
pub(super) fn identity(
    certfile: &Path,
    keyfile: &Path,
    cacertfile: Option<&Path>,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let mut chain = certificates(certfile)?;
    if let Some(path) = cacertfile {
        complete(&mut chain, certificates(path)?);
    }
    let key = private_key(keyfile)?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|_| TlsError::new(keyfile, "holds a key of a kind that is not supported: RSA of 2048 bits and more, P-256, P-384 and Ed25519 are"))?;
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            let why = format!(
                "is not the key of the certificate in {}",
                certfile.display()
            );
            Err(TlsError::new(keyfile, why))
        }
        // Perhaps a certificate without version 3: ours to show, the peer's to judge.
        _ => Ok(Arc::new(identity)),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read(path, MAX_FILE)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let text = String::from_utf8_lossy(&pem);
        let sealed = text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains(",ENCRYPTED");
        TlsError::new(
            path,
            if sealed {
                "holds a key with a password: take it off (openssl pkey -in … -out …) and protect \
                 the file by its mode"
            } else {
                "holds no private key in PEM form (PKCS#8, PKCS#1 or SEC1)"
            },
        )
    })
}

/// Appends issuers up to and without the one that signs itself.
fn complete(chain: &mut Vec<CertificateDer<'static>>, known: Vec<CertificateDer<'static>>) {
    while chain.len() < MAX_CHAIN {
        let Some((issuer, subject)) = chain.last().and_then(|last| issuer_and_subject(last)) else {
            return;
        };
        if issuer == subject {
            return;
        }
        let next = known.iter().find(|candidate| {
            issuer_and_subject(candidate)
                .is_some_and(|(above, name)| name == issuer && above != name)
        });
        match next.cloned() {
            Some(next) => chain.push(next),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, FileTimes};

    use super::*;

    fn changed_at(path: &Path, time: SystemTime) {
        let file = File::options().write(true).open(path).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }

    /// A file in a directory of its own.
    fn file(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("trunkline-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir.join("node.pem")
    }

    /// Of the same length and the same time: it was changed, or is another file.
    #[cfg(unix)]
    #[test]
    fn a_file_that_looks_the_same_is_another() {
        let path = file("stamp");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        fs::write(&path, "old").unwrap();
        changed_at(&path, time);
        let old = Stamp::of(&path);
        assert_eq!(old, Stamp::of(&path));
        // The clock of the file system may stand still for a moment.
        let begun = std::time::Instant::now();
        loop {
            fs::write(&path, "new").unwrap();
            changed_at(&path, time);
            if Stamp::of(&path) != old {
                break;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "it does not show"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        let new = Stamp::of(&path);
        let beside = path.with_extension("tmp");
        fs::write(&beside, "mvd").unwrap();
        changed_at(&beside, time);
        fs::rename(&beside, &path).unwrap();
        assert_ne!(new, Stamp::of(&path));
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    /// What was changed just now may be changed again in the same moment.
    #[test]
    fn a_file_that_was_just_changed_is_not_settled() {
        let path = file("settled");
        fs::write(&path, "old").unwrap();
        let stamp = Stamp::of(&path);
        let changed = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(!stamp.is_settled(changed));
        assert!(!stamp.is_settled(changed + MOMENT / 2));
        assert!(stamp.is_settled(changed + MOMENT * 2));
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        assert!(Stamp::of(&path).is_settled(changed), "there is none");
    }
}
