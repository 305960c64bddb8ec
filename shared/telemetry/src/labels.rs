//! What a label may say. Every label has a closed set of values: an enum of this module, or the names that the
//! program hands in at its start ([`Vocabulary`]). Any other value is counted as `other`.

use strum::{IntoStaticStr, VariantNames};

use crate::names::{Label, Metric, Values};

/// How planning ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum PlannerStatus {
    /// A plan without questions.
    Ok,
    /// No allowed action serves the request.
    NoAction,
    /// A plan with open questions.
    Questions,
    /// The model refused.
    Refused,
    /// The model's answer was unusable.
    Invalid,
    /// The token budget was spent.
    Budget,
    /// Any other failure.
    Error,
}

/// The status that a job reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum JobCount {
    /// Accepted and queued.
    Enqueued,
    /// Ended with a result.
    Completed,
    /// Ended with an error, nothing done.
    Error,
    /// Ended with an unknown outcome.
    Unknown,
}

/// How an idempotency key was resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Idempotency {
    /// First use.
    New,
    /// Used before with the same payload.
    Replayed,
    /// Used before with another payload.
    Conflict,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Decision {
    /// Allowed.
    Allow,
    /// Denied.
    Deny,
}

/// The step of an action that called the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Operation {
    /// The reversible step before the effect.
    Prepare,
    /// A change under our id.
    Change,
    /// A look at what a change left.
    Compare,
    /// A send.
    Send,
}

/// How a provider's request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum ProviderOutcome {
    /// Done.
    Ok,
    /// The provider refused the content.
    Rejected,
    /// The provider refused the token.
    Unauthorized,
    /// The token lacks a scope.
    Forbidden,
    /// The provider's rate limit is exhausted.
    RateLimited,
    /// No connection, or a failure before any effect.
    NotReached,
    /// The prepared draft no longer exists.
    DraftGone,
    /// Something exists under our id.
    Exists,
    /// The answer was lost, so the effect may have happened.
    MaybeSent,
}

/// How a flush ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum FlushOutcome {
    /// The store added all counts.
    Ok,
    /// The store added nothing. The counts go with the next flush.
    Refused,
    /// The store may have added the counts, so they are dropped.
    Lost,
}

/// HTTP methods that have a label of their own.
pub(crate) const METHODS: &[&str] = &["GET", "POST", "DELETE", "HEAD", "OPTIONS"];
/// HTTP statuses that the API answers with.
pub(crate) const STATUSES: &[&str] = &[
    "200", "202", "204", "302", "303", "307", "400", "401", "403", "404", "405", "409", "413", "415", "422", "429",
    "500", "502", "503", "504",
];
const OTHER: &str = "other";

/// The label of an HTTP method.
pub fn method(name: &str) -> &'static str {
    METHODS.iter().copied().find(|known| *known == name).unwrap_or(OTHER)
}

/// The values of a series' labels, in the order of its metric; unused places are empty.
pub(crate) type LabelValues = [&'static str; 3];

/// The label values that only the running program knows: its actions, their providers, and its routes.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// One for each action, with repetitions.
    providers: Vec<&'static str>,
    actions: Vec<&'static str>,
    routes: Vec<&'static str>,
}

impl Vocabulary {
    /// Takes the catalogue's pairs of provider and action, and the patterns of the router.
    ///
    /// # Panics
    /// If a name contains anything but letters, digits and `/{}._-`: such a name cannot be stored or printed as it is.
    pub fn new(
        actions: impl IntoIterator<Item = (&'static str, &'static str)>,
        routes: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let (providers, actions) = actions.into_iter().unzip();
        let vocabulary = Self { providers, actions, routes: routes.into_iter().collect() };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/{}._-".contains(&byte);
        for name in [&vocabulary.providers, &vocabulary.actions, &vocabulary.routes].into_iter().flatten() {
            assert!(name.bytes().all(plain), "{name:?} cannot be a label");
        }
        vocabulary
    }

    fn values(&self, label: &Label) -> &[&'static str] {
        match label.values {
            Values::Closed(values) => values,
            Values::Providers => &self.providers,
            Values::Actions => &self.actions,
            Values::Routes => &self.routes,
        }
    }

    /// The label's value that equals `value`, or `other`.
    pub(crate) fn known(&self, label: &Label, value: &str) -> &'static str {
        self.values(label).iter().copied().find(|known| *known == value).unwrap_or(OTHER)
    }

    /// The label values of every series that exists from the start, at zero, so that a rate exists from the first
    /// scrape. HTTP series appear with their first request: no table says which statuses a route answers with.
    pub(crate) fn initial_series(&self, metric: &Metric) -> Vec<LabelValues> {
        if metric.labels.iter().any(|label| matches!(label.values, Values::Routes)) {
            return Vec::new();
        }
        let mut series = vec![LabelValues::default()];
        for (place, label) in metric.labels.iter().enumerate() {
            let values = self.values(label);
            series = series.iter().flat_map(|labels| values.iter().map(|value| with(*labels, place, value))).collect();
            if matches!(label.values, Values::Actions) {
                let pairs: Vec<_> = self.providers.iter().zip(&self.actions).collect();
                series.retain(|[provider, action, _]| pairs.contains(&(provider, action)));
            }
        }
        series
    }
}

fn with(mut labels: LabelValues, place: usize, value: &'static str) -> LabelValues {
    labels[place] = value;
    labels
}
