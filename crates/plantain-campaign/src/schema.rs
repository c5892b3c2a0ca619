//! The JSON Schema of campaign files, for editors.

use schemars::generate::SchemaSettings;

use crate::file::Campaign;

/// The schema, as JSON text.
pub fn schema() -> String {
    let schema = SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<Campaign>();
    let text = serde_json::to_string_pretty(&schema).expect("a schema is plain data");
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::schema;

    #[test]
    fn the_published_schema_is_that_of_the_code() {
        let published = include_str!("../campaign.schema.json");
        assert!(
            published == schema(),
            "write it anew: plantain batch schema > crates/plantain-campaign/campaign.schema.json"
        );
    }
}
