//! Renews a token once, however many processes want it. A lock in the cache keeps the others waiting, and every write
//! is conditional on the version read, so two holders of an expired lock cannot overwrite each other.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use telemetry::{
    labels::{Operation, ProviderOutcome},
    names::PROVIDER_REQUESTS,
};

use super::{Accounts, ConnectionError, Tokens};
use crate::ports::{OAuthError, Save, StoredConnection};

/// Longer than the provider may take, so that the lock's holder is done, or gone.
const LOCK: Duration = Duration::from_secs(30);
/// How long to wait for another process's refresh.
const PATIENCE: SignedDuration = SignedDuration::from_secs(20);
/// Between two looks at its result.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a refresh is written down: a token that rotates is lost if it is not.
const WRITES: u32 = 5;

impl Accounts {
    /// The connection after a refresh of the version `seen`, whichever process did it; none when it is gone. With
    /// `still_valid` tokens there is no wait for another process.
    pub(super) async fn renewed(
        &self,
        seen: &StoredConnection,
        still_valid: bool,
    ) -> Result<Option<StoredConnection>, ConnectionError> {
        let (name, owner) = (format!("{}:{}", seen.workspace, seen.provider), self.ids.uuid());
        let until = self.clock.now() + PATIENCE;
        loop {
            let locked = self.locks.lock(&name, owner, LOCK).await.map_err(ConnectionError::unavailable)?;
            // The lock's last holder may have finished between our first look and now.
            let there = self.connections.connection(&seen.workspace, seen.provider).await;
            let renewed = match there {
                Ok(Some(there)) if there.version == seen.version && locked => self.renew(seen).await,
                Ok(Some(there)) if there.version == seen.version => {
                    if still_valid || self.clock.now() >= until {
                        return Err(ConnectionError::unavailable("another process renews it"));
                    }
                    self.clock.sleep(PAUSE.mul_f64(1.0 + self.ids.fraction())).await;
                    continue;
                }
                there => there.map_err(ConnectionError::from),
            };
            if locked {
                // Without an answer it ends by itself.
                let _ = self.locks.unlock(&name, owner).await;
            }
            return renewed;
        }
    }

    async fn renew(&self, seen: &StoredConnection) -> Result<Option<StoredConnection>, ConnectionError> {
        let tokens = self.open(seen).await?;
        let granted = self.oauth.refresh(seen.provider, &tokens.refresh).await;
        let outcome = match &granted {
            Ok(_) => ProviderOutcome::Ok,
            Err(OAuthError::InvalidGrant) => ProviderOutcome::Unauthorized,
            Err(OAuthError::Setup(_)) => ProviderOutcome::SetupProblem,
            Err(_) => ProviderOutcome::NotReached,
        };
        PROVIDER_REQUESTS.count(&[seen.provider.as_str(), Operation::Refresh.into(), outcome.into()]);
        let next = match granted {
            Ok(granted) => {
                let tokens = Tokens {
                    access: granted.access_token,
                    // A refresh token that does not rotate is not in the answer.
                    refresh: granted.refresh_token.unwrap_or(tokens.refresh),
                    expires_at: self.clock.now().checked_add(granted.expires_in).unwrap_or(Timestamp::MAX),
                    name: tokens.name,
                };
                StoredConnection {
                    sealed: tokens.seal(&*self.vault, &seen.workspace, seen.provider, &seen.account).await?,
                    scopes: granted.scopes.unwrap_or_else(|| seen.scopes.clone()),
                    setup_problem: None,
                    version: self.ids.uuid(),
                    ..seen.clone()
                }
            }
            Err(OAuthError::InvalidGrant) => {
                let (needs_reauth_since, version) = (Some(self.clock.now()), self.ids.uuid());
                StoredConnection {
                    needs_reauth: true,
                    needs_reauth_since,
                    setup_problem: None,
                    version,
                    ..seen.clone()
                }
            }
            Err(OAuthError::Setup(code)) => {
                tracing::error!(oauth.provider = %seen.provider, oauth.error = code, "the provider refuses our client");
                if seen.setup_problem.as_ref() != Some(&code) {
                    let setup_problem = Some(code.clone());
                    let next = StoredConnection { setup_problem, version: self.ids.uuid(), ..seen.clone() };
                    // The next refresh notes it again.
                    let _ = self.connections.put_connection(&next, Some(seen.version)).await;
                }
                return Err(ConnectionError::Setup(code));
            }
            Err(error) => return Err(ConnectionError::unavailable(error)),
        };
        let mut pause = PAUSE;
        for writes in 1.. {
            match self.connections.put_connection(&next, Some(seen.version)).await {
                Ok(Save::Done) => return Ok(Some(next)),
                // It was connected again, or disconnected, meanwhile: that counts.
                Ok(Save::Stale) => break,
                Err(error) if writes == WRITES || !error.is_retryable() => return Err(error.into()),
                Err(_) => self.clock.sleep(pause).await,
            }
            pause *= 2;
        }
        Ok(self.connections.connection(&seen.workspace, seen.provider).await?)
    }
}
