//! OAuth connect flow: start, callback, disconnect.
//!
//! A caller with a credential starts it, and a browser without one ends it. The `state`, 256 random bits that are good
//! once, and a cookie in the browser hold the two together; neither is of use without the other, and both only for ten
//! minutes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use domain::{
    ActorHash, AuditEntry, AuditEvent, Effect, FindKind, JobError, KeyId, Provider, Rule, WorkspaceId, sha256_hex,
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::{
    Caller, Problem, ProblemCode,
    accounts::{Accounts, Connection, Tokens, cannot_be_read, reauth_required},
    audit::Auditor,
    catalogue::Catalogue,
    gate::{Gate, Permissions},
    job_store::JobStore,
    ports::{
        Access, Authorization, CONSENT_WITHIN, Clock, Consent, Consents, Exchange, Finder, Granted, Identity, Ids,
        LedgerError, OAuthError, OAuthScopes, Purpose, Save, StoredConnection, Vault, VaultError,
    },
};

/// How often a write that met another one is tried again.
const ROUNDS: usize = 5;

/// Options of a new connection.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = StartBody))]
#[serde(deny_unknown_fields)]
pub struct ConnectOptions {
    /// Request the scopes of these actions only; by default, of every action that may run here.
    #[serde(default)]
    pub actions: Option<Vec<String>>,
    /// Also request the scopes for drafts: then a lost answer leaves no unknown outcome. Google restricts that scope
    /// more than sending.
    #[serde(default)]
    pub drafts: bool,
    /// Also request the scopes for lookups of these kinds: `contact`, `event`, `free_time`.
    #[serde(default)]
    #[cfg_attr(feature = "utoipa", schema(value_type = Vec<String>, example = json!(["contact", "event"])))]
    pub lookups: Vec<FindKind>,
    /// Also request the scope for the organisation's directory, where lookups then find people, too. Organisations often
    /// let only administrators consent to it.
    #[serde(default)]
    pub directory: bool,
    /// Replace a different account that is connected now.
    #[serde(default)]
    pub replace: bool,
}

/// Where to continue.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = Started))]
pub struct AuthorizationRequest {
    /// The provider's page. Open it within ten minutes, in the browser that got this answer with its cookie.
    pub authorization_url: String,
    /// The cookie that the browser has to bring back; 256 random bits.
    #[serde(skip)]
    pub cookie: String,
    /// The scopes that the page requests.
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

/// A workspace's connection with a provider.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = ConnectionStatus))]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of an answer")]
pub struct ConnectionView {
    /// The provider.
    #[cfg_attr(feature = "utoipa", schema(value_type = String, example = "google"))]
    pub provider: Provider,
    /// An account of the provider is connected.
    pub connected: bool,
    /// `live`, `sandbox`, `needs_reauth` or `not_connected`.
    pub mode: &'static str,
    /// The account's address, or another name that it signs in with, such as a phone number, if it is known.
    pub address: Option<String>,
    /// The scopes that the account's owner granted, in the provider's words.
    pub scopes: Vec<String>,
    /// The provider requires the owner's consent again.
    pub needs_reauth: bool,
    /// Why jobs of this account cannot be carried out now, in the form of a job's error.
    pub problem: Option<JobError>,
    /// A draft is made before sending, so that a lost answer leaves no unknown outcome.
    pub drafts: bool,
    /// What can be looked up in the account: `contact`, `event`, `free_time`.
    #[cfg_attr(feature = "utoipa", schema(value_type = Vec<String>, example = json!(["contact"])))]
    pub lookups: Vec<FindKind>,
    /// People are also looked up in the organisation's directory.
    pub directory: bool,
    /// An account can be connected: the operator registered an OAuth client with the provider.
    pub can_connect: bool,
}

/// The result of disconnecting.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = Ended))]
pub struct Disconnected {
    /// The provider.
    #[cfg_attr(feature = "utoipa", schema(value_type = String, example = "google"))]
    pub provider: Provider,
    /// An account was connected, and now is not.
    pub disconnected: bool,
    /// The provider revoked the tokens too. It is not asked while another workspace has connected the same account, since
    /// it would end that connection as well.
    pub revoked: bool,
    /// Where the account's owner can revoke them, if the provider did not.
    pub revoke_at: Option<&'static str>,
}

/// A pending consent, as it is sealed under its [`consent_id`].
#[derive(Serialize, Deserialize)]
struct PendingConsent {
    provider: Provider,
    actor: ActorHash,
    key_id: Option<KeyId>,
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
    pub(crate) gate: Arc<Gate>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) jobs: Arc<JobStore>,
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) public_url: String,
    pub(crate) consents: Arc<dyn Consents>,
    pub(crate) finders: BTreeMap<Provider, Arc<dyn Finder>>,
}

impl Connector {
    /// Starts a connection: asks for the least scopes of the actions that may run here, for what is to be looked up, and
    /// again for what was granted before, since the new grant replaces the old one.
    pub async fn start(
        &self,
        caller: &Caller,
        provider: Provider,
        options: ConnectOptions,
    ) -> Result<AuthorizationRequest, Problem> {
        if !self.accounts.oauth.has_client(provider) {
            return Err(no_client(provider));
        }
        let permissions = self.gate.permissions(caller).await?;
        for (place, id) in options.actions.iter().flatten().enumerate() {
            let known = self.catalogue.find(id).map(|action| action.spec());
            let known = known.is_some_and(|spec| spec.provider == provider && permissions.allow(&spec.action_id()));
            if !known {
                let detail = format!("{id} is not an action of {provider} that may run here");
                return Err(Problem::at(ProblemCode::ActionNotAllowed, format!("/actions/{place}"), detail));
            }
        }
        let needed = self.needed_scopes(&permissions, provider, &options);
        if needed.is_empty() {
            let detail = format!("no action of {provider} may run here, so there is nothing to connect it for");
            return Err(Problem::new(ProblemCode::ActionNotAllowed, detail));
        }
        let mut scopes: Vec<&str> = self.catalogue.provider(provider).oauth.identity_scopes.to_vec();
        scopes.extend(&needed);
        if !options.replace {
            let kept = self.granted_scopes(&caller.workspace, provider).await?;
            scopes.extend(kept.into_iter().filter(|scope| !needed.contains(scope)));
        }
        let [scopes, needed] = [scopes, needed].map(|list| list.into_iter().map(str::to_owned).collect::<Vec<_>>());
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
            verifier,
            nonce,
            scopes: scopes.clone(),
            needed,
            replace: options.replace,
            expires_at: self.clock.now().checked_add(CONSENT_WITHIN).unwrap_or(Timestamp::MAX),
        };
        let id = consent_id(provider, &state, &cookie);
        let sealed = self.vault.seal_json(&caller.workspace, Purpose::Consent, &id, &pending).await?;
        self.consents.put_consent(&id, &Consent { workspace: caller.workspace.clone(), sealed }).await?;
        Ok(AuthorizationRequest { authorization_url, cookie, scopes })
    }

    /// Finishes a connection: takes the state, gets the tokens and stores them. Gives the account's address or other name.
    pub async fn finish(&self, provider: Provider, callback: Callback) -> Result<String, Problem> {
        let (workspace, pending) = self.pending(provider, &callback).await?;
        if let Some(error) = callback.error {
            let word = |b: u8| b.is_ascii_lowercase() || b == b'_';
            let name = self.catalogue.provider(provider).name;
            let detail = match error.as_str() {
                "access_denied" => format!("the consent was refused at {name}'s page"),
                code if (1..=40).contains(&code.len()) && code.bytes().all(word) => format!("{name} says {code}"),
                _ => format!("{name} says no"),
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
        let account = identity.account.clone();
        let token = granted.refresh_token.clone().unwrap_or_else(|| granted.access_token.clone());
        let connected = self.connect(&workspace, &pending, granted, identity).await;
        if connected.is_err() {
            // Nobody here would know the grant any more.
            self.revoke(provider, &account, &token, None).await;
        }
        let connected = connected?;
        tracing::info!(oauth.provider = %provider, "an account was connected");
        self.jobs.wake(&workspace, provider, self.clock.now()).await;
        Ok(connected)
    }

    /// A workspace's connection, as it is known.
    pub async fn show(&self, caller: &Caller, provider: Provider) -> Result<ConnectionView, Problem> {
        let connection = self.accounts.known(&caller.workspace, provider).await?;
        let spec = self.catalogue.provider(provider);
        let drafts = |access: &Access| {
            let mut actions = self.catalogue.iter().map(|action| action.spec());
            actions.any(|action| action.provider == provider && action.drafts_with(spec, access))
        };
        let granted = |scopes: &[&str]| connection.access().is_some_and(|access| spec.grants(&access.scopes, scopes));
        // The sandbox's account holds everything.
        let holds = |scopes: &[&str]| matches!(connection, Connection::Sandbox(_)) || granted(scopes);
        let finder = self.finders.get(&provider);
        let mut lookups = FindKind::VARIANTS.to_vec();
        lookups.retain(|kind| finder.is_some_and(|finder| holds(finder.scopes(*kind))));
        Ok(ConnectionView {
            provider,
            lookups,
            directory: finder.is_some_and(|finder| holds(finder.directory_scopes())),
            connected: matches!(connection, Connection::Live(_)),
            mode: connection.mode(),
            address: connection.name(),
            scopes: connection.access().map(|access| access.scopes.clone()).unwrap_or_default(),
            needs_reauth: matches!(connection, Connection::NeedsReauth(_)),
            problem: match &connection {
                Connection::NeedsReauth(access) if access.name.is_none() => {
                    Some(cannot_be_read(provider, &self.public_url))
                }
                Connection::NeedsReauth(_) => Some(reauth_required(provider, &self.public_url)),
                Connection::Live(_) => self.accounts.setup_problem(&caller.workspace, provider).await?,
                Connection::Sandbox(_) | Connection::None => None,
            },
            drafts: connection.access().is_some_and(drafts),
            can_connect: self.accounts.oauth.has_client(provider),
        })
    }

    /// The names of the accounts through which a workspace does things for real.
    pub async fn live_accounts(&self, workspace: &WorkspaceId) -> Result<Vec<&'static str>, Problem> {
        let mut live = Vec::new();
        for provider in self.catalogue.providers() {
            if let Connection::Live(_) = self.accounts.known(workspace, provider.id).await? {
                live.push(provider.account);
            }
        }
        Ok(live)
    }

    /// Ends a connection: at the provider, where it has a way to and no other workspace has connected the account, and
    /// here, whatever the provider says.
    pub async fn disconnect(&self, caller: &Caller, provider: Provider) -> Result<Disconnected, Problem> {
        let connections = &self.accounts.connections;
        let mut ended = Disconnected { provider, disconnected: false, revoked: false, revoke_at: None };
        for _ in 0..ROUNDS {
            let Some(there) = connections.connection(&caller.workspace, provider).await? else {
                return Ok(ended);
            };
            ended.disconnected = true;
            // At the provider first: a disconnect that is cut off here is tried again.
            ended.revoked |= self.revoke_stored(&there).await;
            ended.revoke_at = (!ended.revoked).then_some(self.catalogue.provider(provider).revoke_page);
            if connections.delete_connection(&caller.workspace, provider, there.version).await? == Save::Done {
                tracing::info!(oauth.provider = %provider, oauth.revoked = ended.revoked, "an account was disconnected");
                self.audit(provider, self.auditor.entry_of(caller, AuditEvent::ConnectionRemoved)).await;
                return Ok(ended);
            }
        }
        Err(contested().into())
    }

    /// The pending consent that this callback belongs to. It can be taken once, whatever becomes of it.
    async fn pending(&self, provider: Provider, callback: &Callback) -> Result<(WorkspaceId, PendingConsent), Problem> {
        let foreign = || invalid("it was begun in another browser, has expired, or was used before");
        // A link scanner has no cookie and another browser another one: neither must use the state up.
        let (Some(state), Some(cookie)) = (&callback.state, &callback.cookie) else { return Err(foreign()) };
        let id = consent_id(provider, state, cookie);
        let consent = self.consents.take_consent(&id).await?.ok_or_else(foreign)?;
        let pending = self.vault.open_json(&consent.workspace, Purpose::Consent, &id, &consent.sealed).await;
        let pending: PendingConsent = pending.map_err(|error| match error {
            VaultError::DoesNotOpen | VaultError::Unreadable(..) => foreign(),
            VaultError::Unavailable(_) => error.into(),
        })?;
        if pending.expires_at <= self.clock.now() {
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
    ) -> Result<String, Problem> {
        let provider = pending.provider;
        let Identity { account, name } = identity;
        let expires_at = self.clock.now().checked_add(granted.expires_in).unwrap_or(Timestamp::MAX);
        let refresh = granted.refresh_token.ok_or_else(|| invalid("the provider gave no refresh token"))?;
        let tokens = Tokens { access: granted.access_token, refresh, expires_at, name };
        let sealed = tokens.seal(&*self.vault, workspace, provider, &account).await?;
        let mut next = StoredConnection {
            workspace: workspace.clone(),
            provider,
            account,
            sealed,
            scopes: granted.scopes.unwrap_or_else(|| pending.scopes.clone()),
            needs_reauth: false,
            needs_reauth_since: None,
            setup_problem: None,
            version: self.ids.uuid(),
            connected_at: self.clock.now(),
        };
        let spec = self.catalogue.provider(provider);
        let missing: Vec<&str> =
            pending.needed.iter().map(String::as_str).filter(|needed| !spec.grants(&next.scopes, &[needed])).collect();
        if !missing.is_empty() {
            let detail = format!("{provider} was not allowed {}; nothing was stored", missing.join(", "));
            return Err(Problem::new(ProblemCode::AuthorizationDenied, detail));
        }
        let connections = &self.accounts.connections;
        for _ in 0..ROUNDS {
            let there = connections.connection(workspace, provider).await?;
            let another = there.as_ref().is_some_and(|there| there.account != next.account);
            if another && !pending.replace {
                let detail = format!("another account of {provider} is connected, and stays so");
                return Err(Problem::new(ProblemCode::AccountDiffers, detail));
            }
            if connections.put_connection(&next, there.as_ref().map(|there| there.version)).await? == Save::Done {
                // The same account's old token is of the same consent as its new one.
                if let Some(there) = there.filter(|_| another) {
                    self.revoke_stored(&there).await;
                }
                let (key_id, event) = (pending.key_id.clone(), AuditEvent::ConnectionMade);
                let mut entry = self.auditor.entry_by(workspace, key_id, event);
                (entry.actor, entry.by_actor) = (Some(pending.actor.clone()), Some(pending.actor.clone()));
                entry.value = Some(next.scopes.join(" "));
                self.audit(provider, entry).await;
                return Ok(tokens.name);
            }
            next.version = self.ids.uuid();
        }
        Err(contested().into())
    }

    /// The connection stands, even if the audit cannot be written.
    async fn audit(&self, provider: Provider, entry: AuditEntry) {
        let entry = AuditEntry { provider: Some(provider), ..entry };
        if let Err(error) = self.auditor.write(&entry).await {
            tracing::error!(%error, audit.event = %entry.event, "a connection is missing in the audit");
        }
    }

    async fn revoke_stored(&self, stored: &StoredConnection) -> bool {
        let Ok(tokens) = Tokens::open(&*self.vault, stored).await else { return false };
        self.revoke(stored.provider, &stored.account, &tokens.refresh, Some(&stored.workspace)).await
    }

    /// Ends a grant at the provider, as far as that can be done; says whether it was. A provider ends all grants of the
    /// account to our client at once (RFC 7009, section 2.1), so none ends while another workspace has one.
    async fn revoke(
        &self,
        provider: Provider,
        account: &str,
        token: &SecretString,
        elsewhere_than: Option<&WorkspaceId>,
    ) -> bool {
        match self.accounts.connections.is_connected(provider, account, elsewhere_than).await {
            Ok(false) => {}
            Ok(true) => return false,
            Err(error) => {
                tracing::warn!(oauth.provider = %provider, %error, "a token was not revoked");
                return false;
            }
        }
        match self.accounts.oauth.revoke(provider, token).await {
            Ok(revoked) => revoked,
            // It had ended before.
            Err(OAuthError::InvalidGrant) => true,
            Err(error) => {
                tracing::warn!(oauth.provider = %provider, %error, "a token was not revoked");
                false
            }
        }
    }

    /// The least scopes for the provider's actions that may run here, and for what is to be looked up.
    fn needed_scopes(
        &self,
        permissions: &Permissions,
        provider: Provider,
        options: &ConnectOptions,
    ) -> Vec<&'static str> {
        let mut needed: Vec<&str> = Vec::new();
        let is_asked = |id: &str| options.actions.as_ref().is_none_or(|ids| ids.iter().any(|asked| asked == id));
        let specs = || {
            let specs = self.catalogue.iter().map(|action| action.spec()).filter(|spec| is_asked(spec.id));
            specs.filter(|spec| spec.provider == provider && permissions.allow(&spec.action_id()))
        };
        let drafts = options.drafts || specs().all(|spec| spec.effect == Effect::Draft);
        for spec in specs() {
            let OAuthScopes { required, draft } = spec.scopes;
            match permissions.draft_only() {
                _ if draft.is_empty() => needed.extend(required),
                // Nobody here may send. Beside a draft-only key others may, with the same account.
                Some(Rule::Workspace) => needed.extend(spec.draft_scopes()),
                Some(_) => needed.extend(draft),
                None => needed.extend(if drafts { draft } else { required }),
            }
        }
        if let Some(finder) = self.finders.get(&provider) {
            needed.extend(options.lookups.iter().flat_map(|kind| finder.scopes(*kind)));
            needed.extend(finder.directory_scopes().iter().filter(|_| options.directory));
        }
        let mut known = BTreeSet::new();
        needed.retain(|scope| known.insert(*scope));
        needed
    }

    /// What the connected account granted of all that may be needed in this workspace, by whatever key.
    async fn granted_scopes(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
    ) -> Result<Vec<&'static str>, LedgerError> {
        let Some(stored) = self.accounts.connections.connection(workspace, provider).await? else {
            return Ok(Vec::new());
        };
        let spec = self.catalogue.provider(provider);
        let granted: BTreeSet<String> = stored.scopes.iter().map(|scope| spec.normal_scope(scope)).collect();
        let permissions = self.gate.permissions_in(workspace).await?;
        let mut scopes = BTreeSet::new();
        for drafts in [false, true] {
            let lookups = FindKind::VARIANTS.to_vec();
            let everything = ConnectOptions { drafts, lookups, directory: true, ..ConnectOptions::default() };
            scopes.extend(self.needed_scopes(&permissions, provider, &everything));
        }
        scopes.retain(|scope| granted.contains(&spec.normal_scope(scope)));
        Ok(scopes.into_iter().collect())
    }

    fn redirect_uri(&self, provider: Provider) -> String {
        format!("{}/oauth/{provider}/callback", self.public_url)
    }

    /// 256 bits that nobody can guess, in hex: three UUIDs have 122 random bits each.
    fn secret(&self) -> String {
        let mut random = [0; 48];
        self.ids.fill(&mut random);
        sha256_hex(&random)
    }
}

fn no_client(provider: Provider) -> Problem {
    let name = provider.as_str().to_ascii_uppercase();
    let detail = format!(
        "accounts of {provider} cannot be connected here: {name}_CLIENT_ID and {name}_CLIENT_SECRET are not set"
    );
    Problem::new(ProblemCode::NotFound, detail)
}

/// Whoever lacks one of the three finds nothing, and so cannot use the consent up.
fn consent_id(provider: Provider, state: &str, cookie: &str) -> String {
    sha256_hex(format!("{provider}\n{state}\n{cookie}").as_bytes())
}

fn invalid(detail: &str) -> Problem {
    Problem::new(ProblemCode::AuthorizationInvalid, detail)
}

fn not_exchanged(error: &OAuthError) -> Problem {
    match error {
        OAuthError::InvalidGrant => invalid("the provider does not take the code back"),
        OAuthError::InvalidAnswer(_) => invalid(&error.to_string()),
        OAuthError::Setup(_) | OAuthError::Refused { .. } | OAuthError::Unavailable(_) => {
            Problem::new(ProblemCode::ProviderUnavailable, error.to_string())
        }
    }
}

fn contested() -> LedgerError {
    LedgerError::new("the connection was changed by others over and over")
}
