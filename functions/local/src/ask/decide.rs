//! `orchestrator approve` and `reject`: a person decides about a held job that was shown.

use std::{
    error::Error,
    io::{self, BufRead, IsTerminal as _, Write},
    process::ExitCode,
};

use adapters::api::Api;
use clap::Args;
use serde_json::json;

use super::{NOT_DONE, Output, WRONG, print, say};

/// One decision.
#[derive(Args)]
pub struct Decide {
    /// The job's id, as `jobs --waiting approval` lists it.
    job_id: String,
    /// Do not ask. Without a terminal this is required.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    how: Output,
}

impl Decide {
    /// Shows the job, asks, and decides. The decision is about the hash that was read before the content: if the job is
    /// another one by then, the server refuses it.
    pub async fn run(self, api: &Api, what: &str) -> Result<ExitCode, Box<dyn Error>> {
        let Self { job_id, yes, how } = self;
        if !yes && !io::stdin().is_terminal() {
            eprintln!("orchestrator: {what} asks at a terminal, and there is none; add --yes to go on without");
            return Ok(ExitCode::from(WRONG));
        }
        let job = api.get(&["ai", "jobs", &job_id], &[]).await?;
        if job["waiting_for"] == "approval" {
            let content = api.get(&["ai", "jobs", &job_id, "content"], &[]).await?;
            print::held(&mut io::stderr(), &job, &content)?;
            if !yes && !is_yes(what, &mut io::stdin().lock(), &mut io::stderr())? {
                eprintln!("Nothing was done.");
                return Ok(ExitCode::from(NOT_DONE));
            }
        }
        // Of a job that is not held, the server says so.
        let decision = json!({ "payload_sha256": job["payload_sha256"] });
        let job = api.post(&["ai", "jobs", &job_id, what], &decision).await?;
        say(how, &job, |out| print::job_line(out, &job))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks once. Everything but a yes is a no.
fn is_yes(what: &str, input: &mut dyn BufRead, out: &mut dyn Write) -> io::Result<bool> {
    let mut first = what.chars();
    let verb: String = first.next().into_iter().flat_map(char::to_uppercase).chain(first).collect();
    write!(out, "{verb} it? [y/N] ")?;
    out.flush()?;
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (line, yes) in
            [("y\n", true), ("YES\n", true), ("n\n", false), ("\n", false), ("", false), ("yep\n", false)]
        {
            let mut out = Vec::new();
            assert_eq!(is_yes("approve", &mut line.as_bytes(), &mut out).unwrap(), yes, "{line:?}");
            assert_eq!(out, b"Approve it? [y/N] ");
        }
    }
}
