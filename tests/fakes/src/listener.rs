//! A webhook endpoint that refuses one event in ten at first, and remembers the others.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Json, Router, http::StatusCode, routing::post};
use serde_json::Value;

/// What the endpoint was told: events and the jobs that they are about.
#[derive(Debug, Clone, Default)]
pub struct Listener(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    heard: BTreeSet<(String, String)>,
    refused: BTreeSet<(String, String)>,
    deliveries: usize,
}

impl Listener {
    /// Listens on loopback until the test ends; gives the URL, too.
    pub async fn start() -> (Self, String) {
        let (listener, here) = (Self::default(), tokio::net::TcpListener::bind("127.0.0.1:0").await);
        let here = here.expect("loopback has a free port");
        let url = format!("http://{}/", here.local_addr().expect("it is bound"));
        let hears = listener.clone();
        let routes = Router::new().route("/", post(move |Json(event)| async move { hears.hear(&event) }));
        tokio::spawn(async move { axum::serve(here, routes).await });
        (listener, url)
    }

    fn hear(&self, event: &Value) -> StatusCode {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let event = (text(&event["type"]), text(&event["data"]["job_id"]));
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.deliveries += 1;
        if told.deliveries.is_multiple_of(10) && told.refused.insert(event.clone()) {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        told.heard.insert(event);
        StatusCode::NO_CONTENT
    }

    /// Whether it was told of this.
    pub fn has_heard(&self, event: &str, job_id: &str) -> bool {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.heard.contains(&(event.to_owned(), job_id.to_owned()))
    }
}
