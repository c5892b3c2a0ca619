//! With the offline switch on.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;

use plantain_hub::{HubError, HubOptions, Pulled, Unobserved};

use crate::fake_hub::{COMMIT, FakeHub, Fault};
use crate::model::{UNET, needed};
use crate::server::End;

/// Pulls offline with a listener as the endpoint, and fails if anything connects to it.
#[track_caller]
fn pull_offline(hub: &FakeHub) -> Result<Pulled, HubError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let options = HubOptions {
        offline: true,
        endpoint: format!("http://{}", listener.local_addr().unwrap()),
        ..hub.options()
    };
    let result = hub.pull_with(&options, &mut Unobserved);
    assert_eq!(
        listener.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock,
        "something connected"
    );
    result
}

#[test]
fn what_was_pulled_is_used_without_a_connection() {
    let hub = FakeHub::with_model();
    let online = hub.pull().unwrap();
    let offline = pull_offline(&hub).unwrap();
    hub.check(&offline);
    assert_eq!(
        (online.folder, online.files, online.revision),
        (offline.folder, offline.files, offline.revision)
    );
}

#[test]
fn what_is_missing_is_named() {
    let hub = FakeHub::with_model();
    let error = pull_offline(&hub).unwrap_err().to_string();
    assert!(
        error.contains("`main` was never pulled") && error.contains("HF_HUB_OFFLINE"),
        "{error}"
    );
    assert!(error.contains("someone/tiny-model"), "{error}");

    hub.pull().unwrap();
    for (name, expected) in [
        ("unet/config.json", "unet/config.json is missing"),
        (UNET, "unet has no weights"),
        ("tokenizer/merges.txt", "tokenizer/merges.txt is missing"),
        (
            "scheduler/scheduler_config.json",
            "scheduler/scheduler_config.json is missing",
        ),
    ] {
        // The name stays, and leads to nothing.
        fs::remove_file(hub.blob(name)).unwrap();
        let error = pull_offline(&hub).unwrap_err();
        assert!(matches!(error, HubError::Offline { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        hub.check(&hub.pull().unwrap());
    }
}

#[test]
fn a_pull_that_was_not_finished_does_not_count() {
    let hub = FakeHub::with_model();
    for _ in 0..3 {
        hub.then(UNET, Fault::End(End::CutAfter(0)));
    }
    hub.pull().unwrap_err();
    assert!(matches!(
        pull_offline(&hub).unwrap_err(),
        HubError::Offline { .. }
    ));
}

/// The layout is what Hugging Face's own programs leave, here written by hand.
#[cfg(unix)]
#[test]
fn what_other_programs_pulled_is_used() {
    let hub = FakeHub::with_model();
    let root = hub.cache.path().join("models--someone--tiny-model");
    for (name, bytes) in needed() {
        let (blob, path) = (hub.blob(&name), hub.path(&name));
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&blob, bytes).unwrap();
        let up = if name.contains('/') {
            "../../../blobs"
        } else {
            "../../blobs"
        };
        let target = std::path::Path::new(up).join(blob.file_name().unwrap());
        std::os::unix::fs::symlink(target, path).unwrap();
    }
    fs::create_dir_all(root.join("refs")).unwrap();
    fs::write(root.join("refs/main"), COMMIT).unwrap();
    hub.check(&pull_offline(&hub).unwrap());
    hub.check(&hub.pull().unwrap());
    assert_eq!(hub.asked(), []);
}

#[test]
fn a_damaged_reference_is_no_commit() {
    let hub = FakeHub::with_model();
    hub.pull().unwrap();
    let reference = hub
        .cache
        .path()
        .join("models--someone--tiny-model/refs/main");
    for text in ["", "../../..", "main"] {
        fs::write(&reference, text).unwrap();
        assert!(
            matches!(pull_offline(&hub).unwrap_err(), HubError::Offline { .. }),
            "{text}"
        );
    }
}
