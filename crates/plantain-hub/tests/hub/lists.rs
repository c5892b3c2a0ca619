//! Lists of files that are malicious, or no lists.

use std::time::{Duration, Instant};

use plantain_hub::HubError;
use serde_json::json;

use crate::fake_hub::{COMMIT, FakeHub, Fault, LIST};
use crate::server::{End, Reply};

fn refused(reply: Reply) -> HubError {
    let hub = FakeHub::with_model();
    hub.then(LIST, Fault::Instead(reply));
    let error = hub.pull().unwrap_err();
    assert_eq!(hub.asked(), []);
    error
}

fn list(siblings: &serde_json::Value) -> Reply {
    Reply::new(
        200,
        json!({"sha": COMMIT, "siblings": siblings}).to_string(),
    )
}

#[test]
fn a_list_without_end_is_given_up() {
    let start = Instant::now();
    let endless = format!(
        r#"{{"sha": "{COMMIT}", "siblings": [{}"#,
        " ".repeat(1 << 16)
    );
    let error = refused(Reply::new(200, endless).end(End::Endless)).to_string();
    assert!(error.contains("more than 32 MB"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_list_of_a_million_files_is_given_up() {
    let files = vec![r#"{"rfilename":"a"}"#; 1_000_000].join(",");
    let error = refused(Reply::new(
        200,
        format!(r#"{{"sha": "{COMMIT}", "siblings": [{files}]}}"#),
    ));
    assert!(
        error.to_string().contains("more than 100000 files"),
        "{error}"
    );
}

#[test]
fn paths_that_lead_outside_are_refused() {
    for path in [
        "../../evil",
        "/etc/passwd",
        "unet/../../../evil",
        "..\\evil",
        "C:\\evil",
    ] {
        let error = refused(list(
            &json!([{"rfilename": path, "size": 1, "blobId": "a".repeat(40)}]),
        ));
        assert!(
            matches!(&error, HubError::UnsafePath { path: shown, .. } if shown == path),
            "{error}"
        );
    }
}

#[test]
fn hashes_that_are_none_are_refused() {
    for hash in ["../../../evil", "", "main", &"A".repeat(40)] {
        let index = json!({"rfilename": "model_index.json", "size": 1, "blobId": hash});
        let error = refused(list(&json!([index])));
        assert!(
            matches!(&error, HubError::Listing { reason, .. } if reason.contains("no hash")),
            "{error}"
        );
    }
}

#[test]
fn what_is_no_list_is_refused() {
    for text in [
        "<html>welcome</html>",
        "",
        "{}",
        r#"{"sha": "../x", "siblings": []}"#,
    ] {
        let error = refused(Reply::new(200, text));
        assert!(matches!(error, HubError::Listing { .. }), "{text}: {error}");
    }
}
