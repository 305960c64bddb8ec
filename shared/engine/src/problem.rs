//! Everything that can go wrong with a request.

use std::time::Duration;

use domain::{Provider, Rule, Violation};
use strum::{Display, IntoStaticStr, VariantArray};

use crate::{
    accounts::ConnectionError,
    ports::{CacheError, LedgerError, VaultError},
};

/// The problem codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum ProblemCode {
    /// The body is not JSON.
    MalformedJson,
    /// The request does not match its schema.
    InvalidRequest,
    /// The content type is not JSON.
    UnsupportedMediaType,
    /// The body is too large.
    PayloadTooLarge,
    /// No such route.
    NotFound,
    /// The route does not support the method.
    MethodNotAllowed,
    /// The credential is missing or invalid.
    Unauthenticated,
    /// The credential lacks a scope.
    ForbiddenScope,
    /// The workspace is not the credential's.
    WorkspaceMismatch,
    /// The actor is not the credential's.
    ActorMismatch,
    /// The action is not on the allowlist.
    ActionNotAllowed,
    /// The recipient's domain is not allowed.
    RecipientNotAllowed,
    /// The rollout gate denied the actor.
    RolloutDenied,
    /// The catalogue has no such action.
    UnknownAction,
    /// The action's params are wrong.
    InvalidParams,
    /// An action has no idempotency key.
    IdempotencyKeyMissing,
    /// The idempotency key was used with another payload or time.
    IdempotencyKeyReused,
    /// The provider is not connected.
    ConnectionRequired,
    /// The provider wants the person's consent again.
    ReauthRequired,
    /// The connect link or the callback is invalid or expired.
    AuthorizationInvalid,
    /// The account's owner or the provider denied consent.
    AuthorizationDenied,
    /// Another account is connected.
    AccountDiffers,
    /// No such job.
    JobNotFound,
    /// No such plan.
    PlanNotFound,
    /// Something in the plan has to be looked up first.
    PlanUnresolved,
    /// The job's state does not allow the request.
    JobNotRetriable,
    /// The job is not held.
    NotHeld,
    /// The hash of a decision is not the job's.
    ApprovalMismatch,
    /// The one who asked for a job may not approve it.
    SecondPersonRequired,
    /// The workspace has as many webhook endpoints as it may.
    TooManyWebhooks,
    /// The webhook endpoint answered 410.
    WebhookGone,
    /// The token budget of this minute is spent.
    TokenBudgetExhausted,
    /// Too many requests.
    RateLimited,
    /// The prompt with its context is longer than LIMIT_PROMPT_BYTES, the token budget or the model's context.
    PromptTooLarge,
    /// The model's answer is unusable.
    PlannerInvalidAnswer,
    /// The model is unavailable.
    PlannerUnavailable,
    /// The provider failed or was not reached, for OAuth or for a lookup.
    ProviderUnavailable,
    /// A store is unavailable.
    StoreUnavailable,
    /// Our own fault.
    Internal,
}

impl ProblemCode {
    /// Every code.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The code as it is written.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Why a use case did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Problem {
    /// Which way it went wrong.
    pub code: ProblemCode,
    /// What happened and what to change; for our own faults it goes to the log alone.
    pub detail: String,
    /// The places in the request. Where a store is unavailable: what of the deployment does not work, for everybody to
    /// read.
    pub errors: Vec<Violation>,
    /// When another try makes sense.
    pub retry_after: Option<Duration>,
    /// Another try fails as well, though most problems of this code pass: the deployment has to be mended first.
    pub is_final: bool,
    /// Which provider to connect.
    pub connect: Option<Provider>,
    /// What of a limit is left.
    pub quota: Option<Quota>,
    /// Which rule said no, where one did.
    pub rule: Option<Rule>,
}

/// A limit within a window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// What is counted.
    pub name: &'static str,
    /// How much there is in all.
    pub limit: u64,
    /// How long the window is.
    pub window: Duration,
    /// How much is left of it for this caller.
    pub left: u64,
}

impl Problem {
    /// A problem of `code`.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            is_final: false,
            connect: None,
            quota: None,
            rule: None,
        }
    }

    /// A problem at one place in the request.
    pub fn at(code: ProblemCode, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(code, detail.clone()).with_errors(vec![Violation::new(pointer, detail)])
    }

    /// A request that does not match its schema.
    pub fn invalid(pointer: &str, detail: impl Into<String>) -> Self {
        let problem = Self::at(ProblemCode::InvalidRequest, pointer, detail);
        let place = if pointer.is_empty() { String::new() } else { format!("{pointer}: ") };
        Self { detail: format!("{place}{}", problem.detail), ..problem }
    }

    /// The same problem with the places in the request.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<Violation>) -> Self {
        self.errors = errors;
        self
    }

    /// The same problem, decided by this rule: it goes into the audit.
    #[must_use]
    pub(crate) fn by_rule(mut self, rule: Rule) -> Self {
        self.rule = Some(rule);
        self
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        Self::new(store_failure(error.is_retryable()), error.to_string())
    }
}

impl From<CacheError> for Problem {
    fn from(error: CacheError) -> Self {
        Self::new(store_failure(error.is_retryable()), error.to_string())
    }
}

const fn store_failure(is_retryable: bool) -> ProblemCode {
    if is_retryable { ProblemCode::StoreUnavailable } else { ProblemCode::Internal }
}

impl From<ConnectionError> for Problem {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Ledger(error) => error.into(),
            ConnectionError::Unavailable(_)
            | ConnectionError::Setup(_)
            | ConnectionError::Vault(VaultError::Unavailable(_)) => {
                Self::new(ProblemCode::ProviderUnavailable, error.to_string())
            }
            ConnectionError::Vault(error) => error.into(),
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        let code = match error {
            VaultError::Unavailable(_) => ProblemCode::StoreUnavailable,
            VaultError::DoesNotOpen | VaultError::Unreadable(..) => ProblemCode::Internal,
        };
        Self::new(code, error.to_string())
    }
}
