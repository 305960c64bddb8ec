//! Validates a planner's answer, which is read as if an enemy had written it.

use std::fmt::Write as _;

use domain::{
    Address, AnswerValue, Answered, Ask, ClarificationKind, ClientRequestId, Intent, Mention, PlannedAction, Question,
    RequestHash, Violation, Warning, disarmed, doubtful_addresses, in_ascii, mentions,
};
use serde::Deserialize;
use serde_json::Value;
use telemetry::record::PlannerStatus;

use super::{Draft, Planner, condition::is_conditional};
use crate::{Object, Problem, ProblemCode, catalogue::MAX_ACTIONS, gate::Permissions, ports::Call};

/// The most questions of a plan.
const MAX_QUESTIONS: usize = 10;
/// The most characters of one text by the planner that are shown.
const MAX_TEXT: usize = 600;
/// The topic of the question whether to go ahead in spite of a condition, by whichever planner.
const CONDITION: &str = "condition";
/// The intent of a plan that lacks an address.
const ASK_FOR_ADDRESS: &str = "ask_for_address";

/// What a person asked for: the prompt, and the answers to earlier questions about it.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub prompt: &'a str,
    /// Text by somebody else. No address in it counts.
    pub context: Option<&'a str>,
    pub answers: &'a [Answered],
}

impl Request<'_> {
    pub(super) fn hash(&self) -> RequestHash {
        RequestHash::of(self.prompt, self.context)
    }
}

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
            warnings: Vec::new(),
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
    questions: Vec<RawQuestion>,
    notes: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAction {
    provider: String,
    action: String,
    params: Value,
}

/// A language model asks in a sentence, the rules in data.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawQuestion {
    Sentence(String),
    Data(Question),
}

impl RawQuestion {
    fn read(self, intent: &str) -> Question {
        match self {
            Self::Sentence(text) => {
                let text = shown(&text);
                let address = intent == ASK_FOR_ADDRESS;
                let kind = if address { ClarificationKind::Address } else { ClarificationKind::Text };
                Question::new(kind, None, &text.clone(), text)
            }
            Self::Data(question) => {
                Question { about: question.about.as_deref().map(shown), text: shown(&question.text), ..question }
            }
        }
    }
}

/// What became of one action of the answer.
enum Understood {
    /// It stands, with the addresses in it.
    Action(PlannedAction, Vec<Address>, Vec<Warning>),
    /// This has to be known first, about these addresses.
    Question(Question, Vec<Address>),
    /// It is refused for this reason, with the addresses in it.
    Denied(String, Vec<Address>),
}

/// Validates an answer against the schema it was asked to fit, and grounds its addresses in the request.
pub(super) fn read(
    planner: &Planner,
    permissions: &Permissions,
    request: Request<'_>,
    text: &str,
) -> Result<Outcome, Problem> {
    let Object(raw): Object<RawPlan> = serde_json::from_str(text).map_err(|error| {
        // The error's text may quote the answer; its kind and place do not.
        invalid(format!("not of the schema, at line {} column {}", error.line(), error.column()))
    })?;
    if raw.actions.len() > MAX_ACTIONS {
        return Err(invalid(format!("{} actions, where {MAX_ACTIONS} are the most", raw.actions.len())));
    }
    let asks_for_action = !(raw.actions.is_empty() && raw.questions.is_empty());
    let intent = Intent::from_words(&raw.intent);
    let words = Words::of(request);
    let mut questions = Questions { answers: request.answers, open: Vec::new() };
    for question in raw.questions {
        questions.ask(question.read(intent.as_str()));
    }
    let mut plan = Draft {
        intent,
        confidence: raw.confidence.clamp(0.0, 1.0),
        actions: Vec::new(),
        questions: Vec::new(),
        warnings: Vec::new(),
        notes: raw.notes.as_deref().map(shown).filter(|notes| !notes.is_empty()),
    };
    let mut accounted: Vec<Address> = Vec::new();
    let mut denials = String::new();
    let mut deny = |reason: &str| {
        let space = if denials.is_empty() { "" } else { " " };
        write!(denials, "{space}{reason}").expect("writing to a String does not fail");
    };
    for (place, Object(action)) in raw.actions.into_iter().enumerate() {
        match understand(planner, permissions, &words, place, action)? {
            Understood::Action(action, addresses, warnings) => {
                accounted.extend(addresses);
                let at = format!("/actions/{}/params", plan.actions.len());
                plan.warnings.extend(warnings.into_iter().map(|warning| warning.under(&at)));
                plan.actions.push(action);
            }
            Understood::Question(question, addresses) => {
                accounted.extend(addresses);
                questions.ask(question);
            }
            Understood::Denied(reason, addresses) => {
                accounted.extend(addresses);
                deny(&reason);
            }
        }
    }
    if asks_for_action {
        for question in doubtful(request.prompt) {
            let told = |open: &Question| question.about.as_ref().is_some_and(|word| open.text.contains(word));
            if !questions.open.iter().any(told) {
                questions.ask(question);
            }
        }
    }
    if !plan.actions.is_empty()
        && let Some(question) = words.unused(&accounted, &questions.open)
    {
        match questions.answer(&question) {
            None => questions.ask(question),
            Some(answer) if answer.is_yes() => {}
            Some(_) => {
                plan.actions.clear();
                plan.warnings.clear();
                let about = question.about.unwrap_or_default();
                deny(&format!("Not planned: say in the request what {about} is for."));
            }
        }
    }
    plan.questions = questions.open;
    plan.questions.truncate(MAX_QUESTIONS);
    if !denials.is_empty() {
        plan.notes = Some(plan.notes.map_or(denials.clone(), |notes| format!("{notes} {denials}")));
    }
    let status = match (plan.actions.is_empty(), plan.questions.is_empty()) {
        (_, false) => PlannerStatus::Questions,
        (true, true) => PlannerStatus::NoAction,
        (false, true) => PlannerStatus::Ok,
    };
    if status == PlannerStatus::NoAction && plan.notes.is_none() {
        plan.notes = Some(if request.answers.is_empty() {
            let can: Vec<&str> = planner.catalogue.iter().map(|action| action.spec().description).collect();
            format!("Nothing that is allowed here does this. The actions here: {}", can.join(" "))
        } else {
            "The planner made nothing of the answers. Write the request again with everything it needs.".to_owned()
        });
    }
    Ok(Outcome { plan, status })
}

/// The questions that are open. One that was answered, or asked before, is not asked again.
struct Questions<'a> {
    answers: &'a [Answered],
    open: Vec<Question>,
}

impl Questions<'_> {
    fn ask(&mut self, question: Question) {
        let known = self.open.iter().any(|open| open.is_same(&question) || open.text == question.text);
        if !known && !question.text.is_empty() && self.answer(&question).is_none() {
            self.open.push(question);
        }
    }

    fn answer(&self, question: &Question) -> Option<&AnswerValue> {
        answer(self.answers, question)
    }
}

fn answer<'a>(answers: &'a [Answered], question: &Question) -> Option<&'a AnswerValue> {
    answers.iter().find(|answered| answered.question.is_same(question)).map(|answered| &answered.value)
}

fn invalid(detail: String) -> Problem {
    Problem::new(ProblemCode::PlannerInvalidAnswer, detail)
}

fn understand(
    planner: &Planner,
    permissions: &Permissions,
    words: &Words<'_>,
    place: usize,
    raw: RawAction,
) -> Result<Understood, Problem> {
    let known = planner.catalogue.find(&raw.action).filter(|action| {
        action.spec().provider.as_str() == raw.provider && permissions.allow(&action.spec().action_id())
    });
    let Some(known) = known else { return Err(invalid(format!("action {place} is none of those it was given"))) };
    let spec = known.spec();

    let mut params = without_nulls(raw.params);
    let call = match known.parse(&params) {
        Ok(call) => call,
        Err(violations) => {
            if let Some(question) = words.mend(&mut params, place, spec.wording.ask_recipients, violations)? {
                return Ok(Understood::Question(question, Vec::new()));
            }
            known.parse(&params).map_err(|_| invalid(format!("action {place}, params")))?
        }
    };
    let call = words.corrected(&*call).unwrap_or(call);
    let addresses: Vec<Address> = call.addresses().into_iter().map(|param| param.address.clone()).collect();
    for param in call.addresses() {
        let field = format!("/actions/{place}/params{}", param.pointer);
        let Some(question) = words.doubt(param.address).map(|question| question.with_field(field)) else { continue };
        return Ok(match answer(words.answers, &question) {
            Some(AnswerValue::Bool(true)) => continue,
            Some(_) => {
                Understood::Denied(format!("Not planned, since the answer was no: {}", question.text), addresses)
            }
            None => Understood::Question(question, addresses),
        });
    }
    let call = call.map_addresses(&mut |address| words.spelling(address)).unwrap_or(call);
    if let Err(problem) = planner.gate.check(permissions, &spec.action_id(), &*call) {
        let why: Vec<String> = problem.errors.into_iter().map(|error| error.detail).collect();
        return Ok(Understood::Denied(format!("Not planned: {}.", why.join("; ")), addresses));
    }
    let id: ClientRequestId = planner.ids.uuid().to_string().parse().expect("a UUID is a client_request_id");
    let action = PlannedAction {
        provider: spec.provider,
        action: spec.action_id(),
        params: call.params(),
        client_request_id: id,
    };
    Ok(Understood::Action(action, addresses, call.warnings()))
}

/// In strict mode a model writes null, or an empty list, for what is absent.
fn without_nulls(mut params: Value) -> Value {
    if let Value::Object(fields) = &mut params {
        fields.retain(|_, value| !(value.is_null() || value.as_array().is_some_and(Vec::is_empty)));
    }
    params
}

/// The person's own words, and the addresses in them.
struct Words<'a> {
    text: &'a str,
    answers: &'a [Answered],
    mentioned: Vec<Mention>,
    /// The addresses of answers: never quoted, never conditional.
    answered: Vec<Address>,
}

impl<'a> Words<'a> {
    fn of(request: Request<'a>) -> Self {
        let texts = request.answers.iter().filter_map(|answered| match answered.question.kind {
            ClarificationKind::Address | ClarificationKind::Text => answered.value.text(),
            ClarificationKind::Confirm | ClarificationKind::Choice => None,
        });
        let answered = texts.flat_map(|text| {
            let found = mentions(text).into_iter().map(|mention| mention.address);
            domain::addresses(text).unwrap_or_else(|_| found.collect())
        });
        Self {
            text: request.prompt,
            answers: request.answers,
            mentioned: mentions(request.prompt),
            answered: answered.collect(),
        }
    }

    /// Puts answers in the place of what is wrong with params. Gives the question that is still open, if one is. A
    /// violation that no answer can mend makes the planner's answer invalid.
    fn mend(
        &self,
        params: &mut Value,
        place: usize,
        ask_recipients: &str,
        violations: Vec<Violation>,
    ) -> Result<Option<Question>, Problem> {
        for violation in violations {
            let given = params.pointer(&violation.pointer).and_then(Value::as_str).map(shown);
            let question = match violation.ask {
                Some(Ask::Recipients) => {
                    let topic = format!("recipients-{place}");
                    Question::new(ClarificationKind::Address, None, &topic, ask_recipients)
                }
                Some(Ask::Address) => {
                    let why = in_ascii(violation.named.as_deref().unwrap_or(&violation.detail));
                    let text = shown(&format!("{why}. Which address is meant?"));
                    Question::new(ClarificationKind::Address, given.as_deref(), "invalid-address", text)
                }
                None => return Err(invalid(format!("action {place}, params{}", violation.pointer))),
            };
            let answer = answer(self.answers, &question).and_then(AnswerValue::text);
            let Some(addresses) = answer.and_then(|answer| domain::addresses(answer).ok()) else {
                return Ok(Some(question.with_field(format!("/actions/{place}/params{}", violation.pointer))));
            };
            put(params, &violation.pointer, &addresses);
        }
        Ok(None)
    }

    /// The call with each unknown address replaced by the one that a person named instead; none where there is none.
    fn corrected(&self, call: &dyn Call) -> Option<Box<dyn Call>> {
        let instead = |address: &Address| {
            let answer = answer(self.answers, &unknown(address)).and_then(AnswerValue::text)?;
            domain::addresses(answer).ok()?.into_iter().next()
        };
        let any = call.addresses().into_iter().any(|param| instead(param.address).is_some());
        any.then(|| call.map_addresses(&mut |address| instead(&address).unwrap_or(address))).flatten()
    }

    /// The places where the prompt holds an address as a whole: as it is written, or else in another case.
    fn mentions_of(&self, address: &Address) -> impl Iterator<Item = &Mention> {
        let exact = self.mentioned.iter().any(|mention| mention.address == *address);
        let same = move |known: &Address| if exact { known == address } else { known.same_but_for_case(address) };
        self.mentioned.iter().filter(move |mention| same(&mention.address))
    }

    fn answered_as(&self, address: &Address) -> Option<&Address> {
        let exact = self.answered.iter().find(|known| *known == address);
        exact.or_else(|| self.answered.iter().find(|known| known.same_but_for_case(address)))
    }

    /// What has to be asked before an action may use this address, if anything.
    fn doubt(&self, address: &Address) -> Option<Question> {
        if self.answered_as(address).is_some() {
            return None;
        }
        let Some(mention) = self.mentions_of(address).min_by_key(|mention| mention.quoted) else {
            return Some(unknown(address));
        };
        let spec = in_ascii(&address.addr_spec());
        let confirm = |topic, text| Question::new(ClarificationKind::Confirm, Some(&spec), topic, text);
        if mention.quoted {
            let text = format!("{spec} occurs only in quoted or forwarded text. Is it meant?");
            return Some(confirm("quoted-address", text));
        }
        let accepted = |answered: &Answered| answered.question.topic == CONDITION && answered.value.is_yes();
        (is_conditional(self.text, mention.start) && !self.answers.iter().any(accepted)).then(|| {
            let text = format!("I cannot wait for the condition. Should {spec} be written to now?");
            confirm(CONDITION, text)
        })
    }

    /// The address as the person wrote it. Its display name stays only if the prompt has it too, and it could not be
    /// taken for an address.
    fn spelling(&self, address: Address) -> Address {
        let mention = self.mentions_of(&address).next().map(|mention| &mention.address);
        let Some(spelling) = self.answered_as(&address).or(mention) else { return address };
        match address.name() {
            Some(name) if !name.contains('@') && self.text.to_lowercase().contains(&name.to_lowercase()) => {
                address.spelled_as(spelling)
            }
            _ => spelling.clone(),
        }
    }

    /// A question for the addresses of the request that nothing accounts for.
    fn unused(&self, accounted: &[Address], questions: &[Question]) -> Option<Question> {
        const MOST: usize = 10;
        let mut left: Vec<String> = Vec::new();
        for address in self.mentioned.iter().map(|mention| &mention.address).chain(&self.answered) {
            let spec = address.addr_spec();
            let used = accounted.iter().any(|known| known.same_but_for_case(address));
            let in_question = questions.iter().any(|question| question.text.contains(&spec));
            if !used && !in_question && !left.contains(&spec) && !self.is_settled(address) {
                left.push(spec);
            }
        }
        let more = left.len().saturating_sub(MOST);
        left.truncate(MOST);
        let names = left.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() };
        let text = format!("The request names {names}, but the plan does not use it. Is the plan right without it?");
        (!left.is_empty()).then(|| Question::new(ClarificationKind::Confirm, Some(&names), "unused-address", text))
    }

    /// Whether a person has said yes to a question about this address.
    fn is_settled(&self, address: &Address) -> bool {
        let spec = in_ascii(&address.addr_spec());
        let about = |answered: &Answered| answered.question.about.as_ref().is_some_and(|about| about.contains(&spec));
        self.answers.iter().any(|answered| answered.value.is_yes() && about(answered))
    }
}

fn unknown(address: &Address) -> Question {
    let spec = in_ascii(&address.addr_spec());
    let text = format!("The request does not hold the address {spec} as a whole. Which address is meant?");
    Question::new(ClarificationKind::Address, Some(&spec), "unknown-address", text)
}

/// Puts addresses in the place that a pointer names: into a list where it names an item, else as a list.
fn put(params: &mut Value, pointer: &str, addresses: &[Address]) {
    let list: Vec<Value> = addresses.iter().map(|address| Value::String(address.to_string())).collect();
    let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    match params.pointer_mut(parent) {
        Some(Value::Array(items)) => {
            if let Some(place) = key.parse::<usize>().ok().filter(|place| *place < items.len()) {
                items.splice(place..=place, list);
            }
        }
        Some(Value::Object(fields)) => {
            fields.insert(key.to_owned(), Value::Array(list));
        }
        _ => {}
    }
}

/// A question for each word of the prompt that looks like an address and is not one.
fn doubtful(prompt: &str) -> impl Iterator<Item = Question> {
    const MOST: usize = 3;
    let mut words = doubtful_addresses(prompt);
    words.dedup();
    words.truncate(MOST);
    words.into_iter().map(|word| {
        let word = shown(&word);
        let text =
            format!("{word} only looks like an address: it has characters outside ASCII. Which address is meant?");
        Question::new(ClarificationKind::Address, Some(&word), "look-alike", text)
    })
}

/// A planner's text as a page may show it: one line, no control characters, no look-alike of an address, not endless.
fn shown(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT).collect();
    disarmed(&flat.split_whitespace().collect::<Vec<_>>().join(" "))
}
