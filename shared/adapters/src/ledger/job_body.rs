//! The stored form of a job: its JSON without its id, which follows from the workspace and the idempotency key.

use domain::{Job, JobId};
use engine::ports::LedgerError;

use super::{json, unreadable};

pub(super) fn write(job: &Job) -> Result<String, LedgerError> {
    let body = json(job)?;
    let id = format!(r#"{{"job_id":"{}","#, job.job_id);
    let without = body.strip_prefix(&id).filter(|_| job.job_id == derived(job));
    Ok(match without {
        Some(rest) => format!("{{{rest}"),
        None => body,
    })
}

pub(super) fn read(body: &str) -> Result<Job, LedgerError> {
    let mut job: Job = serde_json::from_str(body).map_err(|error| unreadable(&error))?;
    if job.job_id == JobId::default() {
        job.job_id = derived(&job);
    }
    Ok(job)
}

fn derived(job: &Job) -> JobId {
    JobId::of(&job.workspace_id, &job.client_request_id)
}

#[cfg(test)]
mod tests {
    use contracts::sample_job;
    use domain::{Lease, sha256_hex};
    use jiff::{SignedDuration, Timestamp};
    use uuid::Uuid;

    use super::*;

    fn job() -> Job {
        let mut job =
            sample_job(&"acme".parse().unwrap(), "key", Timestamp::from_microsecond(1_800_000_000_123_456).unwrap());
        job.asked_by = Some(job.actor.clone());
        job.account = Some(sha256_hex(b"account"));
        job
    }

    #[test]
    fn every_version_reads_back_as_it_was() {
        let now = job().created_at + SignedDuration::from_secs(1);
        let claimed = job().claimed(Lease { owner: Uuid::nil(), until: now }, now).unwrap();
        let other_id = Job { job_id: JobId(Uuid::from_u128(1)), ..job() };
        let plain = Job { account: Some("an account without a hash".to_owned()), asked_by: None, ..job() };
        for version in
            [job(), claimed.completed(serde_json::json!({ "n": 0.1 }), now).unwrap(), claimed, other_id, plain]
        {
            let body = write(&version).unwrap();
            assert_eq!(read(&body).unwrap(), version, "{body}");
        }
    }

    #[test]
    fn it_holds_nothing_twice_and_no_hash_in_hex() {
        let body = write(&job()).unwrap();
        assert!(
            !body.contains("null") && !body.contains("job_id") && !body.contains(job().payload_hash.as_str()),
            "{body}"
        );
        assert!(body.contains("\"payload\":\"") && body.len() < 800);
    }

    #[test]
    fn what_earlier_versions_wrote_reads_as_it_was_meant() {
        // As the ledger of version 0.1.0 has it: with its id, nulls and hashes in hex.
        let body = include_str!("job_of_0.1.0.json").trim();
        let read = read(body).unwrap();
        assert_eq!(read.job_id, JobId::of(&read.workspace_id, &read.client_request_id));
        assert_eq!((read.attempts, read.lease.is_none(), read.account.as_ref().map(String::len)), (1, true, Some(64)));
        assert_eq!((read.payload_hash.as_str().len(), read.actor.as_str().len()), (64, 64));
        assert!(body.contains(read.payload_hash.as_str()) && body.contains(read.actor.as_str()));
    }

    #[test]
    fn what_is_no_job_is_an_error_that_quotes_nothing() {
        for body in [
            "",
            "{}",
            "[]",
            "null",
            "{\"workspace\":\"acme\",\"request\":\"secret\"}",
            "{\"workspace_id\":\"secret\"}",
            "{\"workspace_id\":1,\"client_request_id\":\"secret\"}",
        ] {
            let error = read(body).unwrap_err().to_string();
            assert!(error.contains("a record has an invalid format") && !error.contains("secret"), "{error}");
        }
    }
}
