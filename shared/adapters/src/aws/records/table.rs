//! Creates the table, for local use and tests; on AWS the template does.

use std::time::Duration;

use aws_sdk_dynamodb::{
    client::Waiters,
    error::ProvideErrorMetadata,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
        ScalarAttributeType, TimeToLiveSpecification, TimeToLiveStatus,
    },
};
use engine::ports::LedgerError;

use super::{DynamoRecords, failed};

/// An index with its hash and range key. It projects keys only.
pub type Index = (&'static str, [&'static str; 2]);
pub const BY_WORKSPACE: Index = ("by_workspace", ["list_pk", "list_sk"]);
pub const BY_STATUS: Index = ("by_status", ["status_pk", "list_sk"]);
pub const OPEN_JOBS: Index = ("open_jobs", ["open_pk", "due_at"]);
/// Holds the records with a name, and unclaimed jobs of earlier versions until their next write.
pub const WAITING_JOBS: Index = ("waiting_jobs", ["waits_pk", "waits_since"]);

/// No index: the table itself.
pub const TABLE: Index = ("", ["pk", "sk"]);

/// The attributes of the keys: texts, and times as numbers.
const TEXTS: [&str; 7] = ["pk", "sk", "list_pk", "list_sk", "status_pk", "open_pk", "waits_pk"];
const TIMES: [&str; 2] = ["due_at", "waits_since"];

/// How long a table may take to become active.
const MOST_WAIT: Duration = Duration::from_mins(1);

impl DynamoRecords {
    /// Creates the table with its indexes and TTL, billed by use, unless it exists. Returns when it is active.
    pub(super) async fn create_table(&self) -> Result<(), LedgerError> {
        let client = self.client().await;
        let texts = TEXTS.map(|name| attribute(name, ScalarAttributeType::S));
        let times = TIMES.map(|name| attribute(name, ScalarAttributeType::N));
        let call = client.create_table().table_name(&self.table).billing_mode(BillingMode::PayPerRequest);
        let call = call
            .set_attribute_definitions(Some([&texts[..], &times].concat()))
            .set_key_schema(Some(keys(["pk", "sk"])))
            .set_global_secondary_indexes(Some([BY_WORKSPACE, BY_STATUS, OPEN_JOBS, WAITING_JOBS].map(index).into()));
        if let Err(error) = call.send().await
            && error.code() != Some("ResourceInUseException")
        {
            return Err(failed("CreateTable")(error));
        }
        let active = client.wait_until_table_exists().table_name(&self.table).wait(MOST_WAIT).await;
        active.map_err(|error| LedgerError::new(format!("the table is not active: {error}")))?;

        let ttl = client.describe_time_to_live().table_name(&self.table).send().await;
        let ttl = ttl.map_err(failed("DescribeTimeToLive"))?.time_to_live_description;
        let status = ttl.and_then(|ttl| ttl.time_to_live_status);
        if !matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
            let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires_at").build();
            let call = client.update_time_to_live().table_name(&self.table);
            let call = call.time_to_live_specification(ttl.expect("it has all that is required"));
            call.send().await.map_err(failed("UpdateTimeToLive"))?;
        }
        Ok(())
    }
}

fn attribute(name: &str, kind: ScalarAttributeType) -> AttributeDefinition {
    let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(kind);
    attribute.build().expect("it has a name and a type")
}

fn index((name, attributes): Index) -> GlobalSecondaryIndex {
    let projection = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
    let index = GlobalSecondaryIndex::builder().index_name(name).projection(projection);
    index.set_key_schema(Some(keys(attributes))).build().expect("it has a name and keys")
}

fn keys([hash, range]: [&str; 2]) -> Vec<KeySchemaElement> {
    let key = |(name, kind)| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    [(hash, KeyType::Hash), (range, KeyType::Range)].map(|part| key(part).expect("it has a name and a type")).into()
}
