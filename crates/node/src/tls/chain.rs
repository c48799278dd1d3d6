//! How many authorities may stand between a certificate and one that is trusted: OTP's option `depth`.

use rustls::Error;
use rustls::pki_types::CertificateDer;

use super::names::issuer_and_subject;
use super::verify::Refused;

type Chain<'a> = Vec<CertificateDer<'a>>;

/// So many chains are tried. A peer that shows certificates of many authorities of one name gets no
/// more of our time.
const MAX_TRIED: usize = 16;

/// What `verify` says of a certificate with what was shown beside it, if at most `depth` of that is
/// needed. As with OTP those that sign themselves do not count.
///
/// rustls looks for any way to a trusted authority, and does not say how long that is: what it may not
/// use is not shown to it.
pub(super) fn within<T>(
    depth: Option<usize>,
    certificate: &CertificateDer<'_>,
    shown: &[CertificateDer<'_>],
    verify: impl Fn(&[CertificateDer<'_>]) -> Result<T, Error>,
) -> Result<T, Error> {
    let verified = verify(shown)?;
    let (own, others): (Chain<'_>, Chain<'_>) = shown.iter().cloned().partition(signs_itself);
    let Some(depth) = depth.filter(|depth| *depth < others.len()) else {
        return Ok(verified);
    };
    let mut chains = Vec::new();
    gather(depth, certificate, &others, &mut Vec::new(), &mut chains);
    let mut tried = chains.into_iter().map(|mut chain| {
        chain.extend(own.iter().cloned());
        verify(&chain)
    });
    let found = tried.find_map(Result::ok);
    found.ok_or_else(|| Refused::Deep { depth }.into())
}

/// Every chain from `last` on, by the names of who signed whom, of at most `depth` more: the longest
/// ones, which the shorter ones are part of.
fn gather<'a>(
    depth: usize,
    last: &CertificateDer<'_>,
    others: &[CertificateDer<'a>],
    so_far: &mut Chain<'a>,
    chains: &mut Vec<Chain<'a>>,
) {
    let mut ends = true;
    if so_far.len() < depth {
        for next in others {
            if chains.len() >= MAX_TRIED {
                return;
            }
            if signed(next, last) && !so_far.contains(next) {
                ends = false;
                so_far.push(next.clone());
                gather(depth, next, others, so_far, chains);
                so_far.pop();
            }
        }
    }
    if ends {
        chains.push(so_far.clone());
    }
}

fn signed(issuer: &CertificateDer<'_>, certificate: &CertificateDer<'_>) -> bool {
    match (issuer_and_subject(issuer), issuer_and_subject(certificate)) {
        (Some((_, name)), Some((wanted, _))) => name == wanted,
        _ => false,
    }
}

fn signs_itself(certificate: &CertificateDer<'_>) -> bool {
    issuer_and_subject(certificate).is_some_and(|(issuer, subject)| issuer == subject)
}
