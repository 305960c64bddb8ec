//! Authorization: the scope that an endpoint requires, and the rate limits.

use std::marker::PhantomData;

use axum::{extract::FromRequestParts, http::request::Parts};
use domain::Scope;
use engine::{Caller, Problem, ProblemCode, limits::Ticket};

use crate::{problem::Refused, state::Web};

/// Proof that the caller has the scope `S`. Extracting it is the check, and with [`AtOnce`] it also charges the request
/// to its rate limits.
pub struct Authorized<S, C = AtOnce> {
    /// The authenticated caller.
    pub caller: Caller,
    kind: PhantomData<(S, C)>,
}

/// When a request is charged to its rate limits, as a type, for [`Authorized`].
pub trait Charge {
    /// Before the handler runs.
    const AT_ONCE: bool;
}

/// Before the handler runs.
pub struct AtOnce;

/// By the use case, along with its own first call to the cache; or when the request ends, if it fails before.
pub struct ByUseCase;

impl Charge for AtOnce {
    const AT_ONCE: bool = true;
}

impl Charge for ByUseCase {
    const AT_ONCE: bool = false;
}

/// A scope as a type, for [`Authorized`].
pub trait RequiredScope {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! required_scopes {
    ($($name:ident),+) => {
        $(
            #[doc = concat!("[`Scope::", stringify!($name), "`] as a type.")]
            pub struct $name;

            impl RequiredScope for $name {
                const SCOPE: Scope = Scope::$name;
            }
        )+
    };
}

required_scopes!(ActionsPreview, ActionsExecute, ConnectionsWrite, MetricsRead, AuditRead);

impl<S: RequiredScope, C: Charge> FromRequestParts<Web> for Authorized<S, C> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Refused> {
        let ticket = parts.extensions.get::<Ticket>().cloned().unwrap_or_default();
        let caller = web.authenticator.caller(&web.engine, &parts.headers, ticket).await?;
        if !caller.scopes.contains(&S::SCOPE) {
            let detail = format!("the credential lacks the scope {}", S::SCOPE);
            return Err(Problem::new(ProblemCode::ForbiddenScope, detail).into());
        }
        if C::AT_ONCE {
            web.engine.limiter.charge(&caller.ticket).await?;
        }
        Ok(Self { caller, kind: PhantomData })
    }
}
