//! The numbers as text, for those who scrape.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Write as _},
    time::Duration,
};

use metrics_exporter_prometheus::formatting::{sanitize_label_value, write_help_line, write_type_line};

use crate::names::{self, Kind, Metric, le};

/// How the text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's text format, 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The media type of such a text.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What an `Accept` header asks for; text, unless it would rather have OpenMetrics.
    pub fn accepted(accept: &str) -> Self {
        let weight = |wanted: &str| {
            let ranges = accept.split(',').map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default();
                let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
                (name, weight)
            });
            ranges.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).fold(0.0, |most: f64, (_, q)| most.max(q))
        };
        let open = weight("application/openmetrics-text");
        if open > 0.0 && open >= weight("text/plain") { Self::OpenMetrics } else { Self::Text }
    }
}

/// What is read when somebody asks; none where it cannot be known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gauges {
    /// How many messages wait.
    pub queue_depth: Option<u64>,
    /// The age of the oldest job that no worker has claimed, zero if there is none.
    pub queue_oldest_age: Option<Duration>,
}

/// The counts of every series, by metric and labels.
pub(crate) type Totals = BTreeMap<&'static str, BTreeMap<String, Vec<u64>>>;

/// Every metric with its HELP and TYPE. Without totals, counters and histograms have no samples.
pub(crate) fn print(format: Format, gauges: &Gauges, totals: Option<&Totals>) -> String {
    let series = totals.map_or(0, |totals| totals.values().flat_map(BTreeMap::values).map(Vec::len).sum());
    let mut text = String::with_capacity(8 * 1024 + 128 * series);
    for metric in names::ALL {
        let (name, kind) = match (metric.kind, format) {
            // OpenMetrics names a counter without what its samples end in.
            (Kind::Counter, Format::OpenMetrics) => (metric.name.trim_end_matches("_total"), "counter"),
            (Kind::Counter, Format::Text) => (metric.name, "counter"),
            (Kind::Gauge, _) => (metric.name, "gauge"),
            (Kind::Histogram(_), _) => (metric.name, "histogram"),
        };
        write_help_line(&mut text, name, None, None, metric.help);
        write_type_line(&mut text, name, None, None, kind);
        if let Some(value) = gauge(metric, gauges, totals.is_some()) {
            sample(&mut text, metric.name, "", "", value);
        }
        let bounds: Vec<String> = metric.bounds().iter().copied().map(le).chain(["+Inf".to_owned()]).collect();
        for (labels, counts) in totals.and_then(|totals| totals.get(metric.name)).into_iter().flatten() {
            let labels = label_text(metric, labels);
            match metric.kind {
                Kind::Histogram(_) => histogram(&mut text, metric.name, &labels, &bounds, counts),
                Kind::Counter | Kind::Gauge => sample(&mut text, metric.name, "", &labels, counts[0]),
            }
        }
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn gauge(metric: &Metric, gauges: &Gauges, store_up: bool) -> Option<Micros> {
    let whole = |count: u64| Micros(u128::from(count) * 1_000_000);
    match metric.name {
        names::QUEUE_DEPTH => gauges.queue_depth.map(whole),
        names::QUEUE_OLDEST_AGE => gauges.queue_oldest_age.map(|age| Micros(age.as_micros())),
        names::STORE_UP => Some(whole(u64::from(store_up))),
        _ => None,
    }
}

/// `bounds` has one for each count but the last, which is the sum.
fn histogram(text: &mut String, name: &str, labels: &str, bounds: &[String], counts: &[u64]) {
    let comma = if labels.is_empty() { "" } else { "," };
    let mut below = 0;
    for (bound, count) in bounds.iter().zip(counts) {
        below += count;
        // Piece by piece: there are thousands of these lines.
        for piece in [name, "_bucket{", labels, comma, "le=\"", bound, "\"} "] {
            text.push_str(piece);
        }
        writeln!(text, "{below}").expect(INFALLIBLE);
    }
    sample(text, name, "_sum", labels, Micros(counts.last().copied().unwrap_or_default().into()));
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
    for (name, value) in metric.labels.iter().zip(values.split('|')) {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{name}=\"{}\"", sanitize_label_value(value)).expect(INFALLIBLE);
    }
    text
}

/// Millionths, printed as the decimal number that they are, exactly.
struct Micros(u128);

impl Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{rest:06}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_printed_exactly() {
        for (micros, text) in
            [(0, "0"), (1, "0.000001"), (1_500_000, "1.5"), (u128::from(u64::MAX), "18446744073709.551615")]
        {
            assert_eq!(Micros(micros).to_string(), text);
        }
    }

    #[test]
    fn openmetrics_is_written_for_who_would_rather_have_it() {
        for (accept, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            ("application/openmetrics-text;q=0.3, text/plain", Format::Text),
            ("application/openmetrics-text; q=0", Format::Text),
            ("application/openmetrics-text;q=x", Format::Text),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }
}
