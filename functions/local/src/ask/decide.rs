//! `orchestrator approve` and `reject`: a person decides about a held job that was shown.

use std::{
    error::Error,
    io::{self, BufRead, IsTerminal as _, Write},
    process::ExitCode,
};

use adapters::api::Api;
use clap::Args;
use domain::JobId;
use serde_json::json;

use super::{NOT_DONE, Output, WRONG, print, say};

/// One decision.
#[derive(Args)]
pub struct Decide {
    /// The job's id, as `jobs --waiting approval` lists it.
    job_id: JobId,
    /// Do not ask. Without a terminal this is required.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    how: Output,
}

impl Decide {
    /// Shows the job, asks, and decides. The decision is about the hash that was read before the content: if the job
    /// has changed since, the server refuses the decision.
    pub async fn run(self, api: &Api, what: &str) -> Result<ExitCode, Box<dyn Error>> {
        let Self { job_id, yes, how } = self;
        let job_id = job_id.to_string();
        if !yes && !io::stdin().is_terminal() {
            eprintln!(
                "orchestrator: {what} asks for confirmation at a terminal, and there is none; add --yes to skip the question"
            );
            return Ok(ExitCode::from(WRONG));
        }
        let job = api.get(&["ai", "jobs", &job_id], &[]).await?;
        if job["waiting_for"] == "approval" {
            let content = api.get(&["ai", "jobs", &job_id, "content"], &[]).await?;
            print::held(&mut io::stderr(), &job, &content)?;
            if !yes && !is_yes(&format!("{} it?", capital(what)), &mut io::stdin().lock(), &mut io::stderr())? {
                eprintln!("Nothing was done.");
                return Ok(ExitCode::from(NOT_DONE));
            }
        }
        // Of a job that is not held, the server says so.
        let decision = json!({ "payload_sha256": job["payload_sha256"] });
        let job = api.post(&["ai", "jobs", &job_id, what], &decision).await?;
        say(how, &job, |out, reader| print::job_line(out, reader, &job))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// Asks once. Everything but a yes is a no.
pub fn is_yes(question: &str, input: &mut dyn BufRead, out: &mut dyn Write) -> io::Result<bool> {
    write!(out, "{question} [y/N] ")?;
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
            assert_eq!(is_yes("Send?", &mut line.as_bytes(), &mut out).unwrap(), yes, "{line:?}");
            assert_eq!(out, b"Send? [y/N] ");
        }
    }
}
