//! Actions: what a provider can do for an account. Nothing outside an action knows what kind of thing it is.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use domain::{Address, Effect, Evidence, Provider, Violation, Warning};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;

/// One entry of the catalogue: what can be done, and how.
pub trait Action: Send + Sync {
    /// What is known of the action before it has params.
    fn spec(&self) -> &ActionSpec;

    /// The JSON Schema of its params, as a client writes them.
    fn params_schema(&self) -> &Value;

    /// Parses params; what is parsed is valid. Reports everything that is wrong, with pointers from the params down.
    fn parse(&self, params: &Value) -> Result<Box<dyn Call>, Vec<Violation>>;
}

/// What is known of an action before it has params.
#[derive(Debug, Clone)]
pub struct ActionSpec {
    /// Its name, an [`domain::ActionId`]; static, since it is a metric's label too.
    pub id: &'static str,
    /// Its name for people, such as `Create an event`.
    pub title: &'static str,
    /// Whose service it uses.
    pub provider: Provider,
    /// What it does to the world, which decides how a worker carries it out.
    pub effect: Effect,
    /// What it does, in a sentence, for a person and for the model.
    pub description: &'static str,
    /// What it needs of an account.
    pub scopes: OAuthScopes,
    /// What a model is told of it.
    pub instructions: Instructions,
    /// Its sentences for people.
    pub wording: Wording,
}

/// The sentences for people that depend on what an action does.
#[derive(Debug, Clone, Copy)]
pub struct Wording {
    /// What it makes, as the subject of a sentence, such as `the event`.
    pub noun: &'static str,
    /// Asks for the recipients when a plan has none; empty for an action without recipients.
    pub ask_recipients: &'static str,
    /// Asks for the text when a planner wrote none; empty for an action without a text.
    pub ask_text: &'static str,
    /// Tells where a person sees whether it was done, such as `Look at the account's calendar`.
    pub look: &'static str,
}

/// What a model is told of an action beside its description and its schema.
#[derive(Debug, Clone, Copy, Default)]
pub struct Instructions {
    /// The intent of a plan of it, in snake_case.
    pub intent: &'static str,
    /// When a message has that intent: the rest of a sentence.
    pub when: &'static str,
    /// When to choose it among others: the rest of a sentence that begins with its id, or with its provider's where
    /// all of that provider's actions say the same. Empty where its description says it.
    pub choose: &'static str,
    /// How to fill in its params, a sentence or more each. Actions that share a rule share its text, which is told once.
    pub rules: &'static [&'static str],
    /// Requests that it serves, and requests that it has to ask about first.
    pub examples: &'static [Example],
    /// How English sentences begin that ask for it: lists of lower case words, separated by commas. A person confirms what
    /// begins otherwise. Empty where any beginning is good.
    pub requests: &'static [&'static str],
    /// How sentences begin that ask for something else: lists of lower case words, separated by commas. A model may
    /// take such a request for this action, so a person confirms it. Empty for none.
    pub other_requests: &'static [&'static str],
    /// The same of sentences about a text. They ask for something else only where no text stands beside the prompt.
    pub reading_requests: &'static [&'static str],
    /// How sentences begin that hand something over to a recipient, such as `send`. Where they only name it, a person is
    /// asked for the text. Empty for an action without a text.
    pub handing_over: &'static [&'static str],
    /// The same of sentences that tell something.
    pub telling: &'static [&'static str],
    /// Words for what it makes.
    pub nouns: &'static [&'static str],
    /// How sentences begin that another action may take for something else, and that ask for this one: where a plan has
    /// this action, they ask for nothing else.
    pub serves: &'static [&'static str],
}

/// A request with the plan that it should become.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// What a person writes.
    pub request: &'static str,
    /// The lookups of the plan: JSON as strict mode writes it.
    pub lookups: &'static [&'static str],
    /// The params of each action of the plan, all of them this one: JSON as strict mode writes it.
    pub params: &'static [&'static str],
    /// What the plan asks instead, with the intent `ask_first`.
    pub question: Option<&'static str>,
}

/// The OAuth scopes that an action needs.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = Scopes))]
pub struct OAuthScopes {
    /// The minimum to carry it out; empty for an action that leaves drafts.
    #[serde(rename = "send")]
    pub required: &'static [&'static str],
    /// With these it makes a draft: to leave it, or to send it, so that a lost answer leaves no unknown outcome. Empty for
    /// an action that cannot.
    pub draft: &'static [&'static str],
}

/// An action with its params: parsed, ready to be shown or carried out.
#[async_trait]
pub trait Call: Send + Sync {
    /// The canonical params.
    fn params(&self) -> Value;

    /// Every address in the params.
    fn addresses(&self) -> Vec<ParamAddress<'_>> {
        Vec::new()
    }

    /// The addresses that it reaches.
    fn recipients(&self) -> Vec<ParamAddress<'_>> {
        let mut recipients = self.addresses();
        recipients.retain(|param| param.is_recipient);
        recipients
    }

    /// The same call with its addresses replaced, one by one; none for a call without addresses.
    fn map_addresses(&self, _: &mut dyn FnMut(Address) -> Address) -> Option<Box<dyn Call>> {
        None
    }

    /// Names what it makes in a list, such as an event's title.
    fn title(&self) -> String;

    /// What it would do, for a person to read: an object with a field for each thing of its own.
    fn readable(&self) -> Value {
        self.params()
    }

    /// What a person should know before it is carried out, with pointers from the params down.
    fn warnings(&self) -> Vec<Warning> {
        Vec::new()
    }

    /// Renders what goes over the wire. The bytes are read back by a second library; recipients
    /// other than the params' make it an error.
    fn render(&self, context: &RenderContext) -> Result<Rendered, RenderError>;

    /// Makes a draft with the provider, which [`Call::perform`] sends. Only for drafts and for sends with the draft scopes.
    async fn prepare(&self, _: &Rendered, _: &Access) -> Result<Evidence, ProviderError> {
        Err(ProviderError::Rejected("this action has no drafts".into()))
    }

    /// Does it: sends the draft if there is one, else does what was rendered. A change is done under our id, or sets
    /// an absolute state, so that a second call does no harm.
    async fn perform(
        &self,
        rendered: &Rendered,
        access: &Access,
        draft: Option<&Evidence>,
    ) -> Result<Done, ProviderError>;

    /// Looks whether an earlier call did what this one would do. Asked for changes only: before a call that may have been made
    /// before, and after one that the provider refused since something exists under its id.
    async fn compare(&self, _: &Rendered, _: &Access) -> Result<Comparison, ProviderError> {
        Ok(Comparison::NotOurs)
    }
}

/// An address in an action's params.
#[derive(Debug, Clone)]
pub struct ParamAddress<'a> {
    /// A pointer from the params down.
    pub pointer: String,
    /// The address.
    pub address: &'a Address,
    /// Whether the action reaches it; false for an address that is only shown to others.
    pub is_recipient: bool,
}

/// What differs between two renderings of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderContext {
    /// The account that acts, where it is known.
    pub from: Option<Address>,
    /// When it acts; none leaves dates out.
    pub date: Option<Timestamp>,
    /// What Message-IDs, boundaries and ids of events are made of: a job's id; none leaves them out or fixes them.
    pub id: Option<String>,
}

/// What goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// `message/rfc822` for a MIME text, `application/json` for a body of JSON.
    pub content_type: &'static str,
    /// The very text.
    pub body: String,
}

/// The rendered text does not read back as what was asked for. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rendered text does not read back as the params: {0}")]
pub struct RenderError(pub String);

/// The right to act on an account.
#[derive(Debug, Clone)]
pub struct Access {
    /// The bearer token.
    pub token: SecretString,
    /// The scopes it was granted, as the provider names them.
    pub scopes: Vec<String>,
    /// The account's address, where it is known and has one.
    pub address: Option<Address>,
    /// Its address, or another name that it signs in with; none where nothing is known of it.
    pub name: Option<String>,
    /// The account as its connection names it; none for a pasted token.
    pub account: Option<String>,
}

/// What the provider said of a call that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// For the job's result: the provider's ids; and where it was no send, `done`, a sentence that says what it was.
    pub details: Value,
}

/// What the provider holds in the place of what a change would make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// The work of an earlier call of ours, perhaps edited or deleted by a person since.
    Ours(Done),
    /// Nothing, or something else.
    NotOurs,
}

/// A provider's refusal.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its status and code: safe in a log.
    pub label: String,
    /// Its own words, as they came. They may repeat contents, addresses and tokens.
    pub says: Option<String>,
}

impl From<&str> for Refusal {
    fn from(label: &str) -> Self {
        Self { label: label.to_owned(), says: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Refusal").field(&self.label).finish()
    }
}

/// Why a request to a provider failed, and what that means.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// Certainly not done, and another try would fail the same way: the provider refuses the content.
    #[error("the provider refused: {0}")]
    Rejected(Refusal),
    /// Certainly not done: the provider refuses the account until somebody mends it.
    #[error("the provider refused the account: {0}")]
    Account(Refusal),
    /// Certainly not done: the provider refuses our client, or an organisation's policy does, until an operator mends it.
    #[error("the provider refused the setup: {0}")]
    Setup(Refusal),
    /// Certainly not done; the provider does not accept the token.
    #[error("the provider does not accept the token")]
    Unauthorized,
    /// Certainly not done; the token lacks the scope.
    #[error("the connection lacks a permission: {0}")]
    Forbidden(Refusal),
    /// Certainly not done: the provider limits its rate; how long to wait, if it said.
    #[error("the provider limits its rate")]
    RateLimited(Option<Duration>),
    /// Certainly not done: something else is in the way, and passes by itself.
    #[error("the provider is busy: {0}")]
    Busy(String),
    /// Certainly not done: the provider was not reached, or failed before it could act.
    #[error("the provider cannot be reached: {0}")]
    Unreachable(String),
    /// Certainly not done now: the draft does not exist.
    #[error("the draft is gone")]
    DraftGone,
    /// Not done now: something exists under our id, perhaps by an earlier call.
    #[error("something exists under this id")]
    Exists,
    /// The request was begun and its answer is missing: it may have been done.
    #[error("the provider's answer was lost: {0}")]
    AnswerLost(String),
}
