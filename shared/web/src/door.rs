//! Who may come in: the credential and its scopes; in keyless mode, this machine's own programs and page.

use std::{collections::BTreeSet, marker::PhantomData};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, header, request::Parts},
};
use domain::{ActorHash, Scope, WorkspaceId};
use engine::{Caller, Engine, Problem, ProblemCode};

use crate::{Web, problem::Refused};

/// How callers are told apart.
#[derive(Debug, Clone)]
pub enum Door {
    /// API keys of the ledger.
    Keys,
    /// One workspace, without a credential, for this machine alone.
    Keyless {
        /// The workspace that everyone is in.
        workspace: WorkspaceId,
        /// Whom requests act for that do not say.
        actor: ActorHash,
    },
}

impl Door {
    /// Refuses what keyless mode must not answer: another machine's name in `Host` (DNS rebinding),
    /// another page's `Origin`, and a write that a plain form could send.
    pub(crate) fn admits(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        if matches!(self, Self::Keys) {
            return Ok(());
        }
        // Of a header that stands twice nobody knows which one counts for others on the way.
        let text = |name| {
            let mut values = headers.get_all(name).iter();
            let first: Option<&header::HeaderValue> = values.next();
            first.map(|first| if values.next().is_some() { "?" } else { first.to_str().unwrap_or("?") })
        };
        let host = text(header::HOST).unwrap_or_default();
        if !is_loopback(host) {
            let detail = "without keys, this server answers only to 127.0.0.1, localhost or [::1] as its Host";
            return Err(Problem::new(ProblemCode::ForbiddenScope, detail));
        }
        if text(header::ORIGIN).is_some_and(|origin| origin != format!("http://{host}")) {
            let detail = "without keys, this server refuses requests of pages that are not its own";
            return Err(Problem::new(ProblemCode::ForbiddenScope, detail));
        }
        if *method == Method::POST && !crate::body::is_json(headers) {
            return Err(crate::body::not_json());
        }
        Ok(())
    }

    async fn caller(&self, engine: &Engine, headers: &HeaderMap) -> Result<Caller, Problem> {
        match self {
            Self::Keys => {
                let authorization = headers.get(header::AUTHORIZATION);
                engine.authenticate(authorization.and_then(|value| value.to_str().ok())).await
            }
            Self::Keyless { workspace, actor } => Ok(Caller {
                workspace: workspace.clone(),
                key_id: None,
                bound_actor: None,
                allow: None,
                default_actor: actor.clone(),
                scopes: BTreeSet::from(Scope::ALL),
            }),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

/// Proof that the caller may do what `S` stands for, and has not asked too often; extracting it is the check.
///
/// A route whose use case counts the request itself, in its first call to the cache, takes `May<S, false>`.
pub struct May<S, const COUNTED: bool = true> {
    /// Who asks.
    pub caller: Caller,
    scope: PhantomData<S>,
}

/// A scope as a type, for [`May`].
pub trait Needs {
    /// Which scope.
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($name:ident),+) => {
        $(
            #[doc = concat!("The scope [`Scope::", stringify!($name), "`].")]
            pub struct $name;

            impl Needs for $name {
                const SCOPE: Scope = Scope::$name;
            }
        )+
    };
}

needs!(ActionsPreview, ActionsExecute, ConnectionsWrite, MetricsRead, AuditRead);

impl<S: Needs, const COUNTED: bool> FromRequestParts<Web> for May<S, COUNTED> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Refused> {
        let caller = web.door.caller(&web.engine, &parts.headers).await?;
        if !caller.scopes.contains(&S::SCOPE) {
            let detail = format!("the credential lacks the scope {}", S::SCOPE);
            return Err(Problem::new(ProblemCode::ForbiddenScope, detail).into());
        }
        if COUNTED {
            web.engine.admit(&caller).await?;
        }
        Ok(Self { caller, scope: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        for host in ["127.0.0.1", "127.0.0.1:8787", "localhost:1", "LOCALHOST", "[::1]", "[::1]:8787"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["", "example.com", "127.0.0.1.example.com", "localhost.example.com:80", "0.0.0.0", "[::2]:1", "::1"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
