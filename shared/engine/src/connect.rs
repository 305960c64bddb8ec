//! OAuth connect flow: start, callback, disconnect.
//!
//! A caller with a credential starts it, and a browser without one ends it. The `state`, 256 random bits that are good
//! once, and a cookie in the browser hold the two together; neither is of use without the other, and both only for ten
//! minutes.

use std::sync::Arc;

use domain::{ActorHash, Address, AuditBy, AuditEntry, AuditEvent, KeyId, Provider, WorkspaceId, sha256_hex};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::{
    Caller, Problem, ProblemCode,
    accounts::{Accounts, Connection, Tokens},
    audit::Auditor,
    catalogue::Catalogue,
    gate::{Gate, Permissions},
    ports::{
        Access, Authorization, CONSENT_WITHIN, Consent, Consents, Exchange, Granted, Identity, LedgerError, OAuthError,
        OAuthScopes, Place, Purpose, Save, StoredConnection, VaultError,
    },
};

/// How often a write that met another one is tried again.
const ROUNDS: usize = 5;

/// A caller's options for a connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectOptions {
    /// Ask for the scopes that make drafts, too: with a draft, a lost answer leaves no doubt whether an action was sent.
    pub drafts: bool,
    /// Let another account take the place of the connected one.
    pub replace: bool,
}

/// A request for consent at a provider.
#[derive(Debug, Clone)]
pub struct AuthorizationRequest {
    /// Where the account's owner consents.
    pub authorization_url: String,
    /// The cookie that the browser has to bring back; 256 random bits.
    pub cookie: String,
    /// The requested scopes, least first.
    pub scopes: Vec<String>,
}

/// A browser's return from the provider.
#[derive(Debug, Clone, Default)]
pub struct Callback {
    /// The state.
    pub state: Option<String>,
    /// The cookie of the request.
    pub cookie: Option<String>,
    /// The code that stands for the consent.
    pub code: Option<String>,
    /// The provider's error instead of a code.
    pub error: Option<String>,
}

/// A workspace's connection with a provider, as it is shown.
#[derive(Debug, Clone)]
pub struct ConnectionView {
    /// The connection.
    pub connection: Connection,
    /// Whether sends make a draft first.
    pub drafts: bool,
    /// Whether an account can be connected here.
    pub can_connect: bool,
}

/// The result of a disconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnected {
    /// There was a connection, and it is gone.
    pub was_connected: bool,
    /// The provider has ended its tokens too.
    pub revoked: bool,
}

/// A pending consent, as it is sealed under the hash of its state.
#[derive(Serialize, Deserialize)]
struct PendingConsent {
    provider: Provider,
    actor: ActorHash,
    key_id: Option<KeyId>,
    cookie_sha256: String,
    verifier: String,
    nonce: String,
    scopes: Vec<String>,
    needed: Vec<String>,
    replace: bool,
    expires_at: Timestamp,
}

/// Connects and disconnects accounts.
pub struct Connector {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) consents: Arc<dyn Consents>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) auditor: Arc<Auditor>,
    /// This API's own address.
    pub(crate) public_url: String,
}

impl Connector {
    /// Starts a connection: asks for the least scopes of the actions that may run here.
    pub async fn start(
        &self,
        caller: &Caller,
        provider: Provider,
        options: ConnectOptions,
    ) -> Result<AuthorizationRequest, Problem> {
        if !self.accounts.oauth.has_client(provider) {
            return Err(no_client(provider));
        }
        let needed = self.needed_scopes(&self.gate.permissions(caller).await?, provider, options.drafts);
        if needed.is_empty() {
            let detail = format!("no action of {provider} may run here, so there is nothing to connect it for");
            return Err(Problem::new(ProblemCode::ActionNotAllowed, detail));
        }
        let identity = self.catalogue.provider(provider).oauth.identity_scopes.iter().map(|scope| (*scope).to_owned());
        let scopes: Vec<String> = identity.chain(needed.iter().cloned()).collect();
        let [state, cookie, verifier, nonce] = std::array::from_fn(|_| self.secret());
        let redirect_uri = self.redirect_uri(provider);
        let authorization = Authorization {
            provider,
            scopes: &scopes,
            state: &state,
            nonce: &nonce,
            verifier: &verifier,
            redirect_uri: &redirect_uri,
        };
        let authorization_url =
            self.accounts.oauth.authorization_url(&authorization).ok_or_else(|| no_client(provider))?;
        let actor = caller.bound_actor.as_ref().unwrap_or(&caller.default_actor);
        let pending = PendingConsent {
            provider,
            actor: actor.clone(),
            key_id: caller.key_id.clone(),
            cookie_sha256: sha256_hex(cookie.as_bytes()),
            verifier,
            nonce,
            scopes: scopes.clone(),
            needed,
            replace: options.replace,
            expires_at: self.accounts.clock.now().checked_add(CONSENT_WITHIN).unwrap_or(Timestamp::MAX),
        };
        let id = sha256_hex(state.as_bytes());
        let text = serde_json::to_vec(&pending).expect("texts and a time are always JSON");
        let sealed = self.accounts.vault.seal(&Place::new(&caller.workspace, Purpose::Consent, &id), &text).await?;
        self.consents.put_consent(&id, &Consent { workspace: caller.workspace.clone(), sealed }).await?;
        Ok(AuthorizationRequest { authorization_url, cookie, scopes })
    }

    /// Finishes a connection: takes the state, gets the tokens and stores them. Gives the address that is connected now.
    pub async fn finish(&self, provider: Provider, callback: Callback) -> Result<Address, Problem> {
        let (workspace, pending) = self.pending(provider, &callback).await?;
        if let Some(error) = callback.error {
            let word = |b: u8| b.is_ascii_lowercase() || b == b'_';
            let detail = match error.as_str() {
                "access_denied" => format!("the consent was refused at {provider}'s page"),
                code if (1..=40).contains(&code.len()) && code.bytes().all(word) => format!("{provider} says {code}"),
                _ => format!("{provider} says no"),
            };
            return Err(Problem::new(ProblemCode::AuthorizationDenied, detail));
        }
        let code = callback.code.ok_or_else(|| invalid("the provider sent no code along"))?;
        let exchange = Exchange {
            provider,
            code: &code,
            verifier: &pending.verifier,
            nonce: &pending.nonce,
            redirect_uri: &self.redirect_uri(provider),
        };
        let (granted, identity) =
            self.accounts.oauth.exchange(&exchange).await.map_err(|error| not_exchanged(&error))?;
        let connected = self.connect(&workspace, &pending, granted, identity).await?;
        tracing::info!(oauth.provider = %provider, "an account was connected");
        Ok(connected)
    }

    /// A workspace's connection, as it is known.
    pub async fn show(&self, caller: &Caller, provider: Provider) -> Result<ConnectionView, Problem> {
        let connection = self.accounts.known(&caller.workspace, provider).await?;
        let spec = self.catalogue.provider(provider);
        let drafts = |access: &Access| {
            let scopes = self.catalogue.iter().map(|action| action.spec()).filter(|action| action.provider == provider);
            let mut scopes = scopes.map(|action| action.scopes.draft).filter(|scopes| !scopes.is_empty());
            scopes.any(|scopes| spec.grants(&access.scopes, scopes))
        };
        Ok(ConnectionView {
            drafts: connection.access().is_some_and(drafts),
            connection,
            can_connect: self.accounts.oauth.has_client(provider),
        })
    }

    /// Ends a connection: at the provider, where it has a way to, and here, whatever the provider says.
    pub async fn disconnect(&self, caller: &Caller, provider: Provider) -> Result<Disconnected, Problem> {
        let mut disconnected = Disconnected { was_connected: false, revoked: false };
        for _ in 0..ROUNDS {
            let Some(there) = self.accounts.connections.connection(&caller.workspace, provider).await? else {
                return Ok(disconnected);
            };
            disconnected.was_connected = true;
            // At the provider first: a disconnect that is cut off here is tried again.
            disconnected.revoked |= self.revoke(&there).await;
            if self.accounts.connections.delete_connection(&caller.workspace, provider, there.version).await?
                == Save::Done
            {
                tracing::info!(oauth.provider = %provider, oauth.revoked = disconnected.revoked, "an account was disconnected");
                let mut entry = self.auditor.entry_of(caller, AuditEvent::ConnectionRemoved);
                entry.provider = Some(provider);
                self.audit(&entry).await;
                return Ok(disconnected);
            }
        }
        Err(contested().into())
    }

    /// The pending consent that this callback belongs to. It can be taken once, whatever becomes of it.
    async fn pending(&self, provider: Provider, callback: &Callback) -> Result<(WorkspaceId, PendingConsent), Problem> {
        let foreign = || invalid("it was not begun in this browser, is over, or was used before");
        // A link scanner has no cookie, and must not use the state up.
        let (Some(state), Some(cookie)) = (&callback.state, &callback.cookie) else { return Err(foreign()) };
        let id = sha256_hex(state.as_bytes());
        let consent = self.consents.take_consent(&id).await?.ok_or_else(foreign)?;
        let place = Place::new(&consent.workspace, Purpose::Consent, &id);
        let text = self.accounts.vault.open(&place, &consent.sealed).await;
        let text = text.map_err(|error| match error {
            VaultError::DoesNotOpen => foreign(),
            VaultError::Unavailable(_) => error.into(),
        })?;
        let pending: PendingConsent = serde_json::from_slice(&text).map_err(|_| foreign())?;
        let cookie = sha256_hex(cookie.as_bytes());
        let same = cookie.as_bytes().ct_eq(pending.cookie_sha256.as_bytes())
            & pending.provider.as_str().as_bytes().ct_eq(provider.as_str().as_bytes());
        if !bool::from(same) || pending.expires_at <= self.accounts.clock.now() {
            return Err(foreign());
        }
        Ok((consent.workspace, pending))
    }

    async fn connect(
        &self,
        workspace: &WorkspaceId,
        pending: &PendingConsent,
        granted: Granted,
        identity: Identity,
    ) -> Result<Address, Problem> {
        let provider = pending.provider;
        let Identity { account, address } = identity;
        let expires_at = self.accounts.clock.now().checked_add(granted.expires_in).unwrap_or(Timestamp::MAX);
        let refresh = granted.refresh_token.ok_or_else(|| invalid("the provider gave no refresh token"))?;
        let tokens = Tokens { access: granted.access_token, refresh, expires_at, address };
        let sealed = tokens.seal(&*self.accounts.vault, workspace, provider, &account).await?;
        let mut next = StoredConnection {
            workspace: workspace.clone(),
            provider,
            account,
            sealed,
            scopes: granted.scopes.unwrap_or_else(|| pending.scopes.clone()),
            needs_reauth: false,
            version: self.accounts.ids.uuid(),
            connected_at: self.accounts.clock.now(),
        };
        let spec = self.catalogue.provider(provider);
        let missing: Vec<&str> =
            pending.needed.iter().map(String::as_str).filter(|needed| !spec.grants(&next.scopes, &[needed])).collect();
        if !missing.is_empty() {
            let detail = format!("{provider} was not allowed {}; nothing was stored", missing.join(", "));
            return Err(Problem::new(ProblemCode::AuthorizationDenied, detail));
        }
        for _ in 0..ROUNDS {
            let there = self.accounts.connections.connection(workspace, provider).await?;
            let another = there.as_ref().is_some_and(|there| there.account != next.account);
            if another && !pending.replace {
                let detail = format!("another account of {provider} is connected, and stays so");
                return Err(Problem::new(ProblemCode::AccountDiffers, detail));
            }
            if self.accounts.connections.put_connection(&next, there.as_ref().map(|there| there.version)).await?
                == Save::Done
            {
                // The same account's old token is of the same consent as its new one.
                if let Some(there) = there.filter(|_| another) {
                    self.revoke(&there).await;
                }
                let by = if pending.key_id.is_some() { AuditBy::Key } else { AuditBy::Keyless };
                let mut entry = self.auditor.entry(Some(workspace.clone()), AuditEvent::ConnectionMade, by);
                entry.key_id.clone_from(&pending.key_id);
                entry.actor = Some(pending.actor.clone());
                entry.provider = Some(provider);
                entry.value = Some(next.scopes.join(" "));
                self.audit(&entry).await;
                return Ok(tokens.address);
            }
            next.version = self.accounts.ids.uuid();
        }
        Err(contested().into())
    }

    /// The connection stands, even if the audit cannot be written.
    async fn audit(&self, entry: &AuditEntry) {
        if let Err(error) = self.auditor.write(entry).await {
            tracing::error!(%error, audit.event = %entry.event, "a connection is missing in the audit");
        }
    }

    /// Ends a connection's tokens at the provider, as far as that can be done; says whether it was.
    async fn revoke(&self, stored: &StoredConnection) -> bool {
        let Ok(tokens) = Tokens::open(&*self.accounts.vault, stored).await else { return false };
        match self.accounts.oauth.revoke(stored.provider, &tokens.refresh).await {
            Ok(revoked) => revoked,
            // It had ended before.
            Err(OAuthError::InvalidGrant) => true,
            Err(error) => {
                tracing::warn!(oauth.provider = %stored.provider, %error, "a token was not revoked");
                false
            }
        }
    }

    /// The least scopes for the provider's actions that may run here.
    fn needed_scopes(&self, permissions: &Permissions, provider: Provider, drafts: bool) -> Vec<String> {
        let mut needed: Vec<String> = Vec::new();
        for action in self.catalogue.iter() {
            let spec = action.spec();
            if spec.provider != provider || !permissions.allow(&spec.action_id()) {
                continue;
            }
            let OAuthScopes { required, draft } = spec.scopes;
            for scope in if drafts && !draft.is_empty() { draft } else { required } {
                if !needed.iter().any(|known| known == scope) {
                    needed.push((*scope).to_owned());
                }
            }
        }
        needed
    }

    fn redirect_uri(&self, provider: Provider) -> String {
        format!("{}/oauth/{provider}/callback", self.public_url)
    }

    /// 256 bits that nobody can guess, in hex: three UUIDs have 122 random bits each.
    fn secret(&self) -> String {
        let random =
            [self.accounts.ids.uuid(), self.accounts.ids.uuid(), self.accounts.ids.uuid()].map(uuid::Uuid::into_bytes);
        sha256_hex(random.as_flattened())
    }
}

fn no_client(provider: Provider) -> Problem {
    let name = provider.as_str().to_ascii_uppercase();
    let detail = format!(
        "accounts of {provider} cannot be connected here: {name}_CLIENT_ID and {name}_CLIENT_SECRET are not set"
    );
    Problem::new(ProblemCode::NotFound, detail)
}

fn invalid(detail: &str) -> Problem {
    Problem::new(ProblemCode::AuthorizationInvalid, detail)
}

fn not_exchanged(error: &OAuthError) -> Problem {
    match error {
        OAuthError::InvalidGrant => invalid("the provider does not take the code back"),
        OAuthError::InvalidAnswer(_) => invalid(&error.to_string()),
        OAuthError::Refused { .. } | OAuthError::Unavailable(_) => {
            Problem::new(ProblemCode::ProviderUnavailable, error.to_string())
        }
    }
}

fn contested() -> LedgerError {
    LedgerError::new("the connection was changed by others over and over")
}
