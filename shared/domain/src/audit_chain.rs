//! The chains of the audit: each entry has the hash of the entry before it, so that a change of the record shows.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use strum::Display;

use crate::{InvalidId, WorkspaceId, serde_text::serde_as_text};

/// An entry's place in a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLink {
    /// The chain's number in its workspace, from 0.
    pub chain: u8,
    /// The entry's number in the chain, from 1.
    pub sequence: u64,
    /// The entry before it, as the ledger names its place: by time and id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// The hash of the entry before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_hash: Option<String>,
    /// The SHA-256 of the stored entry without this field, in lower-case hex.
    pub hash: String,
}

/// The last entry of each chain of a workspace: the number of the entry, and its hash.
///
/// As text: `acme/0.41.9f86…/3.7.60303…`, with `-` for the entries of no workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// The workspace; none for the entries of the whole deployment.
    pub workspace_id: Option<WorkspaceId>,
    /// By the chain's number.
    pub chains: BTreeMap<u8, (u64, String)>,
}

serde_as_text!(AuditHead);

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.workspace_id.as_ref().map_or("-", WorkspaceId::as_str))?;
        self.chains.iter().try_for_each(|(chain, (sequence, hash))| write!(f, "/{chain}.{sequence}.{hash}"))
    }
}

impl FromStr for AuditHead {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId("a head is WORKSPACE/CHAIN.NUMBER.HASH, as the log and `audit verify` print it");
        let mut parts = text.trim().split('/');
        let workspace_id = match parts.next() {
            Some("-") => None,
            workspace => Some(workspace.unwrap_or_default().parse()?),
        };
        let chain = |part: &str| {
            let (chain, rest) = part.split_once('.')?;
            let (sequence, hash) = rest.split_once('.')?;
            let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hash.then_some((chain.parse().ok()?, (sequence.parse().ok()?, hash.to_ascii_lowercase())))
        };
        let chains = parts.map(|part| chain(part).ok_or_else(invalid)).collect::<Result<_, _>>()?;
        Ok(Self { workspace_id, chains })
    }
}

/// What a walk through a workspace's audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerdict {
    /// How many entries fit.
    pub fit: u64,
    /// How many are from before there were chains, which nothing protects.
    pub unchained: u64,
    /// The chains' last entries.
    pub head: AuditHead,
    /// The first entry that does not fit.
    pub tampering: Option<Tampering>,
}

/// An entry that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tampering {
    /// Which entry, in words.
    pub entry: String,
    /// What was done to it.
    pub how: Tampered,
}

impl fmt::Display for Tampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was {}", self.entry, self.how)
    }
}

/// What was done to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display)]
#[strum(serialize_all = "lowercase")]
pub enum Tampered {
    /// Its text is another.
    Changed,
    /// It is gone before its time.
    Removed,
    /// The program did not write it.
    Inserted,
    /// It is at another entry's place.
    Reordered,
    /// It was logged, and is not there.
    #[strum(serialize = "removed, or has expired since it was logged")]
    Missing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_and_anything_else_is_refused() {
        let hash = "9f".repeat(32);
        let chains = BTreeMap::from([(0, (41, hash.clone())), (15, (7, "0a".repeat(32)))]);
        for workspace_id in [None, Some("acme-eu_1".parse().unwrap())] {
            let head = AuditHead { workspace_id, chains: chains.clone() };
            assert_eq!(head.to_string().parse(), Ok(head));
        }
        assert!("acme".parse::<AuditHead>().is_ok_and(|head| head.chains.is_empty()));
        let short = &hash[1..];
        for bad in ["", "/", "Acme", "acme/", "acme/0", "acme/0.1", "acme/256.1.", &format!("acme/0.1.{short}")] {
            assert!(bad.parse::<AuditHead>().is_err(), "{bad}");
        }
        assert!(format!("acme/x.1.{hash}").parse::<AuditHead>().is_err());
        assert!(format!("acme/1.-1.{hash}").parse::<AuditHead>().is_err());
    }
}
