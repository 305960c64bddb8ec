use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use aws_sdk_kms::{Client, operation::decrypt::DecryptError, primitives::Blob, types::DataKeySpec};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::WorkspaceId;
use engine::ports::{Clock, Purpose, Sealed, Vault, VaultError};
use jiff::{SignedDuration, Timestamp};
use secrecy::zeroize::Zeroizing;
use tokio::sync::OnceCell;

use super::{Sdk, failure};
use crate::seal::{SealingKey, place};

/// The encryption context's name for whose data it is; a key policy may ask for it.
const WORKSPACE: &str = "workspace";
/// A data key stays in the process so long.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(5);
/// So many data keys stay in the process.
const AT_MOST: usize = 256;

/// Envelope encryption: a key of AWS KMS, which never leaves it, seals data keys; these seal the texts.
///
/// A sealed text is `k1.<key id>.<sealed data key>.<base64url of nonce and ciphertext>`: whoever may use the
/// KMS key needs nothing else to open it. A data key belongs to one workspace, which KMS makes part of its
/// seal too. It is kept in the process for five minutes, so that a seal costs one GenerateDataKey, and an opening
/// one Decrypt, every five minutes and workspace.
pub struct KmsVault {
    sdk: Arc<Sdk>,
    key_id: String,
    clock: Arc<dyn Clock>,
    client: OnceCell<Client>,
    keys: Mutex<DataKeys>,
}

/// A data key as it stands in a sealed text: the KMS key's id and the sealed key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    workspace: WorkspaceId,
    text: String,
}

/// The data keys that are at hand.
#[derive(Default)]
struct DataKeys {
    /// By name, with the time when each came.
    open: HashMap<Name, (Timestamp, SealingKey)>,
    /// What a workspace seals with.
    current: HashMap<WorkspaceId, Name>,
}

impl DataKeys {
    fn get(&mut self, name: &Name, now: Timestamp) -> Option<SealingKey> {
        self.open.retain(|_, (came, _)| now.duration_since(*came) < GOOD_FOR);
        self.open.get(name).map(|(_, key)| key.clone())
    }

    fn current(&mut self, workspace: &WorkspaceId, now: Timestamp) -> Option<(Name, SealingKey)> {
        let name = self.current.get(workspace)?.clone();
        let key = self.get(&name, now);
        if key.is_none() {
            self.current.remove(workspace);
        }
        Some((name, key?))
    }

    /// Keeps a key, in the place of the oldest if there are too many.
    fn put(&mut self, name: Name, key: SealingKey, now: Timestamp) {
        let oldest = self.open.iter().min_by_key(|(_, (came, _))| *came).map(|(name, _)| name.clone());
        if let Some(oldest) = oldest.filter(|_| self.open.len() >= AT_MOST) {
            self.open.remove(&oldest);
            self.current.retain(|_, current| *current != oldest);
        }
        self.open.insert(name, (now, key));
    }
}

impl KmsVault {
    /// A vault under the KMS key with this id, ARN or alias. Nothing is asked before the first use.
    pub fn new(sdk: Arc<Sdk>, key_id: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self { sdk, key_id: key_id.into(), clock, client: OnceCell::new(), keys: Mutex::default() }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| async { Client::new(self.sdk.config().await) }).await
    }

    fn keys(&self) -> MutexGuard<'_, DataKeys> {
        // No step of its changes can stop in the middle.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sealing_key(&self, workspace: &WorkspaceId) -> Result<(Name, SealingKey), VaultError> {
        let now = self.clock.now();
        if let Some(at_hand) = self.keys().current(workspace, now) {
            return Ok(at_hand);
        }
        let call = self.client().await.generate_data_key().key_id(&self.key_id).key_spec(DataKeySpec::Aes256);
        let answer = call.encryption_context(WORKSPACE, workspace.as_str()).send().await;
        let answer = answer.map_err(|error| VaultError::unavailable(failure("GenerateDataKey", &error)))?;
        let (Some(sealed), Some(key_id)) = (answer.ciphertext_blob, answer.key_id) else { return Err(incomplete()) };
        let key = sealing_key(answer.plaintext).ok_or_else(incomplete)?;
        let text = format!("{}.{}", short(&key_id), URL_SAFE_NO_PAD.encode(sealed));
        let name = Name { workspace: workspace.clone(), text };
        let mut keys = self.keys();
        keys.put(name.clone(), key.clone(), now);
        keys.current.insert(workspace.clone(), name.clone());
        Ok((name, key))
    }

    async fn opening_key(&self, name: Name) -> Result<SealingKey, VaultError> {
        let now = self.clock.now();
        if let Some(at_hand) = self.keys().get(&name, now) {
            return Ok(at_hand);
        }
        let (key_id, sealed) = name.text.split_once('.').ok_or(VaultError::DoesNotOpen)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| VaultError::DoesNotOpen)?;
        let call = self.client().await.decrypt().ciphertext_blob(Blob::new(sealed));
        let answer = match call.encryption_context(WORKSPACE, name.workspace.as_str()).send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(is_not_a_key) => return Err(VaultError::DoesNotOpen),
            Err(error) => return Err(VaultError::unavailable(failure("Decrypt", &error))),
        };
        if answer.key_id.is_none_or(|id| short(&id) != key_id) {
            return Err(VaultError::DoesNotOpen);
        }
        let key = sealing_key(answer.plaintext).ok_or(VaultError::DoesNotOpen)?;
        self.keys().put(name, key.clone(), now);
        Ok(key)
    }
}

/// The id at the end of a key's ARN; never a dot.
fn short(key_id: &str) -> &str {
    key_id.rsplit('/').next().unwrap_or(key_id)
}

/// It was not sealed so, or for another workspace.
fn is_not_a_key(error: &DecryptError) -> bool {
    error.is_invalid_ciphertext_exception() || error.is_incorrect_key_exception()
}

fn incomplete() -> VaultError {
    VaultError::unavailable("GenerateDataKey: the answer lacks something")
}

fn sealing_key(plaintext: Option<Blob>) -> Option<SealingKey> {
    let bytes = Zeroizing::new(plaintext?.into_inner());
    Some(SealingKey::new(bytes.as_slice().try_into().ok()?))
}

#[async_trait]
impl Vault for KmsVault {
    async fn seal(
        &self,
        workspace: &WorkspaceId,
        purpose: Purpose,
        id: &str,
        plaintext: &[u8],
    ) -> Result<Sealed, VaultError> {
        let (name, key) = self.sealing_key(workspace).await?;
        let text = key.seal(&place(workspace, purpose, id), plaintext)?;
        Ok(Sealed(format!("k1.{}.{text}", name.text)))
    }

    async fn open(
        &self,
        workspace: &WorkspaceId,
        purpose: Purpose,
        id: &str,
        sealed: &Sealed,
    ) -> Result<Vec<u8>, VaultError> {
        let (name, text) =
            sealed.0.strip_prefix("k1.").and_then(|rest| rest.rsplit_once('.')).ok_or(VaultError::DoesNotOpen)?;
        let name = Name { workspace: workspace.clone(), text: name.to_owned() };
        self.opening_key(name).await?.open(&place(workspace, purpose, id), text)
    }
}
