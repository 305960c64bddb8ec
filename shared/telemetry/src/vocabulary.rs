//! The label values of a running program.

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
}
