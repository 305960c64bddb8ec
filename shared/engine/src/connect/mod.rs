//! Connects a workspace with an account: from the way to the provider's page, over the way back, to the end.
//!
//! A way is begun by a caller with a credential and ended by a browser without one. What holds the two
//! together is the state, 256 random bits that are good once, and a cookie that the beginning left in
//! the browser; neither is of use without the other, and both only for ten minutes.

mod tokens;

use domain::{ActorHash, Address, AuditBy, AuditEntry, AuditEvent, KeyId, Provider, WorkspaceId, sha256_hex};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

pub use self::tokens::Tokens;
use crate::{
    Caller, Engine, Problem, ProblemCode,
    access::Permissions,
    catalogue::Mode,
    ports::{
        Access, Authorization, CONSENT_WITHIN, Connection, ConnectionStatus, Consent, Exchange, Granted, Identity,
        LedgerError, OAuthError, Purpose, Save, StoredConnection, VaultError,
    },
};

/// How often a write that met another one is tried again.
const ROUNDS: usize = 5;

/// What a caller wants of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// The scopes that make drafts too, with which a lost answer leaves no doubt whether a mail went.
    pub drafts: bool,
    /// Another account may take the place of the one that is connected.
    pub replace: bool,
}

/// A way to a provider's page.
#[derive(Debug, Clone)]
pub struct Way {
    /// Where the account's owner consents.
    pub authorization_url: String,
    /// What the browser has to bring back; 256 random bits.
    pub cookie: String,
    /// What is asked for, least first.
    pub scopes: Vec<String>,
}

/// What a browser brings back.
#[derive(Debug, Clone, Default)]
pub struct Returned {
    /// The state.
    pub state: Option<String>,
    /// The cookie that the way's beginning left.
    pub cookie: Option<String>,
    /// The code that stands for the consent.
    pub code: Option<String>,
    /// What the provider says instead.
    pub error: Option<String>,
}

/// A workspace's connection with a provider, as it is shown.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Where mails go.
    pub mode: Mode,
    /// From which address, where it is known.
    pub address: Option<Address>,
    /// What was granted.
    pub scopes: Vec<String>,
    /// Whether mails are made as drafts first.
    pub drafts: bool,
    /// Whether an account can be connected here.
    pub can_connect: bool,
}

/// What became of a connection that was to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnected {
    /// There was one, and it is gone.
    pub was_connected: bool,
    /// The provider has ended its tokens too.
    pub revoked: bool,
}

/// What lies sealed under a state's hash.
#[derive(Serialize, Deserialize)]
struct Asked {
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

impl Engine {
    /// Begins a way to a provider's page. Asked for is the least that the actions need which may run here.
    pub async fn begin_connecting(&self, caller: &Caller, provider: Provider, wanted: Wanted) -> Result<Way, Problem> {
        if !self.oauth.has_client(provider) {
            return Err(no_client(provider));
        }
        let needed = self.needed_scopes(&self.permissions(caller).await?, provider, wanted.drafts);
        if needed.is_empty() {
            let detail = format!("no action of {provider} may run here, so there is nothing to connect it for");
            return Err(Problem::new(ProblemCode::ActionNotAllowed, detail));
        }
        let mut scopes = vec!["openid".to_owned(), "email".to_owned()];
        if provider == Provider::Microsoft {
            // Without it there is no refresh token.
            scopes.push("offline_access".to_owned());
        }
        scopes.extend(needed.iter().cloned());
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
        let authorization_url = self.oauth.authorization_url(&authorization).ok_or_else(|| no_client(provider))?;
        let actor = caller.bound_actor.as_ref().unwrap_or(&caller.default_actor);
        let asked = Asked {
            provider,
            actor: actor.clone(),
            key_id: caller.key_id.clone(),
            cookie_sha256: sha256_hex(cookie.as_bytes()),
            verifier,
            nonce,
            scopes: scopes.clone(),
            needed,
            replace: wanted.replace,
            expires_at: self.clock.now().checked_add(CONSENT_WITHIN).unwrap_or(Timestamp::MAX),
        };
        let id = sha256_hex(state.as_bytes());
        let text = serde_json::to_vec(&asked).expect("texts and a time are always JSON");
        let sealed = self.vault.seal(&caller.workspace, Purpose::Consent, &id, &text).await?;
        self.cache.put_consent(&id, &Consent { workspace: caller.workspace.clone(), sealed }).await?;
        Ok(Way { authorization_url, cookie, scopes })
    }

    /// Ends a way: takes the state, gets the tokens and stores them. Gives the address that is connected now.
    pub async fn end_connecting(&self, provider: Provider, returned: Returned) -> Result<Address, Problem> {
        let (workspace, asked) = self.asked(provider, &returned).await?;
        if let Some(error) = returned.error {
            let word = |b: u8| b.is_ascii_lowercase() || b == b'_';
            let detail = match error.as_str() {
                "access_denied" => format!("the consent was refused at {provider}'s page"),
                code if (1..=40).contains(&code.len()) && code.bytes().all(word) => format!("{provider} says {code}"),
                _ => format!("{provider} says no"),
            };
            return Err(Problem::new(ProblemCode::AuthorizationDenied, detail));
        }
        let code = returned.code.ok_or_else(|| invalid("the provider sent no code along"))?;
        let exchange = Exchange {
            provider,
            code: &code,
            verifier: &asked.verifier,
            nonce: &asked.nonce,
            redirect_uri: &self.redirect_uri(provider),
        };
        let (granted, identity) = self.oauth.exchange(&exchange).await.map_err(|error| not_exchanged(&error))?;
        let connected = self.connect(&workspace, &asked, granted, identity).await?;
        tracing::info!(oauth.provider = %provider, "an account was connected");
        Ok(connected)
    }

    /// A workspace's connection, as it is known.
    pub async fn connection(&self, caller: &Caller, provider: Provider) -> Result<Shown, Problem> {
        let (mode, access) = match self.connections.known(&caller.workspace, provider).await? {
            Connection::Sandbox(address) => (Mode::Sandbox, sandbox(address)),
            Connection::Live(access) => (Mode::Live, access),
            Connection::NeedsReauth(access) => (Mode::NeedsReauth, access),
            Connection::None => (Mode::NotConnected, sandbox(None)),
        };
        let drafts = |about: &crate::ports::About| about.provider == provider && access.grants(about.scopes.draft);
        Ok(Shown {
            mode,
            drafts: matches!(mode, Mode::Live | Mode::NeedsReauth)
                && self.catalogue.iter().any(|action| drafts(action.about())),
            address: access.address,
            scopes: access.scopes,
            can_connect: self.oauth.has_client(provider),
        })
    }

    /// Ends a connection: at the provider, where it has a way to, and here, whatever the provider says.
    pub async fn disconnect(&self, caller: &Caller, provider: Provider) -> Result<Disconnected, Problem> {
        let mut disconnected = Disconnected { was_connected: false, revoked: false };
        for _ in 0..ROUNDS {
            let Some(there) = self.ledger.connection(&caller.workspace, provider).await? else {
                return Ok(disconnected);
            };
            disconnected.was_connected = true;
            // First there, so that one that is cut off here is tried again and not forgotten.
            disconnected.revoked |= self.revoke(&there).await;
            if self.ledger.delete_connection(&caller.workspace, provider, there.version).await? == Save::Done {
                tracing::info!(oauth.provider = %provider, oauth.revoked = disconnected.revoked, "an account was disconnected");
                let mut entry = self.audit_entry(caller, AuditEvent::ConnectionRemoved);
                entry.provider = Some(provider);
                self.tell_of_connection(&entry).await;
                return Ok(disconnected);
            }
        }
        Err(contested().into())
    }

    /// What was asked for at the beginning of this way, which is over now, whatever comes of it.
    async fn asked(&self, provider: Provider, returned: &Returned) -> Result<(WorkspaceId, Asked), Problem> {
        let foreign = || invalid("it was not begun in this browser, is over, or was used before");
        // Who only looks at the address, as link scanners do, has no cookie and uses nothing up.
        let (Some(state), Some(cookie)) = (&returned.state, &returned.cookie) else { return Err(foreign()) };
        let id = sha256_hex(state.as_bytes());
        let consent = self.cache.take_consent(&id).await?.ok_or_else(foreign)?;
        let text = self.vault.open(&consent.workspace, Purpose::Consent, &id, &consent.sealed).await;
        let text = text.map_err(|error| if error == VaultError::DoesNotOpen { foreign() } else { error.into() })?;
        let asked: Asked = serde_json::from_slice(&text).map_err(|_| foreign())?;
        let cookie = sha256_hex(cookie.as_bytes());
        let same = cookie.as_bytes().ct_eq(asked.cookie_sha256.as_bytes())
            & asked.provider.as_str().as_bytes().ct_eq(provider.as_str().as_bytes());
        if !bool::from(same) || asked.expires_at <= self.clock.now() {
            return Err(foreign());
        }
        Ok((consent.workspace, asked))
    }

    async fn connect(
        &self,
        workspace: &WorkspaceId,
        asked: &Asked,
        granted: Granted,
        identity: Identity,
    ) -> Result<Address, Problem> {
        let provider = asked.provider;
        let Identity { account, address } = identity;
        let expires_at = self.clock.now().checked_add(granted.expires_in).unwrap_or(Timestamp::MAX);
        let refresh = granted.refresh_token.ok_or_else(|| invalid("the provider gave no refresh token"))?;
        let tokens = Tokens { access: granted.access_token, refresh, expires_at, address };
        let sealed = tokens.seal(&*self.vault, workspace, provider, &account).await?;
        let mut next = StoredConnection {
            workspace: workspace.clone(),
            provider,
            account,
            sealed,
            scopes: granted.scopes.unwrap_or_else(|| asked.scopes.clone()),
            status: ConnectionStatus::Active,
            version: self.ids.uuid(),
            connected_at: self.clock.now(),
        };
        let access = tokens.access(&next);
        let missing: Vec<&str> =
            asked.needed.iter().map(String::as_str).filter(|needed| !access.grants(&[needed])).collect();
        if !missing.is_empty() {
            let detail = format!("{provider} was not allowed {}; nothing was stored", missing.join(", "));
            return Err(Problem::new(ProblemCode::AuthorizationDenied, detail));
        }
        for _ in 0..ROUNDS {
            let there = self.ledger.connection(workspace, provider).await?;
            let another = there.as_ref().is_some_and(|there| there.account != next.account);
            if another && !asked.replace {
                let detail = format!("another account of {provider} is connected, and stays so");
                return Err(Problem::new(ProblemCode::AccountDiffers, detail));
            }
            if self.ledger.put_connection(&next, there.as_ref().map(|there| there.version)).await? == Save::Done {
                // The same account's old token is of the same consent as its new one.
                if let Some(there) = there.filter(|_| another) {
                    self.revoke(&there).await;
                }
                let by = if asked.key_id.is_some() { AuditBy::Key } else { AuditBy::Keyless };
                let (id, now) = (self.ids.uuid(), self.clock.now());
                let mut entry = AuditEntry::new(id, Some(workspace.clone()), AuditEvent::ConnectionMade, by, now);
                entry.key_id.clone_from(&asked.key_id);
                entry.actor = Some(asked.actor.clone());
                entry.provider = Some(provider);
                entry.value = Some(next.scopes.join(" "));
                self.tell_of_connection(&entry).await;
                return Ok(tokens.address);
            }
            next.version = self.ids.uuid();
        }
        Err(contested().into())
    }

    /// The connection is as it is, whether or not the audit can be told of it.
    async fn tell_of_connection(&self, entry: &AuditEntry) {
        if let Err(error) = self.audit(entry).await {
            tracing::error!(%error, audit.event = entry.event.as_str(), "a connection is missing in the audit");
        }
    }

    /// Ends a connection's tokens at the provider, as far as that can be done; says whether it was.
    async fn revoke(&self, stored: &StoredConnection) -> bool {
        let Ok(tokens) = Tokens::open(&*self.vault, stored).await else { return false };
        match self.oauth.revoke(stored.provider, &tokens.refresh).await {
            Ok(revoked) => revoked,
            // The provider has ended it before.
            Err(OAuthError::InvalidGrant) => true,
            Err(error) => {
                tracing::warn!(oauth.provider = %stored.provider, %error, "a token was not revoked");
                false
            }
        }
    }

    /// The least scopes with which the provider's actions that may run here can be carried out.
    fn needed_scopes(&self, permissions: &Permissions, provider: Provider, drafts: bool) -> Vec<String> {
        let mut needed: Vec<String> = Vec::new();
        for action in self.catalogue.iter() {
            let about = action.about();
            if about.provider != provider || !permissions.allow(&about.action_id()) {
                continue;
            }
            for scope in if drafts { about.scopes.draft } else { about.scopes.send } {
                if !needed.iter().any(|known| known == scope) {
                    needed.push((*scope).to_owned());
                }
            }
        }
        needed
    }

    fn redirect_uri(&self, provider: Provider) -> String {
        format!("{}/oauth/{provider}/callback", self.settings.public_url)
    }

    /// 256 bits that nobody can guess, in hex: three UUIDs have 122 random bits each.
    fn secret(&self) -> String {
        let random = [self.ids.uuid(), self.ids.uuid(), self.ids.uuid()].map(uuid::Uuid::into_bytes);
        sha256_hex(random.as_flattened())
    }
}

/// Nobody's account.
fn sandbox(address: impl Into<Option<Address>>) -> Access {
    Access { token: String::new().into(), scopes: Vec::new(), address: address.into(), account: None }
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
        OAuthError::Unavailable(_) => Problem::new(ProblemCode::ProviderUnavailable, error.to_string()),
    }
}

fn contested() -> LedgerError {
    LedgerError("the connection was changed by others over and over".to_owned())
}
