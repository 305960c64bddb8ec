//! What a person should know about an action before it is carried out: one list for plans and previews.

use std::{collections::BTreeSet, sync::Arc};

use domain::{
    ActorHash, ContentHash, Effect, Html, Job, JobId, RecipientDomains, State, Warning, WarningCode, WorkspaceId,
    deceives, hosts, known_hosts, placeholders, pointer_token, says_attached, shown_host,
};

use futures_util::future::try_join;
use serde_json::Value;

use crate::{
    job_store::JobStore,
    ports::{Action, Call, Clock, JobFilter, JobList, LedgerError},
    texts::{TextKind, text_fields},
};

/// The most open jobs that are looked through for a duplicate, the newest first.
const MOST_OPEN: usize = 100;
/// The most hosts or blanks that one warning names.
const MOST_NAMED: usize = 3;

/// An action with its params, and what it is compared with.
#[derive(Clone, Copy)]
pub(crate) struct Proposal<'a> {
    pub(crate) workspace: &'a WorkspaceId,
    /// The actor that the caller is bound to, who is told of no other's jobs.
    pub(crate) bound_actor: Option<&'a ActorHash>,
    pub(crate) action: &'a dyn Action,
    pub(crate) call: &'a dyn Call,
    /// The person's own words, the prompt and the answers; none for an action that no plan holds.
    pub(crate) words: Option<&'a str>,
    /// The job that the action is or will be, which is no duplicate of itself.
    pub(crate) job: Option<JobId>,
    /// A send ends after its draft.
    pub(crate) draft_only: bool,
}

impl Proposal<'_> {
    fn effect(self) -> Effect {
        self.action.spec().effect.of_job(self.draft_only)
    }
}

/// Looks actions over.
pub(crate) struct Lookout {
    /// The operator's own domains.
    pub(crate) internal: RecipientDomains,
    pub(crate) jobs: Arc<JobStore>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Lookout {
    /// The warnings about an action. Pointers start at its params.
    pub(crate) async fn warnings(&self, proposal: Proposal<'_>) -> Result<Vec<Warning>, LedgerError> {
        let mut warnings = proposal.call.warnings();
        warnings.extend(about_texts(proposal));
        let recipients = proposal.call.recipients().into_iter();
        let outside = recipients.filter(|param| !self.internal.allow(param.address));
        warnings.extend(outside.map(|param| {
            let text = format!("{} is outside of your own domains.", param.address.shown());
            warning(WarningCode::External, &param.pointer, text)
        }));
        if proposal.effect() != proposal.action.spec().effect {
            let text = "This ends as a draft: it is left among the account's drafts, and nothing is sent.".to_owned();
            warnings.push(warning(WarningCode::DraftOnly, "", text));
        }
        warnings.extend(self.duplicate(proposal).await?);
        Ok(warnings)
    }

    /// Warns of the same content to the same people: what went out within a day, may have gone out, or is on its way.
    async fn duplicate(&self, proposal: Proposal<'_>) -> Result<Option<Warning>, LedgerError> {
        let Some(content) = content_hash(proposal.effect(), proposal.call, &proposal.call.params()) else {
            return Ok(None);
        };
        let (workspace, jobs) = (proposal.workspace, &self.jobs.ledger);
        let on_their_way =
            JobFilter { workspace: workspace.clone(), list: JobList::Open, after: None, limit: MOST_OPEN };
        let now = self.clock.now();
        let (ended, open) =
            try_join(jobs.last_with_content(workspace, &content, now), jobs.list_jobs(&on_their_way)).await?;
        let is_known = |job: &Job| proposal.bound_actor.is_none_or(|bound| *bound == job.actor);
        let is_other = |job: &Job| proposal.job != Some(job.job_id) && is_known(job);
        let is_same = |job: &Job| is_other(job) && job.content_hash.as_ref() == Some(&content);
        let what = if let Some(job) = ended.filter(is_other) {
            let verb = if job.state == State::Unknown { "may have gone out" } else { "went out" };
            format!("{verb} at {}", job.finished_at.unwrap_or(job.touched_at).strftime("%H:%M UTC on %-d %B %Y"))
        } else if open.iter().any(is_same) {
            "is already on its way".to_owned()
        } else {
            return Ok(None);
        };
        let text = format!("A duplicate: the same to the same recipients {what}.");
        Ok(Some(warning(WarningCode::Duplicate, "", text)))
    }
}

/// Whom a call with these params reaches with which content; none for one that reaches nobody.
pub(crate) fn content_hash(effect: Effect, call: &dyn Call, params: &Value) -> Option<ContentHash> {
    let recipients = call.recipients();
    if recipients.is_empty() || matches!(effect, Effect::Read | Effect::Draft) {
        return None;
    }
    let names_them = |field: &str| recipients.iter().any(|param| param.pointer.split('/').nth(1) == Some(field));
    Some(ContentHash::of(recipients.iter().map(|param| param.address), params, names_them))
}

/// Warnings about the words of an action.
fn about_texts(Proposal { action, call, words, .. }: Proposal<'_>) -> Vec<Warning> {
    let (params, fields) = (call.params(), text_fields(action.params_schema()));
    let texts = || fields.iter().filter_map(|field| Some((field, params.get(&field.name)?.as_str()?)));
    let plain: Vec<&str> = texts().filter(|(field, _)| field.kind != TextKind::Html).map(|(_, text)| text).collect();
    let text = texts().find(|(field, _)| field.kind == TextKind::Text).map(|(_, text)| text);
    // Where no prompt is known, HTML may lead where the text does.
    let (requested, told) = (words.map(known_hosts), known_hosts(&plain.join("\n")));
    let who = if requested.is_some() { "request" } else { "text" };
    let mut warnings: Vec<Warning> = Vec::new();
    for (field, value) in texts() {
        let html = (field.kind == TextKind::Html).then(|| Html::read(value));
        let (said, named) = match &html {
            Some(html) => (html.text.as_str(), html.hosts.clone()),
            None => (value, hosts(value)),
        };
        let (name, mut found) = (&field.name, Vec::new());
        if let Some(html) = &html {
            if let Some((shown, host)) = &html.deceives {
                let text = format!("A link in {name} shows {} and leads to {}.", shown_host(shown), shown_host(host));
                found.push((WarningCode::HtmlDiffers, text));
            } else if text.is_some_and(|text| !html.says(text)) {
                found.push((WarningCode::HtmlDiffers, format!("The {name} says other things than the text.")));
            }
        }
        let known = requested.as_ref().or(html.as_ref().map(|_| &told));
        let foreign = known.map(|known| named.into_iter().filter(|host| !known.contains(host)).collect());
        let foreign: BTreeSet<String> = foreign.unwrap_or_default();
        if !foreign.is_empty() {
            let foreign = some(foreign.iter().map(|host| shown_host(host)).collect());
            found.push((
                WarningCode::ForeignLink,
                format!("The {name} names {foreign}, which the {who} does not name."),
            ));
        }
        let meant = |c: char| words.is_some_and(|words| words.contains(c));
        let deceiving: BTreeSet<char> =
            value.chars().chain(said.chars()).filter(|c| deceives(*c) && !meant(*c)).collect();
        if !deceiving.is_empty() {
            let shown = some(deceiving.into_iter().map(|c| format!("U+{:04X}", u32::from(c))).collect());
            let text = format!("The {name} has characters that hide or reorder what is read: {shown}.");
            found.push((WarningCode::HiddenCharacters, text));
        }
        let blanks = placeholders(said, field.kind == TextKind::Line).into_iter();
        // What the person wrote is meant.
        let blanks: Vec<_> = blanks.filter(|blank| !words.is_some_and(|words| words.contains(blank))).collect();
        if !blanks.is_empty() {
            let blanks = some(blanks.into_iter().map(str::to_owned).collect());
            found.push((WarningCode::Placeholder, format!("The {name} has a blank to fill in: {blanks}.")));
        }
        if let Some(phrase) = says_attached(said) {
            let text = format!("The {name} says “{phrase}”, and nothing is attached.");
            found.push((WarningCode::MissingAttachment, text));
        }
        // HTML repeats the text.
        let repeats = |code: WarningCode, warnings: &[Warning]| {
            html.is_some() && code != WarningCode::ForeignLink && warnings.iter().any(|known| known.code == code)
        };
        let pointer = format!("/{}", pointer_token(name));
        for (code, text) in found {
            if !repeats(code, &warnings) {
                warnings.push(warning(code, &pointer, text));
            }
        }
    }
    warnings
}

/// Some of many, and how many more there are.
fn some(mut all: Vec<String>) -> String {
    let more = all.len().saturating_sub(MOST_NAMED);
    all.truncate(MOST_NAMED);
    let shown = all.join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

fn warning(code: WarningCode, pointer: &str, text: String) -> Warning {
    Warning { code, field: Some(pointer.to_owned()), text }
}
