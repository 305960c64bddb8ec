//! The status, title and explanation of each problem code, and the same of each code that a job ends with.

use domain::JobErrorCode;
use engine::ProblemCode;

/// A kind of problem.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProblemKind {
    /// The kind of problem, for programs.
    pub code: &'static str,
    /// The kind of problem, for people.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Whether the same request may succeed later.
    pub retriable: bool,
    /// What it means and what to do.
    pub explanation: &'static str,
}

impl ProblemKind {
    /// The caller cannot change anything about it.
    pub const fn is_fault(self) -> bool {
        self.status >= 500
    }
}

/// A kind of error that a job ends with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobErrorKind {
    /// The kind of error, for programs.
    pub code: &'static str,
    /// The kind of error, for people.
    pub title: &'static str,
    /// What it means and what to do.
    pub explanation: &'static str,
}

macro_rules! kinds {
    ($($code:ident $status:literal $title:literal $explanation:literal)+) => {
        /// The kind of a code. Limits and faults pass, so the same request may succeed later.
        pub(crate) fn kind(code: ProblemCode) -> ProblemKind {
            let (status, title, explanation) = match code { $(ProblemCode::$code => ($status, $title, $explanation),)+ };
            ProblemKind { code: code.as_str(), title, status, retriable: status >= 429, explanation }
        }
    };
}

kinds! {
    MalformedJson 400 "The body is not valid JSON"
    "The body could not be read as JSON in UTF-8. The detail gives the line and column where reading stopped. Look there for a missing quote, comma or bracket."
    InvalidRequest 422 "The request is not valid"
    "A field or parameter is missing, unknown, repeated or of the wrong type, or the body is nested deeper than 32 levels. Each entry of errors points to a place and says what belongs there."
    UnsupportedMediaType 415 "The content type is not supported"
    "Send the body with the header Content-Type: application/json. No other type, no charset except UTF-8 and no Content-Encoding is accepted."
    PayloadTooLarge 413 "The body is too large"
    "A body may have at most 1 MiB. Send fewer actions in one request, or shorter texts."
    NotFound 404 "Not found"
    "No route has this path. GET /openapi.json lists all routes."
    MethodNotAllowed 405 "The method is not allowed"
    "The path exists, but not with this method. The Allow header lists the methods it has."
    Unauthenticated 401 "Authentication is required"
    "Send the header Authorization: Bearer with an API key of this deployment, or an access token of its issuer. The credential is missing, malformed, unknown, revoked or not valid here; the answer does not say which."
    ForbiddenScope 403 "The credential does not allow this"
    "The API key lacks the scope of this route. Use a key that has it. On a server without keys: call it at its loopback address, and not from a page of another origin."
    WorkspaceMismatch 403 "The key belongs to another workspace"
    "A key belongs to one workspace, and the request names a different one. Leave workspace_id out, or use a key of that workspace."
    ActorMismatch 403 "The key is bound to another actor"
    "The request names an actor that the key may not act for. Leave actor_id out, or use another key."
    ActionNotAllowed 403 "The action is not allowed"
    "The action is not on the allowlist of this deployment, workspace or key. The operator can add it to ALLOW_ACTIONS_DEFAULT."
    RecipientNotAllowed 403 "The recipient is not allowed"
    "This deployment only allows recipients in the domains of ALLOW_RECIPIENT_DOMAINS, and one recipient is in none of them."
    RolloutDenied 403 "The provider is not rolled out to this actor yet"
    "The provider is rolled out by percent, and this workspace and actor are not included yet. The operator can raise the percent."
    UnknownAction 422 "Unknown action"
    "The catalogue has no action with this id, or the action belongs to another provider. GET /actions lists the catalogue."
    InvalidParams 422 "The action's params are not valid"
    "Each entry of errors points to a field and says what belongs there. GET /actions has the JSON Schema of each action's params."
    IdempotencyKeyMissing 422 "The idempotency key is missing"
    "Give each action a client_request_id, or send an Idempotency-Key header from which one is derived. It keeps a repeated request from carrying out the action twice."
    IdempotencyKeyReused 422 "The idempotency key was used for something else"
    "This workspace already used the client_request_id for another action or other params. Use a new one for a new action; to repeat the earlier request, send it unchanged."
    ConnectionRequired 409 "The provider is not connected"
    "The workspace has no connected account of this provider. Connect one at connect_url, then send the request again."
    ReauthRequired 409 "The provider requires consent again"
    "The provider no longer accepts the account's consent. Connect the account again at connect_url, then send the request again."
    AuthorizationInvalid 400 "Invalid or expired connect link"
    "Start and finish connecting in the same browser, within ten minutes. Each link works once. This one was opened in another browser, has expired, was used before, or was rejected by the provider. Nothing was stored. Start again."
    AuthorizationDenied 403 "Consent was not given"
    "Consent was refused at the provider, or some of the requested permissions were not granted. Nothing was stored. Start again and leave every box checked."
    AccountDiffers 409 "Another account is connected"
    "A workspace has one account per provider, and a different one is connected. Nothing was changed. Disconnect that account first, or start again with replace set to true."
    JobNotFound 404 "Job not found"
    "This workspace has no job with this id. Jobs are kept for 30 days after their last change."
    PlanNotFound 404 "Plan not found or expired"
    "This workspace and actor have no plan with this id from the last 15 minutes. Plan again."
    PlanUnresolved 409 "Something has to be looked up first"
    "The plan refers to what only the account knows, such as a person's address. POST /ai/plans/{plan_id}/resolve looks it up and answers with a new plan that shows it; execute that one."
    JobNotRetriable 409 "The job's state does not allow this"
    "Cancel needs a pending job, retry a job whose error shows that nothing was sent, resolve a job with an unknown outcome. The detail names the job's state."
    NotHeld 409 "The job is not held"
    "Only a job that waits for an approval can be approved or rejected. Another person was quicker, or nobody decided in time, or the job never had to be approved. The detail says which."
    ApprovalMismatch 409 "The hash is not the job's"
    "payload_sha256 has to be that of the job, so that what is decided is what was shown. Look at the job again, and decide about what it shows now."
    SecondPersonRequired 403 "Another person has to approve"
    "In this deployment, another person approves a job than the one who asked for it. Have somebody else approve it, with a key of their own."
    TooManyWebhooks 409 "Too many webhook endpoints"
    "A workspace has at most 10 webhook endpoints. Remove one that is no longer needed, then send the request again."
    WebhookGone 409 "The webhook endpoint is gone"
    "The endpoint answered 410 (gone), so nothing more is sent to it. Remove it; if it exists again, add it again."
    TokenBudgetExhausted 429 "The token budget is used up"
    "The model's tokens for this minute are used up. Try again after the time in Retry-After."
    RateLimited 429 "Too many requests"
    "This key or workspace exceeded its rate limit. Try again after the time in Retry-After."
    PromptTooLarge 422 "The prompt is too large"
    "The prompt with its context exceeds what this deployment or its model can plan. Shorten them; the detail names the setting that allows more. POST /ai/execute accepts long texts without a planner."
    PlannerInvalidAnswer 502 "The model's answer cannot be used"
    "The model's answer did not match its schema, twice, or was cut off or empty. Nothing was planned. Try again; a shorter request often works. If answers are cut off or empty, the deployment's AI_MAX_OUTPUT_TOKENS is too small: reasoning counts as well."
    PlannerUnavailable 503 "The model is not available"
    "The model could not be reached, did not answer in time, rejected this deployment's key or request, or is over its own limit. Nothing was planned. If retriable is true, try again, after the time in Retry-After if it is set; else the deployment has to be fixed first, and its log says what is wrong."
    ProviderUnavailable 503 "The provider is not available"
    "The provider of the account could not be reached, failed, or rejected this deployment's client. Nothing was changed. Try again later."
    StoreUnavailable 503 "A store is not available"
    "One of the stores behind this API does not answer. Repeat the request with the same idempotency keys: nothing is done twice."
    Internal 500 "Internal error"
    "The error is on our side. Find it in the logs by its correlation id. Repeat the request with the same idempotency keys: nothing is done twice."
}

macro_rules! job_error_kinds {
    ($($code:ident $title:literal $explanation:literal)+) => {
        /// The kind of error that a job with this code ended with.
        pub(crate) fn job_error_kind(code: JobErrorCode) -> JobErrorKind {
            let (title, explanation) = match code { $(JobErrorCode::$code => ($title, $explanation),)+ };
            JobErrorKind { code: code.as_str(), title, explanation }
        }
    };
}

job_error_kinds! {
    ActionNotAllowed "The action is not allowed any more"
    "Between the request and the work, the action was taken off the allowlist of the deployment, workspace or key, or the key was revoked. Nothing was done. Have the operator allow it, then retry the job."
    RecipientNotAllowed "The recipient is not allowed any more"
    "Between the request and the work, ALLOW_RECIPIENT_DOMAINS changed. Nothing was done. Have the operator allow the domain, then retry the job."
    RolloutDenied "The provider is not rolled out to this actor"
    "The provider's rollout does not include this workspace and actor. Nothing was done. Have the operator raise the rollout, then retry the job."
    ConnectionRequired "The account is not connected"
    "The account that the job was accepted for was disconnected or replaced. Nothing was done. Connect it again, then retry the job."
    ReauthRequired "The account has to be connected again"
    "The provider no longer accepts the account's token, or the connection lacks a permission. Nothing was done. Connect the account again, with every box checked, then retry the job. A job whose draft is made already waits for that by itself."
    ProviderRejected "The provider refused the content"
    "Nothing was done, and the same content would be refused again. provider_says of the job's error has the provider's reason. Change what it objects to, and ask for it as a new action."
    AccountProblem "The provider refuses the account"
    "Something is wrong with the account, not with what it should do: it may be suspended or full, or lack a licence, the service, or the right to act as this address. Nothing was done. provider_says of the job's error has the provider's reason. Have the account's owner or administrator fix it, then retry the job."
    SetupProblem "The provider refuses this deployment's setup"
    "Something is wrong with the OAuth client or with an organisation's policy: the provider's API is not enabled, the client's secret has expired, or an administrator blocks it. Nothing was done. provider_says of the job's error has the provider's reason. Have the operator fix it, then retry the job."
    ProviderUnavailable "The provider was not reached"
    "The provider could not be reached, or was failing, each time it was tried. Nothing was done. Retry the job when the provider answers again."
    OutcomeUnknown "Nobody knows whether it was done"
    "The request to the provider was begun and its answer was lost, so the action may or may not have been carried out. It is never done a second time by itself. Look in the account whether it is there, then resolve the job as sent or not_sent."
    GaveUp "The job waited for too long"
    "For 24 hours the job waited for a rate limit, for the provider, or for its account to be connected again. Nothing was done. Retry the job once what it waited for is there."
    Cancelled "The job was cancelled"
    "A caller cancelled the job before any worker claimed it. Nothing was done. Retry the job if it should be carried out after all."
    ApprovalRejected "A person rejected the job"
    "The job was held until a person approved it, and a person rejected it. Nothing was done. Change what was asked for, and ask for it as a new action; or retry the job to have it decided again."
    ApprovalExpired "Nobody approved the job in time"
    "The job was held until a person approved it, and nobody did within the time of APPROVAL_HOURS. Nothing was done. Retry the job to have it held again."
    PayloadChanged "The job's contents were changed"
    "What was to go out is not what was accepted: the hash of the stored contents is not the job's. Somebody or something changed the ledger. Nothing was done. Tell the operator, and ask for the action again with a fresh client_request_id."
    NotSent "A person found that nothing was done"
    "The job's outcome was unknown, and a person resolved it as not_sent. Retry the job to carry it out."
    Internal "Internal error"
    "The error is on our side, before anything was done. Look for the job's id in the logs. Where the error is retriable, retry the job; else ask for the action again with a fresh client_request_id."
}
