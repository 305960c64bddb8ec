//! Authorization: the scope that an endpoint declares, and the rate limits.

use axum::{
    extract::{FromRequestParts, MatchedPath},
    http::request::Parts,
};
use domain::KeyId;
use engine::{Caller, Problem, ProblemCode, refusals::Origin};

use crate::{endpoints::ENDPOINTS, middleware::RequestContext, problem::Refused, state::Web};

/// Proof that the caller has the endpoint's scope, and that the request is charged to its rate limits. Extracting it is
/// the check.
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
        let scope = ENDPOINTS.iter().find(|endpoint| endpoint.path == path).and_then(|endpoint| endpoint.scope);
        let context = parts.extensions.get::<RequestContext>().cloned();
        let (Some(scope), Some(context)) = (scope, context) else {
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
        if !caller.scopes.contains(&scope) {
            return Err(refusals.record_scope(&caller, scope, origin).await.into());
        }
        Ok(Self(Authorized { caller, context }))
    }
}
