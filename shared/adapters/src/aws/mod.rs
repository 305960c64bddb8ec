//! AWS: the ledger in a DynamoDB table, the queue in SQS, data keys of KMS, secrets of Secrets Manager, and keys for
//! Bedrock.
//!
//! Clients are built at their first use, so a function pays only for the services that it needs. With the feature
//! `aws-chain`, region, credentials and `AWS_ENDPOINT_URL` come from the SDK's default chain: environment, profiles,
//! web identities, containers and instances. Without it they come from the environment alone, as on Lambda.

mod bedrock;
#[cfg(any(test, not(feature = "aws-chain")))]
mod environment;
mod http;
mod queue;
mod records;
mod secrets;
mod vault;

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::{
    config::{BehaviorVersion, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
};
use aws_types::{SdkConfig, sdk_config::Builder};
pub use bedrock::BedrockKeys;
pub use queue::SqsQueue;
pub use records::{DynamoLedger, pack, unpack};
pub use secrets::SecretsManager;
use tokio::sync::OnceCell;
pub use vault::KmsVault;

/// Limit of one attempt of a call, and of all its attempts.
const ATTEMPT: Duration = Duration::from_secs(3);
const OPERATION: Duration = Duration::from_secs(8);

/// Region, credentials, timeouts and connections, shared by the clients of all services.
#[derive(Debug, Default)]
pub struct Sdk(OnceCell<SdkConfig>);

impl Sdk {
    /// From the environment, read at first use.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From a configuration built on [`settings`].
    pub fn with(config: SdkConfig) -> Arc<Self> {
        Arc::new(Self(OnceCell::new_with(Some(config))))
    }

    /// The configuration for a service's client.
    pub async fn config(&self) -> &SdkConfig {
        self.0.get_or_init(found).await
    }
}

/// Timeouts and retries of every call: 1 s to connect, 3 s an attempt, 8 s in all; throttled and unanswered calls are
/// tried three times with growing pauses.
pub fn settings() -> Builder {
    with_settings(SdkConfig::builder().behavior_version(BehaviorVersion::latest()).http_client(http::http_client()))
}

fn with_settings(builder: Builder) -> Builder {
    builder
        .timeout_config(timeouts(Duration::ZERO))
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(100)))
        // An answer is read as a whole within its attempt's timeout.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

/// The timeouts of a call that waits for this long at its service.
fn timeouts(wait: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(wait + ATTEMPT).operation_timeout(wait + OPERATION).build()
}

#[cfg(not(feature = "aws-chain"))]
fn found() -> std::future::Ready<SdkConfig> {
    std::future::ready(environment::from_environment(settings()))
}

#[cfg(feature = "aws-chain")]
async fn found() -> SdkConfig {
    let found = aws_config::defaults(BehaviorVersion::latest()).http_client(http::http_client()).load().await;
    with_settings(found.into_builder()).build()
}

/// A call that failed, by the error's name only: the service's message may quote the request.
fn failure<E: ProvideErrorMetadata, R>(operation: &str, error: &SdkError<E, R>) -> String {
    let what = match error {
        SdkError::ServiceError(said) => said.err().code().unwrap_or("an error without a name"),
        SdkError::TimeoutError(_) => "no answer in time",
        SdkError::DispatchFailure(_) => "the service cannot be reached",
        SdkError::ResponseError(_) => "an answer that cannot be read",
        _ => "the request cannot be made; are region and credentials set?",
    };
    format!("{operation}: {what}")
}
