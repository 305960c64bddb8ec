use std::{fmt, time::Duration};

use domain::{Provider, Rule, Violation};

use crate::{
    accounts::ConnectionError,
    ports::{CacheError, LedgerError, VaultError},
};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// The ways in which a request can go wrong, by their names in the contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemCode { $($(#[$doc])* $name),+ }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code as it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

codes! {
    /// The body is not JSON.
    MalformedJson = "malformed-json",
    /// The request is not of its form.
    InvalidRequest = "invalid-request",
    /// The body is not sent as JSON.
    UnsupportedMediaType = "unsupported-media-type",
    /// The body is too large.
    PayloadTooLarge = "payload-too-large",
    /// There is nothing here.
    NotFound = "not-found",
    /// Not with this method.
    MethodNotAllowed = "method-not-allowed",
    /// No credential, or not one of ours.
    Unauthenticated = "unauthenticated",
    /// The credential lacks a scope.
    ForbiddenScope = "forbidden-scope",
    /// Another workspace than the credential's.
    WorkspaceMismatch = "workspace-mismatch",
    /// Another actor than the credential's.
    ActorMismatch = "actor-mismatch",
    /// The allowlist does not hold the action.
    ActionNotAllowed = "action-not-allowed",
    /// Mail may not go to this domain.
    RecipientNotAllowed = "recipient-not-allowed",
    /// The rollout gate says no.
    RolloutDenied = "rollout-denied",
    /// The catalogue has no such action.
    UnknownAction = "unknown-action",
    /// The action's params are wrong.
    InvalidParams = "invalid-params",
    /// An action has no idempotency key.
    IdempotencyKeyMissing = "idempotency-key-missing",
    /// The key was used for something else.
    IdempotencyKeyReused = "idempotency-key-reused",
    /// The provider is not connected.
    ConnectionRequired = "connection-required",
    /// The provider wants the person's consent again.
    ReauthRequired = "reauth-required",
    /// A way to connect an account that does not hold.
    AuthorizationInvalid = "authorization-invalid",
    /// The account's owner, or the provider, did not consent.
    AuthorizationDenied = "authorization-denied",
    /// Another account is connected.
    AccountDiffers = "account-differs",
    /// No such job.
    JobNotFound = "job-not-found",
    /// No such plan.
    PlanNotFound = "plan-not-found",
    /// The job's state does not allow it.
    JobNotRetriable = "job-not-retriable",
    /// The model's tokens of this minute are spent.
    TokenBudgetExhausted = "token-budget-exhausted",
    /// Too many requests.
    RateLimited = "rate-limited",
    /// The prompt could never fit the budget.
    PromptTooLarge = "prompt-too-large",
    /// The model's answer cannot be used.
    PlannerInvalidAnswer = "planner-invalid-answer",
    /// The model cannot be asked.
    PlannerUnavailable = "planner-unavailable",
    /// The provider's OAuth endpoint gives no answer to rely on.
    ProviderUnavailable = "provider-unavailable",
    /// A store does not answer.
    StoreUnavailable = "store-unavailable",
    /// Our fault.
    Internal = "internal",
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
    /// The places in the request.
    pub errors: Vec<Violation>,
    /// When another try makes sense.
    pub retry_after: Option<Duration>,
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
            connect: None,
            quota: None,
            rule: None,
        }
    }

    /// A request that is not of its form.
    pub fn invalid(pointer: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(ProblemCode::InvalidRequest, format!("{pointer}: {detail}"))
            .with_errors(vec![Violation::new(pointer, detail)])
    }

    /// The same problem with the places in the request.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<Violation>) -> Self {
        self.errors = errors;
        self
    }

    /// The same problem with the time of the next try.
    #[must_use]
    pub fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// The same problem with what is left of a limit.
    #[must_use]
    pub fn with_quota(mut self, quota: Quota) -> Self {
        self.quota = Some(quota);
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
            ConnectionError::Unavailable(_) => Self::new(ProblemCode::ProviderUnavailable, error.to_string()),
            ConnectionError::DoesNotOpen => Self::new(ProblemCode::Internal, error.to_string()),
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        let code = match error {
            VaultError::Unavailable(_) => ProblemCode::StoreUnavailable,
            VaultError::DoesNotOpen => ProblemCode::Internal,
        };
        Self::new(code, error.to_string())
    }
}
