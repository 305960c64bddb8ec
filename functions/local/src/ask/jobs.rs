//! `orchestrator job` and `jobs`.

use std::{collections::HashMap, error::Error, process::ExitCode};

use adapters::api::{Api, ApiError};
use clap::{Args, Subcommand};
use domain::JobId;
use serde_json::{Value, json};
use tokio::time;

use super::{FAILED, Output, POLL_EVERY, UNKNOWN, print, print::list, say, waiting};

/// How many seconds one poll waits at the server.
const WAIT: &str = "20";

/// A job to show, or to change.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Job {
    /// The job's id.
    #[arg(required = true, value_name = "JOB_ID")]
    id: Option<JobId>,
    /// Wait until it ends.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    how: Output,
    #[command(subcommand)]
    change: Option<Change>,
}

/// What to do with a job.
#[derive(Subcommand)]
enum Change {
    /// Cancel a job before it begins.
    Cancel(Changed),
    /// Retry a job after an error that certainly did nothing.
    Retry {
        /// Wait until it ends.
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        changed: Changed,
    },
    /// Tell what became of a job whose outcome is unknown, after a look into the account.
    #[command(group = clap::ArgGroup::new("outcome").required(true))]
    Resolve {
        #[command(flatten)]
        changed: Changed,
        /// It was sent.
        #[arg(long, group = "outcome")]
        sent: bool,
        /// It was not sent.
        #[arg(long, group = "outcome")]
        not_sent: bool,
    },
}

#[derive(Args)]
struct Changed {
    /// The job's id.
    job_id: JobId,
    #[command(flatten)]
    how: Output,
}

impl Job {
    /// Shows or changes the job. A change that succeeds is a success; else the job's own end decides.
    pub async fn run(self, api: &Api) -> Result<ExitCode, Box<dyn Error>> {
        let Self { id, wait, how, change } = self;
        let (id, how, wait, change) = match change {
            None => (id.map(|id| id.to_string()).unwrap_or_default(), how, wait, None),
            Some(Change::Cancel(Changed { job_id, how })) => {
                (job_id.to_string(), how, false, Some(("cancel", json!({}))))
            }
            Some(Change::Retry { wait, changed: Changed { job_id, how } }) => {
                (job_id.to_string(), how, wait, Some(("retry", json!({}))))
            }
            Some(Change::Resolve { sent, changed: Changed { job_id, how }, .. }) => {
                let outcome = if sent { "sent" } else { "not_sent" };
                (job_id.to_string(), how, false, Some(("resolve", json!({ "outcome": outcome }))))
            }
        };
        let mut job = match &change {
            None => api.get(&["ai", "jobs", &id], &[]).await?,
            Some((verb, body)) => api.post(&["ai", "jobs", &id, verb], body).await?,
        };
        if wait && !has_ended(&job) {
            job = waiting("working", ended(api, &id, |_| false)).await?;
        }
        say(how, &job, |out, reader| {
            print::job(out, reader, &job)?;
            print::next(out, &job)
        })?;
        Ok(ExitCode::from(if change.is_none() || wait { exit_code(&job) } else { 0 }))
    }
}

/// Which jobs to list.
#[derive(Args)]
pub struct Jobs {
    /// Only jobs of this status.
    #[arg(long, value_parser = ["pending", "running", "completed", "error"])]
    status: Option<String>,
    /// Only jobs that wait for this.
    #[arg(long, value_name = "WHAT", value_parser = ["approval", "time", "rate-limit", "provider", "reauth", "gate"])]
    waiting: Option<String>,
    /// Only jobs with all of these words in their subject or recipients, or with this id.
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    /// The most jobs to list.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
    limit: u8,
    /// Keep running and print each new or changed job, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    how: Output,
}

impl Jobs {
    /// Lists jobs, newest first, or watches them.
    pub async fn run(self, api: &Api) -> Result<ExitCode, Box<dyn Error>> {
        let (limit, how) = (self.limit.to_string(), self.how);
        let mut query = vec![("limit", limit.as_str())];
        query.extend(self.status.as_deref().map(|status| ("status", status)));
        query.extend(self.waiting.as_deref().map(|what| ("waiting_for", what)));
        query.extend(self.search.as_deref().map(|words| ("search", words)));
        if self.watch {
            return watch(api, &query, how).await;
        }
        let page = api.get(&["ai", "jobs"], &query).await?;
        let jobs = list(&page["data"]);
        if jobs.is_empty() && !how.json {
            eprintln!("No jobs match.");
        }
        say(how, &page, |out, reader| print::jobs(out, reader, jobs))?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn watch(api: &Api, query: &[(&str, &str)], how: Output) -> Result<ExitCode, Box<dyn Error>> {
    let mut seen: HashMap<String, Value> = HashMap::new();
    let mut page: Result<Value, ApiError> = Ok(api.get(&["ai", "jobs"], query).await?);
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
                        say(how, &job.to_string(), |out, reader| print::job_line(out, reader, job))?;
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
        page = api.get(&["ai", "jobs"], query).await;
    }
}

/// Polls until the job ends, or needs no more polling.
pub async fn ended(api: &Api, id: &str, enough: fn(&Value) -> bool) -> Result<Value, ApiError> {
    let mut job = api.get(&["ai", "jobs", id], &[]).await?;
    while !has_ended(&job) && !enough(&job) {
        job = api.get(&["ai", "jobs", id], &[("wait", WAIT)]).await?;
    }
    Ok(job)
}

/// Whether a job waits for a person, or for a time that was asked for.
pub fn rests(job: &Value) -> bool {
    match job["waiting_for"].as_str() {
        Some("approval") => true,
        Some("time") => !job["send_at"].is_null(),
        _ => false,
    }
}

fn has_ended(job: &Value) -> bool {
    job["status"] == "completed" || job["status"] == "error"
}

/// The exit code that a job's state stands for.
pub fn exit_code(job: &Value) -> u8 {
    match job["status"].as_str() {
        Some("error") if job["error"]["code"] == "outcome-unknown" => UNKNOWN,
        Some("error") => FAILED,
        _ => 0,
    }
}
