//! Pruned UNets against the students that BK-SDM's own code cuts out of the same teacher, before they are distilled.
//!
//! The numbers in `fixtures/pruning` were written by `reference/pruning.py`.

#[path = "support/numbers.rs"]
mod numbers;

use std::path::{Path, PathBuf};

use plantain::trace::{SamplerTrace, TraceComponent, trace};
use plantain::weights::{Component, ConvertOptions, PrunePlan, convert, read_tensors};
use plantain::{DeviceChoice, Model};
use serde_json::Value;

use numbers::{NETWORK_TOLERANCE, assert_close, on, under};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn teacher() -> Model {
    Model::open(&fixtures().join("single_files/sd1.safetensors")).unwrap()
}

#[test]
fn plans_cut_out_what_bk_sdm_does() {
    for student in ["base", "small", "tiny"] {
        let plan = PrunePlan::named(&format!("bk-sdm-{student}")).unwrap();
        let pruned = teacher().pruned(&plan).unwrap();
        let expected = fixtures()
            .join("pruning")
            .join(format!("{student}.safetensors"));
        let expected = read_tensors(&expected).unwrap();
        let inputs = under(&expected, "unet.in.");
        let (unet, settings) = (TraceComponent::Unet, SamplerTrace::default());
        let actual = trace(&pruned, unet, &inputs, on(DeviceChoice::Flex), settings).unwrap();
        let (actual, expected) = (&actual["sample"], &expected["unet.out.sample"]);
        assert_close(student, actual, expected, NETWORK_TOLERANCE);
    }
}

#[test]
fn a_pruned_model_has_the_students_configuration() {
    for student in ["base", "small", "tiny"] {
        let json = fixtures().join("pruning").join(format!("{student}.json"));
        let json: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
        let plan = PrunePlan::named(&format!("bk-sdm-{student}")).unwrap();
        let pruned = teacher().pruned(&plan).unwrap();
        let unet = serde_json::to_value(pruned.manifest().components.unet.as_ref()).unwrap();
        for key in [
            "block_out_channels",
            "down_block_types",
            "up_block_types",
            "mid_block_type",
        ] {
            assert_eq!(unet[key], json["config"][key], "{student}: {key}");
        }
        let tensors = pruned.expected_tensors(Component::Unet);
        assert_eq!(tensors.len(), json["teacher"].as_object().unwrap().len());
    }
}

#[test]
fn pruned_models_are_whole_packages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    let pruned = teacher()
        .pruned(&PrunePlan::named("bk-sdm-small").unwrap())
        .unwrap();
    let report = convert(&pruned, &path, &ConvertOptions::default(), &|| false).unwrap();
    assert_eq!(report.problems, []);
    let written = Model::open(&path).unwrap();
    assert_eq!(written.fingerprint(), pruned.fingerprint());
}
