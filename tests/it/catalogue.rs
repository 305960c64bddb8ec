//! What an action gets by being in the catalogue, whichever it is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::Server;

#[tokio::test]
async fn every_action_is_in_the_document_and_in_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let actions = server.get("/actions").await.body;
    let actions = actions["data"].as_array().unwrap();
    assert!(actions.len() >= 2, "{actions:?}");

    let document = server.get("/openapi.json").await.body;
    let schemas = &document["components"]["schemas"];
    let mut described = BTreeSet::new();
    for reference in schemas["ActionRequest"]["properties"]["params"]["anyOf"].as_array().unwrap() {
        let name = reference["$ref"].as_str().unwrap().strip_prefix("#/components/schemas/").unwrap();
        let schema = &schemas[name];
        assert_eq!(schema["title"], *name);
        let id = schema["description"].as_str().unwrap().strip_prefix("The params of ").unwrap().trim_end_matches('.');
        let action = actions.iter().find(|action| action["id"] == id).expect("the document has actions that exist");
        assert_eq!(without_words(schema), without_words(&action["params_schema"]), "{id}");
        described.insert(id.to_owned());
    }
    let preview = &schemas["PreviewBody"]["properties"]["params"];
    assert_eq!(preview["anyOf"], schemas["ActionRequest"]["properties"]["params"]["anyOf"]);

    let metrics = server.get("/metrics").await.body;
    for action in actions {
        let (id, provider) = (action["id"].as_str().unwrap(), action["provider"].as_str().unwrap());
        assert!(id.parse::<domain::ActionId>().is_ok(), "{id} is well formed");
        assert!(described.contains(id), "the document has the params of {id}");
        let series = format!("ai_jobs_total{{provider=\"{provider}\",action=\"{id}\",status=\"completed\"}} 0");
        assert!(metrics.as_str().unwrap().contains(&series), "{series}");
    }
}

/// A schema without its own title and description, which the document chooses.
fn without_words(schema: &Value) -> Value {
    let mut schema = schema.clone();
    (schema["title"], schema["description"]) = (json!(null), json!(null));
    schema
}
