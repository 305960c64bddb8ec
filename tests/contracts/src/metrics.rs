//! The contract of the store of metric counts.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use telemetry::{Increment, MetricStore};

use crate::support::at_once;

/// Longer than any store needs.
const PATIENCE: Duration = Duration::from_secs(10);

/// The contract of every [`MetricStore`]: concurrent additions are neither lost nor doubled. The store must be empty.
pub async fn metric_store(store: Arc<dyn MetricStore>) {
    const METRICS: [&str; 3] = ["first_total", "second_seconds", "third_total"];
    assert_eq!(store.read(&METRICS).await, Ok(vec![Vec::new(); 3]), "it starts empty");
    assert_eq!(store.read(&[]).await, Ok(Vec::new()));
    let (adders, times) = (20_u64, 25_u64);
    let adding = (0..adders).map(|adder| {
        let store = Arc::clone(&store);
        async move {
            for _ in 0..times {
                let increments = [
                    Increment { metric: METRICS[0], field: String::new(), by: 1 },
                    Increment { metric: METRICS[1], field: "a|/b/{c}|0.5".to_owned(), by: adder },
                    Increment { metric: METRICS[1], field: "a|/b/{c}|sum".to_owned(), by: 1 << 40 },
                    Increment { metric: METRICS[0], field: String::new(), by: 1 },
                ];
                store.add(&increments, PATIENCE).await.expect("adds");
            }
        }
    });
    at_once(adding).await;
    let read = store.read(&[METRICS[1], METRICS[2], METRICS[0]]).await.expect("reads");
    let read: Vec<BTreeMap<String, u64>> = read.into_iter().map(|fields| fields.into_iter().collect()).collect();
    let second = [
        ("a|/b/{c}|0.5".to_owned(), times * adders * (adders - 1) / 2),
        ("a|/b/{c}|sum".to_owned(), (times * adders) << 40),
    ];
    let expected = [second.into(), BTreeMap::new(), [(String::new(), 2 * times * adders)].into()];
    assert_eq!(read, expected, "sums are exact, in the requested order");
}
