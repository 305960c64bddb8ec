//! What goes wrong, and when.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use axum::{
    extract::{ConnectInfo, Request, State as Shared},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use crate::{
    operation, refusal,
    state::{Provider, State},
    wire::Switch,
};

/// One way in which a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// Does what is asked and closes the connection without an answer.
    AcceptThenClose,
    /// Does what is asked and answers 500.
    #[serde(rename = "accept-then-500")]
    AcceptThen500,
    /// Does what is asked and answers 200 with something that is not JSON.
    AcceptThenGarbage,
    /// Does what is asked and answers 302 to elsewhere.
    AcceptThenRedirect,
    /// Does what is asked and never answers; the client has to give up.
    Hang,
    /// Does nothing and never answers.
    HangBefore,
    /// Does nothing and closes the connection without an answer.
    CloseBefore,
    /// Does nothing and answers 500.
    #[serde(rename = "fail-500")]
    Fail500,
    /// Does nothing and answers 503, with Retry-After if there is one.
    Unavailable {
        /// The seconds of Retry-After.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// Does nothing and answers 429, with Retry-After if there is one.
    TooManyRequests {
        /// The seconds of Retry-After.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// Does nothing and answers 403 with the reason `rateLimitExceeded`, as Gmail does.
    #[serde(rename = "rate-limit-403")]
    RateLimit403,
    /// Does nothing and answers 401, as for a token that ran out.
    Unauthorized,
    /// Does nothing and answers 403, as for a missing scope.
    Forbidden,
    /// Waits, then does what is asked and answers.
    Slow {
        /// For how many milliseconds.
        ms: u64,
    },
}

/// A fault that strikes once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scripted {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// Which operation it waits for; none takes the next request.
    #[serde(default)]
    pub on: Option<String>,
}

impl From<Fault> for Scripted {
    fn from(fault: Fault) -> Self {
        Self { fault, on: None }
    }
}

impl Fault {
    /// This fault, at the next request of this operation.
    pub fn on(self, operation: &str) -> Scripted {
        Scripted { fault: self, on: Some(operation.to_owned()) }
    }
}

/// Faults that strike by chance, the same for the same seed and order of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomFaults {
    /// What the chance is made of.
    pub seed: u64,
    /// How many of a hundred requests are struck.
    pub percent: u8,
    /// Which faults, each as likely as the others; those with an operation only at it.
    pub faults: Vec<Scripted>,
}

/// What is to go wrong.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) next: VecDeque<Scripted>,
    pub(crate) random: Option<RandomFaults>,
    drawn: u64,
}

impl Plan {
    /// The fault for a request of this operation.
    pub(crate) fn draw(&mut self, operation: &str) -> Option<Fault> {
        let fits = |scripted: &Scripted| scripted.on.as_deref().is_none_or(|on| on == operation);
        if let Some(place) = self.next.iter().position(fits) {
            return self.next.remove(place).map(|scripted| scripted.fault);
        }
        let random = self.random.as_ref()?;
        self.drawn += 1;
        let chance = mix(random.seed.wrapping_add(self.drawn.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        if chance % 100 >= u64::from(random.percent) {
            return None;
        }
        let fitting: Vec<&Scripted> = random.faults.iter().filter(|scripted| fits(scripted)).collect();
        let place = usize::try_from((chance >> 32) % (fitting.len().max(1) as u64)).unwrap_or_default();
        fitting.get(place).map(|scripted| scripted.fault)
    }
}

/// The finalizer of SplitMix64: every bit of the result depends on every bit of `z`.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Lets requests through, or strikes them.
pub(crate) async fn strike(
    Shared(state): Shared<Arc<State>>,
    ConnectInfo(switch): ConnectInfo<Switch>,
    request: Request,
    next: Next,
) -> Response {
    let Some(operation) = operation(request.method(), request.uri().path()) else {
        return next.run(request).await;
    };
    let is_microsoft = operation.starts_with("graph") || operation.starts_with("microsoft");
    let provider = if is_microsoft { Provider::Microsoft } else { Provider::Google };
    let fail = |status: StatusCode, code: &str| refusal(provider, status, code, "scripted");
    match state.draw(operation) {
        None => next.run(request).await,
        Some(Fault::AcceptThenClose) => {
            next.run(request).await;
            switch.cut();
            ().into_response()
        }
        Some(Fault::AcceptThen500) => {
            next.run(request).await;
            fail(StatusCode::INTERNAL_SERVER_ERROR, "backendError")
        }
        Some(Fault::AcceptThenGarbage) => {
            next.run(request).await;
            "<html>not what you asked for".into_response()
        }
        Some(Fault::AcceptThenRedirect) => {
            next.run(request).await;
            (StatusCode::FOUND, [(header::LOCATION, "/elsewhere")]).into_response()
        }
        Some(Fault::Hang) => {
            next.run(request).await;
            std::future::pending().await
        }
        Some(Fault::HangBefore) => std::future::pending().await,
        Some(Fault::CloseBefore) => {
            switch.cut();
            ().into_response()
        }
        Some(Fault::Fail500) => fail(StatusCode::INTERNAL_SERVER_ERROR, "backendError"),
        Some(Fault::Unavailable { retry_after_s }) => {
            with_retry_after(fail(StatusCode::SERVICE_UNAVAILABLE, "serviceNotAvailable"), retry_after_s)
        }
        Some(Fault::TooManyRequests { retry_after_s }) => {
            with_retry_after(fail(StatusCode::TOO_MANY_REQUESTS, "rateLimitExceeded"), retry_after_s)
        }
        Some(Fault::RateLimit403) => fail(StatusCode::FORBIDDEN, "rateLimitExceeded"),
        Some(Fault::Unauthorized) => fail(StatusCode::UNAUTHORIZED, "authError"),
        Some(Fault::Forbidden) => match provider {
            Provider::Google => fail(StatusCode::FORBIDDEN, "insufficientPermissions"),
            Provider::Microsoft => fail(StatusCode::FORBIDDEN, "ErrorAccessDenied"),
        },
        Some(Fault::Slow { ms }) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            next.run(request).await
        }
    }
}

fn with_retry_after(mut response: Response, seconds: Option<u64>) -> Response {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scripted_fault_waits_for_its_operation_and_strikes_once() {
        let mut plan = Plan::default();
        plan.next.extend([Fault::Hang.on("gmail.drafts.send"), Fault::Fail500.into()]);
        assert_eq!(plan.draw("gmail.drafts.create"), Some(Fault::Fail500));
        assert_eq!(plan.draw("gmail.drafts.create"), None);
        assert_eq!(plan.draw("gmail.drafts.send"), Some(Fault::Hang));
        assert_eq!(plan.draw("gmail.drafts.send"), None);
    }

    #[test]
    fn chance_is_the_same_for_the_same_seed_and_about_as_likely_as_asked() {
        let random = |seed, percent| {
            let faults = vec![Fault::Hang.into(), Fault::Fail500.into(), Fault::CloseBefore.on("other")];
            let mut plan = Plan { random: Some(RandomFaults { seed, percent, faults }), ..Plan::default() };
            (0..1000).map(|_| plan.draw("graph.sendMail")).collect::<Vec<_>>()
        };
        assert_eq!(random(7, 20), random(7, 20));
        assert_ne!(random(7, 20), random(8, 20));
        assert!((150..250).contains(&random(7, 20).iter().flatten().count()));
        assert!(random(7, 0).iter().all(Option::is_none) && random(7, 100).iter().all(Option::is_some));
        assert!(!random(7, 100).contains(&Some(Fault::CloseBefore)), "it is for another operation");
    }

    #[test]
    fn faults_are_written_in_kebab_case() {
        let text = r#"{"fault":"too-many-requests","retry_after_s":3,"on":"gmail.drafts.send"}"#;
        let fault: Scripted = serde_json::from_str(text).unwrap();
        assert_eq!(fault, Fault::TooManyRequests { retry_after_s: Some(3) }.on("gmail.drafts.send"));
        assert!(serde_json::from_str::<Scripted>(r#"{"fault":"accept-then-500"}"#).is_ok());
        assert!(serde_json::from_str::<Scripted>(r#"{"fault":"no-such"}"#).is_err());
    }
}
