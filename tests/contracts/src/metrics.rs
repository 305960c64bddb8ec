//! The contract of the store of metric counts.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use telemetry::{Batch, Increment, MetricStore};

use crate::support::at_once;

/// Longer than any store needs.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a store has of these metrics: the sum of each field.
pub async fn metric_sums(store: &dyn MetricStore, metrics: &[&'static str]) -> Vec<BTreeMap<String, u64>> {
    let read = store.read(metrics).await.expect("reads");
    let sums = |fields: Vec<(String, u64)>| {
        let mut sums = BTreeMap::new();
        for (field, count) in fields {
            *sums.entry(field).or_default() += count;
        }
        sums
    };
    read.into_iter().map(sums).collect()
}

/// The contract of every [`MetricStore`]: additions of concurrent instances are neither lost nor doubled, also when an
/// instance sends a batch again. The store must be empty; `instance` makes one more instance of it.
pub async fn metric_store(instance: impl Fn() -> Arc<dyn MetricStore>) {
    const METRICS: [&str; 3] = ["first_total", "second_seconds", "third_total"];
    let store = instance();
    assert_eq!(store.read(&METRICS).await, Ok(vec![Vec::new(); 3]), "it starts empty");
    assert_eq!(store.read(&[]).await, Ok(Vec::new()));
    let (adders, times) = (20_u64, 25_u64);
    let adding = (0..adders).map(|adder| {
        let store = instance();
        async move {
            for number in 1..=times {
                let increments = vec![
                    Increment { metric: METRICS[0], field: String::new(), by: 1 },
                    Increment { metric: METRICS[1], field: "a|/b/{c}|0.5".to_owned(), by: adder },
                    Increment { metric: METRICS[1], field: "a|/b/{c}|sum".to_owned(), by: 1 << 40 },
                    Increment { metric: METRICS[0], field: String::new(), by: 1 },
                ];
                let batch = Batch { number, increments };
                for _ in 0..=number % 3 {
                    store.add(&batch, PATIENCE).await.expect("adds");
                }
            }
        }
    });
    at_once(adding).await;
    let read = metric_sums(&*store, &[METRICS[1], METRICS[2], METRICS[0]]).await;
    let second = [
        ("a|/b/{c}|0.5".to_owned(), times * adders * (adders - 1) / 2),
        ("a|/b/{c}|sum".to_owned(), (times * adders) << 40),
    ];
    let expected = [second.into(), BTreeMap::new(), [(String::new(), 2 * times * adders)].into()];
    assert_eq!(read, expected, "sums are exact, in the requested order");
}
