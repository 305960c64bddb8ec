//! Renews a token once, however many want it: a lock in the cache keeps the others waiting, and every write names
//! the version that it is over, so that even two who both believe to have the lock do not undo each other.

use std::time::Duration;

use engine::{
    connect::Tokens,
    ports::{ConnectionError, ConnectionStatus, OAuthError, Save, StoredConnection},
};
use jiff::{SignedDuration, Timestamp};

use super::{StoredConnections, sealed};

/// Longer than the provider may take, so that whoever has the lock is done, or gone.
const LOCK: Duration = Duration::from_secs(30);
/// How long to wait for another's refresh.
const PATIENCE: SignedDuration = SignedDuration::from_secs(20);
/// Between two looks at what came of it.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a refresh is written down: a token that rotates is lost if it is not.
const WRITES: u32 = 5;

impl StoredConnections {
    /// The connection after a refresh of the version `seen`, whoever did it; none when it is gone. One
    /// who is `in_no_hurry` does not wait for another's.
    pub(super) async fn renewed(
        &self,
        seen: &StoredConnection,
        in_no_hurry: bool,
    ) -> Result<Option<StoredConnection>, ConnectionError> {
        let (name, owner) = (format!("{}:{}", seen.workspace, seen.provider), self.ids.uuid());
        let until = self.clock.now() + PATIENCE;
        loop {
            let locked = self.cache.lock(&name, owner, LOCK).await;
            let locked = locked.map_err(|error| ConnectionError::Unavailable(error.to_string()))?;
            // Whoever had the lock before may have been done between our first look and now.
            let there = self.ledger.connection(&seen.workspace, seen.provider).await;
            let renewed = match there {
                Ok(Some(there)) if there.version == seen.version => {
                    if !locked {
                        if in_no_hurry || self.clock.now() >= until {
                            return Err(ConnectionError::Unavailable("another process renews it".to_owned()));
                        }
                        self.clock.sleep(PAUSE.mul_f64(1.0 + self.ids.fraction())).await;
                        continue;
                    }
                    self.renew(seen).await
                }
                there => there.map_err(ConnectionError::from),
            };
            if locked {
                // Without an answer it ends by itself.
                let _ = self.cache.unlock(&name, owner).await;
            }
            return renewed;
        }
    }

    async fn renew(&self, seen: &StoredConnection) -> Result<Option<StoredConnection>, ConnectionError> {
        let tokens = self.open(seen).await?;
        let next = match self.oauth.refresh(seen.provider, &tokens.refresh).await {
            Ok(granted) => {
                let tokens = Tokens {
                    access: granted.access_token,
                    // One that does not rotate is not in the answer.
                    refresh: granted.refresh_token.unwrap_or(tokens.refresh),
                    expires_at: self.clock.now().checked_add(granted.expires_in).unwrap_or(Timestamp::MAX),
                    address: tokens.address,
                };
                let place = tokens.seal(&*self.vault, &seen.workspace, seen.provider, &seen.account);
                StoredConnection {
                    sealed: place.await.map_err(sealed)?,
                    scopes: granted.scopes.unwrap_or_else(|| seen.scopes.clone()),
                    version: self.ids.uuid(),
                    ..seen.clone()
                }
            }
            Err(OAuthError::InvalidGrant) => {
                StoredConnection { status: ConnectionStatus::NeedsReauth, version: self.ids.uuid(), ..seen.clone() }
            }
            Err(error) => return Err(ConnectionError::Unavailable(error.to_string())),
        };
        let mut pause = PAUSE;
        for writes in 1.. {
            match self.ledger.put_connection(&next, Some(seen.version)).await {
                Ok(Save::Done) => return Ok(Some(next)),
                // It was connected anew, or disconnected, meanwhile: that counts.
                Ok(Save::Stale) => break,
                Err(error) if writes == WRITES => return Err(error.into()),
                Err(_) => self.clock.sleep(pause).await,
            }
            pause *= 2;
        }
        Ok(self.ledger.connection(&seen.workspace, seen.provider).await?)
    }
}
