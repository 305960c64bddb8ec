use axum::{Router, extract::Request};
use lambda_http::{
    Error, RequestExt,
    http::{Uri, uri::PathAndQuery},
    request::RequestContext,
    tower::util::MapRequest,
};
use web::{CallerAddress, CorrelationId};

/// Serves what an HTTP API brings: the request's id becomes the correlation id, the caller's address is the one that the
/// API saw, and the stage is no part of the path.
pub async fn serve(router: Router) -> Result<(), Error> {
    lambda_http::run(MapRequest::new(router, request)).await
}

fn request(event: lambda_http::Request) -> Request {
    let id = event.lambda_context_ref().map(|context| context.request_id.clone());
    let (stage, address) = match event.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => (context.stage.clone(), context.http.source_ip.clone()),
        _ => (None, None),
    };
    let mut request = event.map(axum::body::Body::new);
    if let Some(uri) = stage.and_then(|stage| without_stage(request.uri(), &stage)) {
        *request.uri_mut() = uri;
    }
    if let Some(id) = id {
        request.extensions_mut().insert(CorrelationId(id));
    }
    if let Some(address) = address.and_then(|address| address.parse().ok()) {
        request.extensions_mut().insert(CallerAddress(address));
    }
    request
}

/// The address without the stage's name before its path; none if it has none.
fn without_stage(uri: &Uri, stage: &str) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix('/')?.strip_prefix(stage)?;
    let rest = if rest.is_empty() || rest.starts_with('?') { format!("/{rest}") } else { rest.to_owned() };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(rest.starts_with('/').then(|| PathAndQuery::try_from(rest).ok())??);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_no_part_of_the_path() {
        for (path, without) in [
            ("/prod/ai/jobs?limit=1", Some("/ai/jobs?limit=1")),
            ("/prod", Some("/")),
            ("/prod/", Some("/")),
            ("/prod?x=1", Some("/?x=1")),
            ("/production/ai/jobs", None),
            ("/ai/jobs", None),
        ] {
            let uri: Uri = format!("https://api.example.com{path}").parse().unwrap();
            let rest = without_stage(&uri, "prod");
            let rest = rest.as_ref().map(|uri| uri.path_and_query().unwrap().as_str());
            assert_eq!(rest, without, "{path}");
        }
    }
}
