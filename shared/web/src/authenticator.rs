//! Authentication. Without keys, only loopback requests from our own page or from programs are accepted.

use std::net::Ipv4Addr;

use axum::http::{HeaderMap, Method, header};
use domain::{ActorHash, Scope, WorkspaceId};
use engine::{Caller, Engine, Problem, ProblemCode, limits::Ticket, refusals::Refusal};
use telemetry::labels::AuthFailure;

use crate::body;

/// How callers are authenticated.
#[derive(Debug, Clone)]
pub enum Authenticator {
    /// By the API keys of the ledger.
    Keys,
    /// Without a credential, on this machine only.
    Keyless {
        /// The workspace of every caller.
        workspace: WorkspaceId,
        /// The actor of requests that name none.
        actor: ActorHash,
    },
}

impl Authenticator {
    /// Checks a request before any handler sees it. Keyless mode refuses another machine's name in `Host` (DNS
    /// rebinding), the `Origin` of another page, whatever another site's page fetches, embeds or posts, and writes that
    /// an HTML form could send. A link there may lead to our pages, and a provider's page back to us.
    pub(crate) fn admit(&self, method: &Method, headers: &HeaderMap) -> Result<(), Box<Refusal>> {
        if matches!(self, Self::Keys) {
            return Ok(());
        }
        let host = only(headers, "host").unwrap_or_default();
        if !is_loopback(host) {
            return foreign("without keys, this server accepts only 127.0.0.1, localhost or [::1] as Host");
        }
        let follows_link = *method == Method::GET && only(headers, "sec-fetch-mode") == Some("navigate");
        let is_foreign = only(headers, "origin").is_some_and(|origin| origin != format!("http://{host}"));
        if is_foreign || is_of_another_site(headers) && !follows_link {
            return foreign(FOREIGN_PAGE);
        }
        if *method == Method::POST && !body::is_json(headers) {
            return Err(body::not_json().into());
        }
        Ok(())
    }

    /// The caller of a request.
    pub(crate) async fn caller(
        &self,
        engine: &Engine,
        headers: &HeaderMap,
        ticket: Ticket,
    ) -> Result<Caller, Box<Refusal>> {
        match self {
            Self::Keys => {
                // A header that is not text is a bad credential, not a missing one.
                let authorization = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
                engine.keys.authenticate(authorization, ticket).await
            }
            // A link from another site may lead to a page, but not to a route that needs a caller.
            Self::Keyless { .. } if is_of_another_site(headers) => foreign(FOREIGN_PAGE),
            Self::Keyless { workspace, actor } => Ok(Caller {
                workspace: workspace.clone(),
                key_id: None,
                bound_actor: None,
                allow: None,
                agent: false,
                draft_only: false,
                default_actor: actor.clone(),
                scopes: Scope::all(),
                ticket,
            }),
        }
    }
}

/// The value of a header, or one that no rule accepts: proxies disagree on which copy of a repeated header counts.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(if values.next().is_some() { "?" } else { first.to_str().unwrap_or("?") })
}

/// A browser asks on behalf of a page of another origin (Fetch Metadata). Programs do not send the header.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    !matches!(only(headers, "sec-fetch-site"), None | Some("same-origin" | "none"))
}

const FOREIGN_PAGE: &str = "without keys, this server refuses requests from pages of other origins";

fn foreign<T>(says: &str) -> Result<T, Box<Refusal>> {
    Err(Refusal::of(AuthFailure::Foreign, Problem::new(ProblemCode::ForbiddenScope, says)))
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let is_loopback = name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    is_loopback || name.eq_ignore_ascii_case("localhost") || name == "[::1]"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        for host in ["127.0.0.1", "127.0.0.1:8787", "localhost:1", "LOCALHOST", "127.0.0.2:80", "[::1]", "[::1]:8787"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "127.0.0.1.example.com",
            "localhost.example.com:80",
            "0.0.0.0",
            "128.0.0.1",
            "127.1",
            "[::2]:1",
            "::1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
