//! The errors of stores and services: each keeps its cause and says whether another try may succeed.

use std::{error::Error, sync::Arc};

/// What an adapter met. Its text holds no content and no secret, since it is logged.
pub type Cause = Arc<dyn Error + Send + Sync>;

macro_rules! port_error {
    ($(#[$doc:meta])* $name:ident, $text:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, thiserror::Error)]
        #[error($text, .cause)]
        pub struct $name {
            #[source]
            cause: Cause,
            retryable: bool,
        }

        impl $name {
            /// A failure that another try may not meet.
            pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
                Self { cause: cause.into().into(), retryable: true }
            }

            /// A failure that every other try would meet as well, such as a record that cannot be read.
            pub fn permanent(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
                Self { retryable: false, ..Self::new(cause) }
            }

            /// Whether another try may succeed.
            pub const fn is_retryable(&self) -> bool {
                self.retryable
            }
        }
    };
}

port_error! {
    /// The ledger did not do it, or did not say that it did.
    LedgerError, "the ledger failed: {}"
}

port_error! {
    /// The cache did not answer.
    CacheError, "the cache failed: {}"
}

port_error! {
    /// The queue did not do it.
    QueueError, "the queue failed: {}"
}
