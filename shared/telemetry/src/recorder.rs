//! Counts in this process: what is recorded, until it is flushed.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder as Facade, SharedString, Unit,
};

use crate::{
    names::{Kind, Metric, le},
    store::Increment,
};

/// What the `metrics` facade records into. It keeps the metrics of [`crate::names`] alone, each with its own labels.
#[derive(Debug, Default)]
pub struct Recorder {
    series: RwLock<HashMap<Key, Arc<Series>>>,
}

/// The counts of one metric with one set of labels: one of a counter; of a histogram one a bucket, the last
/// without a bound, and the sum in microseconds.
#[derive(Debug)]
pub struct Series {
    pub metric: &'static Metric,
    /// The labels' values, `|` between them.
    pub labels: String,
    counts: Box<[AtomicU64]>,
    /// Something was recorded since it was taken last.
    changed: AtomicBool,
}

/// What was taken out of one count.
#[derive(Debug)]
pub struct Taken {
    series: Arc<Series>,
    place: usize,
    by: u64,
}

impl Recorder {
    /// The series of a key; none for what is no metric of ours.
    fn series(&self, key: &Key, histogram: bool) -> Option<Arc<Series>> {
        if let Some(series) = self.series.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Some(Arc::clone(series));
        }
        let metric = Metric::find(key.name())?;
        let fits = match metric.kind {
            Kind::Counter => !histogram,
            Kind::Histogram(_) => histogram,
            Kind::Gauge => false,
        };
        if !fits || !key.labels().map(metrics::Label::key).eq(metric.labels.iter().copied()) {
            return None;
        }
        let labels: Vec<&str> = key.labels().map(metrics::Label::value).collect();
        let counts = if histogram { metric.bounds().len() + 2 } else { 1 };
        let series = Series {
            metric,
            labels: labels.join("|"),
            counts: (0..counts).map(|_| AtomicU64::new(0)).collect(),
            changed: AtomicBool::new(false),
        };
        let mut all = self.series.write().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(all.entry(key.clone()).or_insert_with(|| Arc::new(series))))
    }

    /// Every series that there is.
    pub fn all(&self) -> Vec<Arc<Series>> {
        self.series.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Takes what was recorded since it was taken last.
    pub fn take(&self) -> Vec<Taken> {
        let mut taken = Vec::new();
        for series in self.series.read().unwrap_or_else(PoisonError::into_inner).values() {
            // Recording sets it last, so nothing that is counted later can be overlooked next time.
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
    /// Puts it back, to be taken again.
    pub fn put_back(&self) {
        self.series.add(self.place, self.by);
    }

    /// Whether it is of this series.
    pub fn is_of(&self, metric: &str, labels: &str) -> bool {
        (self.series.metric.name, self.series.labels.as_str()) == (metric, labels)
    }

    pub fn increment(&self) -> Increment {
        Increment { metric: self.series.metric.name, field: self.series.field(self.place), by: self.by }
    }
}

impl Series {
    fn add(&self, place: usize, by: u64) {
        self.counts[place].fetch_add(by, Ordering::Relaxed);
        self.changed.store(true, Ordering::Release);
    }

    /// What was recorded and not taken.
    pub fn counts(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// What a count is called in a store.
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

/// Puts a store's count where it belongs: its labels, and its place among the counts of a series. A bucket of
/// a bound that this version does not have counts in the next larger one.
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

impl CounterFn for Series {
    fn increment(&self, value: u64) {
        if value > 0 {
            self.add(0, value);
        }
    }

    fn absolute(&self, _: u64) {}
}

impl HistogramFn for Series {
    /// Counts seconds, exact to the microsecond.
    fn record(&self, value: f64) {
        let bounds = self.metric.bounds();
        // What is no number counts as zero.
        let seconds = value.max(0.0);
        self.counts[bounds.partition_point(|bound| *bound < seconds)].fetch_add(1, Ordering::Relaxed);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and no time is so long"
        )]
        let micros = (seconds * 1e6).round() as u64;
        self.add(bounds.len() + 1, micros);
    }
}

impl Facade for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.series(key, false).map_or_else(Counter::noop, Counter::from_arc)
    }

    /// Gauges are read when somebody asks.
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.series(key, true).map_or_else(Histogram::noop, Histogram::from_arc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;

    fn key(name: &'static str, labels: &[(&'static str, &'static str)]) -> Key {
        Key::from_parts(name, labels)
    }

    #[test]
    fn what_is_no_metric_of_ours_is_not_kept() {
        let recorder = Recorder::default();
        for (name, labels) in [
            ("http_requests", &[][..]),
            (names::JOBS, &[]),
            (names::IDEMPOTENCY, &[("workspace", "acme")]),
            (names::BUDGET_REJECTIONS, &[("outcome", "new")]),
            (names::QUEUE_DEPTH, &[]),
            (names::PLANNER_DURATION, &[("status", "ok")]),
        ] {
            assert!(recorder.series(&key(name, labels), false).is_none(), "{name}");
        }
        assert!(recorder.series(&key(names::IDEMPOTENCY, &[("outcome", "new")]), true).is_none());
        assert!(recorder.all().is_empty());
    }

    #[test]
    fn what_is_taken_is_gone_until_it_is_put_back_and_finds_its_place_again() {
        let recorder = Recorder::default();
        let time = recorder.series(&key(names::PLANNER_DURATION, &[("status", "ok")]), true).unwrap();
        for seconds in [0.5, 0.500_001, 1e6, -1.0, f64::NAN] {
            time.record(seconds);
        }
        recorder.series(&key(names::BUDGET_REJECTIONS, &[]), false).unwrap().increment(3);
        let taken = recorder.take();
        assert!(recorder.take().is_empty());
        let mut told: Vec<_> = taken.iter().map(Taken::increment).map(|i| (i.metric, i.field, i.by)).collect();
        told.sort();
        let duration = |part: &str, by| (names::PLANNER_DURATION, format!("ok|{part}"), by);
        let rejections = (names::BUDGET_REJECTIONS, String::new(), 3);
        let buckets = [("+Inf", 1), ("0.001", 2), ("0.5", 1), ("1.0", 1), ("sum", 1_000_001_000_001)];
        let expected: Vec<_> = buckets.map(|(part, by)| duration(part, by)).into_iter().chain([rejections]).collect();
        assert_eq!(told, expected);
        for taken in &taken {
            let increment = taken.increment();
            let metric = Metric::find(increment.metric).unwrap();
            assert_eq!(place_of(metric, &increment.field), Some((taken.series.labels.as_str(), taken.place)));
        }
        taken.iter().for_each(Taken::put_back);
        assert_eq!(recorder.take().len(), taken.len());
    }

    #[test]
    fn a_bound_of_another_version_counts_in_the_next_larger_one_and_nonsense_nowhere() {
        let metric = Metric::find(names::PLANNER_DURATION).unwrap();
        let bounds = metric.bounds();
        assert_eq!(place_of(metric, "ok|0.3"), Some(("ok", bounds.iter().position(|bound| *bound > 0.4).unwrap())));
        assert_eq!(place_of(metric, "ok|100000.0"), Some(("ok", bounds.len())));
        for nonsense in ["", "ok", "ok|", "ok|x", "ok|more|0.5", "|"] {
            assert_eq!(place_of(metric, nonsense), None, "{nonsense}");
        }
        assert_eq!(place_of(Metric::find(names::QUEUE_DEPTH).unwrap(), ""), None);
    }
}
