//! Behaviours of [`engine::ports::Settings`].

use domain::{Allowlist, Provider, WorkspaceSettings};
use engine::ports::Save;
use jiff::Timestamp;
use uuid::Uuid;

use crate::support::{Adapter, entries, entry, workspace};

/// Each provider has a rollout of its own, and changes are audited.
pub async fn keeps_the_rollout_of_each_provider(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let before = ledger.rollout_percent(Provider::Google).await.expect("reads");
    let microsoft = ledger.rollout_percent(Provider::Microsoft).await.expect("reads");
    for percent in [0, 37, 100] {
        ledger.set_rollout_percent(Provider::Google, percent, &entry(None, now, seed, percent)).await.expect("sets");
        assert_eq!(ledger.rollout_percent(Provider::Google).await.expect("reads"), Some(percent));
    }
    let unchanged = ledger.rollout_percent(Provider::Microsoft).await.expect("reads");
    assert_eq!(unchanged, microsoft, "each provider has its own");
    let told = entries(&ledger, None).await;
    assert!(told.contains(&entry(None, now, seed, 37)), "a change is audited, for no workspace");
    ledger
        .set_rollout_percent(Provider::Google, before.unwrap_or(100), &entry(None, now, seed, 101))
        .await
        .expect("sets");
}

/// Each workspace has settings of its own, and changes are audited.
pub async fn keeps_the_settings_of_each_workspace(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let (ours, other) = (workspace("settings", seed), workspace("unsettled", seed));
    assert_eq!(ledger.workspace(&ours).await.expect("reads"), None);
    let only = |action: &str| std::iter::once(action.parse().expect("an action")).collect();
    let mut before = None;
    for (n, (allow, draft_only)) in
        [(Some(only("gmail.send")), false), (Some(Allowlist::default()), true), (None, true), (None, false)]
            .into_iter()
            .enumerate()
    {
        let settings = WorkspaceSettings { allow, draft_only };
        let entry = entry(Some(&ours), now, seed, u8::try_from(n).expect("few"));
        let stale = WorkspaceSettings { allow: Some(only("other.action")), draft_only };
        let put = async |over: Option<&WorkspaceSettings>| {
            ledger.put_workspace(&ours, &settings, over, &entry).await.expect("writes")
        };
        assert_eq!(put(Some(&stale)).await, Save::Stale, "others were read");
        assert_eq!(put(before.as_ref()).await, Save::Done);
        assert_eq!(ledger.workspace(&ours).await.expect("reads"), Some(settings.clone()));
        assert!(entries(&ledger, Some(&ours)).await.contains(&entry));
        before = Some(settings);
    }
    let unsettled = ledger.put_workspace(&ours, &WorkspaceSettings::default(), None, &entry(None, now, seed, 9)).await;
    assert_eq!(unsettled.expect("writes"), Save::Stale, "somebody set them");
    assert_eq!(ledger.workspace(&other).await.expect("reads"), None, "each workspace has its own");
}
