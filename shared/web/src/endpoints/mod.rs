//! The endpoints of the API, one file each. What the tools of [`crate::mcp`] share with one is public in the crate.

mod add_webhook;
mod approve_job;
mod begin_connecting;
mod cancel_job;
mod connection_status;
mod consent_cookie;
mod disconnect_account;
mod end_connecting;
pub(crate) mod execute;
mod explain_problem;
pub(crate) mod get_job;
mod get_plan;
mod healthz;
mod job_content;
pub(crate) mod job_view;
mod list_actions;
mod list_audit;
mod list_deliveries;
pub(crate) mod list_jobs;
mod list_outbox;
mod list_problems;
mod list_webhooks;
mod mcp;
mod metrics;
pub(crate) mod plan2;
pub(crate) mod plan_view;
mod preview_action;
mod protected_resource;
mod readyz;
mod reject_job;
mod remove_webhook;
mod resolve_job;
mod resolve_plan;
mod retry_job;
mod rotate_webhook;
mod show_address_book;
mod test_webhook;
mod webhook_view;
mod whoami;

use crate::endpoint::Endpoint;

/// Every endpoint.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    plan2::ENDPOINT,
    get_plan::ENDPOINT,
    resolve_plan::ENDPOINT,
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
    show_address_book::ENDPOINT,
    list_audit::ENDPOINT,
    begin_connecting::ENDPOINT,
    end_connecting::ENDPOINT,
    connection_status::ENDPOINT,
    disconnect_account::ENDPOINT,
    mcp::ENDPOINT,
    add_webhook::ENDPOINT,
    list_webhooks::ENDPOINT,
    remove_webhook::ENDPOINT,
    test_webhook::ENDPOINT,
    rotate_webhook::ENDPOINT,
    list_deliveries::ENDPOINT,
    whoami::ENDPOINT,
    metrics::ENDPOINT,
    list_problems::ENDPOINT,
    protected_resource::ENDPOINT,
    explain_problem::ENDPOINT,
    healthz::ENDPOINT,
    readyz::ENDPOINT,
];

#[cfg(test)]
mod tests {
    use super::ENDPOINTS;

    /// `Authorized` and the Lambda functions know an endpoint by its path alone.
    #[test]
    fn endpoints_of_one_path_have_the_same_scopes_and_function() {
        for one in ENDPOINTS {
            for other in ENDPOINTS.iter().filter(|other| other.path == one.path) {
                assert_eq!((one.scopes, one.function), (other.scopes, other.function), "{}", one.path);
            }
        }
    }
}
