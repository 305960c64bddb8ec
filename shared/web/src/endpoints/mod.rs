//! The endpoints of the API, one file each.

mod add_webhook;
mod approve_job;
mod begin_connecting;
mod cancel_job;
mod connection_status;
mod consent_cookie;
mod disconnect_account;
mod end_connecting;
mod execute;
mod explain_problem;
mod get_job;
mod healthz;
mod job_content;
mod job_view;
mod list_actions;
mod list_audit;
mod list_deliveries;
mod list_jobs;
mod list_outbox;
mod list_webhooks;
mod metrics;
mod plan2;
mod preview_action;
mod readyz;
mod reject_job;
mod remove_webhook;
mod resolve_job;
mod retry_job;
mod rotate_webhook;
mod test_webhook;
mod webhook_view;

use crate::endpoint::Endpoint;

/// Every endpoint.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    plan2::ENDPOINT,
    list_actions::ENDPOINT,
    preview_action::ENDPOINT,
    execute::ENDPOINT,
    list_jobs::ENDPOINT,
    get_job::ENDPOINT,
    job_content::ENDPOINT,
    approve_job::ENDPOINT,
    reject_job::ENDPOINT,
    cancel_job::ENDPOINT,
    retry_job::ENDPOINT,
    resolve_job::ENDPOINT,
    list_outbox::ENDPOINT,
    list_audit::ENDPOINT,
    begin_connecting::ENDPOINT,
    end_connecting::ENDPOINT,
    connection_status::ENDPOINT,
    disconnect_account::ENDPOINT,
    add_webhook::ENDPOINT,
    list_webhooks::ENDPOINT,
    remove_webhook::ENDPOINT,
    test_webhook::ENDPOINT,
    rotate_webhook::ENDPOINT,
    list_deliveries::ENDPOINT,
    metrics::ENDPOINT,
    explain_problem::ENDPOINT,
    healthz::ENDPOINT,
    readyz::ENDPOINT,
];
