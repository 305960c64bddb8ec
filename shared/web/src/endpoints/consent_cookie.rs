//! The cookie that binds an OAuth consent to the browser that started it.

use axum::http::{HeaderMap, HeaderValue, header};
use domain::Provider;

use crate::state::Web;

/// The `Set-Cookie` header. `Lax`, since the callback is a navigation from the provider's page.
pub(crate) fn set(web: &Web, provider: Provider, value: &str, seconds: u64) -> HeaderValue {
    let secure = if web.is_https() { "; Secure" } else { "" };
    let name = name(web, provider);
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&cookie).expect("names and hex digits are ASCII")
}

/// The cookie's value in a request.
pub(crate) fn get(web: &Web, provider: Provider, headers: &HeaderMap) -> Option<String> {
    let name = name(web, provider);
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

/// Over https, browsers accept the prefix `__Host-` only from this exact host.
fn name(web: &Web, provider: Provider) -> String {
    let prefix = if web.is_https() { "__Host-" } else { "" };
    format!("{prefix}orchestrator-{provider}")
}
