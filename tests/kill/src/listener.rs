//! A webhook endpoint that refuses one delivery in ten, and remembers the others.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Json, Router, http::StatusCode, routing::post};
use serde_json::Value;

/// What the endpoint was told: events and the jobs that they are about.
#[derive(Debug, Clone, Default)]
pub struct Listener {
    heard: Arc<Mutex<BTreeSet<(String, String)>>>,
    asked: Arc<AtomicUsize>,
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
        if self.asked.fetch_add(1, Ordering::Relaxed) % 10 == 9 {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let heard = (text(&event["type"]), text(&event["data"]["job_id"]));
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(heard);
        StatusCode::NO_CONTENT
    }

    /// Whether it was told of this.
    pub fn has_heard(&self, event: &str, job_id: &str) -> bool {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.contains(&(event.to_owned(), job_id.to_owned()))
    }
}
