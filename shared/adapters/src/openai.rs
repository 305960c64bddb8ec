//! Any OpenAI-compatible chat completions endpoint as a [`Model`].

mod answer;
mod dialect;

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use engine::ports::{Answer, Model, ModelError, ModelRequest};
use reqwest::{
    RequestBuilder, Url,
    header::{AUTHORIZATION, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};

use self::{
    answer::Refusal,
    dialect::{Body, Dialect},
};
use crate::{
    http::{self, Failure, LazyClient, MAX_ANSWER},
    secret::Secret,
    tokens::{Counts, Tokenizer},
};

/// A model behind `{base}/chat/completions`, asked for JSON in strict mode.
///
/// One [`Model::ask`] is one HTTP request: the caller decides whether to try again. Only an endpoint that refuses a
/// parameter by its name is asked again at once, without that parameter, and so from then on.
pub struct OpenAi {
    http: LazyClient,
    url: String,
    key: Option<Secret>,
    key_header: HeaderName,
    model: String,
    max_output_tokens: u32,
    tokenizer: Tokenizer,
    counts: Counts,
    /// What the endpoint takes, as far as its refusals have told.
    dialect: Mutex<Dialect>,
}

impl OpenAi {
    /// A model at `base_url`, such as `https://api.openai.com/v1`, with or without a trailing slash or a query.
    ///
    /// The client follows no redirects, so neither the prompt nor the key reaches another host.
    pub fn new(http: LazyClient, base_url: &str, key: Option<Secret>, model: String, max_output_tokens: u32) -> Self {
        let (base, query) = base_url.split_at(base_url.find('?').unwrap_or(base_url.len()));
        let url = format!("{}/chat/completions{query}", base.trim_end_matches('/'));
        let key_header = if is_azure(&url) { HeaderName::from_static("api-key") } else { AUTHORIZATION };
        let (tokenizer, dialect) = (Tokenizer::of(&model), Mutex::default());
        let counts = Counts::default();
        Self { http, url, key, key_header, model, max_output_tokens, tokenizer, counts, dialect }
    }

    async fn try_ask(&self, request: &ModelRequest) -> Result<Answer, ModelError> {
        let Some(secret) = &self.key else { return self.ask_with(None, request).await };
        let key = secret.get().await.map_err(|error| ModelError::Unreachable(error.to_string()))?;
        let answered = self.ask_with(Some(&key), request).await;
        if matches!(answered, Err(ModelError::Refused(_))) {
            secret.doubt().await;
        }
        answered
    }

    async fn ask_with(&self, key: Option<&SecretString>, request: &ModelRequest) -> Result<Answer, ModelError> {
        let mut dialect = self.dialect();
        loop {
            let body = dialect.body(&self.model, self.max_output_tokens, request);
            let reply = http::send(self.call(&body, key)?, MAX_ANSWER).await.map_err(not_answered)?;
            let Some(refusal) = Refusal::of(&reply, request, key) else {
                // A step counts once it has helped.
                *self.dialect.lock().unwrap_or_else(PoisonError::into_inner) = dialect;
                return answer::read(reply.body);
            };
            match dialect.after(&refusal) {
                Some(next) => dialect = next,
                None => return refusal.meaning(),
            }
        }
    }

    fn call(&self, body: &Body<'_>, key: Option<&SecretString>) -> Result<RequestBuilder, ModelError> {
        let mut call = self.http.get().post(&self.url).json(body);
        if let Some(key) = key {
            let bearer = if self.key_header == AUTHORIZATION { "Bearer " } else { "" };
            let value = HeaderValue::from_str(&format!("{bearer}{}", key.expose_secret()));
            let mut value = value.map_err(|_| not_answered(Failure::Invalid))?;
            value.set_sensitive(true);
            call = call.header(&self.key_header, value);
        }
        Ok(call)
    }

    fn dialect(&self) -> Dialect {
        *self.dialect.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Model for OpenAi {
    fn name(&self) -> &str {
        &self.model
    }

    fn max_output_tokens(&self) -> Option<u32> {
        Some(self.max_output_tokens)
    }

    fn most_tokens(&self, text: &str) -> u64 {
        self.counts.of(text, |text| self.tokenizer.most(text))
    }

    fn adjusted(&self) -> Vec<&'static str> {
        self.dialect().adjusted()
    }

    async fn ask(&self, request: &ModelRequest) -> Result<Answer, ModelError> {
        let answered = tokio::time::timeout(request.timeout, self.try_ask(request)).await;
        answered.unwrap_or(Err(ModelError::TimedOut))
    }
}

/// Whether Azure is at this URL, which takes a key in a header of its own. A proxy of a company keeps Azure's path.
fn is_azure(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    let services = [".openai.azure.", ".cognitiveservices.azure.", ".services.ai.azure."];
    let of_cloud = |zone: &str| services.iter().any(|service| host.ends_with(&format!("{service}{zone}")));
    ["com", "us", "cn"].into_iter().any(of_cloud) || url.path().contains("/openai/deployments/")
}

fn not_answered(failure: Failure) -> ModelError {
    match failure {
        Failure::Invalid => ModelError::Refused("no request can be made of this base URL and key".to_owned()),
        Failure::NoConnection => ModelError::Unreachable("no connection".to_owned()),
        Failure::TimedOut => ModelError::TimedOut,
        _ => ModelError::Unreachable("the connection broke before an answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azure_is_told_by_its_hosts_in_every_cloud_and_by_its_path() {
        for url in [
            "https://contoso.openai.azure.com/openai/deployments/plan/chat/completions?api-version=2024-10-21",
            "https://contoso.openai.azure.com/openai/v1/chat/completions",
            "https://Contoso.OpenAI.Azure.us/openai/v1/chat/completions",
            "https://contoso.openai.azure.cn/openai/v1/chat/completions",
            "https://contoso.cognitiveservices.azure.com/openai/v1/chat/completions",
            "https://contoso.services.ai.azure.com/models/chat/completions",
            "https://gateway.example.com/openai/deployments/plan/chat/completions",
        ] {
            assert!(is_azure(url), "{url}");
        }
        for url in [
            "https://api.openai.com/v1/chat/completions",
            "https://openai.azure.com.example.com/v1/chat/completions",
            "https://contoso-openai.azure.com/v1/chat/completions",
            "https://contoso.openai.azure.example/v1/chat/completions",
            "https://example.com/v1/chat/completions?of=/openai/deployments/",
            "no url",
        ] {
            assert!(!is_azure(url), "{url}");
        }
    }
}
