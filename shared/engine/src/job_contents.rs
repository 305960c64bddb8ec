//! What jobs are about: a summary for lists, and what was or will be sent. Both are opened from the sealed params, for as
//! long as these are kept.

use std::collections::HashSet;

use domain::{Address, Effect, Job, JobId, Recipient, Scope, Via};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    Caller, Problem,
    accounts::Connection,
    jobs::JobService,
    ports::{Call, Contents, Purpose, RenderContext, Rendered},
    preview::content_sha256,
};

/// How many recipients a summary names.
const RECIPIENTS: usize = 3;
/// The longest title of a summary, in characters.
const TITLE: usize = 200;
/// How many contents are opened at once: each may be long.
const AT_ONCE: usize = 20;

/// What a job is about, in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct JobSummary {
    /// What it makes, such as an event's title.
    #[cfg_attr(feature = "utoipa", schema(example = "Thanks for the meeting"))]
    pub title: String,
    /// At most three of the recipients.
    #[cfg_attr(feature = "utoipa", schema(example = json!(["john@example.com"])))]
    pub recipients: Vec<String>,
    /// How many more there are.
    pub more: usize,
    /// The rest of the recipients, by which a job is found.
    #[serde(skip)]
    rest: Vec<String>,
    /// Where its draft lies, for a job that ended with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "utoipa", schema(required = false, example = "Among the drafts of ana@example.com."))]
    pub draft: Option<String>,
}

impl JobSummary {
    pub(crate) fn of(call: &dyn Call) -> Self {
        let mut recipients: Vec<String> = reached(call).into_iter().map(Address::addr_spec).collect();
        let rest = recipients.split_off(recipients.len().min(RECIPIENTS));
        Self { title: call.title().chars().take(TITLE).collect(), recipients, more: rest.len(), rest, draft: None }
    }

    /// The same of a job that ended with a draft, if it did.
    #[must_use]
    pub fn with_draft(self, draft: Option<String>) -> Self {
        Self { draft, ..self }
    }

    /// What a job is found by, with a space behind each.
    pub(crate) fn words(&self) -> String {
        let all = [&self.title].into_iter().chain(&self.recipients).chain(&self.rest);
        all.flat_map(|words| [words.as_str(), " "]).collect()
    }
}

/// Everybody whom an action reaches, each once.
pub(crate) fn reached(call: &dyn Call) -> Vec<&Address> {
    let mut known = HashSet::new();
    let recipients = call.recipients().into_iter().map(|param| param.address);
    recipients.filter(|address| known.insert(address.addr_spec())).collect()
}

/// What a job sent or will send. The rest of its fields are the action's own, such as `to`, `subject` and `text`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct JobContent {
    /// The job's id.
    #[cfg_attr(feature = "utoipa", schema(value_type = uuid::Uuid))]
    pub job_id: JobId,
    /// The account's address, if it is known.
    pub from: Option<String>,
    /// `message/rfc822` or `application/json`; null once the contents are erased, and so is `raw`.
    pub content_type: Option<&'static str>,
    /// The exact text, except for its date.
    pub raw: Option<String>,
    /// The SHA-256 of the text without Date and Message-ID and with a fixed boundary, as in the preview and in the
    /// result.
    pub content_sha256: Option<String>,
    /// Everybody whom it reaches; empty once the contents are erased.
    pub recipients: Vec<Recipient>,
    /// When the contents were erased.
    pub contents_erased_at: Option<Timestamp>,
    /// The action's own fields.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl JobService {
    /// What each job is about; none once its contents are erased, or if they cannot be read now, and for callers who may
    /// not see contents.
    pub async fn summaries(&self, caller: &Caller, jobs: &[Job]) -> Vec<Option<JobSummary>> {
        let now = self.clock.now();
        let mut summaries: Vec<Option<JobSummary>> = vec![None; jobs.len()];
        if !caller.scopes.contains(&Scope::ActionsPreview) {
            return summaries;
        }
        let mut unknown = Vec::new();
        for (place, job) in jobs.iter().enumerate().filter(|(_, job)| job.contents_erased_at(now).is_none()) {
            summaries[place] = self.jobs.summaries.recall(&job.job_id, now);
            if summaries[place].is_none() {
                unknown.push(place);
            }
        }
        for places in unknown.chunks(AT_ONCE) {
            let ids: Vec<JobId> = places.iter().map(|place| jobs[*place].job_id).collect();
            let contents = match self.jobs.ledger.contents_of(&ids).await {
                Ok(contents) => contents,
                Err(error) => {
                    tracing::warn!(%error, "summaries of jobs are left out");
                    break;
                }
            };
            for (place, contents) in places.iter().zip(contents) {
                let Some(contents) = contents else { continue };
                let summary = self.call(&jobs[*place], &contents).await.map(|call| JobSummary::of(&*call));
                match summary {
                    Ok(summary) => {
                        self.jobs.summaries.remember(jobs[*place].job_id, summary.clone(), now);
                        summaries[*place] = Some(summary);
                    }
                    Err(error) => tracing::warn!(%error, job.id = %jobs[*place].job_id, "a summary is left out"),
                }
            }
        }
        summaries
    }

    /// Where the draft lies that a job ended with, given its opened result.
    pub fn draft_of(&self, job: &Job, result: Option<&Value>) -> Option<String> {
        let result = result.filter(|_| self.effect(job) == Some(Effect::Draft))?;
        Some(match (job.via, result["from"].as_str()) {
            (Via::Sandbox, _) => "In the outbox, as a draft.".to_owned(),
            (Via::Live, Some(from)) => format!("Among the drafts of {from}."),
            (Via::Live, None) => {
                format!("Among the drafts of the connected {} account.", self.catalogue.provider(job.provider).account)
            }
        })
    }

    /// What a job of the caller's sent or will send.
    pub async fn content(&self, caller: &Caller, id: JobId) -> Result<JobContent, Problem> {
        // The contents are read once it is known whose they are: they may be long, so their reading takes time.
        let job = self.stored(caller, id).await?;
        let now = self.clock.now();
        let result = self.opened(caller, &job).await?.result.unwrap_or_default();
        let known = |name: &str| result[name].as_str().map(str::to_owned);
        let mut content = JobContent {
            job_id: id,
            from: known("from"),
            content_type: None,
            raw: None,
            content_sha256: known("content_sha256"),
            recipients: Vec::new(),
            contents_erased_at: job.contents_erased_at(now),
            fields: Map::new(),
        };
        if content.contents_erased_at.is_some() {
            return Ok(content);
        }
        let Some(contents) = self.jobs.ledger.contents(id).await? else { return Ok(content) };
        let call = self.call(&job, &contents).await?;
        content.recipients = self.approval.recipients(&*call, |place, _| (job.sources.0.get(place).copied(), None));
        let from = self.sender(&job, content.from.as_deref()).await?;
        let date = Some(job.finished_at.unwrap_or(now));
        let Rendered { content_type, body } =
            call.render(&RenderContext { from: from.clone(), date, id: Some(id.to_string()) })?;
        if content.content_sha256.is_none() {
            content.content_sha256 = Some(content_sha256(&*call, from.as_ref())?);
        }
        content.from = from.as_ref().map(Address::addr_spec);
        (content.content_type, content.raw) = (Some(content_type), Some(body));
        if let Value::Object(fields) = call.readable() {
            content.fields = fields;
        }
        Ok(content)
    }

    /// The address that acted, or else that of the job's account, if it is still connected.
    async fn sender(&self, job: &Job, acted: Option<&str>) -> Result<Option<Address>, Problem> {
        let connection = self.accounts.known(&job.workspace_id, job.provider).await?;
        let ours = match &connection {
            Connection::Sandbox(_) => job.via == Via::Sandbox,
            Connection::Live(access) | Connection::NeedsReauth(access) => {
                job.via == Via::Live && access.account == job.account
            }
            Connection::None => false,
        };
        let address = connection.address().filter(|_| ours);
        Ok(match acted {
            // With its display name, where it is known.
            Some(acted) => address.filter(|known| known.addr_spec() == acted).cloned().or_else(|| acted.parse().ok()),
            None => address.cloned(),
        })
    }

    pub(crate) async fn call(&self, job: &Job, contents: &Contents) -> Result<Box<dyn Call>, Problem> {
        let (workspace, purpose) = (&job.workspace_id, Purpose::JobParams);
        let params: Value = self.vault.open_json(workspace, purpose, job.job_id, &contents.0).await?;
        Ok(self.catalogue.parse(None, job.action.as_str(), &params)?.1)
    }
}
