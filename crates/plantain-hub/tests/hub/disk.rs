//! Disks that are full.
#![cfg(unix)]

use std::env;
use std::fs;
use std::process::Command;

use plantain_hub::{HubError, HubOptions, Unobserved, pull};

use crate::fake_hub::{FakeHub, repo};
use crate::model::UNET;

/// Where the process with little room finds its hub and its cache.
const ENDPOINT: &str = "PLANTAIN_TEST_ENDPOINT";
const CACHE: &str = "PLANTAIN_TEST_CACHE";
/// Lets files have 200 blocks of 512 or 1024 bytes, as the shell counts: writing more then fails as on a full disk, only with
/// another reason.
const LITTLE_ROOM: &str = r#"trap '' XFSZ; ulimit -f 200; exec "$0" --exact disk::a_full_disk_leaves_what_the_next_pull_continues"#;

#[test]
fn a_full_disk_leaves_what_the_next_pull_continues() {
    if let (Ok(endpoint), Ok(cache)) = (env::var(ENDPOINT), env::var(CACHE)) {
        return with_little_room(endpoint, &cache);
    }
    let hub = FakeHub::with_model();
    let output = Command::new("sh")
        .args(["-c", LITTLE_ROOM])
        .arg(env::current_exe().unwrap())
        .env(ENDPOINT, hub.hub.url())
        .env(CACHE, hub.cache.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}"
    );

    let arrived = fs::metadata(hub.partial(UNET)).unwrap().len();
    assert!((100_000..600_000).contains(&arrived), "{arrived}");
    assert!(!hub.path(UNET).exists() && !hub.blob(UNET).exists());
    hub.asked();
    hub.check(&hub.pull().unwrap());
    let start = usize::try_from(arrived).unwrap();
    assert!(hub.asked().contains(&(UNET.to_string(), start)));
}

/// What the process does for which there is little room.
fn with_little_room(endpoint: String, cache: &str) {
    let options = HubOptions {
        endpoint,
        ..HubOptions::new(cache)
    };
    let error = pull(&repo(), &options, &mut Unobserved).unwrap_err();
    let HubError::Io { path, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        path.extension()
            .is_some_and(|extension| extension == "part"),
        "{error}"
    );
    assert!(error.to_string().contains("pull again"), "{error}");
}
