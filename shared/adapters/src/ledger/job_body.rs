//! The stored form of a job: JSON that is short enough for one unit of DynamoDB until the job ends.
//!
//! It is the job's own JSON without its id, which follows from the workspace and the idempotency key, with shorter names, and
//! with its hashes in base64url. The bodies of earlier versions, with the id, with the job's own names and with hashes in
//! hex, read back as well.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{ClientRequestId, Job, JobId, WorkspaceId};
use engine::ports::LedgerError;
use serde_json::{Map, Value};

use super::{json, unreadable};

const ID: &str = "job_id";
/// The job's own names, and those here.
const NAMES: [(&str, &str); 9] = [
    ("workspace_id", "workspace"),
    ("client_request_id", "request"),
    ("payload_hash", "payload"),
    ("content_hash", "content"),
    ("traceparent", "trace"),
    ("created_at", "created"),
    ("started_at", "started"),
    ("finished_at", "finished"),
    ("touched_at", "touched"),
];
/// The fields with SHA-256 hashes.
const HASHES: [&str; 5] = ["actor", "asked_by", "payload_hash", "content_hash", "account"];

pub(super) fn write(job: &Job) -> Result<String, LedgerError> {
    let mut fields = serde_json::to_value(job).map_err(|error| unreadable(&error))?;
    if let Value::Object(fields) = &mut fields {
        if job.job_id == JobId::of(&job.workspace_id, &job.client_request_id) {
            fields.shift_remove(ID);
        }
        change_hashes(fields, brief);
        rename(fields, |name| NAMES.iter().find(|(own, _)| *own == name).map(|(_, here)| *here));
    }
    json(&fields)
}

pub(super) fn read(body: &str) -> Result<Job, LedgerError> {
    let job = serde_json::from_str::<Map<String, Value>>(body).and_then(|mut fields| {
        rename(&mut fields, |name| NAMES.iter().find(|(_, here)| *here == name).map(|(own, _)| *own));
        change_hashes(&mut fields, whole);
        if !fields.contains_key(ID) {
            let field = |name| fields.get(name).cloned().unwrap_or_default();
            let workspace: WorkspaceId = serde_json::from_value(field("workspace_id"))?;
            let request: ClientRequestId = serde_json::from_value(field("client_request_id"))?;
            fields.insert(ID.to_owned(), serde_json::to_value(JobId::of(&workspace, &request))?);
        }
        serde_json::from_value(Value::Object(fields))
    });
    job.map_err(|error| unreadable(&error))
}

fn rename(fields: &mut Map<String, Value>, other: impl Fn(&str) -> Option<&'static str>) {
    let renamed =
        std::mem::take(fields).into_iter().map(|(name, value)| (other(&name).map_or(name, str::to_owned), value));
    *fields = renamed.collect();
}

fn change_hashes(fields: &mut Map<String, Value>, change: fn(&str) -> Option<String>) {
    for name in HASHES {
        if let Some(Value::String(hash)) = fields.get_mut(name)
            && let Some(changed) = change(hash)
        {
            *hash = changed;
        }
    }
}

/// A hash in hex as base64url. Anything else stays as it is.
fn brief(hex: &str) -> Option<String> {
    let is_hash = hex.len() == 64 && hex.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let byte = |place: usize| u8::from_str_radix(hex.get(2 * place..2 * place + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = is_hash.then(|| (0..32).map(byte).collect()).flatten();
    bytes.map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// The same the other way.
fn whole(brief: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(brief).ok().filter(|bytes| bytes.len() == 32)?;
    Some(bytes.iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
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
        let other_id = Job { job_id: JobId(Uuid::nil()), ..job() };
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
        assert!(body.contains("\"payload\":\"") && body.len() < serde_json::to_string(&job()).unwrap().len() - 140);
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
