//! Validates a planner's answer, which is read as if an enemy had written it.

use std::collections::{BTreeSet, HashMap};

use domain::{
    Address, AnswerValue, Answered, Ask, ClarificationKind, ClientRequestId, Effect, Intent, LookupId, Mention,
    PlannedAction, Question, Source, Violation, WallTime, When, asks_for_html, clean_html, disarmed,
    doubtful_addresses, in_ascii, is_hidden, mentions, pointer_token,
};
use jiff::Zoned;
use serde::Deserialize;
use serde_json::Value;
use serde_path_to_error::Segment;
use telemetry::labels::PlannerStatus;

use super::{
    Draft, Planner, Proposed,
    content::is_only_named,
    lookups::{self, Derived, RawLookup, Template, Wanted, is_about_lookup, wrong_with_found},
    record::words,
    request::Request,
    send_at::{SEND_AT, Timing},
    sentence::{asks_for_more, is_another_request, is_conditional},
};
use crate::{
    Object, Problem, ProblemCode,
    catalogue::MAX_ACTIONS,
    gate::Permissions,
    ports::{Action, ActionSpec, Instructions, Wording},
    texts::{TextKind, text_fields},
};

/// The most questions of a plan.
const MAX_QUESTIONS: usize = 10;
/// An answer that fills a param in may be wrong in its turn.
const MOST_ANSWERS: usize = 3;
/// The most characters of one text by the planner that are shown.
const MAX_TEXT: usize = 600;
/// The topic of the question whether to go ahead in spite of a condition, by whichever planner.
const CONDITION: &str = "condition";
/// The topic of the question whether to go ahead although the request asks for something else too.
const OTHER_REQUEST: &str = "other-request";
/// The intent of a plan that lacks an address.
const ASK_FOR_ADDRESS: &str = "ask_for_address";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    intent: String,
    confidence: f64,
    #[serde(default)]
    lookups: Vec<Object<RawLookup>>,
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
    /// The request's words for when to send.
    #[serde(default)]
    send_at: Option<String>,
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

/// An answer while it is read, beside the person's own words.
pub(super) struct Reading<'a> {
    planner: &'a Planner,
    permissions: &'a Permissions,
    pub request: Request<'a>,
    /// The time of the request, in its time zone.
    pub now: Zoned,
    /// The lookups of the answer.
    pub wanted: Vec<Wanted>,
    /// The addresses in the place of references to them.
    pub derived: Vec<Derived>,
    /// The addresses of the prompt.
    mentioned: Vec<Mention>,
    /// The addresses of answers: never quoted, never conditional.
    answered: Vec<Address>,
    plan: Draft,
    /// How sentences begin that the answer's actions serve.
    served: Vec<&'static str>,
    /// By action, the addresses to which the prompt hands over what it only names.
    unsaid: HashMap<&'static str, BTreeSet<String>>,
    /// The addresses that the answer has a use for, or that were asked about or refused.
    accounted: Vec<Address>,
    /// Why actions of the answer are not in the plan.
    denials: Vec<String>,
}

/// Validates an answer against the schema it was asked to fit, and grounds its addresses in the request.
pub(super) fn read(
    planner: &Planner,
    permissions: &Permissions,
    request: Request<'_>,
    text: &str,
) -> Result<Draft, Problem> {
    let Object(raw): Object<RawPlan> = parse(unwrapped(text))?;
    if raw.actions.len() > MAX_ACTIONS {
        let detail = format!("{} actions, where {MAX_ACTIONS} are the most", raw.actions.len());
        return Err(invalid(&detail, "/actions", &detail));
    }
    let asks_for_action = !(raw.actions.is_empty() && raw.questions.is_empty());
    let notes = raw.notes.as_deref().map(shown).filter(|notes| !notes.is_empty());
    let confidence = raw.confidence.clamp(0.0, 1.0);
    let plan = Draft { intent: Intent::from_words(&raw.intent), confidence, ..Draft::without_actions(notes) };
    let now = request.now()?;
    let params: Vec<&Value> = raw.actions.iter().map(|Object(action)| &action.params).collect();
    let wanted = lookups::read(raw.lookups, &params, request, &now)?;
    let answered = request.answers.iter().filter_map(|answered| match answered.question.kind {
        ClarificationKind::Address | ClarificationKind::Text => answered.value.text(),
        ClarificationKind::Confirm | ClarificationKind::Choice => None,
    });
    let answered = answered.flat_map(|text| {
        let found = mentions(text).into_iter().map(|mention| mention.address);
        domain::addresses(text).unwrap_or_else(|_| found.collect())
    });
    let served = |Object(action): &Object<RawAction>| {
        planner.catalogue.find(&action.action).map(|action| action.spec().instructions.serves)
    };
    let mut reading = Reading {
        planner,
        permissions,
        request,
        now,
        wanted,
        derived: Vec::new(),
        mentioned: mentions(request.prompt),
        answered: answered.collect(),
        plan,
        served: raw.actions.iter().filter_map(served).flatten().copied().collect(),
        unsaid: HashMap::new(),
        accounted: Vec::new(),
        denials: Vec::new(),
    };
    for question in raw.questions {
        reading.ask(question.read(reading.plan.intent.as_str()));
    }
    for (place, Object(action)) in raw.actions.into_iter().enumerate() {
        reading.add(place, action)?;
    }
    if asks_for_action {
        reading.ask_about_look_alikes();
    }
    reading.account_for_the_rest();
    Ok(reading.finish())
}

/// The object in an answer, without a fence, thoughts or prose around it.
fn unwrapped(text: &str) -> &str {
    let thoughts = ["</think>", "</reasoning>"].into_iter();
    let said = thoughts.fold(text, |text, end| text.rsplit_once(end).map_or(text, |(_, said)| said));
    let object = said.find('{').zip(said.rfind('}')).and_then(|(from, to)| said.get(from..=to));
    object.unwrap_or(text)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_str(text);
    let place = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", pointer_token(key)),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    };
    let parsed = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| (error.path().iter().map(place).collect(), error.into_inner()))
        .and_then(|parsed| json.end().map(|()| parsed).map_err(|error| (String::new(), error)));
    parsed.map_err(|(pointer, error)| {
        let detail = format!("not of the schema, at line {} column {}", error.line(), error.column());
        invalid(&detail, &pointer, &error.to_string())
    })
}

/// An answer that cannot be used. The detail goes to the log and quotes nothing; where in the answer and why is for the
/// model, and may quote it.
pub(super) fn invalid(detail: &str, pointer: &str, why: &str) -> Problem {
    Problem::new(ProblemCode::PlannerInvalidAnswer, detail).with_errors(vec![Violation::new(pointer, why)])
}

/// Params that no answer can mend.
fn refused_params(place: usize, violations: &[Violation]) -> Problem {
    let (pointer, why) = violations.first().map_or(("", "is wrong"), |first| (&first.pointer, &first.detail));
    invalid(&format!("action {place}, params{pointer}"), &format!("/actions/{place}/params{pointer}"), why)
}

impl Reading<'_> {
    /// Adds an action to the plan, or what has to be known first, or why it is refused.
    fn add(&mut self, place: usize, raw: RawAction) -> Result<(), Problem> {
        let known = self.planner.catalogue.find(&raw.action).filter(|action| {
            action.spec().provider.as_str() == raw.provider && self.permissions.allow(&action.spec().action_id())
        });
        let Some(known) = known else {
            let (detail, pointer) =
                (format!("action {place} is none of those it was given"), format!("/actions/{place}"));
            return Err(invalid(&detail, &pointer, "is none of the actions that you may plan"));
        };
        let spec = known.spec();

        let mut params = without_nulls(raw.params);
        let filled = self.fill(known.params_schema(), place, &mut params)?;
        let blank = self.mend_texts(&**known, place, &mut params);
        let mut parsed = known.parse(&params);
        for _ in 0..MOST_ANSWERS {
            let Err(violations) = &parsed else { break };
            if filled.has_found && violations.iter().all(|wrong| wrong.ask.is_none()) {
                self.denials.push(wrong_with_found(violations));
                return Ok(());
            }
            if let Some(cannot) = violations.iter().find(|violation| violation.ask == Some(Ask::Nothing)) {
                let field = cannot.pointer.trim_start_matches('/');
                self.denials.push(format!("Not planned: {field} {}.", cannot.detail));
                return Ok(());
            }
            if let Some(question) = self.mend(&mut params, place, spec.wording, violations)? {
                if let Some(blank) = blank {
                    self.ask(blank);
                }
                // Asked once more where its answer cannot be used.
                self.open(question);
                return Ok(());
            }
            parsed = known.parse(&params);
        }
        let call = parsed.map_err(|violations| refused_params(place, &violations))?;
        let call = call.map_addresses(&mut |address| self.corrected(address)).unwrap_or(call);
        self.accounted.extend(call.addresses().into_iter().map(|param| param.address.clone()));
        if blank.is_some() || !filled.questions.is_empty() {
            blank.into_iter().chain(filled.questions).for_each(|question| self.ask(question));
            return Ok(());
        }
        for param in call.addresses() {
            let Some(question) = self.doubt(spec, param.address, &filled.lookups) else { continue };
            match self.answer(&question) {
                Some(AnswerValue::Bool(true)) => {}
                Some(_) => {
                    self.denials.push(format!("Not planned, since the answer was no: {}", question.text));
                    return Ok(());
                }
                None => {
                    self.ask(question.with_field(format!("/actions/{place}/params{}", param.pointer)));
                    return Ok(());
                }
            }
        }
        let named = |address: &Address| {
            let mention = self.derived_by(address).map(|wanted| wanted.mention.as_ref());
            mention.map_or_else(
                || Some(address.addr_spec()),
                |mention| mention.map(|mention| self.request.prompt[mention.start..mention.end].to_owned()),
            )
        };
        let addresses = call.addresses().into_iter().filter_map(|param| named(param.address)).collect();
        let (request, now, served) = (self.request, &self.now, &self.served);
        let timing = Timing { request, now, noun: spec.wording.noun, addresses, served };
        let said = raw.send_at.as_deref().unwrap_or_default();
        // Other actions have times of their own.
        let send_at = if spec.effect == Effect::Send { timing.send_at(said) } else { Ok(None) };
        let send_at = match send_at {
            Ok(send_at) => send_at,
            Err(question) => {
                self.open(*question);
                return Ok(());
            }
        };
        let call = call.map_addresses(&mut |address| self.spelling(address)).unwrap_or(call);
        let call = Template::of(call, &filled);
        if let Err(problem) = self.planner.gate.check(self.permissions, spec, &*call) {
            let why: Vec<String> = problem.errors.into_iter().map(|error| error.detail).collect();
            self.denials.push(format!("Not planned: {}.", why.join("; ")));
            return Ok(());
        }
        let params = call.params();
        let is_same = |known: &PlannedAction| {
            known.action == spec.action_id() && known.params == params && known.send_at == send_at
        };
        if self.plan.actions.iter().any(|known| is_same(&known.planned)) {
            self.denials.push("The same action came more than once, and is planned once.".to_owned());
            return Ok(());
        }
        let id: ClientRequestId = self.planner.ids.uuid().to_string().parse().expect("a UUID is a client_request_id");
        let recipients = self.planner.approval.recipients(&*call, |_, address| self.source(address));
        let planned = PlannedAction {
            provider: spec.provider,
            action: spec.action_id(),
            params,
            client_request_id: id,
            send_at,
            recipients,
        };
        self.denials.extend(filled.notes);
        self.plan.actions.push(Proposed { planned, call, lookups: filled.lookups });
        Ok(())
    }

    /// How an address came in, and the lookup that found it.
    fn source(&self, address: &Address) -> (Option<Source>, Option<LookupId>) {
        let is_named = self.mentions_of(address).any(|mention| !mention.quoted);
        let derived = self.derived.iter().find(|derived| derived.address == *address && derived.source.is_some());
        match derived.filter(|_| !is_named) {
            Some(Derived { source: Some(Source::Answer), .. }) => (Some(Source::Answer), None),
            Some(Derived { source, wanted, .. }) => (*source, Some(self.wanted[*wanted].lookup.id.clone())),
            None if !is_named && self.answered_as(address).is_some() => (Some(Source::Answer), None),
            None => (Some(Source::Prompt), None),
        }
    }

    /// Cleans HTML, or leaves it out where nobody asked for it. Puts an answer in the place of a text that is blank, or
    /// gives the question for it.
    fn mend_texts(&mut self, action: &dyn Action, place: usize, params: &mut Value) -> Option<Question> {
        const LEFT_OUT: &str = "HTML was left out, since the request does not ask for it.";
        let mut open = None;
        for field in text_fields(action.params_schema()) {
            let Some(text) = params.get(&field.name).and_then(Value::as_str) else { continue };
            let is_blank = text.chars().all(|c| c.is_whitespace() || is_hidden(c));
            match field.kind {
                TextKind::Html if is_blank => {}
                TextKind::Html if asks_for_html(&words(self.request.prompt, self.request.answers)) => {
                    params[&field.name] = clean_html(text).into();
                }
                TextKind::Html => {
                    params[&field.name] = Value::Null;
                    if !self.denials.iter().any(|known| known == LEFT_OUT) {
                        self.denials.push(LEFT_OUT.to_owned());
                    }
                }
                TextKind::Text if field.is_required && (is_blank || self.is_made_up(action.spec(), params)) => {
                    let topic = format!("{}-{place}", field.name);
                    let question = Question::new(ClarificationKind::Text, None, &topic, action.spec().wording.ask_text);
                    match self.answer(&question).and_then(AnswerValue::text).map(str::to_owned) {
                        Some(answer) => params[&field.name] = answer.into(),
                        None => open = Some(question.with_field(format!("/actions/{place}/params/{}", field.name))),
                    }
                }
                TextKind::Text | TextKind::Line => {}
            }
        }
        open
    }

    /// Whether the request only names what the action should say. What stands beside the prompt, or was said in an
    /// answer, may say it.
    fn is_made_up(&mut self, action: &ActionSpec, params: &Value) -> bool {
        let Request { prompt, context, answers, .. } = self.request;
        let says = |answered: &Answered| {
            let ClarificationKind::Text = answered.question.kind else { return false };
            let Question { text, topic, .. } = &answered.question;
            text != action.wording.ask_text && topic != SEND_AT && !is_about_lookup(&answered.question)
        };
        if context.is_some() || answers.iter().any(says) {
            return false;
        }
        let (mentioned, wanted, derived) = (&self.mentioned, &self.wanted, &self.derived);
        let looked_up =
            derived.iter().filter_map(|derived| Some((wanted[derived.wanted].mention.as_ref()?, &derived.address)));
        let looked_up: Vec<(&Mention, &Address)> = looked_up.collect();
        let unsaid = self.unsaid.entry(action.id).or_insert_with(|| {
            let mut unsaid = BTreeSet::new();
            let mentioned = mentioned.iter().map(|mention| (mention, &mention.address));
            for (mention, address) in mentioned.chain(looked_up).filter(|(mention, _)| !mention.quoted) {
                let address = address.addr_spec();
                if !unsaid.contains(&address) && is_only_named(prompt, mention, &action.instructions) {
                    unsaid.insert(address);
                }
            }
            unsaid
        });
        let params = params.to_string();
        unsaid.iter().any(|address| params.contains(address))
    }

    /// Asks a question, unless it was answered, or asked before.
    fn ask(&mut self, question: Question) {
        if self.answer(&question).is_none() {
            self.open(question);
        }
    }

    /// Asks a question, also if its answer cannot be used, unless it was asked before.
    fn open(&mut self, question: Question) {
        let mut open = self.plan.questions.iter();
        let known = open.any(|open| open.is_same(&question) || open.text == question.text);
        if !known && !question.text.is_empty() {
            self.plan.questions.push(question);
        }
    }

    pub(super) fn answer(&self, question: &Question) -> Option<&AnswerValue> {
        let answered = self.request.answers.iter().find(|answered| answered.question.is_same(question));
        answered.map(|answered| &answered.value)
    }

    /// Asks about words of the prompt that look like an address and are not one.
    fn ask_about_look_alikes(&mut self) {
        const MOST: usize = 3;
        let mut words = doubtful_addresses(self.request.prompt);
        words.dedup();
        for word in words.iter().take(MOST).map(|word| shown(word)) {
            let text =
                format!("{word} only looks like an address: it has characters outside ASCII. Which address is meant?");
            let question = Question::new(ClarificationKind::Address, Some(&word), "look-alike", text);
            if !self.plan.questions.iter().any(|open| open.text.contains(&word)) {
                self.ask(question);
            }
        }
    }

    /// Asks about the addresses of the request that nothing accounts for. If the plan is not right without them, it is
    /// no plan.
    fn account_for_the_rest(&mut self) {
        let Some(question) = self.unused().filter(|_| !self.plan.actions.is_empty()) else { return };
        match self.answer(&question) {
            None => self.ask(question),
            Some(answer) if answer.is_yes() => {}
            Some(_) => {
                self.plan.actions.clear();
                let about = question.about.unwrap_or_default();
                self.denials.push(format!("Not planned: say in the request what {about} is for."));
            }
        }
    }

    /// The plan with its status, and with its notes.
    fn finish(self) -> Draft {
        let Self { mut plan, planner, request, wanted, denials, .. } = self;
        plan.questions.truncate(MAX_QUESTIONS);
        let is_used = |id: &LookupId| plan.actions.iter().any(|proposed| proposed.lookups.contains(id));
        plan.lookups = wanted.into_iter().map(|wanted| wanted.lookup).filter(|lookup| is_used(&lookup.id)).collect();
        let mut notes: Vec<String> = plan.notes.take().into_iter().collect();
        for denial in denials {
            if !notes.contains(&denial) {
                notes.push(denial);
            }
        }
        plan.notes = (!notes.is_empty()).then(|| notes.join(" "));
        plan.status = match (plan.actions.is_empty(), plan.questions.is_empty()) {
            (_, false) => PlannerStatus::Questions,
            (true, true) => PlannerStatus::NoAction,
            (false, true) => PlannerStatus::Ok,
        };
        if plan.status == PlannerStatus::NoAction && plan.notes.is_none() {
            plan.notes = Some(if request.answers.is_empty() {
                let can: Vec<&str> = planner.catalogue.iter().map(|action| action.spec().description).collect();
                format!("Nothing that is allowed here does this. The actions here: {}", can.join(" "))
            } else {
                "The planner made nothing of the answers. Write the request again with everything it needs.".to_owned()
            });
        }
        plan
    }

    /// Puts answers in the place of what is wrong with params. Gives the question that is still open, if one is. A
    /// violation that no answer can mend makes the planner's answer invalid.
    fn mend(
        &self,
        params: &mut Value,
        place: usize,
        wording: Wording,
        violations: &[Violation],
    ) -> Result<Option<Question>, Problem> {
        for violation in violations {
            let given = params.pointer(&violation.pointer).and_then(Value::as_str).map(shown);
            let question = match violation.ask {
                Some(Ask::Recipients) => {
                    let topic = format!("recipients-{place}");
                    Question::new(ClarificationKind::Address, None, &topic, wording.ask_recipients)
                }
                Some(Ask::Time) => match self.time(params, place, wording, violation, given.as_deref()) {
                    Ok(time) => {
                        put(params, &violation.pointer, time.to_string().into());
                        continue;
                    }
                    Err(question) => return Ok(Some(*question)),
                },
                Some(Ask::Address) => {
                    let why = in_ascii(violation.named.as_deref().unwrap_or(&violation.detail));
                    let text = shown(&format!("{why}. Which address is meant?"));
                    Question::new(ClarificationKind::Address, given.as_deref(), "invalid-address", text)
                }
                None | Some(Ask::Nothing) => return Err(refused_params(place, std::slice::from_ref(violation))),
            };
            let Some(addresses) = self.addresses(&question) else {
                return Ok(Some(question.with_field(format!("/actions/{place}/params{}", violation.pointer))));
            };
            put(params, &violation.pointer, addresses.iter().map(ToString::to_string).collect());
        }
        Ok(None)
    }

    /// The time that a person named in the place of one that is missing, or is no moment; else the question for it.
    fn time(
        &self,
        params: &Value,
        place: usize,
        Wording { noun, .. }: Wording,
        violation: &Violation,
        given: Option<&str>,
    ) -> Result<WallTime, Box<Question>> {
        let name = violation.pointer.trim_start_matches('/');
        let asks = |why: &str| {
            let text = format!("{why} Which day and time should be the {name} of {noun}?");
            let question = Question::new(ClarificationKind::Text, given, &format!("{name}-{place}"), shown(&text));
            question.with_field(format!("/actions/{place}/params{}", violation.pointer))
        };
        let shown_time = given.map(|given| format!(" “{given}”")).unwrap_or_default();
        // The request's own words for a time.
        let named = given.filter(|given| given.parse::<WallTime>().is_err()).and_then(When::read);
        if let Some(time) = named.and_then(|named| named.certain_wall_time(self.now.date())) {
            return Ok(time);
        }
        let question = asks(&format!("The {name}{shown_time} {}.", violation.detail));
        let Some(answer) = self.answer(&question).and_then(AnswerValue::text) else { return Err(Box::new(question)) };
        // An answer with an hour alone is one of the day that was planned.
        let times = || params.as_object().into_iter().flat_map(|fields| fields.values()).filter_map(Value::as_str);
        let day = given.into_iter().chain(times()).find_map(|text| text.parse::<WallTime>().ok());
        let said = || When::read(answer).or_else(|| When::read(&format!("at {answer}")));
        let whole = || Some(said()?.or(named.unwrap_or_default()));
        let time = answer.parse::<WallTime>().ok().or_else(|| whole()?.wall_time(day, &self.now));
        time.filter(|time| given != Some(time.to_string().as_str())).ok_or_else(|| {
            Box::new(asks(&format!("“{}” cannot be the {name}, which {}.", shown(answer), violation.detail)))
        })
    }

    /// The address that a person named instead of an unknown one, else the same.
    fn corrected(&self, address: Address) -> Address {
        let instead = self.addresses(&unknown(&address)).and_then(|addresses| addresses.into_iter().next());
        instead.unwrap_or(address)
    }

    /// The addresses in the answer to a question.
    pub(super) fn addresses(&self, question: &Question) -> Option<Vec<Address>> {
        domain::addresses(self.answer(question)?.text()?).ok()
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

    /// What has to be asked before this action may use this address, if anything.
    fn doubt(&self, action: &ActionSpec, address: &Address, lookups: &BTreeSet<LookupId>) -> Option<Question> {
        if self.answered_as(address).is_some() {
            return None;
        }
        let wanted = self.derived_by(address);
        if wanted.is_some_and(|wanted| wanted.mention.is_none()) {
            // An answer named it.
            return None;
        }
        let looked_up = wanted.and_then(|wanted| wanted.mention.as_ref());
        let mentions = self.mentions_of(address).chain(looked_up);
        let Some(mention) = mentions.min_by_key(|mention| mention.quoted) else {
            return Some(unknown(address));
        };
        let (spec, shown) = match wanted {
            Some(wanted) => (wanted.label.clone(), wanted.label.clone()),
            None => (in_ascii(&address.addr_spec()), address.shown()),
        };
        let confirm = |topic, text| Question::new(ClarificationKind::Confirm, Some(&spec), topic, text);
        if mention.quoted {
            let text = format!("{shown} occurs only in quoted or forwarded text. Is it meant?");
            return Some(confirm("quoted-address", text));
        }
        let prompt = self.request.prompt;
        let accepted = |topic: &str| {
            let mut answers = self.request.answers.iter();
            answers.any(|answered| answered.question.topic == topic && answered.value.is_yes())
        };
        let is_open = || !accepted(CONDITION) && !self.is_decided(lookups, mention.start);
        if is_conditional(prompt, mention.start) && is_open() {
            let text = format!("I cannot wait for the condition. Should {shown} be written to now?");
            return Some(confirm(CONDITION, text));
        }
        let Instructions { requests, other_requests, reading_requests, .. } = action.instructions;
        let asks_for_more = |openings| asks_for_more(prompt, mention.start, openings, &self.served);
        let asks_for_more = asks_for_more(other_requests)
            || (self.request.context.is_none()
                && (asks_for_more(reading_requests) || is_another_request(prompt, mention, requests, &self.served)));
        (asks_for_more && !accepted(OTHER_REQUEST)).then(|| {
            let Wording { noun, .. } = action.wording;
            let text = format!(
                "The request asks for something else than I can do, or for more. Should I go ahead with {noun} for {shown} all the same?"
            );
            confirm(OTHER_REQUEST, text)
        })
    }

    /// The address as the person wrote it. Its display name stays only if the prompt has it too, and it could not be
    /// taken for an address.
    fn spelling(&self, address: Address) -> Address {
        let mention = self.mentions_of(&address).next().map(|mention| &mention.address);
        let Some(spelling) = self.answered_as(&address).or(mention) else { return address };
        match address.name() {
            Some(name) if !name.contains('@') && self.request.prompt.to_lowercase().contains(&name.to_lowercase()) => {
                address.spelled_as(spelling)
            }
            _ => spelling.clone(),
        }
    }

    /// A question for the addresses of the request that nothing accounts for.
    fn unused(&self) -> Option<Question> {
        const MOST: usize = 10;
        let (mut left, mut shown): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for address in self.mentioned.iter().map(|mention| &mention.address).chain(&self.answered) {
            let spec = address.addr_spec();
            let used = self.accounted.iter().any(|known| known.same_but_for_case(address));
            let asks = |question: &Question| {
                question.text.contains(&spec) || question.about.as_ref().is_some_and(|about| about.contains(&spec))
            };
            let in_question = self.plan.questions.iter().any(asks);
            if !used && !in_question && !left.contains(&spec) && !self.is_settled(address) {
                left.push(spec);
                shown.push(address.shown());
            }
        }
        let more = left.len().saturating_sub(MOST);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let some = |mut names: Vec<String>| {
            names.truncate(MOST);
            names.join(", ") + &more
        };
        let (is_none, names, shown) = (left.is_empty(), some(left), some(shown));
        let text = format!("The request names {shown}, but the plan does not use it. Is the plan right without it?");
        (!is_none).then(|| Question::new(ClarificationKind::Confirm, Some(&names), "unused-address", text))
    }

    /// Whether a person has said yes to a question about this address.
    fn is_settled(&self, address: &Address) -> bool {
        let spec = in_ascii(&address.addr_spec());
        let about = |answered: &Answered| answered.question.about.as_ref().is_some_and(|about| about.contains(&spec));
        self.request.answers.iter().any(|answered| answered.value.is_yes() && about(answered))
    }
}

fn unknown(address: &Address) -> Question {
    let spec = in_ascii(&address.addr_spec());
    let text = format!("The request does not hold the address {} as a whole. Which address is meant?", address.shown());
    Question::new(ClarificationKind::Address, Some(&spec), "unknown-address", text)
}

/// In strict mode a model writes null, a word for it, or an empty list, for what is absent.
fn without_nulls(mut params: Value) -> Value {
    if let Value::Object(fields) = &mut params {
        for list in fields.values_mut().filter_map(Value::as_array_mut) {
            list.retain(|item| !matches!(item.as_str(), Some("null" | "none" | "None" | "N/A" | "n/a")));
        }
        fields.retain(|_, value| !(value.is_null() || value.as_array().is_some_and(Vec::is_empty)));
    }
    params
}

/// Puts a value in the place that a pointer names; a list's items in the place of an item.
fn put(params: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    match params.pointer_mut(parent) {
        Some(Value::Array(items)) => {
            if let Some(place) = key.parse::<usize>().ok().filter(|place| *place < items.len()) {
                match value {
                    Value::Array(list) => drop(items.splice(place..=place, list)),
                    one => items[place] = one,
                }
            }
        }
        Some(Value::Object(fields)) => {
            fields.insert(key.to_owned(), value);
        }
        _ => {}
    }
}

/// A planner's text as a page may show it: one line, no control characters, no look-alike of an address, not endless.
pub(super) fn shown(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT).collect();
    disarmed(&flat.split_whitespace().collect::<Vec<_>>().join(" "))
}
