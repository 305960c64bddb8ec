use std::sync::Arc;

use engine::ports::{Place, Purpose, Sealed, Vault, VaultError};
use uuid::Uuid;

use crate::support::workspace;

/// What every [`Vault`] does: opens what it sealed, at its very place and unchanged, and nothing else.
pub async fn vault(vault: Arc<dyn Vault>, seed: Uuid) {
    let (ours, other) = (workspace("ours", seed), workspace("other", seed));
    let long = vec![0xa5; 400 * 1024];
    for plaintext in [&b""[..], b"Hello", "Grüße \0 日本".as_bytes(), &long] {
        let sealed = vault.seal(&Place::new(&ours, Purpose::Plan, "1"), plaintext).await.expect("sealing works");
        assert!(sealed.0.bytes().all(|byte| byte.is_ascii_graphic()), "a sealed text is printable ASCII");
        let opened = vault.open(&Place::new(&ours, Purpose::Plan, "1"), &sealed).await;
        assert!(opened.is_ok_and(|opened| opened == plaintext), "what was sealed opens as it was");
    }

    let sealed =
        vault.seal(&Place::new(&ours, Purpose::JobParams, "12"), b"the secret text").await.expect("sealing works");
    let again =
        vault.seal(&Place::new(&ours, Purpose::JobParams, "12"), b"the secret text").await.expect("sealing works");
    assert_ne!(sealed, again, "the same text seals to another each time");
    assert!(!sealed.0.contains("secret"), "a sealed text does not show what is in it");

    for (place, workspace, purpose, id) in [
        ("workspace", &other, Purpose::JobParams, "12"),
        ("purpose", &ours, Purpose::Outbox, "12"),
        ("id", &ours, Purpose::JobParams, "1"),
        ("id", &ours, Purpose::JobParams, ""),
    ] {
        let opened = vault.open(&Place::new(workspace, purpose, id), &sealed).await;
        assert!(matches!(opened, Err(VaultError::DoesNotOpen)), "sealed for another {place}");
    }
    // The parts of a place do not run together.
    let longer = format!("{ours}plan").parse().expect("a workspace id");
    let split = vault.seal(&Place::new(&ours, Purpose::Plan, "plan1"), b"text").await.expect("sealing works");
    let opened = vault.open(&Place::new(&longer, Purpose::Plan, "1"), &split).await;
    assert!(matches!(opened, Err(VaultError::DoesNotOpen)), "another workspace and id that read alike");

    let step = (sealed.0.len() / 32).max(1);
    for at in (0..sealed.0.len()).step_by(step).chain([sealed.0.len() - 1]) {
        let mut bytes = sealed.0.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = Sealed(String::from_utf8(bytes).expect("ASCII stays ASCII"));
        let opened = vault.open(&Place::new(&ours, Purpose::JobParams, "12"), &changed).await;
        assert!(matches!(opened, Err(VaultError::DoesNotOpen)), "character {at} was changed");
    }
    let cut = &sealed.0[..sealed.0.len() - 4];
    for garbage in ["", "v1", "v1.", "v1..", "v1...", "v9.x.y", "{}", "\0", "ä.ö.ü", cut, &format!("{}A", sealed.0)]
    {
        let opened = vault.open(&Place::new(&ours, Purpose::JobParams, "12"), &Sealed(garbage.to_owned())).await;
        assert!(matches!(opened, Err(VaultError::DoesNotOpen)), "it is not a sealed text: {garbage:?}");
    }
}
