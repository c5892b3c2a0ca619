//! Whatever stands in a campaign and its table, it is planned or refused in one line.

mod support;

use proptest::prelude::*;
use support::Place;

const CAMPAIGN: &str = r#"name = "sale"
output = "{{ sku }}-{{ format }}.png"
prompt = "a {{ what }}"
rows = "rows.csv"
[matrix]
colour = ["red", 5]
[[format]]
name = "small"
size = "32x32"
[checks]
sharpness = 0.1
"#;
const ROWS: &str = "sku,what\n1,fox\n2,owl\n";

/// `text` with some of its bytes replaced by others.
fn damaged(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let change = (0..text.len(), any::<u8>());
    proptest::collection::vec(change, 0..6).prop_map(|changes| {
        let mut bytes = text.as_bytes().to_vec();
        for (place, byte) in changes {
            bytes[place] = byte;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn damaged_files_are_planned_or_refused(campaign in damaged(CAMPAIGN), rows in damaged(ROWS)) {
        let place = Place::new("");
        place.write("campaign.toml", campaign);
        place.write("rows.csv", rows);
        if let Err(error) = place.plan() {
            prop_assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn any_text_may_be_a_value(sku in ".*", what in ".*") {
        let row = serde_json::json!({ "sku": sku, "what": what });
        let place = Place::new(&CAMPAIGN.replace("rows.csv", "rows.jsonl").replace(", 5", ""));
        place.write("rows.jsonl", row.to_string());
        if let Err(error) = place.plan() {
            prop_assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
