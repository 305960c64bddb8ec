//! What a label may say. Every label has a closed set of values: an enum of this module, or the names that the
//! program hands in at its start ([`crate::Vocabulary`]). Any other value is counted as `other`.

use strum::{IntoStaticStr, VariantNames};

/// How planning ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum PlannerStatus {
    /// A plan without questions.
    Ok,
    /// No allowed action serves the request.
    NoAction,
    /// A plan with open questions.
    Questions,
    /// The model refused.
    Refused,
    /// The model's answer was unusable.
    Invalid,
    /// The token budget was spent.
    Budget,
    /// Any other failure.
    Error,
}

/// The status that a job reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum JobCount {
    /// Accepted and queued.
    Enqueued,
    /// Ended with a result.
    Completed,
    /// Ended with an error, nothing done.
    Error,
    /// Ended with an unknown outcome.
    Unknown,
}

/// What became of a held job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum ApprovalOutcome {
    /// A person approved it.
    Approved,
    /// A person rejected it.
    Rejected,
    /// A caller cancelled it.
    Cancelled,
    /// Nobody decided in time.
    Expired,
}

/// How an idempotency key was resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Idempotency {
    /// First use.
    New,
    /// Used before with the same payload.
    Replayed,
    /// Used before with another payload.
    Conflict,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Decision {
    /// Allowed.
    Allow,
    /// Denied.
    Deny,
}

/// Why a caller was refused before its request was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum AuthFailure {
    /// There is no credential.
    Missing,
    /// The credential is neither an API key nor a signed token, or the token names no workspace.
    Malformed,
    /// No key has this id, or the token is of another issuer.
    Unknown,
    /// The key has another secret, or the token's issuer has not signed it.
    WrongSecret,
    /// The key was revoked.
    Revoked,
    /// The key or the token has ended.
    Expired,
    /// The token is valid from a later time on.
    NotYetValid,
    /// The token is for another audience.
    Audience,
    /// The key lacks the scope of the route.
    Scope,
    /// Without keys: another machine, or another site's page.
    Foreign,
}

/// The step of an action that called the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Operation {
    /// The reversible step before the effect.
    Prepare,
    /// A change under our id.
    Change,
    /// A look at what a change left.
    Compare,
    /// A send.
    Send,
    /// A new access token.
    Refresh,
}

/// How a provider's request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum ProviderOutcome {
    /// Done.
    Ok,
    /// The provider refused the content.
    Rejected,
    /// The provider refused the account as it is.
    AccountProblem,
    /// The provider refused this deployment's client, or a policy did.
    SetupProblem,
    /// The provider refused the token.
    Unauthorized,
    /// The token lacks a scope.
    Forbidden,
    /// The provider's rate limit is exhausted.
    RateLimited,
    /// No connection, or a failure before any effect.
    NotReached,
    /// The prepared draft no longer exists.
    DraftGone,
    /// Something exists under our id.
    Exists,
    /// The answer was lost, so the effect may have happened.
    MaybeSent,
}

/// How an attempt to deliver a webhook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum WebhookOutcome {
    /// The endpoint answered 2xx.
    Delivered,
    /// The endpoint answered something else, or was not reached.
    Failed,
    /// The endpoint did not answer in time.
    TimedOut,
    /// The endpoint's address is not public, so nothing was sent.
    Refused,
    /// The endpoint answered 410, and is disabled.
    Gone,
    /// The delivery had failed for three days; the endpoint is disabled. The attempt itself counts too.
    GaveUp,
    /// The endpoint was disabled or removed before, so nothing was sent.
    Dropped,
}

/// How a flush ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum FlushOutcome {
    /// The store added all counts.
    Ok,
    /// The store added nothing. The counts go with the next flush.
    Refused,
    /// Its answer was lost. The next flush sends the counts again, and the store adds them once.
    Lost,
}

/// HTTP methods that have a label of their own.
pub(crate) const METHODS: &[&str] = &["GET", "POST", "DELETE", "HEAD", "OPTIONS"];
/// HTTP statuses that the API answers with.
pub(crate) const STATUSES: &[&str] = &[
    "200", "201", "202", "204", "302", "303", "307", "400", "401", "403", "404", "405", "409", "413", "415", "422",
    "429", "500", "502", "503", "504",
];
pub(crate) const OTHER: &str = "other";

/// The label of an HTTP method.
pub fn method(name: &str) -> &'static str {
    METHODS.iter().copied().find(|known| *known == name).unwrap_or(OTHER)
}
