//! What the server knows and keeps.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    exchange::Exchange,
    fault::{Fault, Plan, RandomFaults, Scripted},
    mail::{Delivery, ReadMail},
    oauth::OAuthState,
    refusal,
};

/// Whose API is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Gmail's.
    Google,
    /// Microsoft Graph's.
    Microsoft,
}

/// An access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The bearer token itself.
    pub token: String,
    /// Whose API takes it.
    pub provider: Provider,
    /// What it may do; Graph's scopes with or without their URL prefix.
    pub scopes: Vec<String>,
    /// The account's address. A From header that names another is refused.
    #[serde(default)]
    pub address: Option<String>,
    /// After how many seconds it runs out; none never.
    #[serde(default)]
    pub expires_in_s: Option<u64>,
}

impl Token {
    /// A token of an account without a known address, which never runs out.
    pub fn new(provider: Provider, token: &str, scopes: &[&str]) -> Self {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        Self { token: token.to_owned(), provider, scopes, address: None, expires_in_s: None }
    }

    /// Whose drafts it sees: a new token of an account sees those of the one before.
    pub(crate) fn account(&self) -> &str {
        self.address.as_deref().unwrap_or(&self.token)
    }

    fn has(&self, scope: &str) -> bool {
        let bare = |scope: &str| scope.trim_start_matches("https://graph.microsoft.com/").to_ascii_lowercase();
        self.scopes.iter().any(|have| bare(have) == bare(scope))
    }
}

/// What a provider's accounts hold, each entry as the provider's API writes it; nobody checks it, so it may be hostile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Holdings {
    /// Google's persons, or Graph's contacts.
    pub contacts: Vec<Value>,
    /// Google's persons of a domain, or Graph's users.
    pub directory: Vec<Value>,
    /// Google's events, or Graph's, those with times in UTC.
    pub events: Vec<Value>,
}

/// A mail that waits, or with Graph one that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) owner: String,
    pub(crate) mail: ReadMail,
    pub(crate) sent: bool,
    pub(crate) immutable_id: bool,
    pub(crate) internet_message_id: String,
}

/// An event of a calendar.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    provider: Provider,
    owner: String,
    pub(crate) id: String,
    /// What a client calls it, which it may do once.
    key: String,
    pub(crate) raw: Value,
    pub(crate) takes: Range<Timestamp>,
    pub(crate) is_deleted: bool,
}

impl Event {
    pub(crate) fn new(provider: Provider, id: String, key: String, raw: Value, takes: Range<Timestamp>) -> Self {
        Self { provider, owner: String::new(), id, key, raw, takes, is_deleted: false }
    }
}

#[derive(Debug, Default)]
pub(crate) struct State {
    inner: Mutex<Inner>,
    oauth: Mutex<OAuthState>,
    base_url: OnceLock<String>,
}

#[derive(Debug, Default)]
struct Inner {
    tokens: HashMap<String, (Token, Option<Instant>)>,
    plan: Plan,
    drafts: BTreeMap<String, Draft>,
    events: Vec<Event>,
    deliveries: Vec<Delivery>,
    operations: Vec<&'static str>,
    holdings: HashMap<Provider, Holdings>,
    exchanges: Vec<Exchange>,
    /// The accounts whose contacts can be searched.
    warm: HashSet<String>,
    numbers: u64,
}

impl State {
    /// A panic elsewhere leaves the state as it was: every change is one statement.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn oauth(&self) -> MutexGuard<'_, OAuthState> {
        self.oauth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_base_url(&self, url: &str) {
        // Once, before the first request.
        let _ = self.base_url.set(url.to_owned());
    }

    pub(crate) fn base_url(&self) -> String {
        self.base_url.get().cloned().unwrap_or_default()
    }

    pub(crate) fn end_access_tokens(&self) {
        self.lock().tokens.clear();
    }

    /// The address of an access token's account.
    pub(crate) fn address_of(&self, token: &str) -> Option<String> {
        self.lock().tokens.get(token).and_then(|(token, _)| token.address.clone())
    }

    pub(crate) fn end_tokens_of(&self, provider: Provider, address: &str) {
        let of_account = |token: &Token| token.provider == provider && token.address.as_deref() == Some(address);
        self.lock().tokens.retain(|_, (token, _)| !of_account(token));
    }

    pub(crate) fn add_token(&self, token: Token) {
        let end = token.expires_in_s.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        self.lock().tokens.insert(token.token.clone(), (token, end));
    }

    pub(crate) fn hold(&self, provider: Provider, holdings: Holdings) {
        self.lock().holdings.insert(provider, holdings);
    }

    pub(crate) fn holdings(&self, provider: Provider) -> Holdings {
        self.lock().holdings.get(&provider).cloned().unwrap_or_default()
    }

    pub(crate) fn warm(&self, account: &str) {
        self.lock().warm.insert(account.to_owned());
    }

    pub(crate) fn is_warm(&self, account: &str) -> bool {
        self.lock().warm.contains(account)
    }

    pub(crate) fn note(&self, exchange: Exchange) {
        self.lock().exchanges.push(exchange);
    }

    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.lock().exchanges.clone()
    }

    pub(crate) fn script(&self, faults: impl IntoIterator<Item = Scripted>) {
        self.lock().plan.next.extend(faults);
    }

    pub(crate) fn unscript(&self) {
        self.lock().plan.next.clear();
    }

    pub(crate) fn randomly(&self, faults: Option<RandomFaults>) {
        self.lock().plan.random = faults;
    }

    /// Notes the operation and says how it goes wrong, if it does.
    pub(crate) fn draw(&self, operation: &'static str) -> Option<Fault> {
        let mut inner = self.lock();
        inner.operations.push(operation);
        inner.plan.draw(operation)
    }

    pub(crate) fn operations(&self) -> Vec<&'static str> {
        self.lock().operations.clone()
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.lock().deliveries.clone()
    }

    pub(crate) fn reset(&self) {
        *self.lock() = Inner::default();
        *self.oauth() = OAuthState::default();
    }

    /// A number that was not given before.
    pub(crate) fn number(&self) -> u64 {
        let mut inner = self.lock();
        inner.numbers += 1;
        inner.numbers
    }

    pub(crate) fn deliver(&self, mail: ReadMail, account: &Token) {
        let delivery = Delivery::of(mail, account);
        self.lock().deliveries.push(delivery);
    }

    pub(crate) fn put_draft(&self, id: String, draft: Draft) {
        self.lock().drafts.insert(id, draft);
    }

    pub(crate) fn draft(&self, id: &str, account: &Token) -> Option<Draft> {
        self.lock().drafts.get(id).filter(|draft| draft.owner == account.account()).cloned()
    }

    pub(crate) fn remove_draft(&self, id: &str) {
        self.lock().drafts.remove(id);
    }

    /// Takes a draft out and delivers it, in one step: two sends at once deliver once.
    pub(crate) fn send_draft(&self, id: &str, account: &Token) -> Option<Draft> {
        let mut inner = self.lock();
        let draft = inner.drafts.get(id).filter(|draft| draft.owner == account.account() && !draft.sent)?.clone();
        inner.drafts.remove(id);
        if draft.immutable_id {
            inner.drafts.insert(id.to_owned(), Draft { sent: true, ..draft.clone() });
        }
        inner.deliveries.push(Delivery::of(draft.mail.clone(), account));
        Some(draft)
    }

    pub(crate) fn delete_drafts(&self) {
        self.lock().drafts.retain(|_, draft| draft.sent);
    }

    /// Keeps an event and counts it, in one step, unless its key was used before: then gives the event that it names.
    pub(crate) fn put_event(&self, event: Event, mail: ReadMail, account: &Token) -> Option<Event> {
        let event = Event { owner: account.account().to_owned(), ..event };
        let mut inner = self.lock();
        let is_same =
            |known: &&Event| (known.provider, &known.owner, &known.key) == (event.provider, &event.owner, &event.key);
        if let Some(known) = inner.events.iter().find(is_same) {
            return Some(known.clone());
        }
        inner.events.push(event);
        inner.deliveries.push(Delivery::of(mail, account));
        None
    }

    pub(crate) fn event(&self, provider: Provider, id: &str, account: &Token) -> Option<Event> {
        let inner = self.lock();
        let mut events = inner.events.iter();
        events.find(|event| event.provider == provider && event.owner == account.account() && event.id == id).cloned()
    }

    /// The events that take place between two moments, and that were not deleted.
    pub(crate) fn events_between(&self, provider: Provider, account: &Token, between: Range<Timestamp>) -> Vec<Event> {
        let inner = self.lock();
        let is_there = |event: &&Event| {
            event.provider == provider
                && event.owner == account.account()
                && !event.is_deleted
                && event.takes.start < between.end
                && event.takes.end > between.start
        };
        inner.events.iter().filter(is_there).cloned().collect()
    }

    /// Deletes an event: whether it was there; none if it never was.
    pub(crate) fn delete_event(&self, provider: Provider, id: &str, account: &Token) -> Option<bool> {
        let mut inner = self.lock();
        let mut events = inner.events.iter_mut();
        let event =
            events.find(|event| event.provider == provider && event.owner == account.account() && event.id == id)?;
        Some(!std::mem::replace(&mut event.is_deleted, true))
    }

    /// Deletes every event, as a person would.
    pub(crate) fn delete_events(&self) {
        self.lock().events.iter_mut().for_each(|event| event.is_deleted = true);
    }

    /// Whose token it is, if it is known, has not run out and has one of these sets of scopes.
    #[expect(clippy::result_large_err, reason = "the error is the answer")]
    pub(crate) fn authorize(
        &self,
        headers: &HeaderMap,
        provider: Provider,
        any_of: &[&[&str]],
    ) -> Result<Token, Response> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let known = given.and_then(|given| self.lock().tokens.get(given).cloned());
        let token =
            known.filter(|(token, end)| token.provider == provider && end.is_none_or(|end| Instant::now() < end));
        let (unauthorized, denied) = match provider {
            Provider::Google => ("authError", "insufficientPermissions"),
            Provider::Microsoft => ("InvalidAuthenticationToken", "ErrorAccessDenied"),
        };
        let Some((token, _)) = token else {
            return Err(refusal(provider, StatusCode::UNAUTHORIZED, unauthorized, "Invalid Credentials"));
        };
        if any_of.iter().any(|all| all.iter().all(|scope| token.has(scope))) {
            Ok(token)
        } else {
            Err(refusal(provider, StatusCode::FORBIDDEN, denied, "Insufficient Permission"))
        }
    }
}
