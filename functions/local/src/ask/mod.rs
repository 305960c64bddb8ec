//! The commands that call a running server, here or deployed.

mod decide;
mod print;
mod questions;
mod times;
mod webhooks;

use std::{
    collections::HashMap,
    error::Error,
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use adapters::api::{Api, ApiError};
use clap::{Args, Subcommand, ValueEnum};
use domain::{Provider, WarningCode};
use print::list;
use serde_json::{Value, json};
use tokio::time;

/// A request or a job failed.
const FAILED: u8 = 1;
/// Wrong arguments.
const WRONG: u8 = 2;
/// Nothing was done: the plan asks a question, warns or has no action, or an account is not connected.
const NOT_DONE: u8 = 3;
/// The outcome of a send is unknown.
const UNKNOWN: u8 = 4;
/// How many seconds one poll waits at the server.
const WAIT: &str = "20";
/// How often a list or a status is polled.
const POLL_EVERY: Duration = Duration::from_secs(2);

/// How long a server may take to say that it runs.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// The end of `--help`.
pub const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed or refused; 2 wrong arguments; 3 nothing was done, because the plan asks \
     a question, warns of something or has no action, or a person said no; 4 the outcome of a send is unknown.\n\n\
     plan, execute, job, jobs, approve, reject, actions, connect, webhooks and health call the server at ORCHESTRATOR_URL (default that of HOST and \
     PORT) with the API key in ORCHESTRATOR_KEY.";

/// The commands.
#[derive(Subcommand)]
pub enum Ask {
    /// Turn a sentence into a plan.
    Plan {
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
    },
    /// Execute a plan as it was shown, or actions of your own, and wait for the end. Jobs that are held, or that go later,
    /// are not waited for.
    Execute {
        /// The plan's id.
        #[arg(required_unless_present = "file", conflicts_with = "file")]
        plan_id: Option<String>,
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
    },
    /// Show a job, or cancel, retry or resolve it.
    Job {
        /// The job's id.
        job_id: String,
        /// Wait until it ends.
        #[arg(long)]
        wait: bool,
        /// What to do with it; without this it is only shown.
        #[arg(long, value_enum)]
        act: Option<Act>,
        #[command(flatten)]
        how: Output,
    },
    /// List jobs, newest first.
    Jobs {
        /// Only jobs of this status: pending, running, completed or error.
        #[arg(long)]
        status: Option<String>,
        /// Only jobs that wait for this: approval, time, rate-limit, provider, reauth or gate.
        #[arg(long, value_name = "WHAT")]
        waiting: Option<String>,
        /// The most jobs to list.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
        limit: u8,
        /// Keep running and print each new or changed job, until Ctrl-C.
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        how: Output,
    },
    /// Show everything that a held job would send, ask, and approve it.
    Approve(decide::Decide),
    /// Show everything that a held job would send, ask, and reject it.
    Reject(decide::Decide),
    /// List the actions, and whether you may execute them.
    Actions {
        #[command(flatten)]
        how: Output,
    },
    /// Tell where to connect an account, and wait until it is connected.
    Connect {
        /// The provider's id, such as google.
        provider: Provider,
        /// Do not wait.
        #[arg(long)]
        no_wait: bool,
        #[command(flatten)]
        how: Output,
    },
    /// Add, list, remove and test the addresses that are told when a job ends or waits.
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    /// Tell in one line whether the server runs, for a container's health check. Whether its stores answer, /readyz tells.
    Health,
}

/// The output's format.
#[derive(Args, Clone, Copy)]
pub struct Output {
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

/// What to do with a job.
#[derive(Clone, Copy, ValueEnum)]
pub enum Act {
    /// Cancel it before it begins.
    Cancel,
    /// Retry it after an error that certainly sent nothing.
    Retry,
    /// Its outcome was unknown, and it was sent.
    ResolveSent,
    /// Its outcome was unknown, and it was not sent.
    ResolveNotSent,
}

/// Runs a command. Results go to standard output, progress and questions to standard error.
pub async fn run(api: &Api, ask: Ask) -> Result<ExitCode, Box<dyn Error>> {
    match ask {
        Ask::Plan { prompt, answers, context, timezone, execute, actor, how } => {
            // A pipe that brings the context brings no answers.
            let can_ask = io::stdin().is_terminal() && !how.json && !context.as_deref().is_some_and(is_stdin);
            let context = context.as_deref().map(text_of).transpose()?;
            let timezone = timezone.or_else(times::local_zone);
            let body = json!({ "prompt": prompt, "actor_id": actor, "timezone": timezone, "context": context });
            plan(api, body, answers, can_ask, execute, how).await
        }
        Ask::Execute { plan_id, file, at, timezone, no_wait, actor, how } => {
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
        Ask::Job { job_id, wait, act, how } => job(api, &job_id, wait, act, how).await,
        Ask::Jobs { status, waiting, limit, watch, how } => {
            let limit = limit.to_string();
            let mut query = vec![("limit", limit.as_str())];
            query.extend(status.as_deref().map(|status| ("status", status)));
            query.extend(waiting.as_deref().map(|what| ("waiting_for", what)));
            jobs(api, &query, watch, how).await
        }
        Ask::Approve(decide) => decide.run(api, "approve").await,
        Ask::Reject(decide) => decide.run(api, "reject").await,
        Ask::Actions { how } => {
            let actions = api.get(&["actions"], &[]).await?;
            say(how, &actions, |out| print::actions(out, &actions))?;
            Ok(ExitCode::SUCCESS)
        }
        Ask::Connect { provider, no_wait, how } => connect(api, provider, !no_wait, how).await,
        Ask::Webhooks(command) => webhooks::run(api, command).await,
        Ask::Health => health(api).await,
    }
}

async fn plan(
    api: &Api,
    mut body: Value,
    mut answers: Vec<Value>,
    can_ask: bool,
    at_once: bool,
    how: Output,
) -> Result<ExitCode, Box<dyn Error>> {
    let (plan_id, asks, warns) = loop {
        body["answers"] = json!(answers);
        let answer = waiting("planning", api.post(&["ai", "plan2"], &body)).await?;
        let plan = &answer["plan"];
        let asks = !list(&plan["questions"]).is_empty() || list(&plan["actions"]).is_empty();
        let warns = list(&plan["warnings"]).iter().any(stops);
        let open = list(&plan["clarifications"]);
        let ask_here = can_ask && !open.is_empty();
        if !at_once || asks || warns || !how.json {
            say(how, &answer, |out| print::plan(out, &answer, !ask_here))?;
        }
        let given = if ask_here { questions::ask(open, &mut io::stdin().lock(), &mut io::stderr())? } else { None };
        match given {
            Some(given) => questions::add(&mut answers, given),
            None => break (plan["plan_id"].clone(), asks, warns),
        }
    };
    match (asks, at_once) {
        (true, _) => Ok(ExitCode::from(NOT_DONE)),
        (false, false) => Ok(ExitCode::SUCCESS),
        (false, true) if warns => {
            let id = plan_id.as_str().unwrap_or_default();
            eprintln!("Nothing was executed, because of a warning. To go on: orchestrator execute {id}");
            Ok(ExitCode::from(NOT_DONE))
        }
        (false, true) => execute(api, &json!({ "plan_id": plan_id, "actor_id": body["actor_id"] }), true, how).await,
    }
}

/// Whether a person has to look at a warning first. An unknown kind may be one of those.
fn stops(warning: &Value) -> bool {
    serde_json::from_value::<WarningCode>(warning["code"].clone()).map_or(true, WarningCode::stops)
}

async fn execute(api: &Api, body: &Value, wait: bool, how: Output) -> Result<ExitCode, Box<dyn Error>> {
    let accepted = api.post(&["ai", "execute"], body).await?;
    if !wait {
        say(how, &accepted, |out| print::accepted(out, &accepted))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut jobs = Vec::new();
    for id in list(&accepted["job_ids"]).iter().filter_map(Value::as_str) {
        jobs.push(waiting("working", ended(api, id, rests)).await?);
    }
    let code = jobs.iter().map(exit_code).max().unwrap_or_default();
    say(how, &json!({ "jobs": jobs }), |out| print::jobs(out, &jobs))?;
    Ok(ExitCode::from(code))
}

async fn job(api: &Api, id: &str, wait: bool, act: Option<Act>, how: Output) -> Result<ExitCode, Box<dyn Error>> {
    let path = |act| ["ai", "jobs", id, act];
    let mut job = match act {
        None => api.get(&["ai", "jobs", id], &[]).await?,
        Some(Act::Cancel) => api.post(&path("cancel"), &json!({})).await?,
        Some(Act::Retry) => api.post(&path("retry"), &json!({})).await?,
        Some(Act::ResolveSent) => api.post(&path("resolve"), &json!({ "outcome": "sent" })).await?,
        Some(Act::ResolveNotSent) => api.post(&path("resolve"), &json!({ "outcome": "not_sent" })).await?,
    };
    if wait && !has_ended(&job) {
        job = waiting("working", ended(api, id, |_| false)).await?;
    }
    say(how, &job, |out| print::job(out, &job))?;
    // An act that succeeded is a success; without one, or with --wait, the job's own end decides.
    Ok(ExitCode::from(if act.is_none() || wait { exit_code(&job) } else { 0 }))
}

async fn jobs(api: &Api, query: &[(&str, &str)], watch: bool, how: Output) -> Result<ExitCode, Box<dyn Error>> {
    let path = ["ai", "jobs"];
    let page = api.get(&path, query).await?;
    if !watch {
        say(how, &page, |out| print::jobs(out, list(&page["data"])))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut seen: HashMap<String, Value> = HashMap::new();
    let mut page: Result<Value, ApiError> = Ok(page);
    let mut told = false;
    let mut ticks = time::interval(POLL_EVERY);
    loop {
        match page {
            Ok(page) => {
                told = false;
                // Oldest first, so that the newest job is the last line.
                for job in list(&page["data"]).iter().rev() {
                    let (id, state) = (job["job_id"].to_string(), json!([job["status"], job["waiting_for"]]));
                    if seen.insert(id, state.clone()).as_ref() != Some(&state) {
                        say(how, &job.to_string(), |out| print::job_line(out, job))?;
                    }
                }
            }
            Err(error) if !error.is_retriable() => return Err(error.into()),
            // Once per outage.
            Err(error) if !std::mem::replace(&mut told, true) => eprintln!("{error}"),
            Err(_) => {}
        }
        tokio::select! {
            _ = ticks.tick() => {}
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        }
        page = api.get(&path, query).await;
    }
}

async fn connect(api: &Api, provider: Provider, wait: bool, how: Output) -> Result<ExitCode, Box<dyn Error>> {
    let path = ["oauth", provider.as_str(), "status"];
    let is_connected = |status: &Value| status["connected"] == true;
    let mut status = api.get(&path, &[]).await?;
    if !is_connected(&status) {
        // Only the page can start it, since the consent is bound to the browser that started it.
        eprintln!("Open {}/dev/action-runner.html and connect {provider} there.", api.url());
        if wait {
            let connected = async {
                loop {
                    match api.get(&path, &[]).await {
                        Ok(status) if is_connected(&status) => return Ok(status),
                        Err(error) if !error.is_retriable() => return Err(error),
                        _ => time::sleep(POLL_EVERY).await,
                    }
                }
            };
            status = waiting("waiting for the account", connected).await?;
        }
    }
    say(how, &status, |out| print::connection(out, &status))?;
    Ok(ExitCode::from(if is_connected(&status) { 0 } else { NOT_DONE }))
}

/// Asks nothing of the stores: what watches a container restarts it if this fails, and that mends no store.
async fn health(api: &Api) -> Result<ExitCode, Box<dyn Error>> {
    match time::timeout(HEALTH_TIMEOUT, api.get(&["healthz"], &[])).await {
        Ok(Ok(health)) if health["status"] == "ok" => {
            println!("{} runs", api.url());
            Ok(ExitCode::SUCCESS)
        }
        Ok(Ok(_)) => Err(format!("{} is no orchestrator", api.url()).into()),
        Ok(Err(error)) => Err(error.to_string().replace("\n  ", "; ").into()),
        Err(_) => Err(format!("{} does not answer within {} s", api.url(), HEALTH_TIMEOUT.as_secs()).into()),
    }
}

/// Polls until the job ends, or needs no more polling.
async fn ended(api: &Api, id: &str, enough: fn(&Value) -> bool) -> Result<Value, ApiError> {
    let mut job = api.get(&["ai", "jobs", id], &[]).await?;
    while !has_ended(&job) && !enough(&job) {
        job = api.get(&["ai", "jobs", id], &[("wait", WAIT)]).await?;
    }
    Ok(job)
}

/// Whether a job waits for a person, or for a time that was asked for.
fn rests(job: &Value) -> bool {
    match job["waiting_for"].as_str() {
        Some("approval") => true,
        Some("time") => !job["send_at"].is_null(),
        _ => false,
    }
}

fn has_ended(job: &Value) -> bool {
    job["status"] == "completed" || job["status"] == "error"
}

fn exit_code(job: &Value) -> u8 {
    match job["status"].as_str() {
        Some("error") if job["error"]["code"] == "outcome-unknown" => UNKNOWN,
        Some("error") => FAILED,
        _ => 0,
    }
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

/// Awaits something, and shows the seconds at a terminal.
async fn waiting<T>(what: &str, done: impl Future<Output = T>) -> T {
    if !io::stderr().is_terminal() {
        return done.await;
    }
    let mut done = std::pin::pin!(done);
    let mut seconds = 0;
    loop {
        eprint!("\r{what}… {seconds} s");
        if let Ok(value) = time::timeout(Duration::from_secs(1), &mut done).await {
            eprint!("\r\x1b[K");
            return value;
        }
        seconds += 1;
    }
}

/// Prints an answer of the API: its JSON, or for people.
fn say(
    how: Output,
    json: &dyn Display,
    print: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    if how.json {
        writeln!(out, "{json:#}")?;
    } else {
        print(&mut out)?;
    }
    Ok(out.flush()?)
}
