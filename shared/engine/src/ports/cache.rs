//! The cache: what makes things quick. Losing any of it at any time loses nothing that was promised, since the
//! ledger decides.

use std::sync::Arc;

use async_trait::async_trait;
use domain::Provider;

use super::{CacheError, Claims, Consents, JobCache, Locks, RateLimits};

/// Rollouts as they were read or set last.
#[async_trait]
pub trait RolloutCache: Send + Sync {
    /// A provider's rollout in percent, where it was stored within the last minute.
    async fn rollout_percent(&self, provider: Provider) -> Result<Option<u8>, CacheError>;

    /// Stores a provider's rollout in percent for a minute.
    async fn put_rollout_percent(&self, provider: Provider, percent: u8) -> Result<(), CacheError>;
}

/// Whether the cache answers.
#[async_trait]
pub trait CacheHealth: Send + Sync {
    /// Whether the cache answers.
    async fn ping(&self) -> Result<(), CacheError>;
}

/// Every port of the cache in one store.
pub trait Cache: Claims + JobCache + RateLimits + Locks + Consents + RolloutCache + CacheHealth {}

impl<T: Claims + JobCache + RateLimits + Locks + Consents + RolloutCache + CacheHealth> Cache for T {}

/// The cache, port by port.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the port of its name")]
pub struct CachePorts {
    pub claims: Arc<dyn Claims>,
    pub jobs: Arc<dyn JobCache>,
    pub rate_limits: Arc<dyn RateLimits>,
    pub locks: Arc<dyn Locks>,
    pub consents: Arc<dyn Consents>,
    pub rollouts: Arc<dyn RolloutCache>,
    pub health: Arc<dyn CacheHealth>,
}

impl CachePorts {
    /// All ports of one store.
    pub fn of<C: Cache + 'static>(cache: Arc<C>) -> Self {
        Self {
            claims: cache.clone(),
            jobs: cache.clone(),
            rate_limits: cache.clone(),
            locks: cache.clone(),
            consents: cache.clone(),
            rollouts: cache.clone(),
            health: cache,
        }
    }
}
