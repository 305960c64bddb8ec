//! This process's counts: what was recorded and is not flushed yet.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Label, Metadata, SharedString, Unit, counter,
    histogram,
};

use crate::{
    labels::OTHER,
    names::{self, Kind, Metric, le},
    store::Increment,
    vocabulary::Vocabulary,
};

/// All series of the process: what the `metrics` facade records into. It keeps the metrics of [`names`] only, with
/// labels of their closed sets.
#[derive(Debug, Default)]
pub struct Recorder {
    vocabulary: Vocabulary,
    series: RwLock<HashMap<Key, Arc<Series>>>,
    /// The initial series are among them. A function that is never scraped starts without.
    complete: OnceLock<()>,
}

/// The counts of one metric with one set of label values: a counter's one count; a histogram's buckets, the last
/// without a bound, and then the sum in microseconds.
#[derive(Debug)]
pub struct Series {
    pub metric: &'static Metric,
    /// The label values, joined with `|`.
    pub labels: String,
    counts: Box<[AtomicU64]>,
    /// Something was recorded since the last take.
    changed: AtomicBool,
}

/// A series with the values taken out of its counts.
pub type Taken = (Arc<Series>, Vec<u64>);

static INSTALLED: OnceLock<Arc<Recorder>> = OnceLock::new();

/// The labels of a metric with these values; none before the recorder is installed.
pub fn labels(metric: &Metric, values: &[&str]) -> Vec<Label> {
    INSTALLED.get().map(|recorder| recorder.labels(metric, values)).unwrap_or_default()
}

impl Metric {
    /// Adds one to a counter. It takes one value for each label, in order; an unknown value counts as `other`.
    pub fn count(&self, values: &[&str]) {
        self.add(values, 1);
    }

    /// Adds to a counter.
    pub fn add(&self, values: &[&str], by: u64) {
        counter!(self.name, labels(self, values)).increment(by);
    }

    /// Counts a duration in a histogram.
    pub fn observe(&self, values: &[&str], duration: Duration) {
        histogram!(self.name, labels(self, values)).record(duration);
    }

    /// The upper bounds of a histogram's buckets; empty for any other metric.
    pub const fn bounds(&self) -> &'static [f64] {
        match self.kind {
            Kind::Histogram(bounds) => bounds,
            Kind::Counter | Kind::Gauge => &[],
        }
    }

    /// How many counts a series has: one of a counter; of a histogram one for each bucket, `+Inf` and the sum.
    pub(crate) const fn counts(&self) -> usize {
        match self.kind {
            Kind::Counter => 1,
            Kind::Gauge => 0,
            Kind::Histogram(bounds) => bounds.len() + 2,
        }
    }
}

impl Recorder {
    /// Makes the process's recorder, unless there is one already.
    ///
    /// # Panics
    /// If another recorder is installed.
    pub fn install(vocabulary: Vocabulary) -> Arc<Self> {
        let install = || {
            let recorder = Arc::new(Self::new(vocabulary));
            metrics::set_global_recorder(Arc::clone(&recorder)).expect("this is the only recorder of the process");
            recorder
        };
        Arc::clone(INSTALLED.get_or_init(install))
    }

    fn new(vocabulary: Vocabulary) -> Self {
        Self { vocabulary, ..Self::default() }
    }

    /// The label values of every series that exists from the start, at zero, so that a rate exists from the first
    /// scrape. HTTP series appear with their first request: no table says which statuses a route answers with.
    fn initial_series(&self, metric: &Metric) -> Vec<Vec<&'static str>> {
        let mut series = vec![Vec::new()];
        for label in metric.labels {
            let values = if label.name == names::ROUTE.name { &[] } else { (label.values)(&self.vocabulary) };
            series =
                series.iter().flat_map(|known| values.iter().map(|value| [known, &[*value][..]].concat())).collect();
        }
        if metric.labels.iter().any(|label| label.name == names::ACTION.name) {
            let pairs: Vec<_> = self.vocabulary.providers.iter().zip(&self.vocabulary.actions).collect();
            series.retain(|labels| pairs.contains(&(&labels[0], &labels[1])));
        }
        series
    }

    /// An unknown value becomes `other`.
    fn labels(&self, metric: &Metric, values: &[&str]) -> Vec<Label> {
        debug_assert_eq!(metric.labels.len(), values.len(), "one value for each label of {}", metric.name);
        let label = |(label, value): (&names::Label, &&str)| {
            let known = (label.values)(&self.vocabulary).iter().find(|known| *known == value);
            Label::from_static_parts(label.name, known.unwrap_or(&OTHER))
        };
        metric.labels.iter().zip(values).map(label).collect()
    }

    /// The series of a key; none if it is not one of our metrics of this kind.
    fn find(&self, key: &Key, kind: fn(Kind) -> bool) -> Option<Arc<Series>> {
        let known = self.series.read().unwrap_or_else(PoisonError::into_inner).get(key).map(Arc::clone);
        known.or_else(|| self.add(key)).filter(|series| kind(series.metric.kind))
    }

    fn add(&self, key: &Key) -> Option<Arc<Series>> {
        let metric = names::ALL.iter().find(|metric| metric.name == key.name() && metric.kind != Kind::Gauge)?;
        let values: Vec<&str> = key.labels().map(Label::value).collect();
        if values.len() != metric.labels.len() || key.labels().ne(&self.labels(metric, &values)) {
            return None;
        }
        let new = || Series {
            metric,
            labels: values.join("|"),
            counts: (0..metric.counts()).map(|_| AtomicU64::new(0)).collect(),
            changed: AtomicBool::new(false),
        };
        let mut all = self.series.write().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(all.entry(key.clone()).or_insert_with(|| Arc::new(new()))))
    }

    /// Every series.
    pub fn all(&self) -> Vec<Arc<Series>> {
        self.complete.get_or_init(|| {
            for metric in names::ALL {
                for values in self.initial_series(metric) {
                    self.add(&Key::from_parts(metric.name, self.labels(metric, &values)));
                }
            }
        });
        self.series.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Takes everything recorded since the last take.
    pub fn take(&self) -> Vec<Taken> {
        let all = self.series.read().unwrap_or_else(PoisonError::into_inner);
        // Recording sets the flag after it counts, so the next take sees a count that this one misses.
        let changed = all.values().filter(|series| series.changed.swap(false, Ordering::AcqRel));
        let take = |series: &Series| series.counts.iter().map(|count| count.swap(0, Ordering::Relaxed)).collect();
        changed.map(|series| (Arc::clone(series), take(series))).collect()
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.find(key, |kind| kind == Kind::Counter).map_or_else(Counter::noop, Counter::from_arc)
    }

    /// Gauges are read at scrape time.
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.find(key, |kind| matches!(kind, Kind::Histogram(_))).map_or_else(Histogram::noop, Histogram::from_arc)
    }
}

impl CounterFn for Series {
    fn increment(&self, by: u64) {
        if by > 0 {
            self.add(0, by);
        }
    }

    /// Does nothing: our counters only rise.
    fn absolute(&self, _: u64) {}
}

impl HistogramFn for Series {
    /// Counts seconds, exact to the microsecond.
    fn record(&self, seconds: f64) {
        let (bounds, seconds) = (self.metric.bounds(), seconds.max(0.0));
        self.counts[bounds.partition_point(|bound| *bound < seconds)].fetch_add(1, Ordering::Relaxed);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 0; the cast saturates")]
        let micros = (seconds * 1e6).round() as u64;
        self.add(bounds.len() + 1, micros);
    }
}

impl Series {
    fn add(&self, place: usize, by: u64) {
        self.counts[place].fetch_add(by, Ordering::Relaxed);
        self.changed.store(true, Ordering::Release);
    }

    /// The counts that are not flushed yet.
    pub fn counts(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Taken counts as the store adds them.
    pub fn increments(&self, taken: &[u64]) -> impl Iterator<Item = Increment> {
        let counted = taken.iter().enumerate().filter(|(_, by)| **by > 0);
        counted.map(|(place, by)| Increment { metric: self.metric.name, field: self.field(place), by: *by })
    }

    /// The name of a count in the store.
    fn field(&self, place: usize) -> String {
        let Kind::Histogram(bounds) = self.metric.kind else { return self.labels.clone() };
        let part = if place > bounds.len() { "sum".to_owned() } else { le(bounds.get(place)) };
        format!("{}|{part}", self.labels)
    }
}

/// Splits a store's field into its label values and the place of its count in a series. A bucket whose bound this
/// version does not have counts in the next larger one.
pub fn place_of<'f>(metric: &Metric, field: &'f str) -> Option<(&'f str, usize)> {
    let (labels, place) = match metric.kind {
        Kind::Gauge => return None,
        Kind::Counter => (field, 0),
        Kind::Histogram(bounds) => {
            let (labels, part) = field.rsplit_once('|')?;
            let place = match part {
                "sum" => bounds.len() + 1,
                bound => {
                    let bound: f64 = bound.parse().ok()?;
                    bounds.partition_point(|ours| *ours < bound)
                }
            };
            (labels, place)
        }
    };
    let count = if labels.is_empty() { 0 } else { labels.split('|').count() };
    (count == metric.labels.len()).then_some((labels, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(recorder: &Recorder, metric: &Metric, values: &[&str]) -> Arc<Series> {
        recorder.find(&Key::from_parts(metric.name, recorder.labels(metric, values)), |_| true).unwrap()
    }

    #[test]
    fn a_value_outside_a_label_s_closed_set_is_other() {
        let recorder = Recorder::new(Vocabulary::new([("slack", "slack.post")], ["/a/{b}"]));
        let labels = |metric, values: &[&str]| series(&recorder, metric, values).labels.clone();
        assert_eq!(labels(&names::JOBS, &["slack", "slack.post", "error"]), "slack|slack.post|error");
        assert_eq!(labels(&names::JOBS, &["acme", "slack.post\"} 1", ""]), "other|other|other");
        assert_eq!(labels(&names::HTTP_REQUESTS, &["/a/{b}", "GET", "200"]), "/a/{b}|GET|200");
        assert_eq!(labels(&names::HTTP_REQUESTS, &["/a/secret", "get", "999"]), "other|other|other");
    }

    #[test]
    fn a_key_that_is_none_of_our_metrics_is_not_recorded() {
        let recorder = Recorder::default();
        for (name, labels) in [
            ("http_requests", &[][..]),
            (names::JOBS.name, &[]),
            (names::IDEMPOTENCY.name, &[("workspace", "acme")]),
            (names::IDEMPOTENCY.name, &[("workspace", "new")]),
            (names::IDEMPOTENCY.name, &[("outcome", "acme")]),
            (names::BUDGET_REJECTIONS.name, &[("outcome", "new")]),
            (names::QUEUE_DEPTH.name, &[]),
            (names::PLANNER_DURATION.name, &[("status", "ok")]),
        ] {
            let key = Key::from_parts(name, labels);
            assert!(recorder.find(&key, |kind| kind == Kind::Counter).is_none(), "{name}");
        }
        let rejection = Key::from_name(names::BUDGET_REJECTIONS.name);
        assert!(recorder.find(&rejection, |kind| kind == Kind::Counter).is_some());
    }

    #[test]
    fn an_action_starts_with_the_series_of_its_own_provider_only() {
        let recorder = Recorder::new(Vocabulary::new([("slack", "slack.post"), ("zoom", "zoom.call")], ["/a"]));
        let of = |metric: &Metric| {
            let series = recorder.all().into_iter().filter(|series| series.metric.name == metric.name);
            let mut labels: Vec<_> = series.map(|series| series.labels.clone()).collect();
            labels.sort();
            labels
        };
        assert_eq!(of(&names::JOB_DURATION), ["slack|slack.post", "zoom|zoom.call"]);
        assert_eq!(of(&names::ROLLOUT_DECISIONS), ["slack|allow", "slack|deny", "zoom|allow", "zoom|deny"]);
        assert_eq!(of(&names::BUDGET_REJECTIONS), [""]);
        assert!(of(&names::HTTP_REQUESTS).is_empty());
    }

    #[test]
    fn a_taken_count_is_gone_and_its_field_leads_back_to_its_place() {
        let recorder = Recorder::default();
        let time = series(&recorder, &names::PLANNER_DURATION, &["ok"]);
        for seconds in [0.5, 0.500_001, 1e6, -1.0, f64::NAN] {
            time.record(seconds);
        }
        series(&recorder, &names::BUDGET_REJECTIONS, &[]).increment(3);
        let taken = recorder.take();
        assert!(recorder.take().is_empty());
        let told = taken.iter().flat_map(|(series, counts)| series.increments(counts));
        let mut told: Vec<_> = told.map(|i| (i.metric, i.field, i.by)).collect();
        told.sort();
        let duration = |part: &str, by| (names::PLANNER_DURATION.name, format!("ok|{part}"), by);
        let rejections = (names::BUDGET_REJECTIONS.name, String::new(), 3);
        let buckets = [("+Inf", 1), ("0.001", 2), ("0.5", 1), ("1.0", 1), ("sum", 1_000_001_000_001)];
        let expected: Vec<_> = buckets.map(|(part, by)| duration(part, by)).into_iter().chain([rejections]).collect();
        assert_eq!(told, expected);
        for (series, counts) in &taken {
            for Increment { field, by, .. } in series.increments(counts) {
                let (labels, place) = place_of(series.metric, &field).unwrap();
                assert_eq!((labels, counts[place]), (series.labels.as_str(), by));
            }
        }
    }

    #[test]
    fn a_bound_of_another_version_counts_in_the_next_larger_one_and_nonsense_nowhere() {
        let metric = &names::PLANNER_DURATION;
        let bounds = metric.bounds();
        assert_eq!(place_of(metric, "ok|0.3"), Some(("ok", bounds.iter().position(|bound| *bound > 0.4).unwrap())));
        assert_eq!(place_of(metric, "ok|100000.0"), Some(("ok", bounds.len())));
        for nonsense in ["", "ok", "ok|", "ok|x", "ok|more|0.5", "|"] {
            assert_eq!(place_of(metric, nonsense), None, "{nonsense}");
        }
        assert_eq!(place_of(&names::QUEUE_DEPTH, ""), None);
    }
}
