//! The process's metrics: recording, flushing to the shared store, and the text of a scrape.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use crate::{
    coalescer::FlushCoalescer,
    labels::FlushOutcome,
    names::{self, Kind, Metric},
    print::{Gauges, Totals, print},
    recorder::{Recorder, Series, place_of},
    store::{Batch, Increment, MetricStore, NotAdded},
    vocabulary::Vocabulary,
};

/// The longest delay that a flush may add to an answer.
pub const FLUSH_TIMEOUT: Duration = Duration::from_millis(100);

/// The most counts of a batch. ElastiCache Serverless takes at most 3,999 arguments, and a count is three of a script.
const BATCH_SIZE: usize = 1000;

/// This process's counts, and the store that sums the counts of all instances. Clones share both. The default records
/// nothing, for tests of other things.
#[derive(Clone, Default)]
pub struct Metrics {
    recorder: Arc<Recorder>,
    shared: Option<Arc<Shared>>,
}

struct Shared {
    store: Arc<dyn MetricStore>,
    flush_timeout: Duration,
    coalescer: FlushCoalescer<Unsent>,
    /// The last flush failed: logged once, not with every request.
    failing: AtomicBool,
}

/// What the store has not confirmed yet.
#[derive(Default)]
struct Unsent {
    batches: VecDeque<Batch>,
    /// The number of the last batch.
    last: u64,
}

impl Metrics {
    /// Starts recording, by [`Metric::count`], [`Metric::add`] and [`Metric::observe`]. A process has one recorder: later
    /// calls return it, with
    /// the vocabulary of the first call.
    pub fn install(vocabulary: Vocabulary) -> Self {
        Self { recorder: Recorder::install(vocabulary), shared: None }
    }

    /// Sums the counts in this store, within this time of a flush. Without a store, a scrape shows this process alone.
    #[must_use]
    pub fn with_store(self, store: Arc<dyn MetricStore>, flush_timeout: Duration) -> Self {
        let (coalescer, failing) = (FlushCoalescer::default(), AtomicBool::new(false));
        Self { shared: Some(Arc::new(Shared { store, flush_timeout, coalescer, failing })), ..self }
    }

    /// Adds the recorded counts to the shared store, in one round trip for each thousand. Call it at the end of every
    /// invocation, before the answer: Lambda freezes the process after it.
    ///
    /// A batch that the store has not confirmed goes with the next flush, under its number, so that it is added once.
    /// What is recorded meanwhile stays with the recorder until the store has confirmed it.
    pub async fn flush(&self) {
        let Some(shared) = &self.shared else { return };
        let deadline = Instant::now() + shared.flush_timeout;
        // After a timeout, the counts go with the next flush.
        let Ok(Some(mut unsent)) = timeout_at(deadline, shared.coalescer.lead()).await else { return };
        let flushed = async {
            shared.send(&mut unsent.batches, deadline).await?;
            unsent.add(self.recorder.take().iter().flat_map(|(series, counts)| series.increments(counts)));
            shared.send(&mut unsent.batches, deadline).await
        };
        match flushed.await {
            Ok(0) => {}
            Ok(_) => {
                if shared.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("metrics are flushed again");
                }
            }
            Err(error) => {
                let outcome = match error {
                    NotAdded::Refused(_) => FlushOutcome::Refused,
                    NotAdded::Lost(_) => FlushOutcome::Lost,
                };
                names::FLUSHES.count(&[outcome.into()]);
                if !shared.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "metrics are not flushed; the next flush tries again");
                }
            }
        }
    }

    /// The counts of all instances; none if the store does not answer.
    async fn totals(&self) -> Option<Totals> {
        // The store has the counts of this process, or will. The series themselves exist from the start.
        let counts = |series: &Series| match &self.shared {
            Some(_) => vec![0; series.metric.counts()],
            None => series.counts(),
        };
        let all = self.recorder.all();
        let totals = all.iter().map(|series| ((series.metric.name, series.labels.clone()), counts(series)));
        let mut totals: Totals = totals.collect();
        let Some(shared) = &self.shared else { return Some(totals) };
        let metrics: Vec<&Metric> = names::ALL.iter().copied().filter(|metric| metric.kind != Kind::Gauge).collect();
        let names: Vec<&str> = metrics.iter().map(|metric| metric.name).collect();
        let read = shared.store.read(&names).await;
        let read = read.inspect_err(|error| tracing::warn!(%error, "the shared counts cannot be read")).ok()?;
        for (metric, fields) in metrics.into_iter().zip(read) {
            // Thousands of fields belong to hundreds of series: a hash map sums, the tree sorts once at the end.
            let mut sums: HashMap<&str, Vec<u64>> = HashMap::new();
            for (field, count) in &fields {
                let Some((labels, place)) = place_of(metric, field) else { continue };
                let sum = &mut sums.entry(labels).or_insert_with(|| vec![0; metric.counts()])[place];
                *sum = sum.saturating_add(*count);
            }
            totals.extend(sums.into_iter().map(|(labels, counts)| ((metric.name, labels.to_owned()), counts)));
        }
        Some(totals)
    }

    /// All metrics in Prometheus's text format. If the store does not answer or cannot be read, its counts are left out:
    /// this process's own counts would look as if all instances had restarted.
    pub async fn scrape(&self, gauges: impl Future<Output = Gauges>) -> String {
        if self.shared.as_ref().is_some_and(|shared| !shared.store.is_readable()) {
            return print(&gauges.await, None, None);
        }
        let (gauges, totals) = tokio::join!(gauges, self.totals());
        print(&gauges, totals.as_ref(), Some(totals.is_some()))
    }
}

impl Shared {
    /// Sends batches until none is left; returns how many there were.
    async fn send(&self, batches: &mut VecDeque<Batch>, deadline: Instant) -> Result<usize, NotAdded> {
        let mut sent = 0;
        while let Some(batch) = batches.front() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NotAdded::Refused("no time is left".to_owned()));
            }
            // If the caller goes and this future is dropped, the batch stays for the next flush.
            self.store.add(batch, left).await?;
            batches.pop_front();
            sent += 1;
        }
        Ok(sent)
    }
}

impl Unsent {
    /// Makes batches of what was recorded. A flush that arrives counts itself.
    fn add(&mut self, increments: impl Iterator<Item = Increment>) {
        let mut increments: Vec<Increment> = increments.collect();
        if increments.is_empty() {
            return;
        }
        let ok = <&str>::from(FlushOutcome::Ok).to_owned();
        increments.push(Increment { metric: names::FLUSHES.name, field: ok, by: 1 });
        for increments in increments.chunks(BATCH_SIZE) {
            self.last += 1;
            self.batches.push_back(Batch { number: self.last, increments: increments.to_vec() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        future::{pending, ready},
        sync::{Mutex as StdMutex, atomic::AtomicU64},
    };

    use async_trait::async_trait;

    use super::*;
    use crate::{
        labels::{Decision, Idempotency, JobCount, Operation, PlannerStatus, ProviderOutcome},
        store::StoreDown,
    };

    /// A store in memory that fails on demand.
    #[derive(Default)]
    struct Sums {
        fields: StdMutex<BTreeMap<(&'static str, String), u64>>,
        last: AtomicU64,
        fails: StdMutex<Option<NotAdded>>,
        hangs: AtomicBool,
    }

    impl Sums {
        fn of(&self, metric: &Metric, field: &str) -> u64 {
            self.fields.lock().unwrap().get(&(metric.name, field.to_owned())).copied().unwrap_or_default()
        }

        fn fail(&self, failure: Option<NotAdded>) {
            *self.fails.lock().unwrap() = failure;
        }
    }

    #[async_trait]
    impl MetricStore for Sums {
        async fn add(&self, batch: &Batch, within: Duration) -> Result<(), NotAdded> {
            assert!(within <= FLUSH_TIMEOUT && !within.is_zero());
            let failure = self.fails.lock().unwrap().clone();
            if matches!(failure, Some(NotAdded::Refused(_))) {
                return failure.map_or(Ok(()), Err);
            }
            // A lost answer is that of a batch that arrived.
            if self.last.swap(batch.number, Ordering::Relaxed) < batch.number {
                assert!(batch.increments.len() <= BATCH_SIZE);
                for Increment { metric, field, by } in &batch.increments {
                    *self.fields.lock().unwrap().entry((metric, field.clone())).or_default() += by;
                }
            }
            if self.hangs.load(Ordering::Relaxed) {
                return pending().await;
            }
            failure.map_or(Ok(()), Err)
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
        Metrics::install(Vocabulary::new([("google", "gmail.send"), ("microsoft", "outlook.send")], ["/ai/plan2"]))
    }

    fn refused() -> NotAdded {
        NotAdded::Refused("down".to_owned())
    }

    fn lost() -> NotAdded {
        NotAdded::Lost("no answer".to_owned())
    }

    // One test, because the process has one recorder.
    #[tokio::test]
    async fn every_count_arrives_once_whatever_became_of_its_first_flush() {
        let alone = installed();
        let gauges = Gauges { queue_depth: Some(3), ..Gauges::default() };
        let text = alone.scrape(ready(gauges)).await;
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
        assert!(!text.contains("\nai_queue_oldest_age_seconds "), "an unknown gauge has no sample: {text}");

        names::BUDGET_REJECTIONS.count(&[]);
        alone.flush().await;
        assert!(alone.scrape(ready(gauges)).await.contains("\nai_token_budget_rejections_total 1\n"));

        let sums = Arc::new(Sums::default());
        let shared = installed().with_store(sums.clone(), FLUSH_TIMEOUT);
        shared.flush().await;
        assert_eq!(sums.of(&names::BUDGET_REJECTIONS, ""), 1);
        assert_eq!(sums.of(&names::FLUSHES, "ok"), 1);
        shared.flush().await;
        assert_eq!(sums.of(&names::FLUSHES, "ok"), 1, "nothing was recorded, so nothing is flushed");

        sums.fail(Some(refused()));
        names::IDEMPOTENCY.count(&[Idempotency::New.into()]);
        shared.flush().await;
        shared.flush().await;
        sums.fail(None);
        names::IDEMPOTENCY.count(&[Idempotency::New.into()]);
        shared.flush().await;
        assert_eq!(sums.of(&names::IDEMPOTENCY, "new"), 2, "what waited and what is new");
        assert_eq!((sums.of(&names::FLUSHES, "refused"), sums.of(&names::FLUSHES, "ok")), (2, 3));

        // More counts than one batch takes.
        let routes = ["GET", "POST", "DELETE", "HEAD", "OPTIONS"];
        let statuses =
            ["200", "202", "204", "302", "303", "307", "400", "401", "403", "404", "405", "409", "413", "415"];
        for (method, status) in routes.iter().flat_map(|method| statuses.map(|status| (*method, status))) {
            for bucket in names::ANSWER_BUCKETS {
                let took = Duration::from_secs_f64(*bucket);
                names::HTTP_REQUEST_DURATION.observe(&["/ai/plan2", method, status], took);
            }
        }
        let before = sums.last.load(Ordering::Relaxed);
        shared.flush().await;
        assert!(sums.last.load(Ordering::Relaxed) >= before + 2, "several batches");
        for bucket in ["/ai/plan2|GET|200|0.001", "/ai/plan2|OPTIONS|413|25.0"] {
            assert_eq!(sums.of(&names::HTTP_REQUEST_DURATION, bucket), 1, "{bucket}");
        }

        sums.fail(Some(lost()));
        names::IDEMPOTENCY.count(&[Idempotency::New.into()]);
        shared.flush().await;
        sums.fail(None);
        names::IDEMPOTENCY.count(&[Idempotency::Replayed.into()]);
        shared.flush().await;
        assert_eq!((sums.of(&names::IDEMPOTENCY, "new"), sums.of(&names::IDEMPOTENCY, "replayed")), (3, 1));
        assert_eq!(sums.of(&names::FLUSHES, "lost"), 1);

        sums.hangs.store(true, Ordering::Relaxed);
        names::IDEMPOTENCY.count(&[Idempotency::New.into()]);
        let began = Instant::now();
        tokio::select! {
            biased;
            () = shared.flush() => panic!("the store hangs"),
            // A second flush waits for the first, but not beyond the timeout.
            () = shared.flush() => assert!(began.elapsed() >= FLUSH_TIMEOUT),
        }
        // The first flush was dropped with its caller.
        let text = shared.scrape(ready(Gauges::default())).await;
        assert!(
            text.contains("\nai_metrics_store_up 0\n") && text.contains("# TYPE ai_jobs_total counter\n"),
            "{text}"
        );
        assert!(!text.contains("ai_jobs_total{") && !text.contains("\nai_queue_depth "), "{text}");

        sums.hangs.store(false, Ordering::Relaxed);
        shared.flush().await;
        assert_eq!(sums.of(&names::IDEMPOTENCY, "new"), 4, "it was added once");

        let hostile = "\"} 1\nai_jobs_total{workspace=\"acme";
        names::HTTP_REQUEST_DURATION.observe(&[hostile, hostile, "999"], Duration::from_micros(1_500));
        names::HTTP_REQUEST_DURATION.observe(&["/ai/plan2", "POST", "503"], Duration::ZERO);
        shared.flush().await;
        let text = shared.scrape(ready(Gauges::default())).await;
        for line in [
            "ai_http_request_duration_seconds_sum{route=\"other\",method=\"other\",status=\"other\"} 0.0015",
            "ai_http_request_duration_seconds_bucket{route=\"/ai/plan2\",method=\"POST\",status=\"503\",le=\"10.0\"} 1",
        ] {
            assert!(text.lines().any(|printed| printed == line), "{line} in {text}");
        }

        names::PLANNER_REQUESTS.count(&[PlannerStatus::NoAction.into()]);
        names::PLANNER_DURATION.observe(&[PlannerStatus::NoAction.into()], Duration::ZERO);
        names::PLANNER_TOKENS.add(&["input"], 2);
        names::PLANNER_TOKENS.add(&["output"], 3);
        names::JOBS.count(&["google", "gmail.send", JobCount::Enqueued.into()]);
        names::JOB_DURATION.observe(&["google", "gmail.send"], Duration::ZERO);
        names::JOB_QUEUE_WAIT.observe(&["google", "gmail.send"], Duration::ZERO);
        names::PERMISSION_CHECKS.count(&[Decision::Deny.into()]);
        names::ROLLOUT_DECISIONS.count(&["google", Decision::Allow.into()]);
        let outcome = ProviderOutcome::MaybeSent.into();
        names::PROVIDER_REQUESTS.count(&["google", Operation::Send.into(), outcome]);
        names::UNREADABLE_MESSAGES.count(&[]);
        shared.flush().await;
        for (metric, field, count) in [
            (&names::PLANNER_REQUESTS, "no_action", 1),
            (&names::PLANNER_DURATION, "no_action|0.001", 1),
            (&names::PLANNER_TOKENS, "input", 2),
            (&names::PLANNER_TOKENS, "output", 3),
            (&names::JOBS, "google|gmail.send|enqueued", 1),
            (&names::JOB_DURATION, "google|gmail.send|0.001", 1),
            (&names::JOB_QUEUE_WAIT, "google|gmail.send|0.001", 1),
            (&names::PERMISSION_CHECKS, "deny", 1),
            (&names::ROLLOUT_DECISIONS, "google|allow", 1),
            (&names::PROVIDER_REQUESTS, "google|send|maybe_sent", 1),
            (&names::UNREADABLE_MESSAGES, "", 1),
        ] {
            assert_eq!(sums.of(metric, field), count, "{} {field}", metric.name);
        }
    }
}
