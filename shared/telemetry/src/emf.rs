//! Counts as log lines in CloudWatch's Embedded Metric Format: CloudWatch makes metrics of them.
//!
//! Format: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::{
    collections::BTreeMap,
    io::{Write, stdout},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    names::{self, Kind, Metric},
    recorder::place_of,
    store::{Batch, MetricStore, NotAdded, StoreDown},
};

/// The most values of one metric in a line.
const MOST_VALUES: usize = 100;

/// Not in the log: API Gateway has metrics of each route itself, and each combination of labels costs money; and nothing
/// is flushed to a shared store.
const LEFT_OUT: [&Metric; 3] = [&names::HTTP_REQUESTS, &names::HTTP_REQUEST_DURATION, &names::FLUSHES];

/// Writes counts to standard output, a line for each combination of labels. Nobody can read them there.
pub struct EmfLog {
    namespace: String,
    now: fn() -> Timestamp,
}

/// The names and the values of a line's labels.
type Labels<'a> = Vec<(&'a str, &'a str)>;

impl EmfLog {
    /// A log of metrics in this namespace.
    pub const fn new(namespace: String, now: fn() -> Timestamp) -> Self {
        Self { namespace, now }
    }

    /// The lines of a batch.
    fn lines(&self, batch: &Batch) -> Vec<String> {
        let mut series: BTreeMap<(&str, &str), (&Metric, Vec<u64>)> = BTreeMap::new();
        for increment in &batch.increments {
            let metric = names::ALL.iter().find(|metric| metric.name == increment.metric);
            let Some(metric) = metric.filter(|metric| LEFT_OUT.iter().all(|left_out| left_out.name != metric.name))
            else {
                continue;
            };
            let Some((labels, place)) = place_of(metric, &increment.field) else { continue };
            let (_, counts) = series.entry((metric.name, labels)).or_insert_with(|| (metric, vec![0; metric.counts()]));
            counts[place] += increment.by;
        }
        let mut lines: BTreeMap<(Labels<'_>, usize), Vec<(&Metric, Value)>> = BTreeMap::new();
        for ((_, labels), (metric, counts)) in series {
            let labels: Vec<_> = metric.labels.iter().map(|label| label.name).zip(labels.split('|')).collect();
            for (part, value) in values(metric, &counts).into_iter().enumerate() {
                lines.entry((labels.clone(), part)).or_default().push((metric, value));
            }
        }
        lines.into_iter().map(|((labels, _), metrics)| self.line(&labels, &metrics)).collect()
    }

    fn line(&self, labels: &[(&str, &str)], metrics: &[(&Metric, Value)]) -> String {
        let now = (self.now)();
        let dimensions: Vec<_> = labels.iter().map(|(name, _)| name).collect();
        let unit = |metric: &Metric| if metric.kind == Kind::Counter { "Count" } else { "Seconds" };
        let told: Vec<_> =
            metrics.iter().map(|(metric, _)| json!({ "Name": metric.name, "Unit": unit(metric) })).collect();
        let directive = json!({ "Namespace": self.namespace, "Dimensions": [dimensions], "Metrics": told });
        let mut line = Map::from_iter([
            ("level".to_owned(), "INFO".into()),
            ("timestamp".to_owned(), now.to_string().into()),
            ("_aws".to_owned(), json!({ "Timestamp": now.as_millisecond(), "CloudWatchMetrics": [directive] })),
        ]);
        line.extend(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
        line.extend(metrics.iter().map(|(metric, value)| (metric.name.to_owned(), value.clone())));
        Value::Object(line).to_string()
    }
}

/// The values of a series, in parts that fit a line each: a counter's increment; of a histogram each observation, in
/// seconds. Several observations of one flush are told by their mean, since only their buckets and their sum are known.
fn values(metric: &Metric, counts: &[u64]) -> Vec<Value> {
    let [observed @ .., micros] = counts else { return Vec::new() };
    if metric.kind == Kind::Counter {
        return vec![json!(micros)];
    }
    let count = usize::try_from(observed.iter().sum::<u64>()).unwrap_or(usize::MAX);
    let sum = Duration::from_micros(*micros).as_secs_f64();
    let mean = if count == 0 { 0.0 } else { sum / f64::from(u32::try_from(count).unwrap_or(u32::MAX)) };
    let part = |from: usize| vec![mean; MOST_VALUES.min(count - from)].into();
    (0..count).step_by(MOST_VALUES).map(part).collect()
}

#[async_trait]
impl MetricStore for EmfLog {
    async fn add(&self, batch: &Batch, _: Duration) -> Result<(), NotAdded> {
        let text: String = self.lines(batch).iter().flat_map(|line| [line, "\n"]).collect();
        stdout().lock().write_all(text.as_bytes()).map_err(|error| NotAdded::Lost(error.to_string()))
    }

    async fn read(&self, _: &[&'static str]) -> Result<Vec<Vec<(String, u64)>>, StoreDown> {
        Err(StoreDown("the counts are in the log".to_owned()))
    }

    fn is_readable(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Increment;

    fn lines(increments: &[(&'static Metric, &str, u64)]) -> Vec<Value> {
        let now = || Timestamp::from_millisecond(1_798_761_600_123).unwrap();
        let one = |(metric, field, by): &(&'static Metric, &str, u64)| Increment {
            metric: metric.name,
            field: (*field).to_owned(),
            by: *by,
        };
        let batch = Batch { number: 1, increments: increments.iter().map(one).collect() };
        let lines = EmfLog::new("acme/mail".to_owned(), now).lines(&batch);
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_the_metrics_of_one_combination_of_labels() {
        let told = lines(&[
            (&names::JOB_DURATION, "google|gmail.send|0.5", 1),
            (&names::JOB_DURATION, "google|gmail.send|sum", 412_345),
            (&names::JOB_QUEUE_WAIT, "google|gmail.send|0.1", 1),
            (&names::JOB_QUEUE_WAIT, "google|gmail.send|sum", 90_000),
        ]);
        let metric = |name: &str| json!({ "Name": name, "Unit": "Seconds" });
        let expected = json!({
            "_aws": {
                "Timestamp": 1_798_761_600_123_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "acme/mail",
                    "Dimensions": [["provider", "action"]],
                    "Metrics": [metric("ai_job_duration_seconds"), metric("ai_job_queue_wait_seconds")],
                }],
            },
            "level": "INFO",
            "timestamp": "2027-01-01T00:00:00.123Z",
            "provider": "google",
            "action": "gmail.send",
            "ai_job_duration_seconds": [0.412_345],
            "ai_job_queue_wait_seconds": [0.09],
        });
        assert_eq!(told, [expected]);
    }

    #[test]
    fn counters_are_counts_and_many_observations_are_told_by_their_mean() {
        let told = lines(&[
            (&names::BUDGET_REJECTIONS, "", 3),
            (&names::PLANNER_TOKENS, "input", 910),
            (&names::PLANNER_DURATION, "ok|1.0", 150),
            (&names::PLANNER_DURATION, "ok|0.5", 50),
            (&names::PLANNER_DURATION, "ok|sum", 100_000_000),
        ]);
        let [rejections, tokens, first, second] = &*told else { panic!("{told:?}") };
        assert_eq!(rejections["ai_token_budget_rejections_total"], 3);
        assert_eq!(rejections["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([[]]));
        assert_eq!((&tokens["ai_planner_tokens_total"], &tokens["direction"]), (&json!(910), &json!("input")));
        for line in [first, second] {
            assert_eq!(line["ai_planner_duration_seconds"], json!(vec![0.5; MOST_VALUES]), "{line}");
        }
    }

    #[test]
    fn what_others_measure_is_left_out() {
        let told = lines(&[
            (&names::HTTP_REQUESTS, "/ai/plan2|POST|200", 1),
            (&names::HTTP_REQUEST_DURATION, "/ai/plan2|POST|200|0.5", 1),
            (&names::HTTP_REQUEST_DURATION, "/ai/plan2|POST|200|sum", 400_000),
            (&names::FLUSHES, "ok", 1),
        ]);
        assert!(told.is_empty(), "{told:?}");
    }
}
