//! Connections from tokens that were pasted by hand, and the sandbox for the rest.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::{Provider, WorkspaceId};
use engine::ports::{Access, Connection, Connections, LedgerError};

/// The sandbox's sending address, in a domain that can never exist (RFC 2606).
const SANDBOX_ADDRESS: &str = "sandbox@orchestrator.invalid";

/// Accounts of one workspace, with tokens from the environment.
pub struct PastedTokens {
    workspace: WorkspaceId,
    tokens: BTreeMap<Provider, Access>,
    mode: Mode,
}

/// Where mails go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To the providers that have a token; of the others, into the outbox.
    WhereConnected,
    /// All into the outbox.
    Sandbox,
    /// To the providers; without a token, nowhere.
    Live,
}

impl PastedTokens {
    /// The accounts of `workspace`.
    pub fn new(workspace: WorkspaceId, tokens: BTreeMap<Provider, Access>, mode: Mode) -> Self {
        Self { workspace, tokens, mode }
    }
}

#[async_trait]
impl Connections for PastedTokens {
    async fn connection(&self, workspace: &WorkspaceId, provider: Provider) -> Result<Connection, LedgerError> {
        let token = self.tokens.get(&provider).filter(|_| *workspace == self.workspace);
        let sandbox = || Connection::Sandbox(SANDBOX_ADDRESS.parse().expect("the constant is an address"));
        Ok(match (self.mode, token) {
            (Mode::Sandbox, _) | (Mode::WhereConnected, None) => sandbox(),
            (Mode::WhereConnected | Mode::Live, Some(access)) => Connection::Live(access.clone()),
            (Mode::Live, None) => Connection::None,
        })
    }

    /// A pasted token cannot be renewed. It is worth one more try: a single 401 proves nothing.
    async fn refreshed(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
        _refused: &Access,
    ) -> Result<Option<Access>, LedgerError> {
        Ok(self.tokens.get(&provider).filter(|_| *workspace == self.workspace).cloned())
    }
}
