//! What a pull brings.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;

use plantain_hub::{HubError, HubOptions, Plan, PullObserver};
use serde_json::json;

use crate::fake_hub::{COMMIT, FakeHub};
use crate::model::{UNET, model, needed, weights};
use crate::server::{Reply, Server};

/// Writes down what it is told.
#[derive(Default)]
struct Scribe {
    lines: Vec<String>,
}

impl PullObserver for Scribe {
    fn plan(&mut self, plan: &Plan) -> ControlFlow<()> {
        let license = plan.license.as_deref().unwrap_or("none");
        self.lines
            .push(format!("plan of {} bytes under {license}", plan.bytes()));
        ControlFlow::Continue(())
    }

    fn file(&mut self, name: &str, size: Option<u64>) -> ControlFlow<()> {
        self.lines.push(format!("{name} {}", size.unwrap()));
        ControlFlow::Continue(())
    }

    fn progress(&mut self, bytes: u64) -> ControlFlow<()> {
        self.lines.push(format!("  {bytes}"));
        ControlFlow::Continue(())
    }
}

#[test]
fn a_pull_brings_what_is_needed_and_nothing_else() {
    let hub = FakeHub::with_model();
    let pulled = hub.pull().unwrap();
    hub.check(&pulled);
    assert_eq!(pulled.folder, hub.path(""));
    assert_eq!(pulled.revision, COMMIT);
    assert_eq!(pulled.license.as_deref(), Some("creativeml-openrail-m"));

    let expected: BTreeSet<String> = needed().into_iter().map(|(name, _)| name).collect();
    let listed: BTreeSet<String> = pulled.files.iter().map(|file| file.name.clone()).collect();
    assert_eq!(listed, expected);
    let asked: BTreeSet<String> = hub.asked().into_iter().map(|(name, _)| name).collect();
    // The file without a byte need not be asked for.
    let empty = BTreeSet::from(["tokenizer/special_tokens_map.json".to_string()]);
    assert_eq!(asked, &expected - &empty);
    let reference = hub
        .cache
        .path()
        .join("models--someone--tiny-model/refs/main");
    assert_eq!(fs::read_to_string(reference).unwrap(), COMMIT);
}

#[test]
fn what_is_there_is_not_fetched_again() {
    let hub = FakeHub::with_model();
    let first = hub.pull().unwrap();
    hub.asked();
    let second = hub.pull().unwrap();
    assert_eq!(hub.asked(), []);
    assert_eq!(first, second);

    // A file that was removed comes again, and no other.
    fs::remove_file(hub.path("vae/config.json")).unwrap();
    fs::remove_file(hub.blob("vae/config.json")).unwrap();
    hub.check(&hub.pull().unwrap());
    assert_eq!(hub.asked(), [("vae/config.json".to_string(), 0)]);
}

#[test]
fn a_new_commit_brings_only_what_changed() {
    let hub = FakeHub::with_model();
    hub.pull().unwrap();
    hub.hub.take_requests();
    hub.cdn.take_requests();
    let newer = "f".repeat(40);
    {
        let mut repository = hub.repository.lock().unwrap();
        repository.commit.clone_from(&newer);
        repository
            .files
            .insert("unet/config.json".to_string(), b"new".to_vec());
    }
    let pulled = hub.pull().unwrap();
    assert_eq!(pulled.revision, newer);
    assert_eq!(
        fs::read(pulled.folder.join("unet/config.json")).unwrap(),
        b"new"
    );
    assert_eq!(fs::read(pulled.folder.join(UNET)).unwrap(), hub.bytes(UNET));
    assert_eq!(hub.cdn.take_requests().len(), 0);
    let small = hub.hub.take_requests();
    assert_eq!(
        small.len(),
        3,
        "the list, the file, and where that is kept: {small:?}"
    );
}

#[test]
fn the_observer_sees_the_plan_then_every_file() {
    let hub = FakeHub::with_model();
    let mut scribe = Scribe::default();
    hub.pull_with(&hub.options(), &mut scribe).unwrap();
    let total: usize = needed().iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(
        scribe.lines[0],
        format!("plan of {total} bytes under creativeml-openrail-m")
    );
    for (name, bytes) in needed() {
        let at = scribe
            .lines
            .iter()
            .position(|line| *line == format!("{name} {}", bytes.len()))
            .unwrap();
        let rest = scribe.lines[at + 1..].iter();
        let progress: Vec<usize> = rest
            .map_while(|line| line.strip_prefix("  ")?.parse().ok())
            .collect();
        assert!(progress.is_sorted(), "{name}: {progress:?}");
        assert_eq!(progress.last(), Some(&bytes.len()), "{name}");
    }
}

#[test]
fn one_checkpoint_at_the_top_is_a_model_too() {
    let name = "my model #1 100%.safetensors";
    let hub = FakeHub::new([
        (name.to_string(), weights(1000, 1)),
        ("sample.png".to_string(), vec![1]),
    ]);
    let pulled = hub.pull().unwrap();
    hub.check(&pulled);
    assert_eq!(pulled.folder, hub.path(name));
    assert_eq!(pulled.files.len(), 1);
}

#[test]
fn other_families_are_refused_before_their_weights_are_fetched() {
    let index = json!({"_class_name": "FluxPipeline", "transformer": ["diffusers", "FluxTransformer2DModel"]});
    let files = model().into_iter().chain([(
        "model_index.json".to_string(),
        index.to_string().into_bytes(),
    )]);
    let hub = FakeHub::new(files);
    let error = hub.pull().unwrap_err();
    assert!(
        matches!(&error, HubError::Family { what, .. } if what.contains("FluxPipeline")),
        "{error}"
    );
    assert_eq!(hub.asked(), [("model_index.json".to_string(), 0)]);
}

#[test]
fn models_that_lack_a_part_are_refused_before_their_weights_are_fetched() {
    let hub = FakeHub::new(needed().into_iter().filter(|(name, _)| name != UNET));
    let error = hub.pull().unwrap_err().to_string();
    assert!(
        error.contains("someone/tiny-model") && error.contains("unet has no weights"),
        "{error}"
    );
    assert_eq!(hub.asked(), [("model_index.json".to_string(), 0)]);

    let hub = FakeHub::new([("README.md".to_string(), vec![])]);
    let error = hub.pull().unwrap_err().to_string();
    assert!(
        error.contains("neither model_index.json nor a checkpoint"),
        "{error}"
    );
}

#[test]
fn the_licence_is_the_one_on_the_card() {
    let hub = FakeHub::with_model();
    hub.repository.lock().unwrap().card =
        json!({"license": "other", "license_name": "sai-nc-community"});
    let license = hub.pull().unwrap().license;
    assert_eq!(license.as_deref(), Some("sai-nc-community"));

    let hub = FakeHub::new(model().into_iter().filter(|(name, _)| name != "README.md"));
    hub.repository.lock().unwrap().card = json!({});
    assert_eq!(hub.pull().unwrap().license, None);
}

#[test]
fn branches_tags_and_commits_can_be_asked_for() {
    for (revision, address) in [
        ("fp16", "fp16"),
        ("refs/pr/7", "refs%2Fpr%2F7"),
        (COMMIT, COMMIT),
    ] {
        let hub = FakeHub::with_model();
        let options = HubOptions {
            revision: revision.to_string(),
            ..hub.options()
        };
        let pulled = hub.pull_with(&options, &mut Scribe::default()).unwrap();
        let list = hub.hub.take_requests().remove(0).target;
        assert_eq!(
            list,
            format!("/api/models/someone/tiny-model/revision/{address}?blobs=true")
        );
        let offline = HubOptions {
            offline: true,
            ..options
        };
        let again = hub.pull_with(&offline, &mut Scribe::default()).unwrap();
        assert_eq!(again.folder, pulled.folder);
    }
}

#[test]
fn the_endpoint_may_be_below_a_path() {
    let hub = FakeHub::with_model();
    let target = hub.hub.url();
    // A mirror that sends everything on.
    let mirror = Server::start(move |request| {
        let path = request.target.strip_prefix("/mirror/hf").unwrap();
        Reply::new(307, "").header("Location", &format!("{target}{path}"))
    });
    let options = HubOptions {
        endpoint: format!("{}/mirror/hf/", mirror.url()),
        ..hub.options()
    };
    hub.check(&hub.pull_with(&options, &mut Scribe::default()).unwrap());
}
