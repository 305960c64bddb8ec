//! Behaviours of [`engine::ports::JobCache`].

use std::sync::Arc;

use domain::Terms;
use engine::ports::Cache;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    sample_job,
    support::{at_once, workspace},
};

/// A cached job is never replaced by an earlier version.
pub async fn keeps_the_latest_version(cache: Arc<dyn Cache>, now: Timestamp, seed: Uuid) {
    let workspace = workspace("jobs", seed);
    let first = sample_job(&workspace, "a", now);
    let other = sample_job(&workspace, "b", now);
    assert_eq!(
        cache.cached_job(&workspace, first.job_id, None).await.expect("a look").0,
        None,
        "what was never put is not there"
    );
    cache.put_jobs(&[]).await.expect("a put of nothing");
    cache.put_jobs(&[first.clone(), other.clone()]).await.expect("a put");
    assert_eq!(cache.cached_job(&workspace, first.job_id, None).await.expect("a look").0, Some(first.clone()));
    assert_eq!(cache.cached_job(&workspace, other.job_id, None).await.expect("a look").0, Some(other));

    let foreign = crate::support::workspace("strangers", seed);
    let theirs = cache.cached_job(&foreign, first.job_id, None).await.expect("a look").0;
    assert_eq!(theirs, None, "another workspace's job is not there");

    let later = first.cancelled(now).expect("it is pending");
    cache.put_jobs(std::slice::from_ref(&later)).await.expect("a put");
    assert_eq!(
        cache.cached_job(&workspace, first.job_id, None).await.expect("a look").0,
        Some(later.clone()),
        "a later version replaces"
    );
    cache.put_jobs(std::slice::from_ref(&first)).await.expect("a put");
    assert_eq!(
        cache.cached_job(&workspace, first.job_id, None).await.expect("a look").0,
        Some(later),
        "an earlier one does not"
    );

    let mut versions = vec![sample_job(&workspace, "contested", now)];
    while versions.len() < 32 {
        let last = versions.last().expect("there is one");
        versions.push(
            if last.error.is_none() { last.cancelled(now) } else { last.retried(Terms::default(), now) }
                .expect("allowed"),
        );
    }
    let last = versions.last().cloned().expect("there is one");
    at_once(versions.into_iter().rev().map(|job| {
        let cache = cache.clone();
        async move { cache.put_jobs(&[job]).await.expect("a put") }
    }))
    .await;
    assert_eq!(
        cache.cached_job(&workspace, last.job_id, None).await.expect("a look").0,
        Some(last),
        "of 32 puts at once the last version stays"
    );
}
