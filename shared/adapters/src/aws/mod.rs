//! AWS behind the ports: the ledger in a DynamoDB table, the queue in SQS, data keys of KMS, and
//! secrets of Secrets Manager.
//!
//! Nothing is built or connected before its first use, so a function that does not need a service
//! does not pay for it. Region, credentials and `AWS_ENDPOINT_URL` come from where every AWS SDK
//! takes them: with the feature `aws-chain` from the environment, profiles, web identities, containers and
//! instances; without it from the environment alone, which is where a function on Lambda has them.

#[cfg(any(test, not(feature = "aws-chain")))]
mod environment;
mod http;
mod ledger;
mod queue;
mod secrets;
mod vault;

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::{
    config::{BehaviorVersion, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
};
use aws_types::{SdkConfig, sdk_config::Builder};
use engine::ports::{Clock, Ids};
pub use ledger::DynamoLedger;
pub use queue::SqsQueue;
pub use secrets::SecretsManager;
use tokio::sync::OnceCell;
pub use vault::KmsVault;

/// How long one attempt of a call may take, and all of them together.
const ATTEMPT: Duration = Duration::from_secs(3);
const OPERATION: Duration = Duration::from_secs(8);

/// What the clients of all services share: region, credentials, time limits, connections.
#[derive(Debug, Default)]
pub struct Sdk {
    config: OnceCell<SdkConfig>,
}

impl Sdk {
    /// As the environment has it, read at first use.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// As it was made elsewhere, of [`settings`].
    pub fn with(config: SdkConfig) -> Arc<Self> {
        Arc::new(Self { config: OnceCell::new_with(Some(config)) })
    }

    /// What a service's client is made of.
    pub async fn config(&self) -> &SdkConfig {
        self.config.get_or_init(found).await
    }
}

/// The time limits and retries of every call: a connection in 1 s, an attempt in 3 s, all in 8 s; what
/// was throttled, or had no answer, is tried three times with growing pauses.
pub fn settings() -> Builder {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http::http_client())
        .timeout_config(limits())
        .retry_config(retries())
        // An answer is read as a whole, within its attempt's time.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

#[cfg(not(feature = "aws-chain"))]
fn found() -> std::future::Ready<SdkConfig> {
    std::future::ready(environment::from_environment(settings()))
}

#[cfg(feature = "aws-chain")]
async fn found() -> SdkConfig {
    let found = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http::http_client())
        .timeout_config(limits())
        .retry_config(retries())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    found.load().await
}

fn limits() -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).operation_timeout(OPERATION).build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(100))
}

/// A call that failed, by its name only: the service's own text may quote what it was sent.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {what}")]
struct CallFailed {
    operation: &'static str,
    what: String,
}

fn failure<E: ProvideErrorMetadata, R>(operation: &'static str, error: &SdkError<E, R>) -> CallFailed {
    let what = match error {
        SdkError::ServiceError(said) => said.err().code().unwrap_or("an error without a name"),
        SdkError::TimeoutError(_) => "no answer in time",
        SdkError::DispatchFailure(_) => "the service cannot be reached",
        SdkError::ResponseError(_) => "an answer that cannot be read",
        _ => "the request cannot be made; are region and credentials set?",
    };
    CallFailed { operation, what: what.to_owned() }
}

/// Pauses before the next try, the longer the more there were: half of it certain, half of it chance.
async fn back_off(clock: &dyn Clock, ids: &dyn Ids, first: Duration, tries: u32) {
    let longest = first.saturating_mul(1 << tries.min(6));
    clock.sleep(longest.mul_f64(0.5 + ids.fraction() / 2.0)).await;
}
