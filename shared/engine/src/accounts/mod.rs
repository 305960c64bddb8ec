//! Accounts: those that were connected, tokens that were pasted by hand, and the sandbox for the rest.

mod renew;
mod tokens;

use std::{collections::BTreeMap, sync::Arc};

use domain::{Address, JobError, JobErrorCode, Provider, Via, WorkspaceId};
use jiff::SignedDuration;
use secrecy::ExposeSecret;
use strum::IntoStaticStr;

pub use self::tokens::Tokens;
use crate::ports::{
    Access, Cause, Clock, Connections, Ids, LedgerError, Locks, OAuth, StoredConnection, Vault, VaultError,
};

/// The sandbox's sending address, in a domain that can never exist (RFC 2606).
const SANDBOX_ADDRESS: &str = "sandbox@orchestrator.invalid";

/// A token is renewed this long before it ends.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// How often a connection that changes meanwhile is looked at again.
const LOOKS: usize = 5;

/// A workspace's account with a provider.
#[derive(Debug, Clone, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Connection {
    /// Actions go into the outbox, from this address.
    Sandbox(Address),
    /// Actions go to the provider.
    Live(Access),
    /// The provider wants the consent of this account's owner again.
    NeedsReauth(Access),
    /// No account is connected.
    #[strum(serialize = "not_connected")]
    None,
}

impl Connection {
    /// The connection's mode by name.
    pub fn mode(&self) -> &'static str {
        self.into()
    }

    /// The sending address, where it is known.
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Sandbox(address) => Some(address),
            Self::Live(access) | Self::NeedsReauth(access) => access.address.as_ref(),
            Self::None => None,
        }
    }

    /// The account's address, or another name of it.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Live(access) | Self::NeedsReauth(access) => access.name.clone(),
            Self::Sandbox(_) | Self::None => self.address().map(Address::addr_spec),
        }
    }

    /// The access to a provider's account, good or not.
    pub const fn access(&self) -> Option<&Access> {
        match self {
            Self::Live(access) | Self::NeedsReauth(access) => Some(access),
            Self::Sandbox(_) | Self::None => None,
        }
    }
}

/// Why nothing is known of a connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectionError {
    /// The ledger did not say.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The token cannot be renewed now; another try may succeed.
    #[error("the account's token cannot be renewed now: {0}")]
    Unavailable(#[source] Cause),
    /// The provider refuses our client; holds its code.
    #[error("the provider refuses this deployment's client: {0}")]
    Setup(String),
    /// Its sealed text was not opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl ConnectionError {
    fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into().into())
    }
}

/// One workspace's tokens that were pasted by hand. They take precedence over connected accounts, and cannot be renewed.
#[derive(Debug, Clone)]
pub struct PastedTokens {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The token of each provider.
    pub tokens: BTreeMap<Provider, Access>,
}

/// Knows each workspace's accounts, and renews their tokens, one process at a time.
pub struct Accounts {
    /// All actions go into the outbox, or all to the providers; if not set, to those that are connected.
    pub mode: Option<Via>,
    /// Take precedence over connected accounts.
    pub pasted: PastedTokens,
    /// The connected accounts.
    pub connections: Arc<dyn Connections>,
    /// Seals their tokens.
    pub vault: Arc<dyn Vault>,
    /// Keep two processes from renewing one token.
    pub locks: Arc<dyn Locks>,
    /// Renews their tokens.
    pub oauth: Arc<dyn OAuth>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Names of versions and owners.
    pub ids: Arc<dyn Ids>,
}

impl Accounts {
    /// A workspace's account as it is known, to show and check it: the provider is not asked, and the token may have
    /// ended. An account whose tokens cannot be read has to be connected again.
    pub async fn known(&self, workspace: &WorkspaceId, provider: Provider) -> Result<Connection, ConnectionError> {
        if let Some(connection) = self.at_once(workspace, provider) {
            return Ok(connection);
        }
        match self.connections.connection(workspace, provider).await? {
            Some(stored) => match self.open(&stored).await {
                Ok(tokens) => Ok(show(&stored, &tokens)),
                Err(error @ VaultError::Unavailable(_)) => Err(error.into()),
                Err(error) => {
                    tracing::error!(%error, oauth.provider = %provider, "a connection cannot be read");
                    Ok(Connection::NeedsReauth(unreadable(stored)))
                }
            },
            None => Ok(self.not_connected()),
        }
    }

    /// A workspace's account, ready for use: a token that is about to end is renewed first.
    pub async fn ready(&self, workspace: &WorkspaceId, provider: Provider) -> Result<Connection, ConnectionError> {
        if let Some(connection) = self.at_once(workspace, provider) {
            return Ok(connection);
        }
        let mut there = self.connections.connection(workspace, provider).await?;
        let mut ahead = AHEAD;
        for _ in 0..LOOKS {
            let Some(stored) = there else { return Ok(self.not_connected()) };
            let tokens = self.open(&stored).await?;
            let left = tokens.expires_at.duration_since(self.clock.now());
            if stored.needs_reauth || left > ahead {
                return Ok(show(&stored, &tokens));
            }
            there = match self.renewed(&stored, left.is_positive()).await {
                // The old token is still valid.
                Err(ConnectionError::Unavailable(_) | ConnectionError::Setup(_)) if left.is_positive() => {
                    return Ok(show(&stored, &tokens));
                }
                renewed => renewed?,
            };
            // A new token may live for less than `AHEAD` from the start.
            ahead = SignedDuration::ZERO;
        }
        Err(ConnectionError::unavailable("it keeps changing"))
    }

    /// Gets a newer token of the same account after the provider refused this one. None when only its
    /// owner's consent helps.
    pub async fn refreshed(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
        refused: &Access,
    ) -> Result<Option<Access>, ConnectionError> {
        // A pasted token cannot be renewed. It is worth one more try: a single 401 proves nothing.
        if let Some(access) = self.pasted(workspace, provider) {
            return Ok(Some(access.clone()));
        }
        let ours =
            |stored: &StoredConnection| !stored.needs_reauth && Some(&stored.account) == refused.account.as_ref();
        let stored = self.connections.connection(workspace, provider).await?.filter(&ours);
        let Some(stored) = stored else { return Ok(None) };
        let tokens = self.open(&stored).await?;
        if tokens.access.expose_secret() != refused.token.expose_secret() {
            // Another process renewed it meanwhile.
            return Ok(Some(tokens.access(&stored)));
        }
        let Some(stored) = self.renewed(&stored, false).await?.filter(&ours) else { return Ok(None) };
        Ok(Some(self.open(&stored).await?.access(&stored)))
    }

    /// Why tokens of a workspace's account cannot be renewed, if the provider refused our client last.
    pub async fn setup_problem(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
    ) -> Result<Option<JobError>, LedgerError> {
        if self.at_once(workspace, provider).is_some() {
            return Ok(None);
        }
        let stored = self.connections.connection(workspace, provider).await?;
        Ok(stored.and_then(|stored| stored.setup_problem).map(|code| client_refused(provider, &code)))
    }

    fn pasted(&self, workspace: &WorkspaceId, provider: Provider) -> Option<&Access> {
        self.pasted.tokens.get(&provider).filter(|_| *workspace == self.pasted.workspace)
    }

    /// What needs no look at the ledger: without a client of the provider nothing was connected.
    fn at_once(&self, workspace: &WorkspaceId, provider: Provider) -> Option<Connection> {
        match self.pasted(workspace, provider) {
            _ if self.mode == Some(Via::Sandbox) => Some(sandbox()),
            Some(access) => Some(Connection::Live(access.clone())),
            None if self.oauth.has_client(provider) => None,
            None => Some(self.not_connected()),
        }
    }

    fn not_connected(&self) -> Connection {
        if self.mode == Some(Via::Live) { Connection::None } else { sandbox() }
    }

    async fn open(&self, stored: &StoredConnection) -> Result<Tokens, VaultError> {
        Tokens::open(&*self.vault, stored).await
    }
}

fn show(stored: &StoredConnection, tokens: &Tokens) -> Connection {
    let access = tokens.access(stored);
    if stored.needs_reauth { Connection::NeedsReauth(access) } else { Connection::Live(access) }
}

/// An account whose tokens cannot be read: it has no address.
fn unreadable(stored: StoredConnection) -> Access {
    Access {
        token: String::new().into(),
        scopes: stored.scopes,
        address: None,
        name: None,
        account: Some(stored.account),
    }
}

/// The error of an account, and of its jobs, whose tokens cannot be read.
pub(crate) fn cannot_be_read(provider: Provider, url: &str) -> JobError {
    let message = "The connection cannot be read.".to_owned();
    JobError { code: JobErrorCode::Internal, message, ..reauth_required(provider, url) }
}

/// The error of jobs whose account has to be connected again.
pub(crate) fn reauth_required(provider: Provider, url: &str) -> JobError {
    JobError {
        code: JobErrorCode::ReauthRequired,
        message: "The account's owner has to consent again at the provider.".to_owned(),
        retriable: true,
        remediation: format!("{} again, then retry the job.", how_to_connect(provider, url)),
    }
}

/// The error of jobs whose account's token is not renewed since the provider refuses our client.
pub(crate) fn client_refused(provider: Provider, code: &str) -> JobError {
    let name = provider.as_str().to_ascii_uppercase();
    JobError {
        code: JobErrorCode::SetupProblem,
        message: format!("The provider refuses this deployment's OAuth client: {code}."),
        retriable: true,
        remediation: format!(
            "Have the operator check the client and its secret ({name}_CLIENT_ID, {name}_CLIENT_SECRET), and whether the \
             secret has expired or an administrator blocks the client. Then retry the job."
        ),
    }
}

/// Where an account is connected; the beginning of a sentence.
pub(crate) fn how_to_connect(provider: Provider, url: &str) -> String {
    format!("Connect the account at {url}/dev/action-runner.html (or POST {url}/oauth/{provider}/start)")
}

fn sandbox() -> Connection {
    Connection::Sandbox(sandbox_address())
}

fn sandbox_address() -> Address {
    SANDBOX_ADDRESS.parse().expect("the constant is an address")
}

/// The access to the sandbox's made-up account.
pub(crate) fn sandbox_access() -> Access {
    let address = sandbox_address();
    let name = Some(address.addr_spec());
    Access { token: String::new().into(), scopes: Vec::new(), address: Some(address), name, account: None }
}
