//! The label values of a running program, and which of them a metric may have.

use crate::names::{ACTION, Metric, ROUTE};

/// The label values that only the running program knows: its actions, their providers, and its routes.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// One for each action, with repetitions.
    pub(crate) providers: Vec<&'static str>,
    pub(crate) actions: Vec<&'static str>,
    pub(crate) routes: Vec<&'static str>,
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

    /// The label values of every series that exists from the start, at zero, so that a rate exists from the first
    /// scrape. HTTP series appear with their first request: no table says which statuses a route answers with.
    pub(crate) fn initial_series(&self, metric: &Metric) -> Vec<Vec<&'static str>> {
        let mut series = vec![Vec::new()];
        for label in metric.labels {
            let values = if label.name == ROUTE.name { &[] } else { (label.values)(self) };
            series =
                series.iter().flat_map(|known| values.iter().map(|value| [known, &[*value][..]].concat())).collect();
        }
        if metric.labels.iter().any(|label| label.name == ACTION.name) {
            let pairs: Vec<_> = self.providers.iter().zip(&self.actions).collect();
            series.retain(|labels| pairs.contains(&(&labels[0], &labels[1])));
        }
        series
    }
}
