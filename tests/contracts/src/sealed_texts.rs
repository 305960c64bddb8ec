//! Behaviours of [`engine::ports::SealedTexts`].

use domain::{Job, PlanId, Provider};
use engine::ports::{Contents, Insert, OutboxEntry, Purpose, Save, Sealed, SealedText, StoredConnection, StoredPlan};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::{
    sample_job,
    support::{Adapter, contents, end, entry, error, held, minute, save, sealed, workspace},
};

/// Each sealed text is found once, with its place, and replaced by another; nothing else changes.
pub async fn finds_and_replaces_each(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let ours = workspace("sealed", seed);
    let owned = |jobs: &[(Job, Contents)]| -> Vec<_> {
        jobs.iter().map(|(job, text)| (Purpose::JobParams, job.job_id.to_string(), text.0.0.clone())).collect()
    };
    // More than one page, and one text that is longer than an item of a table.
    let text = |n: usize| if n == 0 { "x".repeat(800_000) } else { format!("params {n}") };
    let jobs: Vec<(Job, Contents)> =
        (0..25).map(|n| (sample_job(&ours, &format!("{n}"), now), contents(&text(n)))).collect();
    assert_eq!(ledger.insert_jobs(&jobs).await.expect("inserts"), Insert::Done);
    let mut expected = owned(&jobs);

    let job = |n: usize| jobs[n].0.clone();
    let claimed = [held(&job(0), now), held(&job(1), now)];
    for job in &claimed {
        save(&ledger, job).await;
    }
    let mut completed = claimed[0].completed(json!({ "via": "live" }), now).expect("it runs");
    completed.sealed_result = Some(sealed("result").0);
    let mut failed = claimed[1].failed(error(), now).expect("it is open");
    failed.sealed_provider_says = Some(sealed("says").0);
    for job in [&completed, &failed] {
        save(&ledger, job).await;
    }
    expected.push((Purpose::JobResult, completed.job_id.to_string(), sealed("result").0));
    expected.push((Purpose::ProviderSays, failed.job_id.to_string(), sealed("says").0));
    let mail = OutboxEntry {
        job_id: job(2).job_id,
        workspace: ours.clone(),
        written_at: now,
        sealed: sealed("mail"),
        expires_at: minute(now, 60),
    };
    ledger.put_outbox(&mail).await.expect("a put");
    expected.push((Purpose::Outbox, mail.job_id.to_string(), mail.sealed.0.clone()));
    let plan = StoredPlan {
        plan_id: PlanId(seed),
        workspace: ours.clone(),
        sealed: sealed("plan"),
        expires_at: minute(now, 90),
    };
    ledger.put_plans(std::slice::from_ref(&plan), &entry(Some(&ours), now, seed, 1)).await.expect("a put");
    expected.push((Purpose::Plan, plan.plan_id.to_string(), plan.sealed.0.clone()));
    let connection = StoredConnection {
        workspace: ours.clone(),
        provider: Provider::Microsoft,
        account: "account".to_owned(),
        sealed: sealed("tokens"),
        scopes: Vec::new(),
        needs_reauth: false,
        needs_reauth_since: None,
        setup_problem: None,
        version: seed,
        connected_at: now,
    };
    assert_eq!(ledger.put_connection(&connection, None).await.expect("writes"), Save::Done);
    let endpoint = domain::Endpoint {
        endpoint_id: domain::EndpointId(seed),
        events: std::collections::BTreeSet::new(),
        actor: None,
        allow: None,
        created_at: now,
        disabled: None,
        sealed: sealed("endpoint").0,
    };
    let endpoints = engine::ports::Endpoints { version: Some(seed), endpoints: vec![endpoint] };
    let audit = entry(Some(&ours), now, seed, 2);
    assert_eq!(ledger.put_endpoints(&ours, &endpoints, None, &audit).await.expect("writes"), Save::Done);
    expected.push((Purpose::Webhook, seed.to_string(), sealed("endpoint").0));
    expected.push((Purpose::Connection, "microsoft/account".to_owned(), connection.sealed.0.clone()));
    expected.sort();

    let all = async || {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = ledger.sealed_texts(after).await.expect("a page");
            found.extend(page.texts.into_iter().filter(|text| text.workspace == ours));
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    };
    let told = |texts: &[SealedText]| {
        let mut told: Vec<_> =
            texts.iter().map(|text| (text.purpose, text.id.clone(), text.sealed.0.clone())).collect();
        told.sort();
        told
    };
    let found = all().await;
    assert_eq!(told(&found), expected);

    let again = |sealed: &Sealed| Sealed(sealed.0.replace("sample", "second"));
    for text in &found {
        assert!(ledger.replace_sealed(text, &again(&text.sealed)).await.expect("writes"), "{:?}", text.purpose);
        let late = ledger.replace_sealed(text, &sealed("late")).await.expect("writes");
        assert!(!late, "that text is gone: {:?}", text.purpose);
    }
    for (purpose, _, text) in &mut expected {
        *text = again(&Sealed(text.clone())).0;
        assert!(text.contains("second"), "{purpose:?}");
    }
    assert_eq!(told(&all().await), expected);

    for (job, text) in &jobs {
        let kept = ledger.contents(job.job_id).await.expect("reads");
        assert_eq!(kept, Some(Contents(again(&text.0))));
    }
    completed.sealed_result = Some(again(&sealed("result")).0);
    assert_eq!(
        ledger.job(&completed.workspace_id, completed.job_id).await.expect("reads"),
        Some(completed),
        "of the same version"
    );
    let plan = StoredPlan { sealed: again(&plan.sealed), ..plan };
    assert_eq!(ledger.plan(&ours, plan.plan_id, now).await.expect("reads"), Some(plan));
    let mail = OutboxEntry { sealed: again(&mail.sealed), ..mail };
    assert_eq!(ledger.outbox(&ours, None, 9).await.expect("reads"), [mail]);
    let connection = StoredConnection { sealed: again(&connection.sealed), ..connection };
    let kept = ledger.connection(&ours, Provider::Microsoft).await.expect("reads");
    assert_eq!(kept, Some(connection));
    let open: Vec<Job> = jobs.iter().skip(2).map(|(job, _)| job.clone()).collect();
    end(&ledger, &open, now).await;
}
