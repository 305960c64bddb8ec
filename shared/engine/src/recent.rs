//! The in-process cache: each value expires after a while, and the oldest make room when there are too many.

use std::{
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hashlink::LinkedHashMap;
use jiff::{SignedDuration, Timestamp};

/// How long values of the ledger are cached by default.
pub(crate) const GOOD_FOR: SignedDuration = SignedDuration::from_secs(60);
/// How many values are cached by default.
const CAPACITY: usize = 10_000;

/// A cache whose values all live equally long.
#[derive(Debug)]
pub struct Recent<K, V> {
    good_for: SignedDuration,
    capacity: usize,
    /// The values with the time when they were put, oldest first.
    known: Mutex<LinkedHashMap<K, (Timestamp, V)>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Recent<K, V> {
    /// A cache whose values live for this long.
    pub fn good_for(good_for: SignedDuration) -> Self {
        Self::with_capacity(good_for, CAPACITY)
    }

    /// The same with at most this many values.
    pub fn with_capacity(good_for: SignedDuration, capacity: usize) -> Self {
        Self { good_for, capacity, known: Mutex::new(LinkedHashMap::new()) }
    }

    /// The value of a key, unless it has expired.
    pub fn recall(&self, key: &K, now: Timestamp) -> Option<V> {
        self.known().get(key).filter(|(at, _)| self.is_good(*at, now)).map(|(_, value)| value.clone())
    }

    /// The value of a key; unless there is one, `load` finds it, and it is put.
    pub async fn recall_or<E>(
        &self,
        key: &K,
        now: Timestamp,
        load: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        if let Some(value) = self.recall(key, now) {
            return Ok(value);
        }
        let value = load.await?;
        self.remember(key.clone(), value.clone(), now);
        Ok(value)
    }

    /// Changes a value in place. It expires no later than before.
    pub fn change(&self, key: &K, change: impl FnOnce(&mut V)) {
        if let Some((_, value)) = self.known().get_mut(key) {
            change(value);
        }
    }

    /// Puts a value, in place of the key's earlier one.
    pub fn remember(&self, key: K, value: V, now: Timestamp) {
        let mut known = self.known();
        known.insert(key, (now, value));
        let expired = |(_, (at, _)): (&K, &(Timestamp, V))| !self.is_good(*at, now);
        while known.len() > self.capacity || known.front().is_some_and(expired) {
            known.pop_front();
        }
    }

    /// Removes a value, and returns it unless it has expired.
    pub fn take(&self, key: &K, now: Timestamp) -> Option<V> {
        let taken = self.known().remove(key);
        taken.filter(|(at, _)| self.is_good(*at, now)).map(|(_, value)| value)
    }

    /// How many values are in memory, expired ones included.
    pub fn count(&self) -> usize {
        self.known().len()
    }

    /// A clock that was set back must not keep a value alive.
    fn is_good(&self, at: Timestamp, now: Timestamp) -> bool {
        now.duration_since(at).abs() < self.good_for
    }

    fn known(&self) -> MutexGuard<'_, LinkedHashMap<K, (Timestamp, V)>> {
        // A cache may lose values, so a panic elsewhere cannot have broken it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Default for Recent<K, V> {
    /// A cache whose values live for a minute.
    fn default() -> Self {
        Self::good_for(GOOD_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn a_value_expires_and_a_change_does_not_renew_it() {
        let recent = Recent::default();
        recent.remember("a", 1, at(0));
        recent.change(&"a", |value| *value += 1);
        assert_eq!((recent.recall(&"a", at(59)), recent.recall(&"a", at(60))), (Some(2), None));
        assert_eq!((recent.recall(&"a", at(-59)), recent.recall(&"a", at(-60))), (Some(2), None));
        recent.remember("a", 3, at(30));
        assert_eq!((recent.recall(&"a", at(89)), recent.take(&"a", at(90))), (Some(3), None));
        recent.remember("a", 4, at(90));
        assert_eq!((recent.take(&"a", at(91)), recent.take(&"a", at(91))), (Some(4), None));
    }

    #[test]
    fn the_oldest_make_room_and_memory_is_bounded() {
        let recent = Recent::with_capacity(GOOD_FOR, 10);
        for n in 0..1_000 {
            recent.remember(n, n, at(0));
        }
        assert_eq!((recent.recall(&989, at(1)), recent.recall(&990, at(1)), recent.count()), (None, Some(990), 10));
        for second in 0..1_000 {
            recent.remember(7, second, at(0));
        }
        assert_eq!((recent.count(), recent.recall(&7, at(1))), (10, Some(999)));
        recent.remember(1, 1, at(60));
        assert_eq!(recent.count(), 1, "expired values make room");
    }
}
