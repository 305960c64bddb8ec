//! The label values of a running program, and which of them a metric may have.

use crate::{
    labels::OTHER,
    names::{Label, Metric, Values},
};

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
