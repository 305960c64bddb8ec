use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use crate::{
    labels::{FlushOutcome, Vocabulary},
    names::{self, Kind, Metric},
    print::{Format, Gauges, Totals, print},
    record::{record_flush, touch_all},
    recorder::{Recorder, Taken, place_of},
    store::{Increment, MetricStore, NotAdded},
    turn::Turns,
};

/// How long a flush may hold up an answer.
const PATIENCE: Duration = Duration::from_millis(100);

/// What this process counts, and where all instances' counts are summed. Clones are the same.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<Recorder>,
    shared: Option<Arc<Shared>>,
    patience: Duration,
}

struct Shared {
    store: Arc<dyn MetricStore>,
    turns: Turns,
    /// The last flush failed; said once, not with every request.
    failing: AtomicBool,
}

impl Metrics {
    /// Lets the functions of [`crate::record`] count from now on. The process has one recorder, and the
    /// vocabulary that was given first; later calls give the same.
    ///
    /// # Panics
    /// When something else has installed a recorder, or a name of the vocabulary cannot be a label.
    pub fn install(vocabulary: Vocabulary) -> Self {
        static INSTALLED: OnceLock<Arc<Recorder>> = OnceLock::new();
        let install = || {
            let vocabulary = vocabulary.give();
            let recorder = Arc::<Recorder>::default();
            metrics::set_global_recorder(Arc::clone(&recorder)).expect("this is the only recorder of the process");
            touch_all(vocabulary);
            recorder
        };
        Self { recorder: Arc::clone(INSTALLED.get_or_init(install)), shared: None, patience: PATIENCE }
    }

    /// Metrics in which nothing is ever recorded, for tests of other things.
    pub fn detached() -> Self {
        Self { recorder: Arc::default(), shared: None, patience: PATIENCE }
    }

    /// Sums in this store; without one, a process is all there is.
    #[must_use]
    pub fn with_store(self, store: Arc<dyn MetricStore>) -> Self {
        let shared = Shared { store, turns: Turns::new(), failing: AtomicBool::new(false) };
        Self { shared: Some(Arc::new(shared)), ..self }
    }

    /// Lets a flush take this long instead, where nobody waits for it.
    #[must_use]
    pub fn patient_for(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Brings what was recorded to the shared store, in one round trip; to be called at the end of every
    /// invocation, before it answers, since nothing is done after it. Takes at most 100 ms.
    ///
    /// What the store refuses goes with the next flush. What may or may not have been added is
    /// dropped and counted: too little is counted then, never too much.
    pub async fn flush(&self) {
        let Some(shared) = &self.shared else { return };
        let deadline = Instant::now() + self.patience;
        // What waits longer than that goes with the next one.
        let Ok(Some(_turn)) = timeout_at(deadline, shared.turns.next()).await else { return };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let taken = self.recorder.take();
        if taken.is_empty() {
            return;
        }
        let mut increments: Vec<Increment> = taken.iter().map(Taken::increment).collect();
        // It counts itself: where it arrives, it was one.
        let ok = FlushOutcome::Ok.as_str().to_owned();
        increments.push(Increment { metric: names::FLUSHES, field: ok, by: 1 });
        // Dropped with this future, as when the caller has gone, it counts as lost.
        let unsettled = Unsettled(taken);
        let added = shared.store.add(&increments, left).await;
        unsettled.settle(added.as_ref().err());
        match added {
            Ok(()) if shared.failing.swap(false, Ordering::Relaxed) => tracing::info!("metrics are flushed again"),
            Err(error) if !shared.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%error, "metrics are not flushed");
            }
            _ => {}
        }
    }

    /// The counts of all instances; none where they cannot be known.
    async fn totals(&self) -> Option<Totals> {
        let mut totals = Totals::new();
        for series in self.recorder.all() {
            let mut counts = series.counts();
            if self.shared.is_some() {
                // They are in the store, or will be. The series itself is there from the start.
                counts.fill(0);
            }
            totals.entry(series.metric.name).or_default().insert(series.labels.clone(), counts);
        }
        let Some(shared) = &self.shared else { return Some(totals) };
        let names: Vec<&str> =
            names::ALL.iter().filter(|metric| metric.kind != Kind::Gauge).map(|metric| metric.name).collect();
        let read = match shared.store.read(&names).await {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(%error, "the counts of all instances cannot be read");
                return None;
            }
        };
        for (metric, fields) in names.iter().filter_map(|name| Metric::find(name)).zip(read) {
            let length = if metric.bounds().is_empty() { 1 } else { metric.bounds().len() + 2 };
            // Thousands of fields of hundreds of series: found by hash, and sorted at the end.
            let mut sums: HashMap<&str, Vec<u64>> = HashMap::new();
            for (field, count) in &fields {
                let Some((labels, place)) = place_of(metric, field) else { continue };
                let sum = &mut sums.entry(labels).or_insert_with(|| vec![0; length])[place];
                *sum = sum.saturating_add(*count);
            }
            let series = totals.entry(metric.name).or_default();
            series.extend(sums.into_iter().map(|(labels, counts)| (labels.to_owned(), counts)));
        }
        Some(totals)
    }

    /// Everything as text. Where the store does not answer, its counts are left out: those of this process
    /// alone would look like all instances beginning anew.
    pub async fn scrape(&self, format: Format, gauges: impl Future<Output = Gauges>) -> String {
        let (gauges, totals) = tokio::join!(gauges, self.totals());
        print(format, &gauges, totals.as_ref())
    }
}

/// What was taken to be flushed, until it is known what became of it.
struct Unsettled(Vec<Taken>);

impl Unsettled {
    fn settle(mut self, failure: Option<&NotAdded>) {
        match failure {
            None => self.0.clear(),
            Some(NotAdded::Refused(_)) => {
                self.0.drain(..).for_each(|taken| taken.put_back());
                record_flush(FlushOutcome::Refused);
            }
            Some(NotAdded::Lost(_)) => {}
        }
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            // That others were lost is not lost with them: of these alone, there may be too many.
            self.0
                .iter()
                .filter(|taken| taken.is_of(names::FLUSHES, FlushOutcome::Lost.as_str()))
                .for_each(Taken::put_back);
            record_flush(FlushOutcome::Lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        future::{pending, ready},
        sync::Mutex as StdMutex,
    };

    use async_trait::async_trait;

    use super::*;
    use crate::{
        labels::Provider,
        record::{
            Action, Idempotency, Method, Route, Status, record_budget_rejection, record_http_request,
            record_idempotency,
        },
        store::StoreDown,
    };

    /// Sums like a real one, and fails as it is told to.
    #[derive(Default)]
    struct Sums {
        fields: StdMutex<BTreeMap<(&'static str, String), u64>>,
        fails: StdMutex<Option<NotAdded>>,
        hangs: AtomicBool,
    }

    impl Sums {
        fn of(&self, metric: &'static str, field: &str) -> u64 {
            self.fields.lock().unwrap().get(&(metric, field.to_owned())).copied().unwrap_or_default()
        }

        fn fail(&self, failure: Option<NotAdded>) {
            *self.fails.lock().unwrap() = failure;
        }
    }

    #[async_trait]
    impl MetricStore for Sums {
        async fn add(&self, increments: &[Increment], within: Duration) -> Result<(), NotAdded> {
            if self.hangs.load(Ordering::Relaxed) {
                assert!(within <= PATIENCE && !within.is_zero());
                return pending().await;
            }
            if let Some(failure) = self.fails.lock().unwrap().clone() {
                return Err(failure);
            }
            for Increment { metric, field, by } in increments {
                *self.fields.lock().unwrap().entry((metric, field.clone())).or_default() += by;
            }
            Ok(())
        }

        async fn read(&self, metrics: &[&'static str]) -> Result<Vec<Vec<(String, u64)>>, StoreDown> {
            if self.hangs.load(Ordering::Relaxed) {
                return Err(StoreDown("no answer".to_owned()));
            }
            let fields = self.fields.lock().unwrap();
            let of = |name: &&str| {
                let of = fields.iter().filter(|((metric, _), _)| metric == name);
                of.map(|((_, field), count)| (field.clone(), *count)).collect()
            };
            Ok(metrics.iter().map(of).collect())
        }
    }

    fn installed() -> Metrics {
        let actions = vec![(Provider::Google, "gmail.send")];
        Metrics::install(Vocabulary { actions, routes: vec!["/ai/plan2"] })
    }

    fn refused() -> NotAdded {
        NotAdded::Refused("down".to_owned())
    }

    fn lost() -> NotAdded {
        NotAdded::Lost("no answer".to_owned())
    }

    // One test, since the process has one recorder.
    #[tokio::test]
    async fn what_is_refused_is_kept_and_what_may_have_arrived_is_dropped_and_counted() {
        let alone = installed();
        let gauges = Gauges { queue_depth: Some(3), queue_oldest_age: None };
        let text = alone.scrape(Format::Text, ready(gauges)).await;
        for metric in names::ALL {
            assert!(text.contains(&format!("# HELP {} {}\n", metric.name, metric.help)), "{}", metric.name);
            assert!(text.contains(&format!("# TYPE {} ", metric.name)), "{}", metric.name);
        }
        for line in [
            "ai_planner_requests_total{status=\"budget\"} 0",
            "ai_job_duration_seconds_bucket{provider=\"google\",action=\"gmail.send\",le=\"+Inf\"} 0",
            "ai_provider_requests_total{provider=\"microsoft\",operation=\"send\",outcome=\"maybe_sent\"} 0",
            "ai_queue_depth 3",
            "ai_metrics_store_up 1",
        ] {
            assert!(text.lines().any(|printed| printed == line), "{line} in {text}");
        }
        assert!(!text.contains("\nai_queue_oldest_age_seconds "), "what is not known is not said: {text}");

        record_budget_rejection();
        alone.flush().await;
        assert!(alone.scrape(Format::Text, ready(gauges)).await.contains("\nai_token_budget_rejections_total 1\n"));

        let sums = Arc::new(Sums::default());
        let shared = installed().with_store(sums.clone());
        shared.flush().await;
        assert_eq!(sums.of(names::BUDGET_REJECTIONS, ""), 1);
        assert_eq!(sums.of(names::FLUSHES, "ok"), 1);
        shared.flush().await;
        assert_eq!(sums.of(names::FLUSHES, "ok"), 1, "nothing was recorded, so nothing is flushed");

        sums.fail(Some(refused()));
        record_idempotency(Idempotency::New);
        shared.flush().await;
        shared.flush().await;
        sums.fail(None);
        record_idempotency(Idempotency::New);
        shared.flush().await;
        assert_eq!(sums.of(names::IDEMPOTENCY, "new"), 2);
        assert_eq!((sums.of(names::FLUSHES, "refused"), sums.of(names::FLUSHES, "ok")), (2, 2));

        sums.fail(Some(lost()));
        record_idempotency(Idempotency::New);
        shared.flush().await;
        sums.fail(None);
        record_idempotency(Idempotency::Replayed);
        shared.flush().await;
        assert_eq!((sums.of(names::IDEMPOTENCY, "new"), sums.of(names::IDEMPOTENCY, "replayed")), (2, 1));
        assert_eq!(sums.of(names::FLUSHES, "lost"), 1);

        sums.hangs.store(true, Ordering::Relaxed);
        record_idempotency(Idempotency::New);
        let began = Instant::now();
        tokio::select! {
            biased;
            () = shared.flush() => panic!("the store hangs"),
            // While one is under way another waits for it, but no longer than an answer may.
            () = shared.flush() => assert!(began.elapsed() >= PATIENCE),
        }
        // The first was dropped with its caller: nobody knows what became of it.
        let text = shared.scrape(Format::Text, ready(Gauges::default())).await;
        assert!(
            text.contains("\nai_metrics_store_up 0\n") && text.contains("# TYPE ai_jobs_total counter\n"),
            "{text}"
        );
        assert!(!text.contains("ai_jobs_total{") && !text.contains("\nai_queue_depth "), "{text}");

        sums.hangs.store(false, Ordering::Relaxed);
        shared.flush().await;
        assert_eq!(sums.of(names::FLUSHES, "lost"), 2);

        let hostile = "\"} 1\nai_jobs_total{workspace=\"acme";
        let (route, action) = (Route::matched(Some(hostile)), Action::named(hostile));
        assert_eq!((route.as_str(), action.as_str()), ("other", "other"));
        assert_eq!(Route::matched(Some("/ai/plan2")).as_str(), "/ai/plan2");
        record_http_request(route, Method::of(hostile), Status::of(999), Duration::from_micros(1_500));
        shared.flush().await;
        let text = shared.scrape(Format::OpenMetrics, ready(Gauges::default())).await;
        let line = "ai_http_request_duration_seconds_sum{route=\"other\",method=\"other\",status=\"other\"} 0.0015\n";
        assert!(
            text.contains(line) && text.contains("# TYPE ai_jobs counter\n") && text.ends_with("# EOF\n"),
            "{text}"
        );
        assert!(text.contains("le=\"10.0\"}"), "{text}");
    }
}
