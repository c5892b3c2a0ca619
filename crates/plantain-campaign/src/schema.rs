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
