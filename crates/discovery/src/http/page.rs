//! Following "next page" links.

use reqwest::Url;

use super::origin;
use crate::DiscoverError;

/// The next page, when it is on the same origin as `current`: a token goes nowhere else. `link` may
/// be relative.
pub fn same_origin(current: &Url, link: &str) -> Result<Url, DiscoverError> {
    let from = origin(current);
    let next = current.join(link).map_err(|error| DiscoverError::BadBody {
        from: from.clone(),
        why: format!("the link to the next page is no address: {error}"),
    })?;
    if next.origin() == current.origin() {
        Ok(next)
    } else {
        Err(DiscoverError::OtherOrigin {
            from,
            next: origin(&next),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let here: Url = "https://api.example/v2/droplets?page=1".parse().unwrap();
        for link in [
            "https://api.example/v2/droplets?page=2",
            "/v2/droplets?page=2",
            "?page=2",
        ] {
            assert_eq!(same_origin(&here, link).unwrap().query(), Some("page=2"));
        }
        for link in [
            "http://api.example/x",
            "https://evil.example/x",
            "https://api.example:444/x",
            "//evil.example/x",
        ] {
            let error = same_origin(&here, link).unwrap_err();
            assert!(
                matches!(error, DiscoverError::OtherOrigin { .. }),
                "{link}: {error}"
            );
        }
    }
}
