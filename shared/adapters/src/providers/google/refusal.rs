//! What a refusal of Google's APIs means.

use engine::ports::ProviderError;
use serde_json::Value;

use crate::{
    exchange::{Meaning, Problem, meaning},
    http::Answer,
};

/// The reasons of an error, in its old shape and its new one, which come together.
/// <https://developers.google.com/gmail/api/guides/handle-errors>
pub(super) fn reasons(error: &Value) -> impl Iterator<Item = &str> {
    let lists = ["errors", "details"].into_iter().filter_map(|list| error[list].as_array());
    lists.flatten().filter_map(|reason| reason["reason"].as_str())
}

/// What reasons mean that are not about the content. In capitals: <https://docs.cloud.google.com/apis/docs/system-parameters>
/// and google.api.ErrorReason.
const MEANINGS: &[(Meaning, &[&str])] = &[
    (Meaning::LacksPermission, &["insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"]),
    (
        Meaning::Setup,
        &[
            "accessNotConfigured",
            "SERVICE_DISABLED",
            "SERVICE_NOT_VISIBLE",
            "BILLING_DISABLED",
            "CONSUMER_INVALID",
            "CONSUMER_SUSPENDED",
            "USER_PROJECT_DENIED",
            "RESOURCE_USAGE_RESTRICTION_VIOLATED",
            "ORG_RESTRICTION_VIOLATION",
            "SECURITY_POLICY_VIOLATED",
            "domainPolicy",
            "domainCannotUseApis",
            "unauthorized_client",
        ],
    ),
    (
        Meaning::Account,
        &[
            "ACCOUNT_STATE_INVALID",
            "accountDisabled",
            "accountDeleted",
            "accountSuspended",
            "userDisabled",
            "USER_BLOCKED_BY_ADMIN",
            "delegationDenied",
            "mailServiceNotEnabled",
            "notACalendarUser",
        ],
    ),
];

/// The same in messages whose reason is as vague as `forbidden` or `failedPrecondition`.
const MESSAGES: &[(&str, Meaning)] = &[
    ("mail service not enabled", Meaning::Account),
    ("delegation denied", Meaning::Account),
    ("account is suspended", Meaning::Account),
    ("account has been suspended", Meaning::Account),
    ("account has been disabled", Meaning::Account),
    ("account is disabled", Meaning::Account),
];

/// What a reply means that is not the expected one.
pub(super) fn refusal(reply: &Answer) -> ProviderError {
    let error = &reply.json()["error"];
    let limit = |reason: &str| {
        reason.ends_with("limitexceeded") || reason.ends_with("limitsexceeded") || reason == "quotaexceeded"
    };
    let limits_rate = reasons(error).any(|reason| limit(&reason.replace('_', "").to_lowercase()));
    let message = error["message"].as_str().unwrap_or_default();
    let lower = message.to_lowercase();
    let by_message = || MESSAGES.iter().find(|(text, _)| lower.contains(text)).map(|(_, means)| *means);
    let code = reasons(error).next().or(error["status"].as_str());
    let problem = Problem {
        code: code.map(str::to_owned),
        means: limits_rate
            .then_some(Meaning::LimitsRate)
            .or_else(|| meaning(MEANINGS, reasons(error).collect::<Vec<_>>()))
            .or_else(by_message),
        says: says(message, code),
    };
    reply.failure(&problem)
}

fn says(message: &str, code: Option<&str>) -> Option<String> {
    match (message, code) {
        ("", code) => code.map(str::to_owned),
        (message, Some(code)) => Some(format!("{message} ({code})")),
        (message, None) => Some(message.to_owned()),
    }
}
