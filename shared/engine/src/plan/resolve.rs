//! Resolves plans: reads in the account what their lookups look for, and reads the model's stored answer again beside it.
//! The model is not asked, so that nothing of an account ever reaches it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::{
    AuditEvent, Find, FindKind, Lookup, LookupId, Part, Plan, PlanId, Provider, Reference, RequestHash, WorkspaceId,
    is_part_of_name, is_same_name, places_of_name,
};
use futures_util::future::try_join_all;
use jiff::{
    RoundMode, SignedDuration, Timestamp, TimestampRound, Unit, Zoned,
    civil::{Date, Time},
    tz::TimeZone,
};

use super::{
    Draft, GivenAnswer, Planned, Planner, Proposed,
    lookups::{Finding, bare, plain},
    record::{Origin, Record},
};
use crate::{
    Caller, Problem, ProblemCode,
    accounts::{Connection, sandbox_access},
    ports::{Access, Book, Finder, FoundEvent, FoundPerson, ProviderError, ProviderSpec, Span, Usage},
};

/// The most people or events to choose from.
const MOST_MATCHES: usize = 20;
/// The hours in which a free time is looked for, unless the request names some.
const DAY: (Time, Time) = (Time::constant(9, 0, 0, 0), Time::constant(18, 0, 0, 0));
/// A free time begins at such a minute.
const GRID: i64 = 15;

/// Resolves plans.
pub struct Resolver {
    pub(crate) planner: Arc<Planner>,
    pub(crate) finders: BTreeMap<Provider, Arc<dyn Finder>>,
    pub(crate) sandbox_finder: Arc<dyn Finder>,
}

/// An account that is read.
struct Account {
    provider: &'static ProviderSpec,
    finder: Arc<dyn Finder>,
    access: Access,
}

impl Resolver {
    /// A plan again, while it can be carried out.
    pub async fn plan(&self, caller: &Caller, id: PlanId) -> Result<Planned, Problem> {
        self.planner.limiter.charge(&caller.ticket).await?;
        let Record { plan, origin, .. } = self.planner.plans.living(caller, id).await?;
        let usage = Usage { input: origin.tokens_in, output: origin.tokens_out };
        Ok(planned(plan, origin.model, usage))
    }

    /// A new plan of the same answer of the model, with what the account holds in the place of references, and with more
    /// answers of the person.
    pub async fn resolve(&self, caller: &Caller, id: PlanId, answers: Vec<GivenAnswer>) -> Result<Planned, Problem> {
        let began = self.planner.clock.now();
        let resolved = self.try_resolve(caller, id, answers).await;
        let duration = self.planner.clock.now().duration_since(began).unsigned_abs();
        let resolved = self.planner.auditor.audited(caller, AuditEvent::PlanRefused, resolved).await?;
        Ok(Planned { duration, ..resolved })
    }

    async fn try_resolve(&self, caller: &Caller, id: PlanId, answers: Vec<GivenAnswer>) -> Result<Planned, Problem> {
        let planner = &*self.planner;
        planner.limiter.charge(&caller.ticket).await?;
        let Record { plan, mut origin, created_at, .. } = planner.plans.living(caller, id).await?;
        let hash = RequestHash::of(&origin.prompt, origin.context.as_deref());
        let given = planner.answered(&caller.workspace, &hash, answers, true).await?;
        origin.asked_at.get_or_insert(created_at);
        for answered in given.usable {
            origin.answers.retain(|known| !known.question.is_same(&answered.question));
            origin.answers.push(answered);
        }
        let permissions = planner.gate.permissions(caller).await?.and_draft_only(plan.draft_only);
        let understand =
            |origin: &Origin| planner.understand(&permissions, origin.request(created_at), origin.answer.clone());
        // What is left to look up once the answers are known.
        let draft = understand(&origin)?;
        let draft = if draft.actions.iter().any(|proposed| proposed.planned.is_unresolved()) {
            if draft.actions.iter().any(looks_up_people) {
                planner.approval.may_derive(caller)?;
            }
            let now = origin.request(created_at).now()?;
            let found = self.read(caller, id, &draft, &now).await?;
            origin.findings.extend(found);
            understand(&origin)?
        } else {
            draft
        };
        let (record, _) =
            planner.keep(caller, &permissions, origin, planner.clock.now(), draft, given.unusable).await?;
        Ok(planned(record.plan, record.origin.model, Usage::default()))
    }

    /// Reads what the lookups of a draft look for, each in the account of the action that refers to it.
    async fn read(
        &self,
        caller: &Caller,
        id: PlanId,
        draft: &Draft,
        now: &Zoned,
    ) -> Result<Vec<(LookupId, Finding)>, Problem> {
        let mut lookups: BTreeMap<Provider, Vec<&Lookup>> = BTreeMap::new();
        for lookup in &draft.lookups {
            let refers =
                |proposed: &&Proposed| proposed.lookups.contains(&lookup.id) && proposed.planned.is_unresolved();
            if let Some(Proposed { planned, .. }) = draft.actions.iter().find(refers) {
                lookups.entry(planned.provider).or_default().push(lookup);
            }
        }
        let mut found = Vec::new();
        for (provider, lookups) in lookups {
            let account = self.account(&caller.workspace, provider, &lookups).await?;
            let read = lookups.iter().map(|lookup| self.find(&caller.workspace, &account, &lookup.find, now));
            let findings = try_join_all(read).await?;
            self.audit(caller, id, provider, lookups.iter().zip(&findings)).await?;
            found.extend(lookups.into_iter().map(|lookup| lookup.id.clone()).zip(findings));
        }
        Ok(found)
    }

    /// One entry for each kind of lookup: how many there were, and how much was found. No names.
    async fn audit<'a>(
        &self,
        caller: &Caller,
        id: PlanId,
        provider: Provider,
        read: impl Iterator<Item = (&'a &'a Lookup, &'a Finding)>,
    ) -> Result<(), Problem> {
        let mut kinds: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
        for (lookup, finding) in read {
            let (lookups, found) = kinds.entry(lookup.find.kind().into()).or_default();
            (*lookups, *found) = (*lookups + 1, *found + finding.count());
        }
        for (kind, (lookups, found)) in kinds {
            let mut entry = self.planner.auditor.entry_of(caller, AuditEvent::AccountRead);
            (entry.plan_id, entry.provider) = (Some(id), Some(provider));
            entry.value = Some(format!("{kind}: {lookups} looked up, {found} found"));
            self.planner.auditor.write(&entry).await?;
        }
        Ok(())
    }

    /// The account to read, if it may be read for all of this.
    async fn account(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
        lookups: &[&Lookup],
    ) -> Result<Account, Problem> {
        let spec = self.planner.catalogue.provider(provider);
        let (finder, access) = match self.planner.accounts.ready(workspace, provider).await? {
            Connection::Sandbox(_) => (self.sandbox_finder.clone(), sandbox_access()),
            Connection::Live(access) => {
                let Some(finder) = self.finders.get(&provider) else {
                    let detail = format!("nothing can be looked up at {}", spec.name);
                    return Err(Problem::invalid("", detail));
                };
                let lacks = |lookup: &&&Lookup| !spec.grants(&access.scopes, finder.scopes(lookup.find.kind()));
                if let Some(lookup) = lookups.iter().find(lacks) {
                    let what = match lookup.find.kind() {
                        FindKind::Contact => "contacts",
                        FindKind::Event | FindKind::FreeTime => "the calendar",
                    };
                    return Err(reconnect(
                        ProblemCode::ReauthRequired,
                        provider,
                        format!("{} is connected without the permission to read {what}; connect it again", spec.name),
                    ));
                }
                (finder.clone(), access)
            }
            Connection::NeedsReauth(_) => return Err(not_accepted(spec)),
            Connection::None => {
                let detail = format!("{} is not connected; connect an account first", spec.name);
                return Err(reconnect(ProblemCode::ConnectionRequired, provider, detail));
            }
        };
        Ok(Account { provider: spec, finder, access })
    }

    async fn find(
        &self,
        workspace: &WorkspaceId,
        account: &Account,
        find: &Find,
        now: &Zoned,
    ) -> Result<Finding, Problem> {
        let zone = now.time_zone();
        let found = match account.find(&account.access, find, zone).await {
            Err(ProviderError::Unauthorized) => {
                let fresh = self.planner.accounts.refreshed(workspace, account.provider.id, &account.access).await?;
                let fresh = fresh.ok_or_else(|| not_accepted(account.provider))?;
                account.find(&fresh, find, zone).await
            }
            found => found,
        };
        let found = found.map_err(|error| problem_of(account.provider, error))?;
        // A free time begins from now on, whenever the plan was made.
        Ok(found.finding(find, zone, self.planner.clock.now()))
    }
}

/// What a finder told, before it is compared.
enum Found {
    People(Vec<FoundPerson>),
    Events(Vec<FoundEvent>),
    Busy(Vec<Span>),
}

impl Account {
    async fn find(&self, access: &Access, find: &Find, zone: &TimeZone) -> Result<Found, ProviderError> {
        let whole_day = |day: Date| {
            let begins = |day: Date| day.to_zoned(zone.clone()).map(|begins| begins.timestamp());
            let span = begins(day).and_then(|from| Ok(Span { from, to: begins(day.tomorrow()?)? }));
            span.map_err(|error| ProviderError::Rejected(error.to_string().as_str().into()))
        };
        Ok(match find {
            Find::Contact { name } => Found::People(self.finder.people(name, access).await?),
            Find::Event { day, .. } => Found::Events(self.finder.events(whole_day(*day)?, zone, access).await?),
            Find::FreeTime { day, .. } => Found::Busy(self.finder.busy(whole_day(*day)?, zone, access).await?),
        })
    }
}

impl Found {
    /// What of it may be meant.
    fn finding(self, find: &Find, zone: &TimeZone, now: Timestamp) -> Finding {
        match (self, find) {
            (Self::People(people), Find::Contact { name }) => people_named(name, people),
            (Self::Events(events), find) => events_of(find, events, zone),
            (Self::Busy(busy), find) => Finding::FreeTime { start: first_free(find, busy, zone, now) },
            (Self::People(_), _) => Finding::People { matches: Vec::new(), is_whole: false, more: 0 },
        }
    }
}

impl Finding {
    fn count(&self) -> usize {
        match self {
            Self::People { matches, more, .. } => matches.len() + more,
            Self::Events { matches, more } => matches.len() + more,
            Self::FreeTime { start } => usize::from(start.is_some()),
        }
    }
}

/// The people with this name as a whole; where there are none, those with a part of it. Each address comes once.
fn people_named(name: &str, found: Vec<FoundPerson>) -> Finding {
    let named = |person: FoundPerson| {
        let is_whole = is_same_name(name, &person.name);
        let (shown, address) = (plain(&person.name), bare(&person.address));
        let is_part = is_part_of_name(name, &person.name);
        is_part.then_some((is_whole, FoundPerson { name: shown, address, book: person.book }))
    };
    let mut people: Vec<(bool, FoundPerson)> = found.into_iter().filter_map(named).collect();
    let is_whole = people.iter().any(|(is_whole, _)| *is_whole);
    people.retain(|(whole, _)| *whole == is_whole);
    let order =
        |person: &FoundPerson| (person.address.addr_spec().to_ascii_lowercase(), person.book == Book::Directory);
    people.sort_by_cached_key(|(_, person)| order(person));
    people.dedup_by(|(_, next), (_, known)| next.address.same_but_for_case(&known.address));
    people.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    let more = people.len().saturating_sub(MOST_MATCHES);
    let matches = people.into_iter().take(MOST_MATCHES).map(|(_, person)| person).collect();
    Finding::People { matches, is_whole, more }
}

/// The account's own events at this time and with this title.
fn events_of(find: &Find, mut events: Vec<FoundEvent>, zone: &TimeZone) -> Finding {
    if let Find::Event { day, at, title } = find {
        events.retain(|event| {
            let begins = event.time.from.to_zoned(zone.clone());
            event.is_own
                && begins.date() == *day
                && at.is_none_or(|at| (begins.hour(), begins.minute()) == (at.0.hour(), at.0.minute()))
                && title.as_ref().is_none_or(|title| !places_of_name(title, &event.title).is_empty())
        });
    }
    events.sort_by(|one, other| (one.time.from, &one.title).cmp(&(other.time.from, &other.title)));
    events.dedup();
    let more = events.len().saturating_sub(MOST_MATCHES);
    events.truncate(MOST_MATCHES);
    Finding::Events { matches: events, more }
}

/// When the first time begins that is long enough, within the hours that are named, and not past.
fn first_free(find: &Find, mut busy: Vec<Span>, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let Find::FreeTime { day, minutes, from, to } = find else { return None };
    let at = |time: Time| Some(day.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp());
    let from = at(from.map_or(DAY.0, |from| from.0))?;
    // From `16:00` on, the day ends later.
    let to = at(to.map_or(DAY.1, |to| to.0))?.max(from + SignedDuration::from_mins(i64::from(*minutes)));
    let length = SignedDuration::from_mins(i64::from(*minutes));
    busy.sort_by_key(|span| span.from);
    let mut start = on_grid(from.max(now));
    for Span { from, to } in busy {
        if from.duration_since(start) >= length {
            break;
        }
        start = start.max(on_grid(to));
    }
    (start + length <= to).then_some(start)
}

/// The next quarter of an hour. Zones are whole quarters from UTC.
fn on_grid(at: Timestamp) -> Timestamp {
    let next = TimestampRound::new().smallest(Unit::Minute).increment(GRID).mode(RoundMode::Ceil);
    at.round(next).unwrap_or(at)
}

/// Whether an action is to reach people who are looked up.
fn looks_up_people(proposed: &Proposed) -> bool {
    let is_people = |value: &serde_json::Value| {
        matches!(Reference::read(value), Some(Ok(Reference { part: Part::Address | Part::Attendees, .. })))
    };
    let params = proposed.planned.params.as_object().into_iter().flat_map(|fields| fields.values());
    params.into_iter().any(|value| is_people(value) || value.as_array().is_some_and(|list| list.iter().any(is_people)))
}

fn planned(plan: Plan, model: String, usage: Usage) -> Planned {
    Planned { plan, model, duration: Duration::ZERO, usage, adjusted: Vec::new() }
}

fn reconnect(code: ProblemCode, provider: Provider, detail: String) -> Problem {
    Problem { connect: Some(provider), ..Problem::new(code, detail) }
}

fn not_accepted(provider: &ProviderSpec) -> Problem {
    let detail = format!("{} requires the account's owner to consent again", provider.name);
    reconnect(ProblemCode::ReauthRequired, provider.id, detail)
}

/// What a caller is told when an account cannot be read. Nothing was changed there.
fn problem_of(provider: &ProviderSpec, error: ProviderError) -> Problem {
    match error {
        ProviderError::Unauthorized => not_accepted(provider),
        ProviderError::Forbidden(_) => {
            let name = provider.name;
            let detail =
                format!("{name} lacks a permission to be read; connect the account again, with every box checked");
            reconnect(ProblemCode::ReauthRequired, provider.id, detail)
        }
        ProviderError::RateLimited(retry_after) => {
            Problem { retry_after, ..Problem::new(ProblemCode::ProviderUnavailable, error.to_string()) }
        }
        error => {
            let is_final =
                matches!(error, ProviderError::Rejected(_) | ProviderError::Account(_) | ProviderError::Setup(_));
            Problem { is_final, ..Problem::new(ProblemCode::ProviderUnavailable, error.to_string()) }
        }
    }
}
