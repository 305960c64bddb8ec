use std::time::Duration;

use async_trait::async_trait;
use domain::{Address, Evidence, Provider, Violation};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

/// One entry of the catalogue: what can be done, and how.
pub trait Action: Send + Sync {
    /// What is said of the action everywhere.
    fn about(&self) -> &About;

    /// The JSON Schema of its params, as a client writes them.
    fn params_schema(&self) -> Value;

    /// Parses params; what is parsed is valid. Reports everything that is wrong, with pointers from the params down.
    fn parse(&self, params: &Value) -> Result<Box<dyn Call>, Vec<Violation>>;
}

/// What is said of an action in the catalogue, to the model, and in the page.
#[derive(Debug, Clone)]
pub struct About {
    /// Its name, an [`domain::ActionId`]; static, since it is a metric's label too.
    pub id: &'static str,
    /// Whose service it uses.
    pub provider: Provider,
    /// What it does, in a sentence, for a person and for the model.
    pub description: &'static str,
    /// What it needs of an account.
    pub scopes: OAuthScopes,
    /// What a model is told of it.
    pub guide: Guide,
}

/// What a model is told of an action beside its description and its schema.
#[derive(Debug, Clone, Copy, Default)]
pub struct Guide {
    /// When to choose it among others: the rest of a sentence that begins with its id. Empty where its description says it.
    pub choose: &'static str,
    /// How to fill in its params, a sentence or more each. Actions that share a rule share its text, which is told once.
    pub rules: &'static [&'static str],
    /// Requests that it serves.
    pub examples: &'static [Example],
}

/// A request with the plan that it should become.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// What a person writes.
    pub request: &'static str,
    /// The intent of the plan.
    pub intent: &'static str,
    /// The params of each action of the plan, all of them this one: JSON as strict mode writes it.
    pub params: &'static [&'static str],
}

/// The OAuth scopes that an action needs.
#[derive(Debug, Clone, Copy)]
pub struct OAuthScopes {
    /// The least with which it can be carried out at all.
    pub send: &'static [&'static str],
    /// With these too it makes a draft first, so that a lost answer never leaves an unknown outcome.
    pub draft: &'static [&'static str],
}

/// An action with its params: parsed, ready to be shown or carried out.
#[async_trait]
pub trait Call: Send + Sync {
    /// The canonical params.
    fn params(&self) -> Value;

    /// Every address, with a pointer from the params down.
    fn addresses(&self) -> Vec<(String, &Address)>;

    /// The same call with its addresses replaced, one by one.
    fn map_addresses(&self, change: &mut dyn FnMut(Address) -> Address) -> Box<dyn Call>;

    /// Renders what goes over the wire. The bytes are read back by a second library; recipients
    /// other than the params' make it an error.
    fn render(&self, stamp: &Stamp) -> Result<Rendered, RenderError>;

    /// Makes a draft with the provider, which [`Call::send`] sends. Only with the draft scopes.
    async fn prepare(&self, rendered: &Rendered, access: &Access) -> Result<Evidence, SendError>;

    /// Sends: the draft if there is one, else what was rendered.
    async fn send(&self, rendered: &Rendered, access: &Access, draft: Option<&Evidence>) -> Result<Sent, SendError>;
}

/// What differs between two renderings of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Who sends, where it is known.
    pub from: Option<Address>,
    /// The Date header; none leaves it out.
    pub date: Option<Timestamp>,
    /// What Message-ID and MIME boundaries are made of: a job's id; none leaves the Message-ID out and fixes the boundary.
    pub id: Option<String>,
}

/// What goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// `message/rfc822` for a MIME text, `application/json` for a Graph body.
    pub content_type: &'static str,
    /// The very text.
    pub body: String,
    /// What a person should know about it.
    pub warnings: Vec<String>,
}

/// What was rendered does not read back as what was asked for. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rendered mail does not read back as the params: {0}")]
pub struct RenderError(pub String);

/// The right to act on an account.
#[derive(Debug, Clone)]
pub struct Access {
    /// The bearer token.
    pub token: SecretString,
    /// The scopes it was granted, as the provider names them.
    pub scopes: Vec<String>,
    /// The account's address, where it is known.
    pub address: Option<Address>,
    /// The account as its connection names it; none for a pasted token.
    pub account: Option<String>,
}

impl Access {
    /// Whether the token was granted all of these scopes. Graph's scopes are written with or
    /// without their URL prefix.
    pub fn grants(&self, wanted: &[&str]) -> bool {
        let bare = |scope: &str| scope.trim_start_matches("https://graph.microsoft.com/").to_ascii_lowercase();
        wanted.iter().all(|want| self.scopes.iter().any(|have| bare(have) == bare(want)))
    }
}

/// What the provider said of a send that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// For the job's result: the provider's ids of the message; and where it was no send, `done`, a sentence that
    /// says what it was.
    pub details: Value,
    /// It is not the answer of this send that says so: the draft is gone, as only a send leaves it.
    pub presumed: bool,
}

/// Why a request to a provider failed, and what that means for the mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Certainly not sent, and it would go the same way again: the provider refuses the mail.
    #[error("the provider refused: {0}")]
    Rejected(String),
    /// Certainly not sent; the provider does not take the token.
    #[error("the provider does not take the token")]
    Unauthorized,
    /// Certainly not sent; the token lacks the scope.
    #[error("the connection lacks a permission: {0}")]
    Forbidden(String),
    /// Certainly not sent: the provider limits its rate; after how long to come again, if it said.
    #[error("the provider limits its rate")]
    RateLimited(Option<Duration>),
    /// Certainly not sent: the provider was not reached, or failed before it could act.
    #[error("the provider cannot be reached: {0}")]
    NotReached(String),
    /// Certainly not sent now: the draft is not there.
    #[error("the draft is gone")]
    DraftGone,
    /// The request was begun and its answer is missing: it may have been sent.
    #[error("the provider's answer was lost: {0}")]
    MaybeSent(String),
}
