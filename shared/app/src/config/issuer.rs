//! The OpenID Connect issuer whose access tokens are credentials.

use adapters::{
    http::is_loopback,
    oauth::{TrustedIssuer, WorkspaceOf},
};

use super::env::Env;

/// Every variable but the issuer's own.
const OTHERS: [&str; 4] = ["OIDC_AUDIENCE", "OIDC_WORKSPACE", "OIDC_WORKSPACE_CLAIM", "OIDC_SCOPES_CLAIM"];

/// The issuer; none where it is not set.
pub(super) fn trusted_issuer(env: &mut Env<'_>, local: bool) -> Option<TrustedIssuer> {
    let Some(issuer) = env.text("OIDC_ISSUER") else {
        let without = OTHERS.into_iter().find(|name| env.text(name).is_some());
        env.refuse(without.is_some(), &format!("{} needs OIDC_ISSUER", without.unwrap_or_default()));
        return None;
    };
    let rest = issuer.strip_prefix("https://").or(issuer.strip_prefix("http://").filter(|_| is_loopback(&issuer)));
    let is_url = rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#@\\".contains(&b))
    });
    env.refuse(!is_url, "OIDC_ISSUER must be a URL that begins with https://; on loopback, with http://");
    let audience = env.text("OIDC_AUDIENCE");
    let has_audience = local || audience.is_some() || env.text("PUBLIC_URL").is_some();
    env.refuse(!has_audience, "OIDC_ISSUER needs OIDC_AUDIENCE or PUBLIC_URL");
    let claim = env.text("OIDC_WORKSPACE_CLAIM");
    let workspace = match (env.text("OIDC_WORKSPACE").map(|id| id.parse()), claim) {
        (Some(Ok(workspace)), None) => Some(WorkspaceOf::Issuer(workspace)),
        (None, Some(claim)) => Some(WorkspaceOf::Claim(claim)),
        (Some(Err(error)), _) => {
            env.refuse(true, &format!("OIDC_WORKSPACE: {error}"));
            None
        }
        _ => {
            env.refuse(true, "OIDC_ISSUER needs either OIDC_WORKSPACE or OIDC_WORKSPACE_CLAIM");
            None
        }
    };
    let scopes_claim = env.text("OIDC_SCOPES_CLAIM").unwrap_or_else(|| "scope".to_owned());
    Some(TrustedIssuer { issuer, audience, workspace: workspace?, scopes_claim })
}
