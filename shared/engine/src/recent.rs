//! A small cache of what this process has read.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

/// How long a value from the ledger is used without another look.
const GOOD_FOR: SignedDuration = SignedDuration::from_secs(60);
/// The most values that are remembered.
const REMEMBERED: usize = 10_000;

/// A map whose values expire.
#[derive(Debug)]
pub struct Recent<K, V> {
    good_for: SignedDuration,
    read: Mutex<HashMap<K, (Timestamp, V)>>,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// A map whose values expire after this long.
    pub fn good_for(good_for: SignedDuration) -> Self {
        Self { good_for, read: Mutex::default() }
    }

    pub(crate) fn recall(&self, key: &K, now: Timestamp) -> Option<V> {
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, value) = known.get(key)?;
        (now.duration_since(*read_at).abs() < self.good_for).then(|| value.clone())
    }

    /// Changes a value, and not its age.
    pub(crate) fn change(&self, key: &K, change: impl FnOnce(&mut V)) {
        if let Some((_, value)) = self.read.lock().unwrap_or_else(PoisonError::into_inner).get_mut(key) {
            change(value);
        }
    }

    pub(crate) fn remember(&self, key: K, value: V, now: Timestamp) {
        let mut known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, (read_at, _)| now.duration_since(*read_at).abs() < self.good_for);
        }
        if known.len() < REMEMBERED {
            known.insert(key, (now, value));
        }
    }
}

impl<K: Eq + Hash, V: Clone> Default for Recent<K, V> {
    /// A map whose values expire after a minute.
    fn default() -> Self {
        Self::good_for(GOOD_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_good_for_a_while_and_there_are_never_too_many() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let recent = Recent::default();
        for n in 0..2 * REMEMBERED {
            recent.remember(n, n, at(0));
        }
        assert_eq!((recent.recall(&7, at(59)), recent.recall(&7, at(60))), (Some(7), None));
        assert_eq!(recent.read.lock().unwrap().len(), REMEMBERED);
        recent.remember(1_000_000, 1, at(60));
        assert_eq!((recent.recall(&1_000_000, at(61)), recent.read.lock().unwrap().len()), (Some(1), 1));
    }
}
