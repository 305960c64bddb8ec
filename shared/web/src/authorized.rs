//! Authorization: the scopes that an endpoint declares, and the rate limits.

use axum::{
    extract::{FromRequestParts, MatchedPath},
    http::request::Parts,
};
use domain::{KeyId, Scope};
use engine::{Caller, Problem, ProblemCode, refusals::Origin};

use crate::{endpoints::ENDPOINTS, middleware::RequestContext, problem::Refused, state::Web};

/// Proof that the caller has the endpoint's scopes, and that the request is charged to its rate limits. Extracting it is
/// the check.
#[derive(Clone)]
pub struct Authorized {
    /// The authenticated caller.
    pub caller: Caller,
    /// What came with the request.
    pub context: RequestContext,
}

/// The same, but the use case charges the request along with its own first call to the cache. If it fails before, the
/// request is charged when it ends.
pub struct ByUseCase(pub Authorized);

impl FromRequestParts<Web> for Authorized {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Refused> {
        let ByUseCase(authorized) = ByUseCase::from_request_parts(parts, web).await?;
        web.engine.limiter.charge(&authorized.caller.ticket).await?;
        Ok(authorized)
    }
}

impl FromRequestParts<Web> for ByUseCase {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Refused> {
        let path = parts.extensions.get().map_or("", MatchedPath::as_str);
        // By the path alone: a test keeps the scopes of one path equal.
        let scopes = ENDPOINTS.iter().find(|endpoint| endpoint.path == path).map(|endpoint| endpoint.scopes);
        let context = parts.extensions.get::<RequestContext>().cloned();
        let (Some(scopes @ [_, ..]), Some(context)) = (scopes, context) else {
            return Err(Problem::new(ProblemCode::Internal, format!("no scope is declared for {path}")).into());
        };
        let (refusals, origin) = (&web.engine.refusals, Origin { route: path, address: context.address });
        let caller = match web.authenticator.caller(&web.engine, &parts.headers, context.ticket.clone()).await {
            Ok(caller) => caller,
            Err(refusal) => return Err(refusals.record(*refusal, origin).await.into()),
        };
        // Beside the request, which neither waits for it nor fails with it.
        if let Some(record) = caller.key_id.as_ref().and_then(|id| web.engine.keys.first_use_today(id)) {
            tokio::spawn(record);
        }
        let span = tracing::Span::current();
        span.record("workspace.id", caller.workspace.as_str());
        span.record("key.id", caller.key_id.as_ref().map(KeyId::as_str));
        let may = Authorized { caller, context };
        may.must_have(web, scopes, path).await?;
        Ok(Self(may))
    }
}

impl Authorized {
    /// Refuses a caller who has none of these sets of scopes.
    pub async fn must_have(&self, web: &Web, any: &[&[Scope]], route: &str) -> Result<(), Problem> {
        let lacking = |all: &&[Scope]| all.iter().find(|scope| !self.caller.scopes.contains(scope)).copied();
        let origin = Origin { route, address: self.context.address };
        match any.first().and_then(lacking) {
            Some(lacks) if any.iter().all(|all| lacking(all).is_some()) => {
                Err(web.engine.refusals.record_scope(&self.caller, lacks, origin).await)
            }
            _ => Ok(()),
        }
    }
}
