//! The pages' files, part of the program, so that it runs from any folder.

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use engine::{Problem, ProblemCode};

use crate::{Web, body::Segment, problem::Refused};

/// What a page may load: its own scripts and styles, and this API. No text becomes markup or
/// script, neither by the browser nor by the page's own code (Trusted Types).
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                                 img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                                 require-trusted-types-for 'script'; trusted-types 'none'";

type File = (&'static str, &'static str);

macro_rules! files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../static/", $folder, "/", $name)))),+]
    };
}

/// The Dev UI.
const DEV: &[File] = files!("dev":
    "action-runner.html", "action-runner.js", "style.css",
    "action.js", "answers.js", "api.js", "catalogue.js", "dom.js", "jobs.js", "metrics.js", "outbox.js", "plan.js", "problems.js",
    "providers.js",
);

/// What every page uses, and the readable page of the OpenAPI document.
const ASSETS: &[File] = files!("assets": "base.css", "icon.svg", "docs.css", "docs.js", "el.js");

/// The Dev UI's files.
pub(crate) fn dev() -> Router<Web> {
    Router::new().route("/dev/{file}", get(async |Segment(name): Segment| find(DEV, &name)))
}

/// The files that the other pages need, and the one that shows the API.
pub(crate) fn assets() -> Router<Web> {
    Router::new()
        .route("/assets/{file}", get(async |Segment(name): Segment| find(ASSETS, &name)))
        .route("/docs", get(async || file("docs.html", include_str!("../../../static/docs.html"))))
}

fn find(files: &[File], name: &str) -> Result<Response, Refused> {
    let found = files.iter().find(|(known, _)| *known == name);
    let (name, text) = found.ok_or_else(|| Problem::new(ProblemCode::NotFound, "there is no file of this name"))?;
    Ok(file(name, text))
}

fn file(name: &str, text: &'static str) -> Response {
    let kind = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/html; charset=utf-8",
    };
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, POLICY)], text).into_response()
}
