//! The People API: `people.searchContacts` and `people.searchDirectoryPeople`. "Other contacts" are nowhere.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State as Shared,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Map, Value, json};

use crate::{
    query::Known,
    refusal,
    state::{Provider, State},
};

const CONTACTS: &[&[&str]] =
    &[&["https://www.googleapis.com/auth/contacts.readonly"], &["https://www.googleapis.com/auth/contacts"]];
const DIRECTORY: &[&[&str]] = &[&["https://www.googleapis.com/auth/directory.readonly"]];
/// The fields that a mask may name, as far as they are of use here.
const FIELDS: [&str; 7] =
    ["names", "nicknames", "emailAddresses", "organizations", "phoneNumbers", "photos", "metadata"];
const DIRECTORY_SOURCES: [&str; 2] = ["DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE", "DIRECTORY_SOURCE_TYPE_DOMAIN_CONTACT"];

pub(crate) fn router() -> Router<Arc<State>> {
    Router::new()
        .route("/people/v1/people:searchContacts", get(search_contacts))
        .route("/people/v1/people:searchDirectoryPeople", get(search_directory))
}

/// Finds contacts only after a request with an empty query, which refreshes the index.
async fn search_contacts(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Response> {
    let account = state.authorize(&headers, Provider::Google, CONTACTS)?;
    let query = Known::read(Provider::Google, &uri, &["query", "readMask", "pageSize", "sources"])?;
    let (sought, mask) = (query.need("query")?, mask(&query)?);
    let size = query.number("pageSize", 10, 30)?;
    match query.all("sources").into_iter().find(|source| *source != "READ_SOURCE_TYPE_CONTACT") {
        None => {}
        Some("READ_SOURCE_TYPE_OTHER_CONTACT") => {
            let message = "Request had insufficient authentication scopes.";
            let reason = "ACCESS_TOKEN_SCOPE_INSUFFICIENT";
            return Err(refusal(Provider::Google, StatusCode::FORBIDDEN, reason, message));
        }
        Some(source) => return Err(query.bad(&format!("Invalid value at 'sources': \"{source}\""))),
    }
    if sought.is_empty() {
        state.warm(account.account());
        return Ok(Json(json!({})).into_response());
    }
    if !state.is_warm(account.account()) {
        return Ok(Json(json!({})).into_response());
    }
    let holdings = state.holdings(Provider::Google);
    let found = holdings.contacts.iter().filter(|person| is_meant(person, sought)).take(size);
    let results: Vec<_> = found.map(|person| json!({ "person": shown(person, &mask) })).collect();
    Ok(Json(if results.is_empty() { json!({}) } else { json!({ "results": results }) }).into_response())
}

async fn search_directory(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Response> {
    state.authorize(&headers, Provider::Google, DIRECTORY)?;
    let names = ["query", "readMask", "pageSize", "pageToken", "sources", "mergeSources"];
    let query = Known::read(Provider::Google, &uri, &names)?;
    let (sought, mask) = (query.need("query")?, mask(&query)?);
    let (size, start) = (query.number("pageSize", 100, 500)?, query.start("pageToken")?);
    let sources = query.all("sources");
    if sources.is_empty() || sources.iter().any(|source| !DIRECTORY_SOURCES.contains(source)) {
        return Err(query.bad("Invalid value at 'sources'"));
    }
    let holdings = state.holdings(Provider::Google);
    let found: Vec<_> = holdings.directory.iter().filter(|person| is_meant(person, sought)).collect();
    let people: Vec<_> = found.iter().skip(start).take(size).map(|person| shown(person, &mask)).collect();
    let mut answer = json!({ "people": people, "totalSize": found.len() });
    if start + size < found.len() {
        answer["nextPageToken"] = json!((start + size).to_string());
    }
    Ok(Json(answer).into_response())
}

#[expect(clippy::result_large_err, reason = "the error is the answer")]
fn mask(query: &Known) -> Result<Vec<String>, Response> {
    let mask: Vec<String> = query.need("readMask")?.split(',').map(str::to_owned).collect();
    match mask.iter().find(|field| !FIELDS.contains(&field.as_str())) {
        Some(field) => Err(query.bad(&format!("Invalid readMask mask path: \"{field}\""))),
        None => Ok(mask),
    }
}

/// Whether a phrase begins a word of one of the person's fields.
fn is_meant(person: &Value, sought: &str) -> bool {
    let sought = sought.to_lowercase();
    let fields =
        [("names", "displayName"), ("nicknames", "value"), ("emailAddresses", "value"), ("organizations", "name")];
    let texts = fields.iter().flat_map(|(list, field)| {
        person[*list].as_array().into_iter().flatten().filter_map(|entry| entry[*field].as_str())
    });
    texts.map(str::to_lowercase).any(|text| text.starts_with(&sought) || text.contains(&format!(" {sought}")))
}

fn shown(person: &Value, mask: &[String]) -> Value {
    let always = ["resourceName", "etag"];
    let is_shown = |name: &String| always.contains(&name.as_str()) || mask.contains(name);
    let fields = person.as_object().cloned().unwrap_or_default();
    Value::Object(fields.into_iter().filter(|(name, _)| is_shown(name)).collect::<Map<_, _>>())
}
