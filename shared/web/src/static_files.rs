//! The files of the pages, compiled into the program so that it runs from any folder.

use axum::{
    http::header,
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, get},
};

use crate::{
    Web,
    page::POLICY,
    problem::Refused,
    query::{Named, Segment},
};

/// A path, whether it belongs to the page under `/dev`, and its method router.
pub(crate) type Route = (&'static str, bool, fn() -> MethodRouter<Web>);

/// The routes of the pages.
pub(crate) const ROUTES: &[Route] = &[
    ("/docs", false, || get(async || file("docs.html", include_str!("../../../static/docs.html")))),
    ("/assets/{file}", false, || get(async |Segment(name): Segment<String>| find(ASSETS, &name))),
    ("/", true, || get(async || Redirect::temporary("/dev/action-runner.html"))),
    ("/dev/{file}", true, || get(async |Segment(name): Segment<String>| find(DEV, &name))),
];

type File = (&'static str, &'static str);

macro_rules! files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../static/", $folder, "/", $name)))),+]
    };
}

/// The page under `/dev`.
const DEV: &[File] = files!("dev":
    "action-runner.html", "action-runner.js", "style.css",
    "accounts.js", "action.js", "agents.js", "api.js", "book.js", "context.js", "dom.js", "health.js", "job.js", "jobs.js", "markup.js",
    "metrics.js", "outbox.js", "params.js", "plan.js", "problems.js", "providers.js", "questions.js",
);

/// The files that all pages share, and those of `/docs`.
const ASSETS: &[File] = files!("assets": "base.css", "icon.svg", "docs.css", "docs.js", "el.js", "snippets.js");

fn find(files: &[File], name: &str) -> Result<Response, Refused> {
    let found = files.iter().find(|(known, _)| *known == name);
    let (name, text) = found.ok_or_else(String::unknown)?;
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
