//! Creates the table, for local use and tests; on AWS the template does.

use std::time::Duration;

use aws_sdk_dynamodb::{
    error::{BuildError, ProvideErrorMetadata},
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
        ScalarAttributeType, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
    },
};
use engine::ports::LedgerError;

use super::DynamoRecords;
use crate::aws::failure;

/// The attributes of the keys.
const ATTRIBUTES: [(&str, ScalarAttributeType); 9] = [
    ("pk", ScalarAttributeType::S),
    ("sk", ScalarAttributeType::S),
    ("list_pk", ScalarAttributeType::S),
    ("list_sk", ScalarAttributeType::S),
    ("status_pk", ScalarAttributeType::S),
    ("open_pk", ScalarAttributeType::S),
    ("due_at", ScalarAttributeType::N),
    ("waits_pk", ScalarAttributeType::S),
    ("waits_since", ScalarAttributeType::N),
];

/// The indexes, with their hash and range keys. They project keys only.
const INDEXES: [(&str, &str, &str); 4] = [
    ("by_workspace", "list_pk", "list_sk"),
    ("by_status", "status_pk", "list_sk"),
    ("open_jobs", "open_pk", "due_at"),
    ("waiting_jobs", "waits_pk", "waits_since"),
];

/// How often to check whether the table is active, and the pause between two checks.
const CHECKS: u32 = 120;
const PAUSE: Duration = Duration::from_millis(500);

impl DynamoRecords {
    /// Creates the table with its indexes and TTL, billed by use, unless it exists. Returns when it is active.
    pub(super) async fn create_table(&self) -> Result<(), LedgerError> {
        let client = self.client().await;
        let mut call = client.create_table().table_name(&self.table).billing_mode(BillingMode::PayPerRequest);
        for (name, kind) in ATTRIBUTES {
            let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build();
            call = call.attribute_definitions(definition.map_err(unbuilt)?);
        }
        for (name, hash, range) in INDEXES {
            let index = GlobalSecondaryIndex::builder()
                .index_name(name)
                .set_key_schema(Some(keys(hash, range)?))
                .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
                .build();
            call = call.global_secondary_indexes(index.map_err(unbuilt)?);
        }
        match call.set_key_schema(Some(keys("pk", "sk")?)).send().await {
            Ok(_) => {}
            Err(error) if error.code() == Some("ResourceInUseException") => {}
            Err(error) => return Err(LedgerError::new(failure("CreateTable", &error))),
        }
        self.until_active().await?;

        let ttl = client.describe_time_to_live().table_name(&self.table).send().await;
        let ttl = ttl.map_err(|error| LedgerError::new(failure("DescribeTimeToLive", &error)))?;
        let status = ttl.time_to_live_description().and_then(|ttl| ttl.time_to_live_status());
        if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
            return Ok(());
        }
        let specification = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires_at").build();
        let call = client.update_time_to_live().table_name(&self.table);
        match call.time_to_live_specification(specification.map_err(unbuilt)?).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(LedgerError::new(failure("UpdateTimeToLive", &error))),
        }
    }

    async fn until_active(&self) -> Result<(), LedgerError> {
        for _ in 0..CHECKS {
            let answer = self.client().await.describe_table().table_name(&self.table).send().await;
            let answer = answer.map_err(|error| LedgerError::new(failure("DescribeTable", &error)))?;
            if answer.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) {
                return Ok(());
            }
            self.clock.sleep(PAUSE).await;
        }
        Err(LedgerError::new("the table is not active yet"))
    }
}

fn keys(hash: &str, range: &str) -> Result<Vec<KeySchemaElement>, LedgerError> {
    [(hash, KeyType::Hash), (range, KeyType::Range)]
        .map(|(name, kind)| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(unbuilt))
        .into_iter()
        .collect()
}

/// A builder lacks a required field. That never happens here, but the types cannot show it.
pub(super) fn unbuilt(error: BuildError) -> LedgerError {
    LedgerError::permanent(error)
}
