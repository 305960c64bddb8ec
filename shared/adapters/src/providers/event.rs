//! Events: the params that several actions share, and the port to whatever calendar holds them.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use domain::{Address, Ask, Event, Evidence, Notify, Violation, Warning, WarningCode, sha256_hex};
use engine::ports::{
    Access, Action, ActionSpec, Call, Comparison, Done, Example, Instructions, ParamAddress, ProviderError,
    RenderContext, RenderError, Rendered, Wording,
};
use serde_json::{Value, json};

use super::params;
use crate::exchange::harmless;

/// A provider's calendar.
#[async_trait]
pub(super) trait Calendar: Send + Sync + 'static {
    /// Attendees are always written to.
    const ALWAYS_NOTIFIES: bool = false;

    /// The event as it goes over the wire, under this id, with the addresses that can be read back from it.
    /// `hash` goes along, so that [`Calendar::find`] can tell its content.
    fn render(&self, event: &Event, id: Option<&str>, hash: &str) -> Result<Value, RenderError>;

    /// The attendees of what was rendered.
    fn attendees(&self, rendered: &Value) -> Vec<String>;

    /// Creates the event. Gives what the provider says of it.
    async fn create(&self, event: &Event, rendered: &Rendered, access: &Access) -> Result<Made, ProviderError>;

    /// Looks for an event that was created before; none if there is none, or its hash is another.
    async fn find(&self, event: &Event, rendered: &Rendered, access: &Access) -> Result<Option<Made>, ProviderError>;
}

/// An event that a provider holds, or held.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Its id, where it is known.
    pub id: Option<String>,
    /// Where a person looks at it.
    pub link: Option<String>,
    /// A person has deleted it.
    pub is_deleted: bool,
}

/// What a model is told of an event beside its schema and examples.
pub(super) const INSTRUCTIONS: Instructions = Instructions {
    intent: "create_event",
    when: "the message asks for a meeting, a call or an appointment, with or without attendees",
    choose: "",
    rules: &[
        "\"start\" and \"end\" are local times as the message says them, without an offset. \"time_zone\" is today's unless the \
         message names another. \"minutes\" is 60 unless the message says how long, or until when. Without a time, ask first.",
    ],
    examples: &[Example {
        request: "Invite Noor to a review on 4 May 2027 at 14:00 for half an hour, Paris time",
        lookups: &[r#"{"id":"l1","find":"contact","name":"Noor"}"#],
        params: &[
            r#"{"title":"Review","start":"2027-05-04T14:00","end":null,"minutes":30,"time_zone":"Europe/Paris","attendees":[{"$ref":"l1.address"}],"location":null,"text":null,"notify":null}"#,
        ],
        question: None,
    }],
    requests: &[],
    other_requests: &[],
    reading_requests: &[],
    handing_over: &[],
    telling: &[],
    nouns: &[],
    serves: &[
        "add, arrange, block, book, create, invite, make, plan, put, reserve, schedule, set, start",
        "buch, buche, erstelle, leg, lege, mach, mache, reservier, reserviere, trag, trage",
        "añade, crea, haz, pon, reserva",
        "ajoute, crée, fais, mets, réserve",
    ],
};

/// The sentences for people about an event.
pub(super) const WORDING: Wording =
    Wording { noun: "the event", ask_recipients: "", ask_text: "", look: "Look at the account's calendar" };

struct EventAction<C> {
    spec: ActionSpec,
    schema: OnceLock<Value>,
    calendar: Arc<C>,
}

/// An action whose params are an event.
pub(super) fn action(spec: ActionSpec, calendar: impl Calendar) -> Arc<dyn Action> {
    Arc::new(EventAction { spec, schema: OnceLock::new(), calendar: Arc::new(calendar) })
}

/// One event, ready to be created.
struct EventCall<C> {
    event: Event,
    calendar: Arc<C>,
}

impl<C: Calendar> Action for EventAction<C> {
    fn spec(&self) -> &ActionSpec {
        &self.spec
    }

    fn params_schema(&self) -> &Value {
        self.schema.get_or_init(params::schema::<Event>)
    }

    fn parse(&self, params: &Value) -> Result<Box<dyn Call>, Vec<Violation>> {
        let event = Event::parse(params)?;
        if C::ALWAYS_NOTIFIES && event.notify == Some(Notify::None) {
            let detail =
                "cannot be none here: this calendar always writes to attendees. Leave out notify, or the attendees";
            return Err(vec![Violation::new("/notify", detail).asking(Ask::Nothing)]);
        }
        Ok(Box::new(EventCall { event, calendar: Arc::clone(&self.calendar) }))
    }
}

impl<C> EventCall<C> {
    fn done(&self, made: &Made) -> Done {
        let done = match self.event.notify {
            _ if made.is_deleted => "The event was created, and has been deleted since.",
            None => "The event is in the calendar.",
            Some(Notify::All) => "The event is in the calendar, and the attendees are invited.",
            Some(Notify::None) => "The event is in the calendar. The attendees were not written to.",
        };
        Done { details: json!({ "event_id": made.id, "link": made.link, "done": done }) }
    }
}

#[async_trait]
impl<C: Calendar> Call for EventCall<C> {
    fn params(&self) -> Value {
        self.event.to_params()
    }

    fn addresses(&self) -> Vec<ParamAddress<'_>> {
        let several = self.event.attendees.len() > 1;
        let attendees = self.event.attendees.iter().enumerate().map(|(place, address)| {
            let pointer = if several { format!("/attendees/{place}") } else { "/attendees".to_owned() };
            ParamAddress { pointer, address, is_recipient: true }
        });
        attendees.collect()
    }

    fn map_addresses(&self, change: &mut dyn FnMut(Address) -> Address) -> Option<Box<dyn Call>> {
        let mut event = self.event.clone();
        event.map_addresses(change);
        Some(Box::new(Self { event, calendar: Arc::clone(&self.calendar) }))
    }

    fn title(&self) -> String {
        self.event.title.clone()
    }

    fn warnings(&self) -> Vec<Warning> {
        let text = "The attendees are not written to: they find the event in their calendars, or not at all.";
        let is_silent = self.event.notify == Some(Notify::None);
        let warning =
            Warning { code: WarningCode::NotDelivered, field: Some("/notify".to_owned()), text: text.to_owned() };
        is_silent.then_some(warning).into_iter().collect()
    }

    fn render(&self, context: &RenderContext) -> Result<Rendered, RenderError> {
        let hash = sha256_hex(self.params().to_string().as_bytes());
        let body = self.calendar.render(&self.event, context.id.as_deref(), &hash)?.to_string();
        let read: Value = serde_json::from_str(&body).unwrap_or_default();
        let attendees = self.event.attendees.iter().map(Address::addr_spec);
        if !self.calendar.attendees(&read).into_iter().eq(attendees) {
            return Err(RenderError("its attendees would not arrive as written".to_owned()));
        }
        Ok(Rendered { content_type: "application/json", body })
    }

    async fn perform(&self, rendered: &Rendered, access: &Access, _: Option<&Evidence>) -> Result<Done, ProviderError> {
        Ok(self.done(&self.calendar.create(&self.event, rendered, access).await?))
    }

    async fn compare(&self, rendered: &Rendered, access: &Access) -> Result<Comparison, ProviderError> {
        let found = self.calendar.find(&self.event, rendered, access).await.map_err(harmless)?;
        Ok(found.map_or(Comparison::NotOurs, |made| Comparison::Ours(self.done(&made))))
    }
}

/// An address with its display name, as a provider names the two.
pub(super) fn named(address: &Address, (spec, name): (&str, &str)) -> Value {
    let mut named = json!({ spec: address.addr_spec() });
    if let Some(known) = address.name() {
        named[name] = json!(known);
    }
    named
}

/// The texts at these keys of a list's items.
pub(super) fn texts(list: &Value, pointer: &str) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()).collect()
}

/// A text of a provider's answer.
pub(super) fn text_of(answer: &Value, name: &str) -> Option<String> {
    answer[name].as_str().map(str::to_owned)
}
