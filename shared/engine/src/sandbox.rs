//! The made-up account of sandbox mode, as people see it.

use std::sync::Arc;

use jiff::{SignedDuration, Zoned, tz::TimeZone};

use crate::{
    Problem, ProblemCode,
    accounts::sandbox_access,
    ports::{Clock, Finder, FoundEvent, FoundPerson, ProviderError, Span},
};

/// How far ahead its calendar is shown.
const AHEAD: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Shows what lookups find in sandbox mode.
pub struct Sandbox {
    pub(crate) finder: Arc<dyn Finder>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Sandbox {
    /// Everybody in its address book, and the events of its calendar from today on, by the days of this time zone.
    pub async fn show(&self, time_zone: &str) -> Result<(Vec<FoundPerson>, Vec<FoundEvent>), Problem> {
        let zone = TimeZone::get(time_zone)
            .map_err(|_| Problem::invalid("/timezone", "must be an IANA time zone, such as Europe/Berlin"))?;
        let now = self.clock.now().to_zoned(zone.clone());
        let from = now.start_of_day().as_ref().map_or(now.timestamp(), Zoned::timestamp);
        let time = Span { from, to: from.checked_add(AHEAD).unwrap_or(from) };
        let access = sandbox_access();
        let failed = |error: ProviderError| Problem::new(ProblemCode::ProviderUnavailable, error.to_string());
        let people = self.finder.people("", &access).await.map_err(failed)?;
        let events = self.finder.events(time, &zone, &access).await.map_err(failed)?;
        Ok((people, events))
    }
}
