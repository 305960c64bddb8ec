//! The metrics in Prometheus's text format.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
    time::Duration,
};

use metrics_exporter_prometheus::formatting::{sanitize_label_value, write_help_line, write_type_line};

use crate::names::{self, Kind, Metric, le};

/// The media type of the text format, version 0.0.4.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Values read at scrape time; none if unknown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gauges {
    /// The number of messages waiting in the queue.
    pub queue_depth: Option<u64>,
    /// The age of the oldest job that no worker has claimed; zero if there is none.
    pub queue_oldest_age: Option<Duration>,
    /// The number of held jobs.
    pub held_jobs: Option<usize>,
    /// For how long the oldest of them has waited; zero if there is none.
    pub held_oldest_age: Option<Duration>,
    /// The time until the first of them expires; none if there is none, either.
    pub held_expires: Option<Duration>,
}

/// The counts of every series, by metric and labels.
pub(crate) type Totals = BTreeMap<(&'static str, String), Vec<u64>>;

/// Every metric with its HELP and TYPE. Without totals, counters and histograms have no samples. `store_up` is none where
/// the counts are kept elsewhere.
pub(crate) fn print(gauges: &Gauges, totals: Option<&Totals>, store_up: Option<bool>) -> String {
    let mut text = String::new();
    let gauges = [
        (names::QUEUE_DEPTH.name, gauges.queue_depth.map(|depth| depth.to_string())),
        (names::QUEUE_OLDEST_AGE.name, gauges.queue_oldest_age.map(|age| seconds(age.as_micros()))),
        (names::HELD_JOBS.name, gauges.held_jobs.map(|held| held.to_string())),
        (names::HELD_OLDEST_AGE.name, gauges.held_oldest_age.map(|age| seconds(age.as_micros()))),
        (names::HELD_EXPIRES.name, gauges.held_expires.map(|left| seconds(left.as_micros()))),
        (names::STORE_UP.name, store_up.map(|up| u8::from(up).to_string())),
    ];
    for metric in names::ALL {
        write_help_line(&mut text, metric.name, None, None, metric.help);
        write_type_line(&mut text, metric.name, None, None, metric.kind.into());
        for (_, value) in gauges.iter().filter(|(name, _)| *name == metric.name) {
            if let Some(value) = value {
                sample(&mut text, metric.name, "", "", value);
            }
        }
        let bounds: Vec<String> = metric.bounds().iter().map(Some).chain([None]).map(le).collect();
        for ((_, labels), counts) in totals.into_iter().flatten().filter(|((name, _), _)| *name == metric.name) {
            let labels = label_text(metric, labels);
            match metric.kind {
                Kind::Histogram(_) => histogram(&mut text, metric.name, &labels, &bounds, counts),
                Kind::Counter | Kind::Gauge => sample(&mut text, metric.name, "", &labels, counts[0]),
            }
        }
    }
    text
}

/// `bounds` has an entry for every count but the last, which is the sum.
fn histogram(text: &mut String, name: &str, labels: &str, bounds: &[String], counts: &[u64]) {
    let comma = if labels.is_empty() { "" } else { "," };
    let mut below = 0;
    for (bound, count) in bounds.iter().zip(counts) {
        below += count;
        sample(text, name, "_bucket", &format!("{labels}{comma}le=\"{bound}\""), below);
    }
    sample(text, name, "_sum", labels, seconds(counts.last().copied().unwrap_or_default().into()));
    sample(text, name, "_count", labels, below);
}

fn sample(text: &mut String, name: &str, suffix: &str, labels: &str, value: impl Display) {
    if labels.is_empty() {
        writeln!(text, "{name}{suffix} {value}").expect(INFALLIBLE);
    } else {
        writeln!(text, "{name}{suffix}{{{labels}}} {value}").expect(INFALLIBLE);
    }
}

const INFALLIBLE: &str = "writing to a String does not fail";

/// `status="ok",…`
fn label_text(metric: &Metric, values: &str) -> String {
    let mut text = String::new();
    for (label, value) in metric.labels.iter().zip(values.split('|')) {
        let comma = if text.is_empty() { "" } else { "," };
        // Another version may have written the value, so it is escaped.
        write!(text, "{comma}{}=\"{}\"", label.name, sanitize_label_value(value)).expect(INFALLIBLE);
    }
    text
}

/// Microseconds as an exact decimal number of seconds.
fn seconds(micros: u128) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_printed_exactly() {
        for (micros, text) in [
            (0, "0"),
            (10_000_000, "10"),
            (1, "0.000001"),
            (1_500_000, "1.5"),
            (u128::from(u64::MAX), "18446744073709.551615"),
        ] {
            assert_eq!(seconds(micros), text);
        }
    }

    #[test]
    fn a_store_s_label_cannot_end_its_line() {
        let totals = Totals::from([((names::IDEMPOTENCY.name, "a\"} 1\n\\".to_owned()), vec![2])]);
        let text = print(&Gauges::default(), Some(&totals), Some(true));
        let line = r#"ai_idempotency_total{outcome="a\"} 1\n\\"} 2"#;
        assert!(text.lines().any(|printed| printed == line), "{text}");
    }
}
