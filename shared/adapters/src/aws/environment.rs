//! Region, credentials and endpoints from the environment, where AWS Lambda provides them.

use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use aws_types::{
    SdkConfig,
    sdk_config::Builder,
    service_config::{LoadServiceConfig, ServiceConfigKey},
};

/// The environment only: no profile files, no instance metadata, no role to assume.
#[cfg(not(feature = "aws-chain"))]
#[expect(clippy::disallowed_methods, reason = "these variables are the SDK's own")]
pub fn from_environment(settings: Builder) -> SdkConfig {
    read(settings, |name| std::env::var(name).ok())
}

type Lookup = fn(&str) -> Option<String>;

fn read(mut settings: Builder, lookup: Lookup) -> SdkConfig {
    let given = |name| lookup(name).filter(|value| !value.is_empty());
    settings.set_region(given("AWS_REGION").or_else(|| given("AWS_DEFAULT_REGION")).map(Region::new));
    let credentials = given("AWS_ACCESS_KEY_ID").zip(given("AWS_SECRET_ACCESS_KEY")).map(|(id, secret)| {
        let session = given("AWS_SESSION_TOKEN");
        SharedCredentialsProvider::new(Credentials::new(id, secret, session, None, "the environment"))
    });
    settings.set_credentials_provider(credentials);
    let switch = |name| given(name).map(|value| value.eq_ignore_ascii_case("true"));
    settings.set_use_fips(switch("AWS_USE_FIPS_ENDPOINT"));
    settings.set_use_dual_stack(switch("AWS_USE_DUALSTACK_ENDPOINT"));
    settings.service_config(Endpoints(lookup)).build()
}

/// The endpoint of one service, or the one for all services.
#[derive(Debug)]
struct Endpoints(Lookup);

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().replace(' ', "_").to_uppercase();
        let own = (self.0)(&format!("{}_{service}", key.env()));
        own.or_else(|| (self.0)(key.env())).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::config::ProvideCredentials;

    use super::*;

    fn endpoint(config: &SdkConfig, service: &str) -> Option<String> {
        let key = ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url");
        config.service_config().unwrap().load_config(key.build().unwrap())
    }

    #[tokio::test]
    async fn region_credentials_and_endpoints_are_read_from_the_environment() {
        let config = read(SdkConfig::builder(), |name| {
            let value = match name {
                "AWS_REGION" => "eu-central-1",
                "AWS_ACCESS_KEY_ID" => "id",
                "AWS_SECRET_ACCESS_KEY" => "secret",
                "AWS_SESSION_TOKEN" => "session",
                "AWS_USE_FIPS_ENDPOINT" => "True",
                "AWS_ENDPOINT_URL" => "http://all.example.com",
                "AWS_ENDPOINT_URL_SECRETS_MANAGER" => "http://secrets.example.com",
                _ => return None,
            };
            Some(value.to_owned())
        });
        assert_eq!(config.region().map(Region::as_ref), Some("eu-central-1"));
        assert_eq!((config.use_fips(), config.use_dual_stack()), (Some(true), None));
        let credentials = config.credentials_provider().unwrap().provide_credentials().await.unwrap();
        assert_eq!((credentials.access_key_id(), credentials.secret_access_key()), ("id", "secret"));
        assert_eq!(credentials.session_token(), Some("session"));
        assert_eq!(endpoint(&config, "Secrets Manager").as_deref(), Some("http://secrets.example.com"));
        assert_eq!(endpoint(&config, "DynamoDB").as_deref(), Some("http://all.example.com"));
    }

    #[test]
    fn an_empty_environment_configures_nothing() {
        let config = read(SdkConfig::builder(), |_| None);
        assert!(config.region().is_none() && config.credentials_provider().is_none());
        assert_eq!(endpoint(&config, "SQS"), None);
    }
}
