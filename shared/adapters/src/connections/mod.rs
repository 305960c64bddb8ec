//! Whose accounts: those that were connected, tokens that were pasted by hand, and the sandbox for the rest.

mod renew;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use domain::{Provider, WorkspaceId};
use engine::{
    connect::Tokens,
    ports::{
        Access, Cache, Clock, Connection, ConnectionError, ConnectionStatus, Connections, Ids, Ledger, OAuth,
        StoredConnection, Vault, VaultError,
    },
};
use jiff::SignedDuration;
use secrecy::ExposeSecret;

/// The sandbox's sending address, in a domain that can never exist (RFC 2606).
const SANDBOX_ADDRESS: &str = "sandbox@orchestrator.invalid";

/// So long before it ends a token is renewed.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// How often a connection that changes meanwhile is looked at again.
const LOOKS: usize = 5;

/// Where mails go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To the providers that are connected; of the others, into the outbox.
    WhereConnected,
    /// All into the outbox.
    Sandbox,
    /// To the providers; without an account, nowhere.
    Live,
}

/// Tokens of one workspace that were pasted by hand. They go before what is connected, and cannot be renewed.
#[derive(Debug, Clone)]
pub struct PastedTokens {
    /// Whose.
    pub workspace: WorkspaceId,
    /// What of each provider.
    pub tokens: BTreeMap<Provider, Access>,
}

/// The accounts in the ledger, their tokens renewed by one process at a time.
pub struct StoredConnections {
    /// Where mails go.
    pub mode: Mode,
    /// What goes before the ledger.
    pub pasted: PastedTokens,
    /// Where the accounts are.
    pub ledger: Arc<dyn Ledger>,
    /// What their tokens are sealed with.
    pub vault: Arc<dyn Vault>,
    /// What keeps two processes from renewing one token.
    pub cache: Arc<dyn Cache>,
    /// Who renews them.
    pub oauth: Arc<dyn OAuth>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Names of versions and owners.
    pub ids: Arc<dyn Ids>,
}

impl StoredConnections {
    fn pasted(&self, workspace: &WorkspaceId, provider: Provider) -> Option<&Access> {
        self.pasted.tokens.get(&provider).filter(|_| *workspace == self.pasted.workspace)
    }

    /// What needs no look at the ledger: without a client of the provider nothing was connected.
    fn at_once(&self, workspace: &WorkspaceId, provider: Provider) -> Option<Connection> {
        match self.pasted(workspace, provider) {
            _ if self.mode == Mode::Sandbox => Some(sandbox()),
            Some(access) => Some(Connection::Live(access.clone())),
            None if self.oauth.has_client(provider) => None,
            None => Some(self.not_connected()),
        }
    }

    fn not_connected(&self) -> Connection {
        if self.mode == Mode::Live { Connection::None } else { sandbox() }
    }

    async fn open(&self, stored: &StoredConnection) -> Result<Tokens, ConnectionError> {
        Tokens::open(&*self.vault, stored).await.map_err(sealed)
    }
}

#[async_trait]
impl Connections for StoredConnections {
    async fn connection(&self, workspace: &WorkspaceId, provider: Provider) -> Result<Connection, ConnectionError> {
        if let Some(connection) = self.at_once(workspace, provider) {
            return Ok(connection);
        }
        let mut there = self.ledger.connection(workspace, provider).await?;
        for _ in 0..LOOKS {
            let Some(stored) = there else { return Ok(self.not_connected()) };
            let tokens = self.open(&stored).await?;
            let left = tokens.expires_at.duration_since(self.clock.now());
            if stored.status == ConnectionStatus::NeedsReauth || left > AHEAD {
                return Ok(show(&stored, &tokens));
            }
            there = match self.renewed(&stored, left.is_positive()).await {
                // It still holds.
                Err(ConnectionError::Unavailable(_)) if left.is_positive() => return Ok(show(&stored, &tokens)),
                renewed => renewed?,
            };
            // A token that lives for less than that from the start is as good as it gets.
            if let Some(fresh) = &there
                && fresh.version != stored.version
                && fresh.status == ConnectionStatus::Active
            {
                let tokens = self.open(fresh).await?;
                if tokens.expires_at > self.clock.now() {
                    return Ok(show(fresh, &tokens));
                }
            }
        }
        Err(ConnectionError::Unavailable("it changes over and over".to_owned()))
    }

    async fn known(&self, workspace: &WorkspaceId, provider: Provider) -> Result<Connection, ConnectionError> {
        if let Some(connection) = self.at_once(workspace, provider) {
            return Ok(connection);
        }
        match self.ledger.connection(workspace, provider).await? {
            Some(stored) => Ok(show(&stored, &self.open(&stored).await?)),
            None => Ok(self.not_connected()),
        }
    }

    async fn refreshed(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
        refused: &Access,
    ) -> Result<Option<Access>, ConnectionError> {
        // A pasted token cannot be renewed. It is worth one more try: a single 401 proves nothing.
        if let Some(access) = self.pasted(workspace, provider) {
            return Ok(Some(access.clone()));
        }
        let ours = |stored: &StoredConnection| {
            stored.status == ConnectionStatus::Active && Some(&stored.account) == refused.account.as_ref()
        };
        let Some(stored) = self.ledger.connection(workspace, provider).await?.filter(&ours) else { return Ok(None) };
        let tokens = self.open(&stored).await?;
        if tokens.access.expose_secret() != refused.token.expose_secret() {
            // Somebody renewed it meanwhile.
            return Ok(Some(tokens.access(&stored)));
        }
        let Some(stored) = self.renewed(&stored, false).await?.filter(&ours) else { return Ok(None) };
        Ok(Some(self.open(&stored).await?.access(&stored)))
    }
}

fn show(stored: &StoredConnection, tokens: &Tokens) -> Connection {
    let access = tokens.access(stored);
    match stored.status {
        ConnectionStatus::Active => Connection::Live(access),
        ConnectionStatus::NeedsReauth => Connection::NeedsReauth(access),
    }
}

fn sandbox() -> Connection {
    Connection::Sandbox(SANDBOX_ADDRESS.parse().expect("the constant is an address"))
}

fn sealed(error: VaultError) -> ConnectionError {
    match error {
        VaultError::DoesNotOpen => ConnectionError::DoesNotOpen,
        VaultError::Unavailable(why) => ConnectionError::Unavailable(why),
    }
}
