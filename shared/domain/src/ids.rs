//! One type per identifier: a job's id cannot stand where a plan's is wanted.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{hashed_uuid, serde_text::serde_as_text, unicode::reorders};

/// A string that is not the identifier it was taken for; says what one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(pub &'static str);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId("not a UUID"))
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $rule:expr, $says:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        serde_as_text!($name);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let rule: fn(&str) -> bool = $rule;
                if rule(text) { Ok(Self(text.to_owned())) } else { Err(InvalidId($says)) }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

uuid_id! {
    /// One side effect, from acceptance to its end.
    JobId
}

uuid_id! {
    /// A plan that was shown to a caller.
    PlanId
}

uuid_id! {
    /// A webhook endpoint.
    EndpointId
}

uuid_id! {
    /// One event on its way to one endpoint.
    DeliveryId
}

text_id! {
    /// A tenant: `^[a-z0-9][a-z0-9_-]{0,63}$`, so that a UUID fits.
    WorkspaceId,
    |text| (1..=64).contains(&text.len()) && is_plain(text, "_-") && is_plain(&text[..1], ""),
    "a workspace id is 1 to 64 of a-z, 0-9, _ and -, and starts with a letter or digit"
}

text_id! {
    /// Whom a request acts for: 1 to 255 visible characters.
    ActorId,
    |text| (1..=255).contains(&text.chars().count()) && text.chars().all(visible),
    "an actor id is 1 to 255 visible characters"
}

text_id! {
    /// The idempotency key of an action, unique in a workspace: 1 to 255 visible characters or spaces.
    ClientRequestId,
    |text| (1..=255).contains(&text.chars().count()) && text.chars().all(|c| visible(c) || c == ' '),
    "a client_request_id is 1 to 255 characters without control characters"
}

text_id! {
    /// A lookup of a plan: 1 to 16 of `a-z`, `0-9`, `_` and `-`.
    LookupId,
    |text| (1..=16).contains(&text.len()) && is_plain(text, "_-"),
    "a lookup's id is 1 to 16 of a-z, 0-9, _ and -"
}

text_id! {
    /// The name of an action, such as `gmail.send`: two or more lower-case words joined by dots.
    ///
    /// That it is well formed does not mean that the catalogue has it.
    ActionId,
    |text| text.len() <= 64 && text.contains('.') && text.split('.').all(|word| !word.is_empty() && is_plain(word, "_")),
    "an action id is lower-case words joined by dots, such as gmail.send"
}

text_id! {
    /// The public part of an API key.
    KeyId,
    |text| text.len() == crate::key::ID && text.bytes().all(|b| b.is_ascii_alphanumeric()),
    "a key's id is 12 letters and digits"
}

text_id! {
    /// What people call an API key: 1 to 64 visible characters or spaces.
    KeyName,
    |text| {
        let plain = |c| (visible(c) || c == ' ') && !reorders(c);
        (1..=64).contains(&text.chars().count()) && text.trim() == text && text.chars().all(plain)
    },
    "a key's name is 1 to 64 characters, without control characters or spaces at its ends"
}

text_id! {
    /// A short name for what a person wants, such as `send_email`: 1 to 64 of `a-z`, `0-9` and `_`.
    Intent,
    |text| (1..=64).contains(&text.len()) && is_plain(text, "_"),
    "an intent is 1 to 64 of a-z, 0-9 and _"
}

fn is_plain(text: &str, marks: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || marks.contains(c))
}

fn visible(c: char) -> bool {
    !c.is_control() && !c.is_whitespace()
}

impl JobId {
    /// The job of one idempotency key in one workspace: the same two always give the same id, so
    /// that the ledger's primary key is what makes two requests one job.
    ///
    /// The length of the first part is hashed with it, so that no two pairs run together.
    pub fn of(workspace: &WorkspaceId, key: &ClientRequestId) -> Self {
        let length = (workspace.0.len() as u64).to_be_bytes();
        Self(hashed_uuid(&[&length, workspace.0.as_bytes(), key.0.as_bytes()].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspace_ids_are_narrow() {
        for good in ["local", "a", "0", "acme_eu-1", "018f4e7e-7d4c-7a3b-8a52-0b7d2c9d3f10"] {
            assert!(good.parse::<WorkspaceId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "A", "a b", "a.b", "ä", &"a".repeat(65)] {
            assert!(bad.parse::<WorkspaceId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn actor_ids_are_visible() {
        assert!("user@example.com".parse::<ActorId>().is_ok());
        assert!("日本".repeat(100).parse::<ActorId>().is_ok());
        for bad in ["", "a b", "a\u{7}", "a\n", &"a".repeat(256)] {
            assert!(bad.parse::<ActorId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_keys_name_is_one_line_that_reads_as_it_is_written() {
        for good in ["ci", "Nightly report", "Büro 2", "夜間バッチ", "a", &"ä".repeat(64)] {
            assert!(good.parse::<KeyName>().is_ok(), "{good}");
        }
        for bad in ["", " ", " a", "a ", "a\tb", "a\nb", "a\u{1b}[31m", "a\u{202e}b", &"a".repeat(65)] {
            assert!(bad.parse::<KeyName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_job_id_is_its_key_in_its_workspace() {
        let (a, ab): (WorkspaceId, WorkspaceId) = ("a".parse().unwrap(), "ab".parse().unwrap());
        let (bc, c): (ClientRequestId, ClientRequestId) = ("bc".parse().unwrap(), "c".parse().unwrap());
        assert_eq!(JobId::of(&a, &bc), JobId::of(&a, &bc));
        assert_ne!(JobId::of(&a, &bc), JobId::of(&ab, &c), "the parts do not run together");
        assert_eq!(JobId::of(&a, &bc).0.get_version_num(), 8);
    }
}
