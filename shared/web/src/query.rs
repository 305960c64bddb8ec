//! The variable parts of a request's URI: query parameters and one path segment.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, Query as Pairs, RawPathParams},
    http::request::Parts,
};
use domain::{EndpointId, JobId, PlanId, Provider};
use engine::{Problem, ProblemCode};
use serde::de::DeserializeOwned;

use crate::{json, problem::Refused};

/// The query parameters, as `T`.
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let unreadable = |_| Problem::new(ProblemCode::InvalidRequest, "the query cannot be read");
        let Pairs(pairs) = Pairs::try_from_uri(&parts.uri).map_err(unreadable)?;
        Ok(Self(json::read_query(pairs)?))
    }
}

/// The variable segment of the path.
pub(crate) struct Segment<T>(pub T);

/// What a path segment may name.
pub(crate) trait Named: FromStr {
    /// The problem of an unknown name.
    const UNKNOWN: (ProblemCode, &'static str);

    fn unknown() -> Problem {
        Problem::new(Self::UNKNOWN.0, Self::UNKNOWN.1)
    }
}

impl Named for String {
    const UNKNOWN: (ProblemCode, &'static str) = (ProblemCode::NotFound, "nothing has this name");
}

impl Named for JobId {
    const UNKNOWN: (ProblemCode, &'static str) = (ProblemCode::JobNotFound, "this workspace has no such job");
}

impl Named for PlanId {
    const UNKNOWN: (ProblemCode, &'static str) =
        (ProblemCode::PlanNotFound, "there is no such plan, or it is older than 15 minutes");
}

impl Named for EndpointId {
    const UNKNOWN: (ProblemCode, &'static str) = (ProblemCode::NotFound, "this workspace has no such webhook endpoint");
}

impl Named for Provider {
    const UNKNOWN: (ProblemCode, &'static str) = (ProblemCode::NotFound, "unknown provider; GET /actions lists them");
}

impl<T: Named, S: Send + Sync> FromRequestParts<S> for Segment<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let path = RawPathParams::from_request_parts(parts, state).await.map_err(|_| T::unknown())?;
        let segment = path.iter().next().and_then(|(_, text)| text.parse().ok());
        segment.map(Self).ok_or_else(|| T::unknown().into())
    }
}
