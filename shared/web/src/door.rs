//! Who may come in: the credential and its scopes; in keyless mode, this machine's own programs and page.

use std::{
    collections::BTreeSet,
    marker::PhantomData,
    sync::{Arc, OnceLock},
};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, header, request::Parts},
};
use domain::{ActorHash, Scope, WorkspaceId};
use engine::{Caller, Engine, Problem, ProblemCode, limits::Ticket};

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
                engine.keys.authenticate(authorization.and_then(|value| value.to_str().ok())).await
            }
            Self::Keyless { workspace, actor } => Ok(Caller {
                workspace: workspace.clone(),
                key_id: None,
                bound_actor: None,
                allow: None,
                default_actor: actor.clone(),
                scopes: BTreeSet::from(Scope::ALL),
                ticket: Ticket::default(),
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

/// Proof that the caller has the scope `S`. Extracting it is the check, and with [`AtOnce`] it also charges the request
/// to its rate limits.
pub struct May<S, C = AtOnce> {
    /// The caller.
    pub caller: Caller,
    kind: PhantomData<(S, C)>,
}

/// When a request is charged to its rate limits, as a type, for [`May`].
pub trait Charge {
    /// Before the handler runs.
    const AT_ONCE: bool;
}

/// Before the handler runs.
pub struct AtOnce;

/// By the use case, along with its own first call to the cache. [`OpenTicket`] charges a request that ends before it.
pub struct ByUseCase;

impl Charge for AtOnce {
    const AT_ONCE: bool = true;
}

impl Charge for ByUseCase {
    const AT_ONCE: bool = false;
}

/// A request's ticket, as an extension: whatever its handler leaves uncharged is charged when it ends.
#[derive(Clone, Default)]
pub(crate) struct OpenTicket(Arc<OnceLock<Ticket>>);

impl OpenTicket {
    /// Charges the request, if nothing else did.
    pub(crate) async fn charge(&self, engine: &Engine) -> Result<(), Problem> {
        match self.0.get() {
            Some(ticket) => engine.limiter.charge(ticket).await,
            None => Ok(()),
        }
    }
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

impl<S: Needs, C: Charge> FromRequestParts<Web> for May<S, C> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Refused> {
        let caller = web.door.caller(&web.engine, &parts.headers).await?;
        if !caller.scopes.contains(&S::SCOPE) {
            let detail = format!("the credential lacks the scope {}", S::SCOPE);
            return Err(Problem::new(ProblemCode::ForbiddenScope, detail).into());
        }
        if C::AT_ONCE {
            web.engine.limiter.charge(&caller.ticket).await?;
        } else if let Some(OpenTicket(open)) = parts.extensions.get() {
            let _ = open.set(caller.ticket.clone());
        }
        Ok(Self { caller, kind: PhantomData })
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
