//! Behaviours of [`engine::ports::Plans`].

use domain::PlanId;
use engine::ports::{Ids, StoredPlan};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    CountingIds,
    support::{Adapter, entry, minute, sealed, workspace},
};

/// A plan is found in its workspace until it expires.
pub async fn keeps_plans_until_they_expire(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let (ours, other) = (workspace("plan", seed), workspace("foreign", seed));
    let new_ids = CountingIds::new(seed.as_u64_pair().0);
    let plan = StoredPlan {
        plan_id: PlanId(new_ids.uuid()),
        workspace: ours.clone(),
        sealed: sealed("plan"),
        expires_at: minute(now, 60),
    };
    let questions = StoredPlan { plan_id: PlanId(new_ids.uuid()), sealed: sealed("questions"), ..plan.clone() };
    let both = [plan.clone(), questions.clone()];
    ledger.put_plans(&both, &entry(Some(&ours), now, seed, 1)).await.expect("a put");
    ledger.put_plans(&both, &entry(Some(&ours), now, seed, 1)).await.expect("a repeated put");
    let newer = StoredPlan { sealed: sealed("newer"), ..questions.clone() };
    ledger
        .put_plans(std::slice::from_ref(&newer), &entry(Some(&ours), now, seed, 2))
        .await
        .expect("a put over another");
    assert_eq!(ledger.plan(&ours, newer.plan_id, now).await.expect("reads"), Some(newer));
    let just_before = plan.expires_at - SignedDuration::from_millis(1);
    assert_eq!(ledger.plan(&ours, plan.plan_id, just_before).await.expect("reads"), Some(plan.clone()));
    assert_eq!(ledger.plan(&ours, plan.plan_id, plan.expires_at).await.expect("reads"), None, "it has expired");
    assert_eq!(ledger.plan(&other, plan.plan_id, now).await.expect("reads"), None, "another workspace's is not found");
    let unknown = PlanId(new_ids.uuid());
    assert_eq!(ledger.plan(&ours, unknown, now).await.expect("reads"), None);
}
