//! The chains of a list: each entry has the hash of the entry before it, so that a change of the record shows.
//!
//! A list has one chain where one store serializes all writes, and [`CHAINS`] chains where several processes write at
//! once: each write takes the next chain in turn, so that two writes seldom meet at one head. The head of a chain, its
//! last entry, is a record of its own. The transaction that adds an entry writes the head over the one it was read at,
//! so a chain never forks, whoever writes.
//!
//! The text of an entry ends with its [`AuditLink`]; the hash is that of the text without the hash.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use domain::{
    AuditEntry, AuditHead, AuditLink, AuditVerdict, Tampered, Tampering, WorkspaceId, audit_expires_at, sha256_hex,
};
use engine::ports::LedgerError;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{END, Found, If, Key, List, Record, Records, audit_list, json, key, place, read};

/// How many chains a list has where several processes write.
pub(crate) const CHAINS: u8 = 16;
/// The list of all heads.
const HEADS: &str = "CHAINS";
/// How many entries a walk keeps in mind until their turn comes.
const MOST_AHEAD: usize = 10_000;
/// How many entries a walk reads at once.
const AT_ONCE: usize = 100;
/// How long after the first chain an older version of the program may still write entries without a link.
const UPGRADE: SignedDuration = SignedDuration::from_hours(1);

/// The head of a chain: its last entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    sequence: u64,
    place: String,
    hash: String,
}

impl Head {
    /// The head in a record.
    pub(crate) fn read(found: Option<&Found>) -> Result<Option<Self>, LedgerError> {
        found.map(read).transpose()
    }

    /// Whether its entry is still kept.
    fn is_kept(&self, now: Timestamp) -> bool {
        time(&self.place).is_none_or(|at| audit_expires_at(at) > now)
    }
}

/// Heads, by the name of their list; none where a chain has not begun.
pub(crate) type Heads = BTreeMap<String, Option<Head>>;

pub(crate) fn head_key(list: &str, chain: u8) -> Key {
    key(format!("CHAIN#{list}#{chain}"), "CHAIN")
}

/// The text of an entry with its link to the head of a chain, and itself as the head.
pub(crate) fn link(entry: &Record, chain: u8, previous: Option<&Head>) -> (String, Head) {
    let sequence = previous.map_or(1, |previous| previous.sequence + 1);
    let fields = entry.body.strip_suffix('}').unwrap_or(&entry.body);
    let before = previous.map(|Head { place, hash, .. }| format!(r#","previous":"{place}","previous_hash":"{hash}""#));
    let text = format!(r#"{fields},"chain":{chain},"sequence":{sequence}{}"#, before.unwrap_or_default());
    let hash = hash(&text);
    let place = entry.list.as_ref().map(|(_, place)| place.clone()).unwrap_or_default();
    (format!(r#"{text},"hash":"{hash}"}}"#), Head { sequence, place, hash })
}

/// The records of the heads that were moved, each with its precondition, in the order of the names of their lists.
pub(crate) fn moved(from: &Heads, to: &Heads, chain: u8) -> Result<Vec<(Record, If)>, LedgerError> {
    let mut records = Vec::new();
    for (name, head) in to {
        let before = from.get(name).and_then(Option::as_ref);
        let Some(head) = head.as_ref().filter(|head| Some(*head) != before) else { continue };
        let mut record = Record::new(head_key(name, chain), json(head)?);
        record.version = Some(head.sequence.to_string());
        record.list = Some((List { name: HEADS.to_owned(), status: None }, format!("{name}#{chain}")));
        records.push((record, before.map_or(If::Absent, |before| If::Version(before.sequence.to_string()))));
    }
    Ok(records)
}

/// The hash of an entry whose text lacks its hash and its last brace.
fn hash(text: &str) -> String {
    sha256_hex(format!("{text}}}").as_bytes())
}

/// The heads of every list, without those whose entries are not kept any more.
pub(super) async fn heads<R: Records>(records: &R, now: Timestamp) -> Result<Vec<AuditHead>, LedgerError> {
    let list = List { name: HEADS.to_owned(), status: None };
    let mut all: BTreeMap<Option<WorkspaceId>, AuditHead> = BTreeMap::new();
    for found in records.list(list, END.to_owned(), usize::MAX).await? {
        let head: Head = read(&found)?;
        // Another list, of a later version.
        let Some((list, chain)) = found.place.as_deref().and_then(|place| place.rsplit_once('#')) else { continue };
        let Some(name) = list.strip_prefix("AUDIT#") else { continue };
        let workspace_id = if name.is_empty() { None } else { name.parse().ok() };
        let Ok(chain) = chain.parse() else { continue };
        let of_list = AuditHead { workspace_id: workspace_id.clone(), chains: BTreeMap::new() };
        let of_list = all.entry(workspace_id).or_insert(of_list);
        if head.is_kept(now) {
            of_list.chains.insert(chain, (head.sequence, head.hash));
        }
    }
    Ok(all.into_values().collect())
}

/// Walks through a workspace's audit from its newest entry to its oldest.
pub(super) async fn verify<R: Records>(
    records: &R,
    workspace: Option<&WorkspaceId>,
    logged: Option<&AuditHead>,
    now: Timestamp,
) -> Result<AuditVerdict, LedgerError> {
    let list = audit_list(workspace);
    let read_heads = async || {
        let found = records.get((0..CHAINS).map(|chain| head_key(&list.name, chain)).collect(), None).await?;
        let head = |found: &Option<Found>| found.as_ref().map(read::<Head>).transpose();
        (0..CHAINS).zip(&found).map(|(chain, found)| Ok((chain, head(found)?))).collect::<Result<Vec<_>, LedgerError>>()
    };
    let mut walk = Walk::new(read_heads().await?, logged, now);
    let mut before = END.to_owned();
    loop {
        let page = records.list(list.clone(), before, AT_ONCE).await?;
        for found in &page {
            walk.see(found);
        }
        match page.last().and_then(|last| last.place.clone()) {
            Some(place) => before = place,
            None => break,
        }
    }
    // What was written meanwhile is behind heads that are newer.
    Ok(walk.finish(workspace, read_heads().await?))
}

/// A walk through the entries of a list, the newest first.
struct Walk {
    now: Timestamp,
    chains: BTreeMap<u8, Chain>,
    /// The places of entries whose text does not have its hash, until a chain wants one.
    broken: BTreeSet<String>,
    /// The places of entries without a link that are behind no entry with one yet.
    unlinked: Vec<String>,
    fit: u64,
    unchained: u64,
    /// The oldest that does not fit, by its place.
    first: Option<(String, Tampering)>,
}

/// A chain, as far as a walk has come.
#[derive(Default)]
struct Chain {
    head: u64,
    /// The entry that is next to be found; none at the chain's beginning.
    wanted: Option<Wanted>,
    /// Entries that were found before their turn: their times need not be in the order of the chain.
    ahead: BTreeMap<u64, Vec<Seen>>,
    /// Entries that are newer than the head.
    newer: Vec<(u64, String)>,
    /// The number and hash of an entry that was logged; none once it was found.
    logged: Option<(u64, String)>,
    /// The entry before the oldest one has expired.
    is_cut: bool,
}

/// An entry as the one after it names it; place and hash are unknown where that one is broken or gone.
struct Wanted {
    sequence: u64,
    at: Option<(String, String)>,
}

/// An entry whose text has its hash.
struct Seen {
    link: AuditLink,
    /// Where it is.
    place: String,
    /// When and as which it was written.
    written: String,
    at: Timestamp,
}

impl Seen {
    fn is(&self, wanted: &Wanted) -> bool {
        let (place, hash) = wanted.at.as_ref().map_or((&self.written, &self.link.hash), |(place, hash)| (place, hash));
        (&self.place, &self.link.hash) == (place, hash)
    }

    fn previous(&self) -> Option<Wanted> {
        let sequence = self.link.sequence.checked_sub(1).filter(|sequence| *sequence > 0)?;
        Some(Wanted { sequence, at: self.link.previous.clone().zip(self.link.previous_hash.clone()) })
    }
}

impl Walk {
    fn new(heads: Vec<(u8, Option<Head>)>, logged: Option<&AuditHead>, now: Timestamp) -> Self {
        let chain = |(number, head): (u8, Option<Head>)| {
            let logged = logged.and_then(|logged| logged.chains.get(&number)).cloned();
            let wanted = head.map(|Head { sequence, place, hash }| Wanted { sequence, at: Some((place, hash)) });
            let head = wanted.as_ref().map_or(0, |wanted| wanted.sequence);
            (number, Chain { head, wanted, logged, ..Chain::default() })
        };
        let chains = heads.into_iter().map(chain).collect();
        let (broken, unlinked) = (BTreeSet::new(), Vec::new());
        Self { now, chains, broken, unlinked, fit: 0, unchained: 0, first: None }
    }

    fn see(&mut self, found: &Found) {
        let at = found.place.clone().unwrap_or_default();
        let entry = serde_json::from_str::<AuditEntry>(&found.body).ok();
        let Some(entry) = entry.filter(|entry| has_its_hash(entry, &found.body)) else {
            return self.see_broken(at);
        };
        let Some(link) = entry.link.clone() else { return self.see_unlinked(at) };
        let number = link.chain;
        let written = place(entry.at, entry.entry_id);
        let expires_at = Some(entry.expires_at().as_microsecond());
        if at == written && found.expires_at.map(Timestamp::as_microsecond) != expires_at {
            self.tampered(&at, Tampered::Changed);
        }
        let chain = self.chains.entry(number).or_default();
        if link.sequence > chain.head {
            return chain.newer.push((link.sequence, at));
        }
        chain.ahead.entry(link.sequence).or_default().push(Seen { link, place: at, written, at: entry.at });
        self.follow(number);
        while self.chains.get(&number).is_some_and(|chain| chain.ahead.len() > MOST_AHEAD) {
            self.miss(number);
            self.follow(number);
        }
    }

    /// An entry whose text is not as it was written, so that it cannot tell which it is.
    fn see_broken(&mut self, place: String) {
        self.broken.insert(place);
        for number in 0..=u8::MAX {
            self.follow(number);
        }
    }

    /// An entry from before there were chains, unless there is an older one with a link.
    fn see_unlinked(&mut self, place: String) {
        let is_wanted = |wanted: &Wanted| wanted.at.as_ref().is_some_and(|(wanted, _)| *wanted == place);
        if self.chains.values().filter_map(|chain| chain.wanted.as_ref()).any(is_wanted) {
            self.see_broken(place);
        } else if self.chains.values().any(|chain| chain.wanted.is_some()) {
            self.unlinked.push(place);
        } else if self.chains.values().any(|chain| chain.is_cut) {
            self.tampered(&place, Tampered::Inserted);
        } else {
            self.unchained += 1;
        }
    }

    /// Takes the entries whose turn has come.
    fn follow(&mut self, number: u8) {
        while let Some(chain) = self.chains.get_mut(&number)
            && let Some(wanted) = &chain.wanted
        {
            let sequence = wanted.sequence;
            if let Some(place) = wanted.at.as_ref().and_then(|(place, _)| self.broken.take(place)) {
                chain.wanted = unknown(sequence - 1);
                self.tampered(&place, Tampered::Changed);
                continue;
            }
            let Some(found) = chain.ahead.get_mut(&sequence) else { return };
            let Some(turn) = found.iter().position(|seen| seen.is(wanted)) else { return };
            let seen = found.swap_remove(turn);
            if found.is_empty() {
                chain.ahead.remove(&sequence);
            }
            self.fit += 1;
            self.pass(number, &seen);
        }
    }

    /// The entry that is next to be found is not there as it was written.
    fn miss(&mut self, number: u8) {
        let Some(chain) = self.chains.get_mut(&number) else { return };
        let Some(Wanted { sequence, at }) = chain.wanted.take() else { return };
        let hash = at.as_ref().map(|(_, hash)| hash.clone());
        let another = chain.ahead.remove(&sequence).map(|mut found| {
            // The one with the right hash, if there is one, is only at a wrong place.
            let turn = found.iter().position(|seen| Some(&seen.link.hash) == hash.as_ref()).unwrap_or(0);
            let seen = found.swap_remove(turn);
            chain.ahead.extend((!found.is_empty()).then_some((sequence, found)));
            seen
        });
        if let Some(seen) = another {
            let same = hash.is_none_or(|hash| hash == seen.link.hash);
            self.tampered(&seen.place, if same { Tampered::Reordered } else { Tampered::Changed });
            return self.pass(number, &seen);
        }
        if at.is_none()
            && let Some(place) = self.broken.pop_last()
        {
            chain.wanted = unknown(sequence - 1);
            return self.tampered(&place, Tampered::Changed);
        }
        let has_expired = |place: &String| time(place).is_some_and(|at| audit_expires_at(at) <= self.now);
        let is_cut = at.as_ref().is_some_and(|(place, _)| has_expired(place));
        chain.is_cut |= is_cut;
        chain.wanted = chain.ahead.range(..sequence).next_back().and_then(|(sequence, _)| unknown(*sequence));
        match at {
            _ if is_cut => {}
            Some((place, _)) => self.tampered(&place, Tampered::Removed),
            None => self.lost(number, sequence, Tampered::Removed),
        }
    }

    /// Goes on behind an entry.
    fn pass(&mut self, number: u8, seen: &Seen) {
        let Some(chain) = self.chains.get_mut(&number) else { return };
        chain.wanted = seen.previous();
        if let Some((_, hash)) = chain.logged.take_if(|(sequence, _)| *sequence == seen.link.sequence)
            && hash != seen.link.hash
        {
            self.tampered(&seen.place, Tampered::Changed);
        }
        let unlinked = mem::take(&mut self.unlinked);
        let since = seen.at + UPGRADE;
        let (late, early): (Vec<_>, Vec<_>) =
            unlinked.into_iter().partition(|place| time(place).is_none_or(|at| at > since));
        self.unlinked = early;
        for place in &late {
            self.tampered(place, Tampered::Inserted);
        }
    }

    fn finish(mut self, workspace: Option<&WorkspaceId>, heads: Vec<(u8, Option<Head>)>) -> AuditVerdict {
        for number in 0..=u8::MAX {
            while self.chains.get(&number).is_some_and(|chain| chain.wanted.is_some()) {
                self.miss(number);
                self.follow(number);
            }
        }
        for place in mem::take(&mut self.unlinked) {
            self.see_unlinked(place);
        }
        for place in mem::take(&mut self.broken) {
            self.tampered(&place, Tampered::Inserted);
        }
        let heads: BTreeMap<u8, Head> = heads.into_iter().filter_map(|(number, head)| Some((number, head?))).collect();
        for (number, chain) in mem::take(&mut self.chains) {
            let head = heads.get(&number).map_or(0, |head| head.sequence);
            for place in chain.ahead.values().flatten().map(|seen| &seen.place) {
                self.tampered(place, Tampered::Inserted);
            }
            for (_, place) in chain.newer.iter().filter(|(sequence, _)| *sequence > head) {
                self.tampered(place, Tampered::Inserted);
            }
            // Who may write to the store can let an entry look expired.
            if let Some((sequence, _)) = chain.logged {
                self.lost(number, sequence, if sequence > head { Tampered::Removed } else { Tampered::Missing });
            }
        }
        let kept = heads.into_iter().filter(|(_, head)| head.is_kept(self.now));
        let chains = kept.map(|(number, head)| (number, (head.sequence, head.hash))).collect();
        AuditVerdict {
            fit: self.fit,
            unchained: self.unchained,
            head: AuditHead { workspace_id: workspace.cloned(), chains },
            tampering: self.first.map(|(_, tampering)| tampering),
        }
    }

    fn tampered(&mut self, place: &str, how: Tampered) {
        let id = place.split_once('#').map_or("", |(_, id)| id);
        let time = time(place).map(|at| format!(" of {at}")).unwrap_or_default();
        self.note(place, Tampering { entry: format!("entry {id}{time}"), how });
    }

    /// An entry is gone of which only the number is known.
    fn lost(&mut self, number: u8, sequence: u64, how: Tampered) {
        self.note(END, Tampering { entry: format!("entry {sequence} of chain {number}"), how });
    }

    fn note(&mut self, place: &str, tampering: Tampering) {
        if self.first.as_ref().is_none_or(|(first, _)| place < first.as_str()) {
            self.first = Some((place.to_owned(), tampering));
        }
    }
}

/// An entry of which only the number is known; none before the first.
fn unknown(sequence: u64) -> Option<Wanted> {
    (sequence > 0).then_some(Wanted { sequence, at: None })
}

/// Whether the text of an entry has its hash, if it has one.
fn has_its_hash(entry: &AuditEntry, body: &str) -> bool {
    let Some(link) = &entry.link else { return true };
    let text = body.strip_suffix(&format!(r#","hash":"{}"}}"#, link.hash));
    text.is_some_and(|text| hash(text) == link.hash)
}

/// The time of a place.
fn time(place: &str) -> Option<Timestamp> {
    Timestamp::from_microsecond(place.split_once('#')?.0.parse().ok()?).ok()
}
