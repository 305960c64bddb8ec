//! This process's counts: what was recorded and is not flushed yet.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use metrics::{Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Label, Metadata, SharedString, Unit};

use crate::{
    names::{self, Kind, Metric, le},
    store::Increment,
    vocabulary::{LabelValues, Vocabulary},
};

/// All series of the process: what the `metrics` facade records into. It keeps the metrics of [`names`] only.
#[derive(Debug, Default)]
pub struct Recorder {
    vocabulary: Vocabulary,
    series: RwLock<HashMap<(&'static str, LabelValues), Arc<Series>>>,
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

/// The value taken out of one count.
#[derive(Debug)]
pub struct Taken {
    series: Arc<Series>,
    place: usize,
    by: u64,
}

static INSTALLED: OnceLock<Arc<Recorder>> = OnceLock::new();

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
        let recorder = Self { vocabulary, series: RwLock::default() };
        for metric in names::ALL.iter().filter(|metric| metric.kind != Kind::Gauge) {
            for labels in recorder.vocabulary.initial_series(metric) {
                recorder.series(metric, &labels[..metric.labels.len()]);
            }
        }
        recorder
    }

    /// The series of a key; none if it is not one of our metrics of this kind.
    fn find(&self, key: &Key, kind: fn(Kind) -> bool) -> Option<Arc<Series>> {
        let metric = names::ALL.iter().find(|metric| metric.name == key.name() && kind(metric.kind))?;
        let names = key.labels().map(Label::key);
        let values: Vec<&str> = key.labels().map(Label::value).collect();
        names.eq(metric.labels.iter().map(|label| label.name)).then(|| self.series(metric, &values))
    }

    /// The series of a metric with these values of its labels. An unknown value counts as `other`.
    pub fn series(&self, metric: &'static Metric, values: &[&str]) -> Arc<Series> {
        debug_assert_eq!(metric.labels.len(), values.len(), "one value for each label of {}", metric.name);
        let mut labels = LabelValues::default();
        for ((place, label), value) in labels.iter_mut().zip(metric.labels).zip(values) {
            *place = self.vocabulary.known(label, value);
        }
        let key = (metric.name, labels);
        if let Some(series) = self.series.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(series);
        }
        let mut all = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Series {
            metric,
            labels: labels[..metric.labels.len()].join("|"),
            counts: (0..metric.counts()).map(|_| AtomicU64::new(0)).collect(),
            changed: AtomicBool::new(false),
        };
        Arc::clone(all.entry(key).or_insert_with(|| Arc::new(new())))
    }

    /// Every series.
    pub fn all(&self) -> Vec<Arc<Series>> {
        self.series.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Takes everything recorded since the last take.
    pub fn take(&self) -> Vec<Taken> {
        let mut taken = Vec::new();
        for series in self.series.read().unwrap_or_else(PoisonError::into_inner).values() {
            // Recording sets the flag after it counts, so the next take sees a count that this one misses.
            if !series.changed.swap(false, Ordering::AcqRel) {
                continue;
            }
            for (place, count) in series.counts.iter().enumerate() {
                let by = count.swap(0, Ordering::Relaxed);
                if by > 0 {
                    taken.push(Taken { series: Arc::clone(series), place, by });
                }
            }
        }
        taken
    }
}

impl Taken {
    /// Returns the value to its count, for the next take.
    pub fn put_back(&self) {
        self.series.add(self.place, self.by);
    }

    /// Whether it was taken from this series.
    pub fn is_of(&self, metric: &Metric, labels: &str) -> bool {
        (self.series.metric.name, self.series.labels.as_str()) == (metric.name, labels)
    }

    pub fn increment(&self) -> Increment {
        Increment { metric: self.series.metric.name, field: self.series.field(self.place), by: self.by }
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

    /// The name of a count in the store.
    fn field(&self, place: usize) -> String {
        let Kind::Histogram(bounds) = self.metric.kind else { return self.labels.clone() };
        let part = match bounds.get(place) {
            Some(bound) => le(*bound),
            None if place == bounds.len() => "+Inf".to_owned(),
            None => "sum".to_owned(),
        };
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
                "+Inf" => bounds.len(),
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

    #[test]
    fn a_value_outside_a_label_s_closed_set_is_other() {
        let recorder = Recorder::new(Vocabulary::new([("slack", "slack.post")], ["/a/{b}"]));
        let labels = |metric, values: &[&str]| recorder.series(metric, values).labels.clone();
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
    fn a_taken_count_is_gone_until_it_is_put_back_and_its_field_leads_back_to_its_place() {
        let recorder = Recorder::default();
        let time = recorder.series(&names::PLANNER_DURATION, &["ok"]);
        for seconds in [0.5, 0.500_001, 1e6, -1.0, f64::NAN] {
            time.record(seconds);
        }
        recorder.series(&names::BUDGET_REJECTIONS, &[]).increment(3);
        let taken = recorder.take();
        assert!(recorder.take().is_empty());
        let mut told: Vec<_> = taken.iter().map(Taken::increment).map(|i| (i.metric, i.field, i.by)).collect();
        told.sort();
        let duration = |part: &str, by| (names::PLANNER_DURATION.name, format!("ok|{part}"), by);
        let rejections = (names::BUDGET_REJECTIONS.name, String::new(), 3);
        let buckets = [("+Inf", 1), ("0.001", 2), ("0.5", 1), ("1.0", 1), ("sum", 1_000_001_000_001)];
        let expected: Vec<_> = buckets.map(|(part, by)| duration(part, by)).into_iter().chain([rejections]).collect();
        assert_eq!(told, expected);
        for taken in &taken {
            let field = taken.increment().field;
            assert_eq!(place_of(taken.series.metric, &field), Some((taken.series.labels.as_str(), taken.place)));
        }
        taken.iter().for_each(Taken::put_back);
        assert_eq!(recorder.take().len(), taken.len());
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
