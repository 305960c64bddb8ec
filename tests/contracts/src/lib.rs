//! What every adapter of a port must do: one suite a port, run by each adapter against the real thing.
//!
//! A behaviour is a function that takes the adapter and a seed, a random UUID, from which it makes all its workspaces
//! and ids: it needs no empty store and leaves alone what others keep there. It panics and says what is broken.
//! [`ledger_tests`] and the like make one test of each behaviour, so that one failure does not hide the others.
//! Behaviours over time move time themselves, so they are for adapters that go by [`ManualClock`]; a store that
//! goes by its server's time runs the others.

pub mod audit;
pub mod claims;
pub mod connections;
pub mod consents;
pub mod job_cache;
pub mod jobs;
pub mod keys;
pub mod ledger_over_time;
pub mod locks;
pub mod outbox;
pub mod plans;
pub mod proxies;
pub mod rate_limits;
pub mod rollout_cache;
pub mod sealed_texts;
pub mod servers;
pub mod settings;
pub mod webhooks;

mod budget;
mod emulate;
mod metrics;
mod ministack;
mod program;
mod queue;
mod support;
mod vault;

pub use budget::{budget, budget_over_time};
pub use emulate::Emulate;
pub use metrics::{metric_store, metric_sums};
pub use ministack::Ministack;
pub use queue::{queue, queue_over_time};
pub use support::{CountingIds, ManualClock, sample_job, seed};
pub use vault::vault;

/// One test per behaviour. `$adapter` makes an `(Arc<Adapter>, time, guard)`: a fresh adapter, the time now or the clock
/// it goes by, and what it needs to live.
#[macro_export]
macro_rules! tests {
    ($adapter:expr; $($aggregate:ident::$behaviour:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                let (adapter, time, _guard) = $adapter;
                // Twice, as no behaviour may need an empty store.
                for _ in 0..2 {
                    $crate::$aggregate::$behaviour(adapter.clone(), Clone::clone(&time), $crate::seed()).await;
                }
            }
        )+
    };
}

/// Each behaviour of a ledger as a test; see [`tests`].
#[macro_export]
macro_rules! ledger_tests {
    ($adapter:expr) => {
        $crate::tests!(
            $adapter;
            jobs::inserts_all_or_none,
            jobs::saves_only_over_the_version_before,
            jobs::lists_newest_first_in_pages,
            jobs::finds_overdue_jobs,
            jobs::knows_since_when_the_oldest_unclaimed_job_waits,
            jobs::finds_later_jobs_shortly_before_their_time,
            jobs::decides_once_about_a_held_job,
            jobs::finds_the_last_job_with_a_content,
            plans::keeps_plans_until_they_expire,
            outbox::keeps_one_entry_per_job,
            keys::keeps_and_revokes_keys,
            keys::records_the_last_day_of_use,
            connections::writes_and_deletes_only_over_a_version,
            connections::knows_where_an_account_is_connected,
            sealed_texts::finds_and_replaces_each,
            settings::keeps_the_rollout_of_each_provider,
            settings::keeps_the_settings_of_each_workspace,
            webhooks::keeps_the_endpoints_of_each_workspace,
            webhooks::writes_deliveries_with_what_they_tell_of,
            webhooks::keeps_deliveries_and_finds_those_that_are_due,
            audit::lists_the_audit_newest_first_in_pages,
            audit::audits_each_version_of_a_job_once,
            audit::chains_the_entries_of_many_writers,
        );
    };
}

/// Each behaviour of a ledger over time as a test; see [`tests`].
#[macro_export]
macro_rules! ledger_over_time_tests {
    ($adapter:expr) => {
        $crate::tests!(
            $adapter;
            ledger_over_time::keeps_records_for_30_days,
            ledger_over_time::keeps_contents_for_7_days,
            ledger_over_time::keeps_the_rest_for_its_time,
            ledger_over_time::knows_a_content_for_a_day,
            ledger_over_time::misses_no_entry_that_has_expired,
        );
    };
}

/// Each behaviour of a cache as a test; see [`tests`].
#[macro_export]
macro_rules! cache_tests {
    ($adapter:expr) => {
        $crate::tests!(
            $adapter;
            claims::give_each_key_to_one_claim,
            job_cache::keeps_the_latest_version,
            rate_limits::count_keys_and_workspaces,
            rate_limits::refuse_revoked_keys,
            rate_limits::hold_accounts,
            locks::have_one_owner,
            consents::are_taken_once,
            rollout_cache::keeps_the_last_percent,
        );
    };
}

/// Each behaviour of a cache over time as a test; see [`tests`].
#[macro_export]
macro_rules! cache_over_time_tests {
    ($adapter:expr) => {
        $crate::tests!(
            $adapter;
            claims::end_after_15_minutes,
            rate_limits::slide_with_the_clock,
            rate_limits::forget_revoked_keys_in_two_minutes,
            rate_limits::end_holds_with_the_clock,
            locks::end_by_themselves,
            consents::end_after_ten_minutes,
            rollout_cache::forgets_after_a_minute,
        );
    };
}
