//! `orchestrator plan`, `execute` and `preview`.

use std::{
    error::Error,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use adapters::api::{Api, ApiError};
use clap::Args;
use domain::{PlanId, WarningCode};
use serde_json::{Value, json};

use super::{NOT_DONE, Output, WRONG, decide::is_yes, jobs, print, print::list, questions, say, times, waiting};

/// A sentence to plan.
#[derive(Args)]
pub struct Plan {
    /// What to do, such as "send email to john@example.com saying thanks for the meeting".
    prompt: String,
    /// An answer to a question of an earlier plan; give the same prompt and every answer so far.
    #[arg(long = "answer", value_name = "ID=VALUE", value_parser = questions::parse)]
    answers: Vec<Value>,
    /// A file with text by somebody else that the prompt is about, such as a mail to answer; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    context: Option<PathBuf>,
    /// Your time zone, such as Europe/Berlin; by default this machine's.
    #[arg(long)]
    timezone: Option<String>,
    /// Execute the plan at once, unless it asks a question or warns of more than a recipient outside.
    #[arg(long)]
    execute: bool,
    /// The actor to act for.
    #[arg(long)]
    actor: Option<String>,
    #[command(flatten)]
    how: Output,
}

/// What to execute, and when.
#[derive(Args)]
pub struct Execute {
    /// The plan's id.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    plan_id: Option<PlanId>,
    /// A file with a JSON list of actions, each with its `client_request_id`; `-` is standard input.
    #[arg(long, requires = "actor")]
    file: Option<PathBuf>,
    /// When to send: "tomorrow 9:00", "in two hours", 2026-12-01T09:00:00+01:00; at most 90 days ahead.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The time zone of --at, such as Europe/Berlin; by default this machine's.
    #[arg(long, requires = "at")]
    timezone: Option<String>,
    /// Do not wait for the jobs to end.
    #[arg(long)]
    no_wait: bool,
    /// The actor to act for.
    #[arg(long)]
    actor: Option<String>,
    #[command(flatten)]
    how: Output,
}

/// A plan to show as it would go out.
#[derive(Args)]
pub struct Preview {
    /// The plan's id.
    plan_id: PlanId,
    #[command(flatten)]
    how: Output,
}

impl Preview {
    /// Renders each action of a plan with the code that carries it out. Nothing is sent.
    pub async fn run(self, api: &Api) -> Result<ExitCode, Box<dyn Error>> {
        let id = self.plan_id.to_string();
        let answer = api.get(&["ai", "plans", &id], &[]).await?;
        let mut shown = Vec::new();
        for action in list(&answer["plan"]["actions"]) {
            let mut body = json!({ "plan_id": id });
            for name in ["provider", "action", "params", "client_request_id", "send_at"] {
                body[name] = action[name].clone();
            }
            let preview = api.post(&["actions", "preview"], &body).await?;
            shown.push(json!({ "action": action, "preview": preview }));
        }
        say(self.how, &json!({ "data": shown }), |out, _| print::previews(out, &shown))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Plan {
    /// Plans, looks up what the plan refers to, and asks its questions at a terminal.
    pub async fn run(self, api: &Api) -> Result<ExitCode, Box<dyn Error>> {
        let Self { prompt, mut answers, context, timezone, execute: at_once, actor, how } = self;
        // A pipe that brings the context brings no answers.
        let can_ask = io::stdin().is_terminal() && !how.json && !context.as_deref().is_some_and(is_stdin);
        let context = context.as_deref().map(text_of).transpose()?;
        let timezone = timezone.or_else(times::local_zone);
        let mut body = json!({ "prompt": prompt, "actor_id": actor, "timezone": timezone, "context": context });
        body["answers"] = json!(answers);
        let mut answer = waiting("planning", api.post(&["ai", "plan2"], &body)).await?;
        let looks_up = answer["plan"]["status"] == "unresolved";
        if looks_up {
            answer = resolve(api, &answer, &[]).await?;
        }
        let (answer, asks, warns) = loop {
            let plan = &answer["plan"];
            let asks = !list(&plan["questions"]).is_empty() || list(&plan["actions"]).is_empty();
            let warns = list(&plan["warnings"]).iter().any(stops);
            let open = list(&plan["clarifications"]);
            let ask_here = can_ask && !open.is_empty();
            if !at_once || asks || warns || !how.json {
                say(how, &answer, |out, _| print::plan(out, &answer, !ask_here))?;
            }
            let given = if ask_here { questions::ask(open, &mut io::stdin().lock(), &mut io::stderr())? } else { None };
            let Some(given) = given else { break (answer, asks, warns) };
            answer = if looks_up {
                resolve(api, &answer, &given).await?
            } else {
                questions::add(&mut answers, given);
                body["answers"] = json!(answers);
                waiting("planning", api.post(&["ai", "plan2"], &body)).await?
            };
        };
        let plan_id = &answer["plan"]["plan_id"];
        let id = plan_id.as_str().unwrap_or_default();
        if asks {
            return Ok(ExitCode::from(NOT_DONE));
        }
        if at_once && warns {
            eprintln!("Nothing was executed, because of a warning. To go on: orchestrator execute {id}");
            return Ok(ExitCode::from(NOT_DONE));
        }
        if !at_once {
            if !can_ask || !print::is_live(&answer) {
                return Ok(ExitCode::SUCCESS);
            }
            if !is_yes("Send?", &mut io::stdin().lock(), &mut io::stderr())? {
                eprintln!("Nothing was sent. To send it within 15 minutes: orchestrator execute {id}");
                return Ok(ExitCode::from(NOT_DONE));
            }
        }
        execute(api, &json!({ "plan_id": plan_id, "actor_id": body["actor_id"] }), true, how).await
    }
}

/// Looks up in the account what a plan refers to. The model is not asked again.
async fn resolve(api: &Api, answer: &Value, answers: &[Value]) -> Result<Value, ApiError> {
    let id = answer["plan"]["plan_id"].as_str().unwrap_or_default();
    let resolved =
        waiting("looking up", api.post(&["ai", "plans", id, "resolve"], &json!({ "answers": answers }))).await;
    resolved
        .inspect_err(|_| eprintln!("To go on without looking it up, write the address or the time into the sentence."))
}

/// Whether a person has to look at a warning first. An unknown kind may be one of those.
fn stops(warning: &Value) -> bool {
    serde_json::from_value::<WarningCode>(warning["code"].clone()).map_or(true, WarningCode::stops)
}

impl Execute {
    /// Executes the actions, then waits until each job has ended, unless it needs approval or is scheduled for later.
    pub async fn run(self, api: &Api) -> Result<ExitCode, Box<dyn Error>> {
        let Self { plan_id, file, at, timezone, no_wait, actor, how } = self;
        let actions = file.as_deref().map(actions_of).transpose()?;
        let send_at = match at.map(|at| times::send_at(&at, timezone.as_deref())).transpose() {
            Ok(send_at) => send_at,
            Err(why) => {
                eprintln!("orchestrator: {why}");
                return Ok(ExitCode::from(WRONG));
            }
        };
        let body = json!({ "plan_id": plan_id, "actions": actions, "actor_id": actor, "send_at": send_at });
        execute(api, &body, !no_wait, how).await
    }
}

async fn execute(api: &Api, body: &Value, wait: bool, how: Output) -> Result<ExitCode, Box<dyn Error>> {
    let accepted = api.post(&["ai", "execute"], body).await?;
    if !wait {
        say(how, &accepted, |out, reader| print::accepted(out, reader, &accepted))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut ended = Vec::new();
    for job in list(&accepted["jobs"]) {
        let id = job["job_id"].as_str().unwrap_or_default();
        if job["replayed"] == true && !how.json {
            eprintln!("{id} is the same job as before: nothing is done twice.");
        }
        ended.push(waiting("working", jobs::ended(api, id, jobs::rests)).await?);
    }
    let code = ended.iter().map(jobs::exit_code).max().unwrap_or_default();
    say(how, &json!({ "jobs": ended }), |out, reader| {
        print::jobs(out, reader, &ended)?;
        ended.iter().try_for_each(|job| print::next(out, job))
    })?;
    Ok(ExitCode::from(code))
}

fn actions_of(file: &Path) -> Result<Value, Box<dyn Error>> {
    let value: Value = serde_json::from_str(&text_of(file)?).map_err(|error| format!("{}: {error}", file.display()))?;
    // A whole plan is accepted too.
    Ok(if value.is_array() { value } else { value["actions"].clone() })
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// The text of a file or of standard input.
fn text_of(file: &Path) -> Result<String, Box<dyn Error>> {
    let text = if is_stdin(file) { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(file) };
    Ok(text.map_err(|error| format!("{}: {error}", file.display()))?)
}
