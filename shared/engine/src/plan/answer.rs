//! Reads a model's answer as if an enemy had written it.

use std::fmt::Write as _;

use domain::{
    Address, ClientRequestId, Intent, Mention, PlannedAction, disarmed, doubtful_addresses, in_ascii, is_conditional,
    mentions,
};
use serde::Deserialize;
use serde_json::Value;
use telemetry::record::PlannerStatus;

use super::{Draft, Planner};
use crate::{Object, Problem, ProblemCode, execute::MAX_ACTIONS, gate::Permissions};

/// At most so many questions and characters of one text of the model's are shown.
const MAX_QUESTIONS: usize = 10;
const MAX_TEXT: usize = 600;

/// A plan that is ready but for its id.
pub(crate) struct Outcome {
    pub plan: Draft,
    pub status: PlannerStatus,
}

impl Outcome {
    pub(super) fn without_actions() -> Self {
        Self::empty("No action is allowed here, so nothing can be planned.", PlannerStatus::NoAction)
    }

    pub(super) fn refused(reason: Option<String>) -> Self {
        let reason = reason.map(|reason| shown(&reason)).filter(|reason| !reason.is_empty());
        let notes = reason.unwrap_or_else(|| "The model declined to plan this request.".to_owned());
        Self::empty(&notes, PlannerStatus::Refused)
    }

    fn empty(notes: &str, status: PlannerStatus) -> Self {
        let plan = Draft {
            intent: Intent::from_words(""),
            confidence: 0.0,
            actions: Vec::new(),
            questions: Vec::new(),
            notes: Some(notes.to_owned()),
        };
        Self { plan, status }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    intent: String,
    confidence: f64,
    actions: Vec<Object<RawAction>>,
    questions: Vec<String>,
    notes: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAction {
    provider: String,
    action: String,
    params: Value,
}

/// What became of one action of the answer.
enum Understood {
    /// It stands.
    Action(PlannedAction, Vec<Address>),
    /// It does not, and this has to be known first; with the addresses that it was about.
    Question(String, Vec<Address>),
    /// It does not, for this reason; with the addresses that it was about.
    Denied(String, Vec<Address>),
}

/// Validates an answer against the schema it was asked to fit, and grounds its addresses in the prompt.
pub(super) fn read(planner: &Planner, permissions: &Permissions, prompt: &str, text: &str) -> Result<Outcome, Problem> {
    let Object(raw): Object<RawPlan> = serde_json::from_str(text).map_err(|error| {
        // The error's text may quote the answer; its kind and place do not.
        invalid(format!("not of the schema, at line {} column {}", error.line(), error.column()))
    })?;
    if raw.actions.len() > MAX_ACTIONS {
        return Err(invalid(format!("{} actions, where {MAX_ACTIONS} are the most", raw.actions.len())));
    }
    let asks_for_mail = !(raw.actions.is_empty() && raw.questions.is_empty());
    let prompt = Prompt { text: prompt, mentioned: mentions(prompt) };
    let mut plan = Draft {
        intent: Intent::from_words(&raw.intent),
        confidence: raw.confidence.clamp(0.0, 1.0),
        actions: Vec::new(),
        questions: raw.questions.iter().map(|question| shown(question)).filter(|q| !q.is_empty()).collect(),
        notes: raw.notes.as_deref().map(shown).filter(|notes| !notes.is_empty()),
    };
    plan.questions.truncate(MAX_QUESTIONS);
    let mut accounted: Vec<Address> = Vec::new();
    let mut denials = String::new();
    for (place, Object(action)) in raw.actions.into_iter().enumerate() {
        match understand(planner, permissions, &prompt, place, action)? {
            Understood::Action(action, addresses) => {
                accounted.extend(addresses);
                plan.actions.push(action);
            }
            Understood::Question(question, addresses) => {
                accounted.extend(addresses);
                if !plan.questions.contains(&question) {
                    plan.questions.push(question);
                }
            }
            Understood::Denied(reason, addresses) => {
                accounted.extend(addresses);
                let space = if denials.is_empty() { "" } else { " " };
                write!(denials, "{space}{reason}").expect("writing to a String does not fail");
            }
        }
    }
    if asks_for_mail {
        plan.questions.extend(doubtful(prompt.text, &plan.questions));
    }
    if !plan.actions.is_empty() {
        plan.questions.extend(prompt.dropped(&accounted, &plan.questions));
    }
    if !denials.is_empty() {
        plan.notes = Some(plan.notes.map_or(denials.clone(), |notes| format!("{notes} {denials}")));
    }
    let status = match (plan.actions.is_empty(), plan.questions.is_empty()) {
        (_, false) => PlannerStatus::Questions,
        (true, true) => PlannerStatus::NoAction,
        (false, true) => PlannerStatus::Ok,
    };
    if status == PlannerStatus::NoAction && plan.notes.is_none() {
        let can: Vec<&str> = planner.catalogue.iter().map(|action| action.about().description).collect();
        plan.notes = Some(format!("Nothing that is allowed here does this. What there is: {}", can.join(" ")));
    }
    Ok(Outcome { plan, status })
}

fn invalid(detail: String) -> Problem {
    Problem::new(ProblemCode::PlannerInvalidAnswer, detail)
}

fn understand(
    planner: &Planner,
    permissions: &Permissions,
    prompt: &Prompt<'_>,
    place: usize,
    raw: RawAction,
) -> Result<Understood, Problem> {
    let known = planner.catalogue.find(&raw.action).filter(|action| {
        action.about().provider.as_str() == raw.provider && permissions.allow(&action.about().action_id())
    });
    let Some(known) = known else { return Err(invalid(format!("action {place} is none of those it was given"))) };
    let about = known.about();

    let params = without_nulls(raw.params);
    if params.get("to").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        return Ok(Understood::Question("Who should receive the mail? Give the address.".to_owned(), Vec::new()));
    }
    let call = match known.parse(&params) {
        Ok(call) => call,
        Err(violations) => {
            let about_addresses = |pointer: &str| {
                ["/to", "/cc", "/bcc", "/reply_to"].iter().any(|field| {
                    pointer.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
            };
            if let Some(other) = violations.iter().find(|violation| !about_addresses(&violation.pointer)) {
                return Err(invalid(format!("action {place}, params{}", other.pointer)));
            }
            let why: Vec<String> =
                violations.into_iter().map(|violation| violation.named.unwrap_or(violation.detail)).collect();
            let question = format!("A mail cannot go there: {}. Which address is meant?", why.join("; "));
            return Ok(Understood::Question(shown(&in_ascii(&question)), Vec::new()));
        }
    };
    let addresses: Vec<Address> = call.addresses().into_iter().map(|(_, address)| address.clone()).collect();
    if let Some(question) = addresses.iter().find_map(|address| prompt.doubt(address)) {
        return Ok(Understood::Question(question, addresses));
    }
    let call = call.map_addresses(&mut |address| prompt.spelling(address));
    if let Err(problem) = planner.gate.check(permissions, &about.action_id(), &*call) {
        let why: Vec<String> = problem.errors.into_iter().map(|error| error.detail).collect();
        return Ok(Understood::Denied(format!("Not planned: {}.", why.join("; ")), addresses));
    }
    let id: ClientRequestId = planner.ids.uuid().to_string().parse().expect("a UUID is a client_request_id");
    let action = PlannedAction {
        provider: about.provider,
        action: about.action_id(),
        params: call.params(),
        client_request_id: id,
    };
    Ok(Understood::Action(action, addresses))
}

/// The model writes null for what is absent, since strict mode wants every key.
fn without_nulls(mut params: Value) -> Value {
    if let Value::Object(fields) = &mut params {
        fields
            .retain(|field, value| !(value.is_null() || field != "to" && value.as_array().is_some_and(Vec::is_empty)));
    }
    params
}

/// What the person wrote, and the addresses in it.
struct Prompt<'a> {
    text: &'a str,
    mentioned: Vec<Mention>,
}

impl Prompt<'_> {
    /// The places where an address stands as a whole: as it is written, or else with another case.
    fn mentions_of(&self, address: &Address) -> impl Iterator<Item = &Mention> {
        let exact = self.mentioned.iter().any(|mention| mention.address == *address);
        let same = move |known: &Address| if exact { known == address } else { known.same_but_for_case(address) };
        self.mentioned.iter().filter(move |mention| same(&mention.address))
    }

    /// What has to be asked before a mail may have this address, if anything.
    fn doubt(&self, address: &Address) -> Option<String> {
        let spec = in_ascii(&address.addr_spec());
        let Some(mention) = self.mentions_of(address).min_by_key(|mention| mention.quoted) else {
            return Some(format!(
                "The address {spec} does not stand in the request as a whole. Which address is meant?"
            ));
        };
        if mention.quoted {
            return Some(format!("{spec} stands only in quoted or forwarded text. Is it to be in a mail?"));
        }
        is_conditional(self.text, mention.start).then(|| {
            format!("I cannot wait and see whether the condition is met. Should the mail with {spec} go out now?")
        })
    }

    /// The address in the prompt's spelling; its display name only if the prompt has it too, and it is none that
    /// could be taken for an address.
    fn spelling(&self, address: Address) -> Address {
        let mention = self.mentions_of(&address).next().expect("strangers were sent away before");
        let spelling = mention.address.clone();
        match address.name() {
            Some(name) if !name.contains('@') && self.text.to_lowercase().contains(&name.to_lowercase()) => {
                address.spelled_as(&spelling)
            }
            _ => spelling,
        }
    }

    /// A question for the addresses of the prompt that nothing accounts for.
    fn dropped(&self, accounted: &[Address], questions: &[String]) -> Option<String> {
        const MOST: usize = 10;
        let mut left: Vec<String> = Vec::new();
        for mention in &self.mentioned {
            let spec = mention.address.addr_spec();
            let used = accounted.iter().any(|known| known.same_but_for_case(&mention.address));
            let in_question = questions.iter().any(|question| question.contains(&spec));
            if !used && !in_question && !left.contains(&spec) {
                left.push(spec);
            }
        }
        let more = left.len().saturating_sub(MOST);
        left.truncate(MOST);
        let names = left.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() };
        (!left.is_empty()).then(|| format!("The request names {names}, but the plan does not use it. What is it for?"))
    }
}

/// A question for what looks like an address in the prompt and is none.
fn doubtful(prompt: &str, questions: &[String]) -> Option<String> {
    const MOST: usize = 3;
    let mut left = doubtful_addresses(prompt);
    left.retain(|word| !questions.iter().any(|question| question.contains(word)));
    left.dedup();
    left.truncate(MOST);
    let words = left.join(", ");
    (!left.is_empty()).then(|| {
        shown(&format!("{words} only looks like an address: it has characters outside ASCII. Which address is meant?"))
    })
}

/// A model's text as a page may show it: one line, no control characters, no look-alike of an address, not endless.
fn shown(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT).collect();
    disarmed(&flat.split_whitespace().collect::<Vec<_>>().join(" "))
}
