use axum::{Router, extract::Request};
use jiff::Timestamp;
use lambda_http::{
    Error, RequestExt,
    http::{Uri, uri::PathAndQuery},
    request::RequestContext,
    tower::util::MapRequest,
};
use telemetry::TraceContext;
use web::{CallerAddress, CorrelationId, Invocation};

/// Serves what an HTTP API brings: the request's id becomes the correlation id, X-Ray's trace the request's unless it
/// brings its own, the caller's address is the one that the API saw, and the stage is no part of the path.
pub async fn serve(router: Router) -> Result<(), Error> {
    lambda_http::run(MapRequest::new(router, request)).await
}

fn request(event: lambda_http::Request) -> Request {
    let context = event.lambda_context_ref();
    let id = context.map(|context| context.request_id.clone());
    let invocation = context.map(|context| Invocation {
        trace: context.xray_trace_id.as_deref().and_then(TraceContext::read_xray),
        deadline: context.deadline.try_into().ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()),
    });
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
    if let Some(invocation) = invocation {
        request.extensions_mut().insert(invocation);
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
    use lambda_http::Context;

    use super::*;

    #[test]
    fn the_invocation_tells_its_trace_and_its_deadline() {
        let root = "Root=1-58406520-a006649127e371903a2de979";
        for (header, traceparent) in [
            (Some(format!("{root};Parent=53995c3f42cd8ad8;Sampled=1")), "53995c3f42cd8ad8-01"),
            (Some(format!("{root};Sampled=0")), "27e371903a2de979-00"),
            (Some("garbage".to_owned()), ""),
            (None, ""),
        ] {
            let mut context = Context::default();
            (context.deadline, context.xray_trace_id) = (1_798_761_629_000, header);
            let request = request(lambda_http::Request::default().with_lambda_context(context));
            let Invocation { trace, deadline } = *request.extensions().get().unwrap();
            let told = trace.map(|trace| trace.to_string()).unwrap_or_default();
            let expected = format!("00-58406520a006649127e371903a2de979-{traceparent}");
            assert_eq!(told, if traceparent.is_empty() { "" } else { &expected });
            assert_eq!(deadline, "2027-01-01T00:00:29Z".parse().ok());
        }
    }

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
