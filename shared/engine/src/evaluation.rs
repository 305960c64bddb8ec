//! How good a planner is: prompts with what they should become, beside what they become.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc, time::Duration};

use domain::{Address, PlannedAction, WorkspaceId, mentions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Problem,
    catalogue::Catalogue,
    limits::Ticket,
    plan::{Ask, Planner, Request},
    ports::Finish,
};

/// So often a case is asked anew when the budget, or the model's own limit, asks for patience.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A plan with actions.
    Send,
    /// No action, and a question.
    Ask,
    /// Neither.
    None,
}

/// An action of a good plan.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Its id.
    pub action: String,
    /// Everyone whom it reaches, copies too, in any order.
    pub to: Vec<String>,
    /// Those of them who get a copy, where that matters.
    pub cc: Option<Vec<String>>,
    /// Those of them who get a blind copy, where that matters.
    pub bcc: Option<Vec<String>>,
    /// Where answers go, where that matters.
    pub reply_to: Option<Vec<String>>,
    /// The subject, where the prompt states it.
    pub subject: Option<String>,
    /// The text, where the prompt states it.
    pub text: Option<String>,
}

impl Expected {
    /// Whether an action has everything that is stated.
    fn is_met_by(&self, action: &PlannedAction) -> bool {
        let of = |field: &str| match &action.params[field] {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect::<Vec<_>>(),
        };
        let bare = |text: &str| text.parse().map_or_else(|_| text.to_owned(), |address: Address| address.addr_spec());
        let people = [("cc", &self.cc), ("bcc", &self.bcc), ("reply_to", &self.reply_to)];
        let words = [("subject", &self.subject), ("text", &self.text)];
        action.action.as_str() == self.action
            && people.into_iter().all(|(field, stated)| {
                let planned = || sorted(of(field).into_iter().map(bare));
                stated.as_ref().is_none_or(|stated| planned() == sorted(stated.iter().cloned()))
            })
            && words.into_iter().all(|(field, stated)| stated.as_ref().is_none_or(|stated| of(field) == [stated]))
    }
}

/// What became of a case.
#[derive(Debug, Clone, Serialize)]
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
    /// Copies, subject and text are those that the case states.
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

/// What a model's tokens cost: dollars for a million.
#[derive(Debug, Clone, Copy)]
pub struct Prices {
    /// Of the request.
    pub input: f64,
    /// Of the answer.
    pub output: f64,
}

/// How good a planner is.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which model.
    pub model: String,
    /// How many cases.
    pub cases: usize,
    /// Of how many the answer was a valid plan.
    pub valid: usize,
    /// Which came to what they should, with the right actions to the right people.
    pub right: usize,
    /// How many should become actions.
    pub to_send: usize,
    /// Of them, which became the right actions.
    pub right_actions: usize,
    /// Of them, which reach the right people.
    pub right_recipients: usize,
    /// How many should become a question.
    pub to_ask: usize,
    /// Of them, which did.
    pub asked: usize,
    /// How many should become neither.
    pub to_leave: usize,
    /// Of them, which did.
    pub left: usize,
    /// Of those that did not come to what they should: how many became a wrong action, rather than a question or a refusal.
    pub wrong_actions: usize,
    /// Recipients of plans that the prompts do not hold.
    pub invented: usize,
    /// Recipients of answers that grounding kept out.
    pub stopped: usize,
    /// Seconds of an answer: the middle one, that of nineteen in twenty, the longest.
    pub seconds: [f64; 3],
    /// Tokens of all requests.
    pub tokens_in: u64,
    /// Tokens of all answers.
    pub tokens_out: u64,
    /// What they cost in dollars, where prices are known.
    pub dollars: Option<f64>,
    /// Every case.
    pub verdicts: Vec<Verdict>,
}

impl Case {
    /// Reads a file of cases, one JSON object a line. Says which line is wrong.
    pub fn read(text: &str) -> Result<Vec<Self>, String> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines.map(|(n, line)| serde_json::from_str(line).map_err(|error| format!("line {}: {error}", n + 1))).collect()
    }
}

/// Measures a planner.
pub struct Evaluator {
    pub(crate) planner: Arc<Planner>,
}

impl Evaluator {
    /// Plans every case, one after the other, within the budget. Nothing is kept and nothing carried out.
    pub async fn evaluate(&self, workspace: &WorkspaceId, cases: &[Case], prices: Option<Prices>) -> Report {
        let mut verdicts = Vec::with_capacity(cases.len());
        for case in cases {
            verdicts.push(self.try_case(workspace, case).await);
        }
        Report::new(self.planner.model.name().to_owned(), verdicts, prices)
    }

    async fn try_case(&self, workspace: &WorkspaceId, case: &Case) -> Verdict {
        let mut verdict = Verdict {
            id: case.id.clone(),
            prompt: case.prompt.clone(),
            expect: case.expect,
            got: None,
            problem: None,
            right_actions: false,
            right_recipients: false,
            right_content: false,
            invented: Vec::new(),
            stopped: Vec::new(),
            seconds: 0.0,
            tokens_in: 0,
            tokens_out: 0,
        };
        if let Err(problem) = self.judge(workspace, case, &mut verdict).await {
            verdict.problem = Some(problem.code.as_str());
        }
        verdict
    }

    async fn judge(&self, workspace: &WorkspaceId, case: &Case, verdict: &mut Verdict) -> Result<(), Problem> {
        let permissions = self.planner.gate.permissions_in(workspace).await?;
        let request = Request { prompt: &case.prompt, context: None, answers: &[] };
        let mut tries = 0;
        let asked = loop {
            let began = self.planner.clock.now();
            let ask = Ask { request, timezone: None, began };
            let asked = self.planner.ask_for_plan(workspace, &permissions, ask, &Ticket::default()).await;
            verdict.seconds = self.planner.clock.now().duration_since(began).unsigned_abs().as_secs_f64();
            tries += 1;
            match asked {
                Err(Problem { retry_after: Some(wait), .. }) if tries < PATIENCE => {
                    self.planner.clock.sleep(wait + Duration::from_millis(1)).await;
                }
                asked => break asked?,
            }
        };
        (verdict.tokens_in, verdict.tokens_out) = (asked.usage.input, asked.usage.output);
        if let Some(Finish::Text(text)) = &asked.finish {
            let fields = address_fields(&self.planner.catalogue);
            verdict.stopped = strangers(&case.prompt, addressees(text, &fields).iter());
        }
        let plan = self.planner.understand(&permissions, request, asked.finish)?.plan;
        verdict.got = Some(match (plan.actions.is_empty(), plan.questions.is_empty()) {
            (false, _) => Kind::Send,
            (true, false) => Kind::Ask,
            (true, true) => Kind::None,
        });
        let mut planned: Vec<(String, Vec<String>)> = Vec::new();
        for action in &plan.actions {
            let (_, call) = self.planner.catalogue.parse(None, action.action.as_str(), &action.params)?;
            let addresses = call.addresses();
            verdict.invented.extend(strangers(&case.prompt, addresses.iter().map(|param| param.address)));
            let reached = addresses.iter().filter(|param| param.is_recipient);
            planned.push((action.action.to_string(), sorted(reached.map(|param| param.address.addr_spec()))));
        }
        let mut expected: Vec<(String, Vec<String>)> =
            case.actions.iter().map(|action| (action.action.clone(), sorted(action.to.iter().cloned()))).collect();
        planned.sort();
        expected.sort();
        let ids = |actions: &[(String, Vec<String>)]| actions.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
        verdict.right_actions = ids(&planned) == ids(&expected);
        verdict.right_recipients = planned == expected;
        let met = |expected: &Expected| plan.actions.iter().any(|action| expected.is_met_by(action));
        verdict.right_content = case.actions.iter().all(met);
        Ok(())
    }
}

fn sorted(addresses: impl Iterator<Item = String>) -> Vec<String> {
    let mut addresses: Vec<String> = addresses.map(|address| address.to_ascii_lowercase()).collect();
    addresses.sort();
    addresses.dedup();
    addresses
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
    let actions = answer["actions"].as_array().into_iter().flatten();
    let params = actions.filter_map(|action| action["params"].as_object()).flatten();
    let fields = params.filter(|(name, _)| fields.contains(*name)).map(|(_, value)| value);
    let texts = fields.flat_map(|field| field.as_array().map_or_else(|| vec![field], |list| list.iter().collect()));
    texts.filter_map(|text| text.as_str()?.parse().ok()).collect()
}

impl Verdict {
    /// It came to what it should, reaches whom it should, and says what it should.
    pub fn is_right(&self) -> bool {
        self.got == Some(self.expect) && self.right_recipients && self.right_content
    }
}

impl Report {
    fn new(model: String, verdicts: Vec<Verdict>, prices: Option<Prices>) -> Self {
        let count = |test: &dyn Fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| test(verdict)).count();
        let wanted = |kind| move |verdict: &Verdict| verdict.expect == kind;
        let mut seconds: Vec<f64> = verdicts.iter().map(|verdict| verdict.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let at = |twentieths: usize| {
            let place = (seconds.len() * twentieths).div_ceil(20).saturating_sub(1);
            seconds.get(place).copied().unwrap_or_default()
        };
        let tokens_in: u64 = verdicts.iter().map(|verdict| verdict.tokens_in).sum();
        let tokens_out: u64 = verdicts.iter().map(|verdict| verdict.tokens_out).sum();
        #[expect(clippy::cast_precision_loss, reason = "few enough tokens to be counted exactly")]
        let dollars = |Prices { input, output }| (tokens_in as f64 * input + tokens_out as f64 * output) / 1_000_000.0;
        Self {
            model,
            cases: verdicts.len(),
            valid: count(&|verdict| verdict.got.is_some()),
            right: count(&Verdict::is_right),
            to_send: count(&wanted(Kind::Send)),
            right_actions: count(&|verdict| verdict.expect == Kind::Send && verdict.right_actions),
            right_recipients: count(&|verdict| verdict.expect == Kind::Send && verdict.right_recipients),
            to_ask: count(&wanted(Kind::Ask)),
            asked: count(&|verdict| verdict.expect == Kind::Ask && verdict.got == Some(Kind::Ask)),
            to_leave: count(&wanted(Kind::None)),
            left: count(&|verdict| verdict.expect == Kind::None && verdict.got == Some(Kind::None)),
            wrong_actions: count(&|verdict| verdict.got == Some(Kind::Send) && !verdict.is_right()),
            invented: verdicts.iter().map(|verdict| verdict.invented.len()).sum(),
            stopped: verdicts.iter().map(|verdict| verdict.stopped.len()).sum(),
            seconds: [at(10), at(19), at(20)],
            tokens_in,
            tokens_out,
            dollars: prices.map(dollars),
            verdicts,
        }
    }

    /// The report as Markdown: the numbers, then every case that is not right.
    pub fn table(&self) -> String {
        let [middle, most, longest] = self.seconds;
        let mut rows = vec![
            ("model", self.model.clone()),
            ("valid plans", format!("{} of {}", self.valid, self.cases)),
            ("right in everything", format!("{} of {}", self.right, self.cases)),
            ("right actions, where there should be some", format!("{} of {}", self.right_actions, self.to_send)),
            ("right recipients, where there should be some", format!("{} of {}", self.right_recipients, self.to_send)),
            ("asked, where it should", format!("{} of {}", self.asked, self.to_ask)),
            ("left alone, where it should", format!("{} of {}", self.left, self.to_leave)),
            ("wrong, and an action rather than a question", self.wrong_actions.to_string()),
            ("invented recipients in plans", self.invented.to_string()),
            ("invented recipients in answers, kept out of plans", self.stopped.to_string()),
            ("seconds: median, 95 %, longest", format!("{middle:.2}, {most:.2}, {longest:.2}")),
            ("tokens in, out", format!("{}, {}", self.tokens_in, self.tokens_out)),
        ];
        if let Some(dollars) = self.dollars {
            rows.push(("cost in dollars", format!("{dollars:.4}")));
        }
        let mut table = "| what | |\n| --- | --- |\n".to_owned();
        for (what, value) in rows {
            writeln!(table, "| {what} | {value} |").expect("writing to a String does not fail");
        }
        let wrong: Vec<&Verdict> = self.verdicts.iter().filter(|verdict| !verdict.is_right()).collect();
        if !wrong.is_empty() {
            table.push_str("\n| not right | wanted | got | prompt |\n| --- | --- | --- | --- |\n");
        }
        for Verdict { id, expect, got, problem, prompt, .. } in wrong {
            let name = |kind: Kind| match kind {
                Kind::Send => "send",
                Kind::Ask => "ask",
                Kind::None => "none",
            };
            let got = got.map_or(problem.unwrap_or("nothing"), |got| match (expect, got) {
                (Kind::Send, Kind::Send) => "send, otherwise",
                (_, got) => name(got),
            });
            let prompt = prompt.replace(['\n', '\r'], " ").replace('|', "\\|");
            writeln!(table, "| {id} | {} | {got} | {prompt} |", name(*expect))
                .expect("writing to a String does not fail");
        }
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
            invented: Vec::new(),
            stopped: Vec::new(),
            seconds: 2.0,
            tokens_in: 1000,
            tokens_out: 100,
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
        let report = Report::new("m".to_owned(), verdicts, Some(Prices { input: 1.0, output: 10.0 }));
        assert_eq!((report.cases, report.valid, report.right), (6, 5, 2));
        assert_eq!((report.right_recipients, report.to_send, report.asked, report.to_ask), (1, 3, 1, 2));
        assert_eq!((report.left, report.to_leave, report.wrong_actions), (0, 1, 2));
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
