//! Authorization: the scope that an endpoint declares, and the rate limits.

use axum::{
    extract::{FromRequestParts, MatchedPath},
    http::request::Parts,
};
use engine::{Caller, Problem, ProblemCode};

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
        let caller = web.authenticator.caller(&web.engine, &parts.headers, context.ticket.clone()).await?;
        if !caller.scopes.contains(&scope) {
            let detail = format!("the credential lacks the scope {scope}");
            return Err(Problem::new(ProblemCode::ForbiddenScope, detail).into());
        }
        Ok(Self(Authorized { caller, context }))
    }
}
