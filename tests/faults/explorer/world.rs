//! The world that the engine works in: one ledger, cache, queue, provider and clock, all in memory,
//! all in the hands of the scheduler. Each port call stops where it could be cut off.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use domain::{Job, JobErrorCode, JobId, State as JobState};
use engine::ports::{Contents, Save};
use jiff::{SignedDuration, Timestamp};

/// As long as a worker holds a job.
pub const LEASE: SignedDuration = SignedDuration::from_secs(45);
/// As long as a message stays unseen; longer than a lease.
pub const VISIBILITY: Duration = Duration::from_mins(1);
/// As long as a request to the provider may take.
pub const PROVIDER_TIMEOUT: Duration = Duration::from_secs(15);
/// What a send wants beside it, to be written down.
const MARGIN: SignedDuration = SignedDuration::from_secs(3);

/// So many twists never use up a job's tries.
pub const MISHAPS: u32 = 4;

/// How the account sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setup {
    /// By drafts, which a send deletes.
    GmailDrafts,
    /// By drafts, which a send turns into mails that cannot be sent again.
    GraphDrafts,
    /// In one request, which leaves no trace.
    SendOnly,
    /// In one request under our id, which the provider takes once.
    Changes,
    /// In one request under our id, of which the provider makes nothing more the second time, and does not say so.
    SilentChanges,
    /// Into the outbox.
    Sandbox,
    /// Not at all: the job ends with its draft.
    DraftOnly,
    /// By drafts, once a person has approved it.
    HeldDrafts,
    /// In one request, once a person has approved it.
    HeldSend,
    /// In one request under our id, once a person has approved it.
    HeldChanges,
    /// By drafts, at a time that is too far away for the queue.
    LaterDrafts,
    /// In one request, some minutes later.
    LaterSend,
}

impl Setup {
    pub const ALL: [Self; 12] = [
        Self::GmailDrafts,
        Self::GraphDrafts,
        Self::SendOnly,
        Self::Changes,
        Self::SilentChanges,
        Self::Sandbox,
        Self::DraftOnly,
        Self::HeldDrafts,
        Self::HeldSend,
        Self::HeldChanges,
        Self::LaterDrafts,
        Self::LaterSend,
    ];

    pub fn by_draft(self) -> bool {
        let drafts = [Self::GmailDrafts, Self::GraphDrafts, Self::DraftOnly, Self::HeldDrafts, Self::LaterDrafts];
        drafts.contains(&self)
    }

    pub fn changes(self) -> bool {
        matches!(self, Self::Changes | Self::SilentChanges | Self::HeldChanges)
    }

    /// Sends reach people.
    fn sends(self) -> bool {
        self != Self::Sandbox && !self.changes()
    }

    /// A person has to approve the job.
    pub fn held(self) -> bool {
        matches!(self, Self::HeldDrafts | Self::HeldSend | Self::HeldChanges)
    }

    /// The time that the client asks for, if it does.
    pub fn send_at(self) -> Option<Timestamp> {
        let minutes = match self {
            Self::LaterDrafts => 40,
            Self::LaterSend => 5,
            _ => return None,
        };
        Some(begins_at() + SignedDuration::from_mins(minutes))
    }

    /// The provider itself tells whether a call whose answer was lost took effect.
    fn can_tell(self) -> bool {
        self.by_draft() || self.changes()
    }
}

/// When every schedule begins.
fn begins_at() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time in this century")
}

/// A guard taken out, to see that the explorer notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    None,
    /// The ledger writes over any version.
    BlindSave,
    /// The ledger forgets that a send was about to begin.
    NoSendingMark,
    /// The ledger forgets the draft.
    NoEvidence,
    /// Claims do not last.
    NoLease,
    /// The provider sends a draft as often as it is asked to.
    ImmortalDrafts,
    /// The provider ignores the id that a change is made under.
    NoChangeId,
    /// Nobody looks for jobs whose message was lost.
    NoSweeper,
    /// The ledger forgets that a job is to end with its draft.
    NoDraftOnly,
    /// The ledger forgets that a job is held.
    NoHold,
    /// The ledger forgets until when a job waits.
    NoNotBefore,
}

impl Sabotage {
    /// What the ledger keeps of a job.
    pub fn kept(self, mut job: Job) -> Job {
        match self {
            Self::NoSendingMark if job.state == JobState::Sending => {
                job.state = if job.evidence.is_some() { JobState::Prepared } else { JobState::Claimed };
            }
            Self::NoEvidence => job.evidence = None,
            Self::NoLease => job.lease = None,
            Self::NoDraftOnly => job.draft_only = false,
            Self::NoHold if job.is_held() => (job.state, job.not_before) = (JobState::Queued, None),
            Self::NoNotBefore => job.not_before = None,
            _ => {}
        }
        job
    }
}

/// A port call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Site {
    Jobs,
    Insert,
    Save,
    Contents,
    Overdue,
    Rollout,
    Outbox,
    ClaimKeys,
    PutJobs,
    Enqueue,
    Acknowledge,
    Connection,
    Refresh,
    Seal,
    Open,
    Sleep,
    Prepare,
    Perform,
    Compare,
}

/// What a call does at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effective {
    /// Sends.
    Send,
    /// Sends this draft.
    Draft(String),
    /// Makes the change of this id.
    Change(String),
}

/// Whether a call has taken effect. A call that changes nothing stops only after it: before it is
/// the same as after the call before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Before,
    After,
}

/// Where a task stands.
pub type Point = (Site, Phase);

/// What may happen at a point, other than that all goes well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Twist {
    /// The process dies.
    Crash,
    /// The process stands still until its lease is over and others are done, and then goes on.
    Freeze,
    /// Half a minute passes: the lease still holds, but there is no time for a send.
    Slow,
    /// The message, or the client's request, comes a second time, now.
    Overlap,
    /// The sweeper runs, now.
    Sweep,
    /// Another process goes on first; one that stands still wakes.
    Switch,
    /// The cache loses everything.
    Flush,
    /// The call fails: before it took effect, or after it.
    Fault,
    /// The queue loses the message and says nothing.
    Lost,
    /// The provider wants to be left alone for a while.
    RateLimited,
    /// The provider does not take the token.
    Unauthorized,
    /// The provider wants a permission that the token lacks.
    Forbidden,
    /// The request times out and takes effect half a minute later.
    Late,
    /// There is no newer token.
    NoToken,
    /// The account was connected anew, without the draft scopes; and again with them, once a job waits for that.
    Downgrade,
    /// The rollout gate says no.
    GateShut,
    /// A person deletes the draft.
    DraftDeleted,
    /// A person deletes what a change has made.
    ChangeDeleted,
    /// The workspace's sends are to end with their drafts from now on.
    DraftOnly,
    /// A person approves the job, now.
    Approve,
    /// A person rejects it, now.
    Reject,
    /// Its caller cancels it, now.
    Cancel,
    /// Time passes until nobody may approve it any more.
    Expire,
}

impl Twist {
    pub const ALL: [Self; 23] = [
        Self::Crash,
        Self::Freeze,
        Self::Slow,
        Self::Overlap,
        Self::Sweep,
        Self::Switch,
        Self::Flush,
        Self::Fault,
        Self::Lost,
        Self::RateLimited,
        Self::Unauthorized,
        Self::Forbidden,
        Self::Late,
        Self::NoToken,
        Self::Downgrade,
        Self::GateShut,
        Self::DraftDeleted,
        Self::ChangeDeleted,
        Self::DraftOnly,
        Self::Approve,
        Self::Reject,
        Self::Cancel,
        Self::Expire,
    ];

    pub fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// Who runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Client,
    Worker,
    Sweeper,
    Retry,
    Approve,
    Reject,
    Cancel,
}

/// What the world knows of a task.
pub struct Task {
    pub kind: Kind,
    pub at: Option<Point>,
    pub order: Option<Twist>,
    pub alive: bool,
    pub frozen: bool,
    /// When its lease ends.
    pub deadline: Timestamp,
    /// The fence of its claim.
    pub fence: u64,
    /// It has marked a send as begun, and written nothing since.
    pub sending: bool,
}

pub struct Message {
    pub number: u64,
    pub body: String,
    pub visible_at: Timestamp,
    pub receives: u32,
}

/// Everything, behind one lock that nobody ever waits for.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, not a state of one machine")]
pub struct State {
    pub setup: Setup,
    pub sabotage: Sabotage,
    pub now: Timestamp,
    pub tasks: Vec<Task>,
    pub current: usize,
    pub jobs: BTreeMap<JobId, Job>,
    pub contents: BTreeMap<JobId, Contents>,
    pub keys: BTreeSet<JobId>,
    pub messages: Vec<Message>,
    pub drafts: BTreeSet<String>,
    /// The ids of changes that were made.
    pub changes: BTreeSet<String>,
    /// A person has deleted what was made.
    pub change_deleted: bool,
    /// Calls that timed out and have not taken effect yet.
    pub late: Vec<(Timestamp, Effective)>,
    pub outbox: BTreeSet<JobId>,
    pub delivered: u32,
    pub numbers: u64,
    /// The job that the client was told of.
    pub answered: Option<JobId>,
    /// The client asked again and was refused, since what it asked for is not allowed any more.
    pub turned_away: bool,
    /// Between a send's begin and its record something went wrong.
    pub excuse: bool,
    /// Something said no for good, the account lost its draft scopes before a draft was made, or all tries are used up.
    pub refused: bool,
    mishaps: u32,
    pub downgraded: bool,
    pub draft_deleted: bool,
    pub gate_shut: bool,
    /// The first claim that finds the workspace draft-only.
    pub draft_only_since: Option<u64>,
    /// A person has approved the job since it was held last.
    pub approved: bool,
    /// How often it was decided since then.
    decisions: u32,
    /// Nobody approved it in time, once.
    pub expired: bool,
    pub violation: Option<String>,
}

fn is_for_its_account(job: &Job) -> bool {
    let code = job.error.as_ref().map(|error| error.code);
    matches!(code, Some(JobErrorCode::ReauthRequired | JobErrorCode::ConnectionRequired))
}

#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

impl World {
    pub fn new(setup: Setup, sabotage: Sabotage) -> Self {
        Self(Arc::new(Mutex::new(State {
            setup,
            sabotage,
            now: begins_at(),
            tasks: Vec::new(),
            current: 0,
            jobs: BTreeMap::new(),
            contents: BTreeMap::new(),
            keys: BTreeSet::new(),
            messages: Vec::new(),
            drafts: BTreeSet::new(),
            changes: BTreeSet::new(),
            change_deleted: false,
            late: Vec::new(),
            outbox: BTreeSet::new(),
            delivered: 0,
            numbers: 0,
            answered: None,
            turned_away: false,
            excuse: false,
            refused: false,
            mishaps: 0,
            downgraded: false,
            draft_deleted: false,
            gate_shut: false,
            draft_only_since: (setup == Setup::DraftOnly).then_some(0),
            approved: false,
            decisions: 0,
            expired: false,
            violation: None,
        })))
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no task panics with the lock in its hands")
    }

    /// A call that changes nothing.
    pub async fn read<T>(&self, site: Site, effect: impl FnOnce(&mut State) -> T) -> Result<T, Twist> {
        let value = effect(&mut self.lock());
        match self.stop(site, Phase::After).await {
            None => Ok(value),
            Some(twist) => Err(twist),
        }
    }

    /// A call that changes something: it may fail before, or its answer may be lost after.
    pub async fn write<T>(&self, site: Site, effect: impl FnOnce(&mut State) -> T) -> Result<T, (Phase, Twist)> {
        if let Some(twist) = self.stop(site, Phase::Before).await {
            return Err((Phase::Before, twist));
        }
        let value = effect(&mut self.lock());
        match self.stop(site, Phase::After).await {
            None => Ok(value),
            Some(twist) => Err((Phase::After, twist)),
        }
    }

    /// Stops here until the scheduler lets the task go on, perhaps with a twist for the call.
    fn stop(&self, site: Site, phase: Phase) -> Stop<'_> {
        Stop { world: self, point: (site, phase), stopped: false }
    }
}

struct Stop<'a> {
    world: &'a World,
    point: Point,
    stopped: bool,
}

impl Future for Stop<'_> {
    type Output = Option<Twist>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Twist>> {
        // Several calls may be under way at once, of which only those that are woken are polled again.
        context.waker().wake_by_ref();
        let mut state = self.world.lock();
        let current = state.current;
        let task = &mut state.tasks[current];
        let ready = self.stopped;
        task.at = (!ready).then_some(self.point);
        let order = task.order.take();
        drop(state);
        self.stopped = true;
        if ready { Poll::Ready(order) } else { Poll::Pending }
    }
}

impl State {
    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// The one job there is, once there is one.
    pub fn job(&self) -> Option<&Job> {
        self.jobs.values().next()
    }

    pub fn spawn(&mut self, kind: Kind) -> usize {
        let deadline = self.now + LEASE;
        let task = Task { kind, at: None, order: None, alive: true, frozen: false, deadline, fence: 0, sending: false };
        self.tasks.push(task);
        self.tasks.len() - 1
    }

    pub fn violate(&mut self, what: impl Into<String>) {
        self.violation.get_or_insert(what.into());
    }

    /// Time goes on, and what was on its way arrives.
    pub fn pass(&mut self, until: Timestamp) {
        self.now = self.now.max(until);
        let now = self.now;
        self.excuse |= self.tasks.iter().any(|task| task.alive && task.sending && task.deadline <= now);
        let (due, late) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now);
        self.late = late;
        let due: Vec<(Timestamp, Effective)> = due;
        for (_, what) in due {
            self.take_effect(&what);
        }
    }

    /// The provider does it; not if the draft is gone, or the id is taken.
    pub fn take_effect(&mut self, what: &Effective) -> bool {
        let does = match what {
            Effective::Send => true,
            Effective::Draft(draft) if self.sabotage == Sabotage::ImmortalDrafts => self.drafts.contains(draft),
            Effective::Draft(draft) => self.drafts.remove(draft),
            Effective::Change(id) => self.changes.insert(id.clone()) || self.sabotage == Sabotage::NoChangeId,
        };
        if does {
            self.delivered += 1;
            if self.delivered > 1 {
                self.violate("the action took effect twice");
            }
            // An entry of the outbox is written once, and nobody receives it: there a late one does no harm.
            if self.setup != Setup::Sandbox && self.job().is_some_and(|job| job.state == JobState::Failed) {
                self.violate("the action of a failed job took effect");
            }
        }
        does
    }

    /// A call begins: only in time, and only by the latest claim.
    pub fn begin_call(&mut self) {
        self.reach();
        let Task { deadline, fence, .. } = self.tasks[self.current];
        let needs = SignedDuration::try_from(PROVIDER_TIMEOUT).expect("seconds fit") + MARGIN;
        if self.now + needs > deadline {
            self.violate("a call was begun with too little time left");
        }
        if self.job().is_some_and(|job| job.fence != fence) {
            self.violate("a stale fence reached the provider");
        }
        if self.setup.sends() && self.draft_only_since.is_some_and(|since| since <= fence) {
            self.violate("a draft-only job was sent");
        }
    }

    pub fn save(&mut self, job: &Job) -> Save {
        let Some(there) = self.jobs.get(&job.job_id) else { return Save::Stale };
        if there.revision + 1 != job.revision && self.sabotage != Sabotage::BlindSave {
            return if there == job { Save::Done } else { Save::Stale };
        }
        let there = there.clone();
        self.check_decision(&there, job);
        self.check_written(job);
        let task = &mut self.tasks[self.current];
        task.fence = task.fence.max(job.fence);
        task.sending = job.state == JobState::Sending;
        self.jobs.insert(job.job_id, self.sabotage.kept(job.clone()));
        Save::Done
    }

    /// One decision for each time that the job is held, by one who decides, and with its entry in the audit.
    fn check_decision(&mut self, before: &Job, after: &Job) {
        let kind = self.tasks[self.current].kind;
        let decides = matches!(kind, Kind::Approve | Kind::Reject);
        let is_audited = after.audit().is_some_and(|entry| entry.event.is_decision());
        if decides != is_audited {
            self.violate("a decision without its entry in the audit, or an entry without a decision");
        }
        if decides && (!before.is_held() || after.is_held()) {
            self.violate("a job was decided that was not held");
        }
        if decides {
            self.decisions += 1;
            self.approved = kind == Kind::Approve;
        }
        if after.is_held() && !before.is_held() {
            (self.decisions, self.approved) = (0, false);
        }
        if self.decisions > 1 {
            self.violate("a job was decided twice");
        }
    }

    /// The job reaches the provider: not before it is approved, nor before its time.
    pub fn reach(&mut self) {
        if self.setup.held() && !self.approved {
            self.violate("a held job reached the provider");
        }
        if self.setup.send_at().is_some_and(|then| self.now < then) {
            self.violate("an early job reached the provider");
        }
    }

    fn check_written(&mut self, job: &Job) {
        let is_presumed = job.result.as_ref().is_some_and(|result| result["presumed"] == true);
        let is_draft = job.draft_only && self.setup.sends();
        match job.state {
            JobState::Completed if is_draft && self.delivered > 0 => {
                self.violate("a job ended with its draft whose draft was sent");
            }
            JobState::Completed if is_draft && self.drafts.is_empty() && !self.draft_deleted => {
                self.violate("a job ended with a draft that is not there");
            }
            JobState::Completed if is_draft => {}
            JobState::Unknown if self.setup == Setup::DraftOnly => {
                self.violate("an outcome is unknown, though nothing was to be sent");
            }
            JobState::Completed if self.delivered == 0 && !(self.draft_deleted && is_presumed) => {
                self.violate("a job was completed whose action did not take effect");
            }
            JobState::Failed if self.delivered > 0 && self.setup != Setup::Sandbox => {
                self.violate("a job failed whose action took effect");
            }
            JobState::Failed if job.evidence.is_some() && !self.refused && is_for_its_account(job) => {
                self.violate("a job whose draft is known ended for its account");
            }
            JobState::Unknown if !self.excuse => {
                self.violate("an outcome is unknown, though nothing came between a call and its record");
            }
            JobState::Unknown if self.setup.can_tell() && !self.refused => {
                self.violate("an outcome is unknown, though the provider could tell");
            }
            JobState::Unknown if self.setup == Setup::Sandbox => self.violate("the outbox knows no unknown outcome"),
            _ => {}
        }
    }

    /// What may happen to the current task, as a set of bits.
    pub fn twists(&self) -> u32 {
        use Twist::{
            Approve, Cancel, ChangeDeleted, Crash, Downgrade, DraftDeleted, DraftOnly, Expire, Fault, Flush, Forbidden,
            Freeze, GateShut, Late, Lost, NoToken, Overlap, RateLimited, Reject, Slow, Sweep, Switch, Unauthorized,
        };
        let task = &self.tasks[self.current];
        let Some((site, phase)) = task.at else { return 0 };
        let mut set = Crash.bit() | Freeze.bit() | Slow.bit();
        let alive = self.tasks.iter().filter(|task| task.alive).count();
        let mut add = |twist: Twist, possible: bool| set |= if possible { twist.bit() } else { 0 };
        add(Fault, site != Site::Sleep);
        add(Overlap, alive < 3 && (task.kind == Kind::Client || !self.messages.is_empty()));
        add(Sweep, alive < 3 && task.kind != Kind::Sweeper);
        add(Switch, alive > 1);
        add(Flush, !self.keys.is_empty());
        add(Lost, (site, phase) == (Site::Enqueue, Phase::Before));
        let can_downgrade = self.setup.by_draft() && !self.downgraded;
        let provider = matches!(site, Site::Prepare | Site::Perform) && phase == Phase::Before || site == Site::Compare;
        for twist in [RateLimited, Unauthorized, Forbidden] {
            add(twist, provider);
        }
        add(Late, provider && site == Site::Perform);
        add(NoToken, site == Site::Refresh);
        add(Downgrade, site == Site::Connection && task.kind == Kind::Worker && can_downgrade);
        add(GateShut, site == Site::Rollout && task.kind == Kind::Worker && !self.gate_shut);
        let is_prepared = self.job().is_some_and(|job| job.state == JobState::Prepared);
        add(DraftDeleted, is_prepared && !self.drafts.is_empty() && !self.draft_deleted);
        let is_asked = matches!(site, Site::Connection | Site::Perform | Site::Compare);
        add(ChangeDeleted, is_asked && !self.changes.is_empty() && !self.change_deleted);
        let is_held = self.job().is_some_and(Job::is_held);
        for twist in [Approve, Reject] {
            add(twist, is_held && alive < 3);
        }
        add(Expire, is_held && !self.expired);
        let waits = self.setup.held() || self.setup.send_at().is_some();
        let is_pending = self.job().is_some_and(|job| job.state.status() == domain::JobStatus::Pending);
        add(Cancel, waits && is_pending && alive < 3);
        add(DraftOnly, site == Site::Open && task.kind == Kind::Worker && self.draft_only_since.is_none());
        set
    }

    /// Keeps in mind what a twist excuses.
    pub fn note(&mut self, twist: Twist) {
        let task = &self.tasks[self.current];
        let at_record = matches!(task.at, Some((Site::Save, _) | (Site::Perform, Phase::After)));
        let disturbs = match twist {
            Twist::Crash | Twist::Late => true,
            Twist::Fault => at_record,
            // The lease ended, so another worker may take the job over before this one writes what it did, or did not do.
            Twist::Overlap | Twist::Switch => at_record && self.job().is_some_and(|job| lease_has_ended(job, self.now)),
            _ => false,
        };
        self.excuse |= disturbs && task.sending;
        self.mishaps += 1;
        // Without its draft scopes an account sends in one request, unless a draft is made already: that one waits.
        let undrafted = self.job().is_none_or(|job| job.evidence.is_none());
        self.refused |= matches!(twist, Twist::GateShut | Twist::DraftOnly) || twist == Twist::Downgrade && undrafted;
        self.refused |= self.mishaps > MISHAPS;
    }
}

fn lease_has_ended(job: &Job, now: Timestamp) -> bool {
    job.lease.as_ref().is_some_and(|lease| lease.until <= now)
}
