//! Who may ask: on a loopback address a request that means it (against DNS rebinding), anywhere
//! else the bearer of the token.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Json, http::Uri};
use serde_json::json;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What a request must show.
pub struct Guard {
    loopback: bool,
    token: Option<Zeroizing<Vec<u8>>>,
}

impl Guard {
    /// For a listener on `ip`. On a loopback address `Host` and `Origin` must name loopback; a
    /// token, where there is one, is demanded on any address.
    pub fn new(ip: IpAddr, token: Option<Zeroizing<Vec<u8>>>) -> Self {
        let loopback = ip.to_canonical().is_loopback();
        Self { loopback, token }
    }

    fn refusal(&self, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
        if self.loopback && !names_loopback(headers, header::HOST, true) {
            let what = "the Host header must be localhost or a loopback address";
            return Some((StatusCode::FORBIDDEN, what));
        }
        if self.loopback && !names_loopback(headers, header::ORIGIN, false) {
            let what = "requests from other origins are refused";
            return Some((StatusCode::FORBIDDEN, what));
        }
        match &self.token {
            Some(token) if !bears(headers, token) => {
                let what = "this address demands Authorization: Bearer TOKEN";
                Some((StatusCode::UNAUTHORIZED, what))
            }
            _ => None,
        }
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("Guard")
            .field("loopback", &self.loopback)
            .field("token", &token)
            .finish()
    }
}

pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let Some((code, what)) = guard.refusal(request.headers()) else {
        return next.run(request).await;
    };
    let mut response = (code, Json(json!({ "error": what }))).into_response();
    if code == StatusCode::UNAUTHORIZED {
        let scheme = header::HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

/// Whether every value of `name` names a loopback host. A request without the header passes unless
/// it is `demanded`: HTTP/1.1 demands `Host`, and only browsers send `Origin`.
fn names_loopback(headers: &HeaderMap, name: header::HeaderName, demanded: bool) -> bool {
    let mut values = headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        return !demanded;
    }
    values.all(|value| value.to_str().is_ok_and(is_loopback))
}

/// Takes `host`, `host:port`, and the same behind a scheme.
fn is_loopback(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => bare.eq_ignore_ascii_case("localhost"),
    }
}

fn bears(headers: &HeaderMap, token: &[u8]) -> bool {
    let value = headers.get(header::AUTHORIZATION).map(|v| v.as_bytes());
    let Some((scheme, given)) = value.and_then(|v| v.split_at_checked("Bearer ".len())) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"Bearer ") && given.ct_eq(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.clone(), header::HeaderValue::from_static(value)))
            .collect()
    }

    fn code(guard: &Guard, pairs: &[(header::HeaderName, &'static str)]) -> u16 {
        guard
            .refusal(&headers(pairs))
            .map_or(200, |(code, _)| code.as_u16())
    }

    #[test]
    fn a_rebound_name_is_refused_on_loopback() {
        let guard = Guard::new([127, 0, 0, 1].into(), None);
        for host in [
            "localhost",
            "LOCALHOST:4370",
            "127.0.0.1:4370",
            "127.9.9.9",
            "[::1]:4370",
        ] {
            assert_eq!(code(&guard, &[(header::HOST, host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:4370",
            "10.0.0.1",
            "localhost.evil.example",
            "",
        ] {
            assert_eq!(code(&guard, &[(header::HOST, host)]), 403, "{host}");
        }
        assert_eq!(code(&guard, &[]), 403);
    }

    #[test]
    fn a_foreign_origin_is_refused() {
        let guard = Guard::new([127, 0, 0, 1].into(), None);
        let host = (header::HOST, "localhost:4370");
        let origin = |text| [host.clone(), (header::ORIGIN, text)];
        assert_eq!(code(&guard, &origin("http://localhost:4370")), 200);
        assert_eq!(code(&guard, &origin("https://evil.example")), 403);
        assert_eq!(code(&guard, &origin("null")), 403);
    }

    #[test]
    fn the_token_is_demanded_whole() {
        let token = Zeroizing::new(b"s3cret".to_vec());
        let guard = Guard::new([10, 0, 0, 1].into(), Some(token));
        let host = (header::HOST, "10.0.0.1:4370");
        let auth = |text| [host.clone(), (header::AUTHORIZATION, text)];
        assert_eq!(code(&guard, std::slice::from_ref(&host)), 401);
        assert_eq!(code(&guard, &auth("Bearer s3cret")), 200);
        assert_eq!(code(&guard, &auth("bearer s3cret")), 200);
        assert_eq!(code(&guard, &auth("Bearer s3cre")), 401);
        assert_eq!(code(&guard, &auth("Bearer s3cret ")), 401);
        assert_eq!(code(&guard, &auth("Basic s3cret")), 401);
        assert!(!format!("{guard:?}").contains("s3cret"));
    }
}
