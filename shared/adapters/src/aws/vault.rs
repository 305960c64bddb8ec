//! The vault whose keys AWS KMS seals.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_kms::{Client, operation::decrypt::DecryptError, primitives::Blob, types::DataKeySpec};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::WorkspaceId;
use engine::{
    Recent,
    ports::{Clock, Place, Purpose, Sealed, Vault, VaultError},
};
use jiff::SignedDuration;
use secrecy::zeroize::Zeroizing;
use tokio::sync::OnceCell;

use super::{Sdk, failure};
use crate::vault::{Form, SealingKey};

/// The key of the workspace in the encryption context, for use in key policies.
const WORKSPACE: &str = "workspace";
/// How long a data key is cached.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(5);
/// How many data keys are cached.
const CAPACITY: usize = 4096;

/// Envelope encryption: a key that never leaves AWS KMS seals data keys, and these seal the texts.
///
/// A sealed text is `k1.<key id>.<sealed data key>.<base64url of nonce and ciphertext>`, or `k2.…` if it was deflated, so
/// opening it needs nothing but the use of the KMS key. A data key belongs to one workspace, which KMS binds into its
/// seal. It is cached for five minutes, so that sealing costs one GenerateDataKey, and opening one Decrypt, every five
/// minutes and workspace. A job is sealed by the data key that opened its plan, and its result by the one that opened
/// the job, so that the processes on a job's way do not each ask for one.
pub struct KmsVault {
    sdk: Arc<Sdk>,
    key_id: String,
    clock: Arc<dyn Clock>,
    client: OnceCell<Client>,
    /// Data keys by workspace and name. The name is what a sealed text begins with: the KMS key's id and the sealed
    /// data key.
    keys: Recent<(WorkspaceId, String), SealingKey>,
    /// The data key that each workspace seals with, and its name; for some purposes, another one.
    current: Recent<(WorkspaceId, Option<Purpose>), (String, SealingKey)>,
}

impl KmsVault {
    /// A vault under the KMS key with this id, ARN or alias. The first use calls KMS.
    pub fn new(sdk: Arc<Sdk>, key_id: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        let (keys, current) = (Recent::with_capacity(GOOD_FOR, CAPACITY), Recent::with_capacity(GOOD_FOR, CAPACITY));
        Self { sdk, key_id: key_id.into(), clock, client: OnceCell::new(), keys, current }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| async { Client::new(self.sdk.config().await) }).await
    }

    async fn sealing_key(&self, place: &Place<'_>) -> Result<(String, SealingKey), VaultError> {
        let (now, workspace) = (self.clock.now(), place.workspace);
        let mut current = [Some(place.purpose), None].into_iter();
        if let Some(at_hand) = current.find_map(|of| self.current.recall(&(workspace.clone(), of), now)) {
            return Ok(at_hand);
        }
        let call = self.client().await.generate_data_key().key_id(&self.key_id).key_spec(DataKeySpec::Aes256);
        let answer = call.encryption_context(WORKSPACE, workspace.as_str()).send().await;
        let answer = answer.map_err(|error| VaultError::unavailable(failure("GenerateDataKey", &error)))?;
        let parts = (answer.ciphertext_blob, answer.key_id, sealing_key(answer.plaintext));
        let (Some(sealed), Some(key_id), Some(key)) = parts else {
            return Err(VaultError::unavailable("GenerateDataKey: the answer is incomplete"));
        };
        let name = format!("{}.{}", short(&key_id), URL_SAFE_NO_PAD.encode(sealed));
        self.keys.remember((workspace.clone(), name.clone()), key.clone(), now);
        self.current.remember((workspace.clone(), None), (name.clone(), key.clone()), now);
        Ok((name, key))
    }

    async fn opening_key(&self, owned: (WorkspaceId, String)) -> Result<SealingKey, VaultError> {
        let now = self.clock.now();
        if let Some(at_hand) = self.keys.recall(&owned, now) {
            return Ok(at_hand);
        }
        let (workspace, name) = &owned;
        let (key_id, sealed) = name.split_once('.').ok_or(VaultError::DoesNotOpen)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| VaultError::DoesNotOpen)?;
        // Without a name, KMS takes any key that this process may use.
        let is_ours = short(&self.key_id) == key_id;
        let named = if is_ours { &self.key_id } else { key_id };
        let call = self.client().await.decrypt().key_id(named).ciphertext_blob(Blob::new(sealed));
        let answer = match call.encryption_context(WORKSPACE, workspace.as_str()).send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(|error| is_not_a_key(error, is_ours)) => {
                return Err(VaultError::DoesNotOpen);
            }
            Err(error) => return Err(VaultError::unavailable(failure("Decrypt", &error))),
        };
        if answer.key_id.is_none_or(|id| short(&id) != key_id) {
            return Err(VaultError::DoesNotOpen);
        }
        let key = sealing_key(answer.plaintext).ok_or(VaultError::DoesNotOpen)?;
        self.keys.remember(owned, key.clone(), now);
        Ok(key)
    }
}

/// What the data key that opened a text of this purpose may seal. No purpose leads back to itself, so no data key is used
/// for ever.
const fn seals_next(purpose: Purpose) -> &'static [Purpose] {
    match purpose {
        Purpose::Plan => &[Purpose::JobParams],
        Purpose::JobParams => &[Purpose::JobResult, Purpose::ProviderSays],
        _ => &[],
    }
}

/// The id at the end of a key's ARN. It contains no dot.
fn short(key_id: &str) -> &str {
    key_id.rsplit('/').next().unwrap_or(key_id)
}

/// The data key is not KMS's, belongs to another workspace, or names a key that is not there and is not ours.
fn is_not_a_key(error: &DecryptError, is_ours: bool) -> bool {
    let is_unknown = !is_ours && error.is_not_found_exception();
    is_unknown || error.is_invalid_ciphertext_exception() || error.is_incorrect_key_exception()
}

fn sealing_key(plaintext: Option<Blob>) -> Option<SealingKey> {
    let bytes = Zeroizing::new(plaintext?.into_inner());
    Some(SealingKey::new(bytes.as_slice().try_into().ok()?))
}

#[async_trait]
impl Vault for KmsVault {
    async fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Sealed, VaultError> {
        let (form, (name, key)) = (Form::for_text(plaintext), self.sealing_key(place).await?);
        Ok(Sealed(format!("k{}.{name}.{}", form as u8, key.seal(form, place, plaintext)?)))
    }

    async fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Vec<u8>, VaultError> {
        let (form, rest) = Form::read('k', &sealed.0)?;
        let (name, text) = rest.rsplit_once('.').ok_or(VaultError::DoesNotOpen)?;
        let key = self.opening_key((place.workspace.clone(), name.to_owned())).await?;
        let opened = key.open(form, place, text)?;
        for next in seals_next(place.purpose) {
            let owner = (place.workspace.clone(), Some(*next));
            self.current.remember(owner, (name.to_owned(), key.clone()), self.clock.now());
        }
        Ok(opened)
    }
}
