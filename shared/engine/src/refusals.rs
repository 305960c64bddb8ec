//! Refused callers: each is counted and logged, and audited if its key is known.

use std::{
    mem,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use domain::{AuditBy, AuditEntry, AuditEvent, KeyId, Rule, Scope, WorkspaceId};
use jiff::Timestamp;
use telemetry::{labels::AuthFailure, names::AUTH_FAILURES};

use crate::{
    Caller, Problem, ProblemCode,
    audit::Auditor,
    keys::unauthenticated,
    ports::{Clock, LedgerError},
    recent::Recent,
};

/// The most lines in the log of one minute. The first line after it says how many more refusals there were.
const LINES_A_MINUTE: u32 = 600;

/// Why a request has no caller.
#[derive(Debug)]
pub struct Refusal {
    /// The answer.
    pub problem: Problem,
    /// What is wrong with the credential; none if something else went wrong.
    pub failure: Option<AuthFailure>,
    /// The id of the key, if it is one.
    pub key: Option<KeyId>,
    /// The workspace of the key, if there is such a key.
    pub workspace: Option<WorkspaceId>,
}

impl Refusal {
    /// A refusal with this answer.
    pub fn of(failure: AuthFailure, problem: Problem) -> Box<Self> {
        Box::new(Self { problem, failure: Some(failure), key: None, workspace: None })
    }

    /// The refusal of a credential: the answer is the same whatever is wrong with it.
    pub(crate) fn of_credential(failure: AuthFailure) -> Box<Self> {
        Self::of(failure, unauthenticated())
    }

    /// The refusal of a key that was revoked a moment ago.
    pub fn of_revoked(key: KeyId, workspace: WorkspaceId) -> Box<Self> {
        let refusal = Self::of_credential(AuthFailure::Revoked);
        Box::new(Self { key: Some(key), workspace: Some(workspace), ..*refusal })
    }

    /// The refusal of a key that has ended, which only its owner is told.
    pub(crate) fn of_expired(end: Timestamp) -> Box<Self> {
        let detail = format!("this API key expired at {end}; ask the operator for a new one");
        Self::of(AuthFailure::Expired, Problem::new(ProblemCode::Unauthenticated, detail))
    }
}

impl From<Problem> for Box<Refusal> {
    fn from(problem: Problem) -> Self {
        Self::new(Refusal { problem, failure: None, key: None, workspace: None })
    }
}

impl From<LedgerError> for Box<Refusal> {
    fn from(error: LedgerError) -> Self {
        Problem::from(error).into()
    }
}

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The pattern of its path.
    pub route: &'a str,
    /// The address of the caller, if it is known.
    pub address: Option<IpAddr>,
}

/// Records refused callers.
pub struct Refusals {
    auditor: Arc<Auditor>,
    clock: Arc<dyn Clock>,
    lines: Mutex<Lines>,
    /// What was audited within the last minute: a guesser of secrets cannot fill the audit.
    audited: Recent<(KeyId, AuthFailure), ()>,
}

/// The lines in the log of one minute.
#[derive(Default)]
struct Lines {
    minute: i64,
    written: u32,
    left_out: u64,
}

impl Refusals {
    pub(crate) fn new(auditor: Arc<Auditor>, clock: Arc<dyn Clock>) -> Self {
        Self { auditor, clock, lines: Mutex::default(), audited: Recent::default() }
    }

    /// Records a refused credential, and gives the answer.
    pub async fn record(&self, refusal: Refusal, origin: Origin<'_>) -> Problem {
        let Refusal { problem, failure: Some(failure), key, workspace } = refusal else { return refusal.problem };
        self.note(failure, key.as_ref(), origin);
        if let (Some(key), Some(workspace)) = (key, workspace) {
            self.audit(failure, key, workspace, problem.code).await;
        }
        problem
    }

    /// Records that a caller lacks a scope, and gives the answer.
    pub async fn record_scope(&self, caller: &Caller, scope: Scope, origin: Origin<'_>) -> Problem {
        self.note(AuthFailure::Scope, caller.key_id.as_ref(), origin);
        let detail = format!("the credential lacks the scope {scope}");
        let refused = Err::<(), _>(Problem::new(ProblemCode::ForbiddenScope, detail).by_rule(Rule::Key));
        let audited = self.auditor.audited(caller, AuditEvent::RequestRefused, refused).await;
        audited.expect_err("it was an error before")
    }

    async fn audit(&self, failure: AuthFailure, key: KeyId, workspace: WorkspaceId, code: ProblemCode) {
        let (place, now) = ((key.clone(), failure), self.clock.now());
        if self.audited.recall(&place, now).is_some() {
            return;
        }
        self.audited.remember(place, (), now);
        let entry = AuditEntry {
            key_id: Some(key),
            rules: vec![Rule::Key],
            code: Some(code.as_str().to_owned()),
            value: Some(<&str>::from(failure).to_owned()),
            ..self.auditor.entry(Some(workspace), AuditEvent::RequestRefused, AuditBy::Key)
        };
        if let Err(error) = self.auditor.write(&entry).await {
            tracing::error!(%error, "a refused credential is missing in the audit");
        }
    }

    fn note(&self, failure: AuthFailure, key: Option<&KeyId>, Origin { route, address }: Origin<'_>) {
        let reason = failure.into();
        AUTH_FAILURES.count(&[reason]);
        let minute = self.clock.now().as_second() / 60;
        let line = self.lines.lock().unwrap_or_else(PoisonError::into_inner).next(minute);
        if let Some(left_out) = line {
            if left_out > 0 {
                tracing::warn!(auth.left_out = left_out, "more callers were refused than there are lines for");
            }
            tracing::warn!(
                auth.reason = reason,
                key.id = key.map(KeyId::as_str),
                http.route = route,
                client.address = address.map(tracing::field::display),
                "a caller was refused"
            );
        }
    }
}

impl Lines {
    /// How many lines were left out before this one; none if this one has to be left out, too.
    fn next(&mut self, minute: i64) -> Option<u64> {
        if self.minute != minute {
            (self.minute, self.written) = (minute, 0);
        }
        if self.written == LINES_A_MINUTE {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_fills_no_log_and_its_size_is_told() {
        let mut lines = Lines::default();
        let written = (0..100_000).filter(|_| lines.next(7).is_some()).count();
        assert_eq!(written, LINES_A_MINUTE as usize);
        assert_eq!(lines.next(8), Some(100_000 - u64::from(LINES_A_MINUTE)), "the next minute tells of them");
        assert_eq!(lines.next(8), Some(0), "once");
        assert!((0..LINES_A_MINUTE).filter(|_| lines.next(8).is_some()).count() == LINES_A_MINUTE as usize - 2);
        assert!(lines.next(7).is_some(), "a clock that is set back starts another minute");
    }
}
