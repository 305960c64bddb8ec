//! How good a planner is: prompts with what they should become, beside what they become.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use domain::{Address, PlannedAction, WorkspaceId, mentions};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use strum::IntoStaticStr;

use crate::{
    Problem,
    catalogue::Catalogue,
    limits::Ticket,
    plan::{Asked, Findings, Planner, Proposed, Request},
    ports::Finish,
};

/// How often a case is asked again when the budget, or the model's own limit, asks for patience.
const PATIENCE: usize = 10;

/// A prompt with what it should become: one line of an evaluation's file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// What a person writes.
    pub prompt: String,
    /// What a person wants.
    pub expect: Kind,
    /// The actions of a good plan, in any order.
    #[serde(default)]
    pub actions: Vec<Expected>,
}

/// What a prompt is to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    /// A plan with actions.
    Send,
    /// No action, and a question.
    Ask,
    /// Neither.
    #[default]
    None,
}

/// An action of a good plan.
#[derive(Debug, Clone, Deserialize)]
pub struct Expected {
    /// Its id.
    pub action: String,
    /// Everyone whom it reaches, copies too, in any order.
    pub to: Vec<String>,
    /// The params that the prompt states, such as a subject.
    #[serde(flatten)]
    pub params: Map<String, Value>,
}

impl Expected {
    /// Whether an action has everything that is stated.
    fn is_met_by(&self, action: &PlannedAction) -> bool {
        // Addresses are compared without their names, and one is the same as a list of one.
        let texts = |value: &Value| {
            let texts = items(value).filter_map(Value::as_str);
            let mut texts: Vec<String> =
                texts.map(|text| text.parse().map_or_else(|_| text.to_owned(), |address| bare(&address))).collect();
            texts.sort();
            texts
        };
        action.action.as_str() == self.action
            && self.params.iter().all(|(field, stated)| texts(&action.params[field]) == texts(stated))
    }
}

/// What became of a case.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verdict {
    /// The case's name.
    pub id: String,
    /// Its prompt.
    pub prompt: String,
    /// What was wanted.
    pub expect: Kind,
    /// What came; none where the answer was no valid plan, or there was none.
    pub got: Option<Kind>,
    /// What kept the answer from being a plan.
    pub problem: Option<&'static str>,
    /// The actions are those of a good plan, whoever gets them.
    pub right_actions: bool,
    /// The actions and everyone whom they reach are those of a good plan.
    pub right_recipients: bool,
    /// The params are those that the case states.
    pub right_content: bool,
    /// Addresses of the plan that the prompt does not hold: there must be none.
    pub invented: Vec<String>,
    /// Addresses of the model's answer that the prompt does not hold, and that grounding kept out of the plan.
    pub stopped: Vec<String>,
    /// How long the answer took.
    pub seconds: f64,
    /// The model's own count of tokens.
    pub tokens_in: u64,
    /// The same of its answer.
    pub tokens_out: u64,
}

/// How good a planner is.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which model.
    pub model: String,
    /// What was counted.
    #[serde(flatten)]
    pub counts: BTreeMap<&'static str, u64>,
    /// Seconds of an answer: the middle one, that of nineteen in twenty, the longest.
    pub seconds: [f64; 3],
    /// What the tokens cost in dollars, where prices are known.
    pub dollars: Option<f64>,
    /// Every case.
    pub verdicts: Vec<Verdict>,
}

/// How much of something a case is.
type Count = fn(&Verdict) -> u64;

/// What is counted.
const COUNTS: &[(&str, Count)] = &[
    ("cases", |_| 1),
    ("valid", |verdict| verdict.got.is_some().into()),
    ("right", |verdict| verdict.is_right().into()),
    ("to_send", |verdict| (verdict.expect == Kind::Send).into()),
    ("right_actions", |verdict| (verdict.expect == Kind::Send && verdict.right_actions).into()),
    ("right_recipients", |verdict| (verdict.expect == Kind::Send && verdict.right_recipients).into()),
    ("to_ask", |verdict| (verdict.expect == Kind::Ask).into()),
    ("asked", |verdict| (verdict.expect == Kind::Ask && verdict.got == Some(Kind::Ask)).into()),
    ("to_leave", |verdict| (verdict.expect == Kind::None).into()),
    ("left", |verdict| (verdict.expect == Kind::None && verdict.got == Some(Kind::None)).into()),
    ("wrong_actions", |verdict| (verdict.got == Some(Kind::Send) && !verdict.is_right()).into()),
    ("invented", |verdict| verdict.invented.len() as u64),
    ("stopped", |verdict| verdict.stopped.len() as u64),
    ("tokens_in", |verdict| verdict.tokens_in),
    ("tokens_out", |verdict| verdict.tokens_out),
];

/// The rows of the table: a count, and what it is a part of.
const ROWS: &[(&str, &str, Option<&str>)] = &[
    ("valid plans", "valid", Some("cases")),
    ("right in everything", "right", Some("cases")),
    ("right actions, where there should be some", "right_actions", Some("to_send")),
    ("right recipients, where there should be some", "right_recipients", Some("to_send")),
    ("asked, where it should", "asked", Some("to_ask")),
    ("left alone, where it should", "left", Some("to_leave")),
    ("wrong, and an action rather than a question", "wrong_actions", None),
    ("invented recipients in plans", "invented", None),
    ("invented recipients in answers, kept out of plans", "stopped", None),
];

impl Case {
    /// Reads a file of cases, one JSON object a line. Says which line is wrong.
    pub fn read(text: &str) -> Result<Vec<Self>, String> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines.map(|(n, line)| serde_json::from_str(line).map_err(|error| format!("line {}: {error}", n + 1))).collect()
    }
}

impl Planner {
    /// Plans every case, one after the other, within the budget. Nothing is kept and nothing carried out. The prices are
    /// dollars for a million tokens: of requests, and of answers.
    pub async fn evaluate(&self, workspace: &WorkspaceId, cases: &[Case], prices: Option<[f64; 2]>) -> Report {
        let mut verdicts = Vec::with_capacity(cases.len());
        for case in cases {
            let (id, prompt) = (case.id.clone(), case.prompt.clone());
            let mut verdict = Verdict { id, prompt, expect: case.expect, ..Verdict::default() };
            if let Err(problem) = self.judge(workspace, case, &mut verdict).await {
                verdict.problem = Some(problem.code.as_str());
            }
            verdicts.push(verdict);
        }
        Report::new(self.model.name().to_owned(), verdicts, prices)
    }

    async fn judge(&self, workspace: &WorkspaceId, case: &Case, verdict: &mut Verdict) -> Result<(), Problem> {
        let permissions = self.gate.permissions_in(workspace).await?;
        let prompt = case.prompt.as_str();
        let mut tries = 0;
        let Asked { answer, draft, .. } = loop {
            let began = self.clock.now();
            let findings = Findings::new();
            let request = Request {
                prompt,
                context: None,
                answers: &[],
                findings: &findings,
                timezone: None,
                began,
                deadline: None,
            };
            let asked = self.ask_for_plan(workspace, &permissions, request, &Ticket::default()).await;
            verdict.seconds = self.clock.now().duration_since(began).unsigned_abs().as_secs_f64();
            tries += 1;
            match asked {
                Err(Problem { retry_after: Some(wait), .. }) if tries < PATIENCE => {
                    self.clock.sleep(wait + Duration::from_millis(1)).await;
                }
                asked => break asked?,
            }
        };
        let (usage, finish) = answer.map(|answer| (answer.usage, Some(answer.finish))).unwrap_or_default();
        (verdict.tokens_in, verdict.tokens_out) = (usage.input, usage.output);
        if let Some(Finish::Text(text)) = &finish {
            verdict.stopped = strangers(prompt, addressees(text, &address_fields(&self.catalogue)).iter());
        }
        let plan = draft?;
        // What is to be looked up is asked of the account.
        let is_unresolved = plan.actions.iter().any(|proposed| proposed.planned.is_unresolved());
        verdict.got = Some(match (plan.actions.is_empty(), plan.questions.is_empty()) {
            (false, _) if is_unresolved => Kind::Ask,
            (false, _) => Kind::Send,
            (true, false) => Kind::Ask,
            (true, true) => Kind::None,
        });
        // Each action with everyone whom it reaches.
        let mut planned: Vec<(&str, BTreeSet<String>)> = Vec::new();
        for Proposed { planned: action, call, .. } in plan.actions.iter().filter(|_| !is_unresolved) {
            let addresses = call.addresses();
            verdict.invented.extend(strangers(prompt, addresses.iter().map(|param| param.address)));
            let reached = call.recipients().into_iter().map(|param| bare(param.address)).collect();
            planned.push((action.action.as_str(), reached));
        }
        let to = |expected: &Expected| expected.to.iter().map(|to| to.to_ascii_lowercase()).collect();
        let mut wanted: Vec<_> = case.actions.iter().map(|action| (action.action.as_str(), to(action))).collect();
        planned.sort();
        wanted.sort();
        verdict.right_actions = planned.iter().map(|(id, _)| id).eq(wanted.iter().map(|(id, _)| id));
        verdict.right_recipients = planned == wanted;
        let met = |expected: &Expected| plan.actions.iter().any(|action| expected.is_met_by(&action.planned));
        verdict.right_content = case.actions.iter().all(met);
        Ok(())
    }
}

/// An address as it is compared.
fn bare(address: &Address) -> String {
    address.addr_spec().to_ascii_lowercase()
}

/// The items of a list, or the one value.
fn items(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice).iter()
}

/// The addresses that a prompt does not hold.
fn strangers<'a>(prompt: &str, addresses: impl Iterator<Item = &'a Address>) -> Vec<String> {
    let known = mentions(prompt);
    let strange = addresses.filter(|address| !known.iter().any(|known| known.address.same_but_for_case(address)));
    strange.map(Address::addr_spec).collect()
}

/// The params that hold addresses, of whatever action.
fn address_fields(catalogue: &Catalogue) -> BTreeSet<String> {
    let schemas = catalogue.iter().map(|action| action.params_schema());
    let fields = schemas.flat_map(|schema| schema["properties"].as_object().cloned().unwrap_or_default());
    fields.filter(|(_, schema)| schema["x-kind"] == "addresses").map(|(name, _)| name).collect()
}

/// Whom an answer writes to, valid or not.
fn addressees(answer: &str, fields: &BTreeSet<String>) -> Vec<Address> {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let params = items(&answer["actions"]).filter_map(|action| action["params"].as_object()).flatten();
    let texts = params.filter(|(name, _)| fields.contains(*name)).flat_map(|(_, value)| items(value));
    texts.filter_map(|text| text.as_str()?.parse().ok()).collect()
}

impl Verdict {
    /// It came to what it should, reaches whom it should, and says what it should.
    pub fn is_right(&self) -> bool {
        self.got == Some(self.expect) && self.right_recipients && self.right_content
    }
}

impl Report {
    fn new(model: String, verdicts: Vec<Verdict>, prices: Option<[f64; 2]>) -> Self {
        let sum = |count: &Count| verdicts.iter().map(count).sum();
        let counts: BTreeMap<_, u64> = COUNTS.iter().map(|(name, count)| (*name, sum(count))).collect();
        let mut seconds: Vec<f64> = verdicts.iter().map(|verdict| verdict.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let seconds = [10, 19, 20].map(|twentieths| {
            let place = (seconds.len() * twentieths).div_ceil(20).saturating_sub(1);
            seconds.get(place).copied().unwrap_or_default()
        });
        #[expect(clippy::cast_precision_loss, reason = "few enough tokens to be counted exactly")]
        let [input, output] = ["tokens_in", "tokens_out"].map(|name| counts[name] as f64);
        let dollars = prices.map(|[request, answer]| (input * request + output * answer) / 1_000_000.0);
        Self { model, counts, seconds, dollars, verdicts }
    }

    /// The report as Markdown: the numbers, then every case that is not right.
    pub fn table(&self) -> String {
        let Self { model, counts, seconds: [middle, most, longest], .. } = self;
        let mut table = format!("| what | |\n| --- | --- |\n| model | {model} |\n");
        table.extend(ROWS.iter().map(|(what, part, whole)| {
            let of = whole.map(|whole| format!(" of {}", counts[whole])).unwrap_or_default();
            format!("| {what} | {}{of} |\n", counts[part])
        }));
        table.extend([
            format!("| seconds: median, 95 %, longest | {middle:.2}, {most:.2}, {longest:.2} |\n"),
            format!("| tokens in, out | {}, {} |\n", counts["tokens_in"], counts["tokens_out"]),
        ]);
        table.extend(self.dollars.map(|dollars| format!("| cost in dollars | {dollars:.4} |\n")));
        let mut wrong = self.verdicts.iter().filter(|verdict| !verdict.is_right()).peekable();
        if wrong.peek().is_some() {
            table.push_str("\n| not right | wanted | got | prompt |\n| --- | --- | --- | --- |\n");
        }
        table.extend(wrong.map(|Verdict { id, expect, got, problem, prompt, .. }| {
            let got = match got {
                Some(Kind::Send) if *expect == Kind::Send => "send, otherwise",
                Some(got) => got.into(),
                None => problem.unwrap_or("nothing"),
            };
            let prompt = prompt.replace(['\n', '\r'], " ").replace('|', "\\|");
            format!("| {id} | {} | {got} | {prompt} |\n", <&str>::from(expect))
        }));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(expect: Kind, got: Option<Kind>, right: bool) -> Verdict {
        Verdict {
            id: "a".to_owned(),
            prompt: "one | two\nthree".to_owned(),
            expect,
            got,
            problem: got.is_none().then_some("planner-invalid-answer"),
            right_actions: right,
            right_recipients: right,
            right_content: right,
            seconds: 2.0,
            tokens_in: 1000,
            tokens_out: 100,
            ..Verdict::default()
        }
    }

    #[test]
    fn a_report_counts_each_case_where_it_belongs() {
        let verdicts = vec![
            verdict(Kind::Send, Some(Kind::Send), true),
            verdict(Kind::Send, Some(Kind::Send), false),
            verdict(Kind::Send, None, false),
            verdict(Kind::Ask, Some(Kind::Ask), true),
            verdict(Kind::Ask, Some(Kind::Send), false),
            verdict(Kind::None, Some(Kind::Ask), true),
        ];
        let report = Report::new("m".to_owned(), verdicts, Some([1.0, 10.0]));
        let counts = |names: &[&str]| names.iter().map(|name| report.counts[name]).collect::<Vec<_>>();
        assert_eq!(counts(&["cases", "valid", "right"]), [6, 5, 2]);
        assert_eq!(counts(&["right_recipients", "to_send", "asked", "to_ask"]), [1, 3, 1, 2]);
        assert_eq!(counts(&["left", "to_leave", "wrong_actions"]), [0, 1, 2]);
        assert!((report.dollars.unwrap() - 0.012).abs() < 1e-9);
        let table = report.table();
        assert!(table.contains("| right in everything | 2 of 6 |"), "{table}");
        assert!(table.contains(r"| a | send | planner-invalid-answer | one \| two three |"), "{table}");
    }

    #[test]
    fn a_line_that_is_no_case_is_named() {
        let good = r#"{"id":"a","prompt":"b","expect":"none","actions":[]}"#;
        assert_eq!(Case::read(&format!("{good}\n\n{good}\n")).unwrap().len(), 2);
        assert!(Case::read(&format!("{good}\n{{}}")).unwrap_err().starts_with("line 2: "));
    }

    #[test]
    fn whom_an_answer_writes_to_is_found_in_any_of_its_fields() {
        let answer =
            r#"{"actions":[{"params":{"to":["a@example.com"],"bcc":"b@example.com","text":"c@example.com"}}]}"#;
        let fields = ["to", "bcc"].map(str::to_owned).into();
        let found = addressees(answer, &fields);
        assert_eq!(strangers("mail a@example.com", found.iter()), ["b@example.com"]);
        assert!(addressees("no JSON", &fields).is_empty());
    }
}
