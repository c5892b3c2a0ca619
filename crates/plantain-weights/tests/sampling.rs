//! What diffusers folders say of how their models are sampled.

mod common;

use std::fs;

use common::{copy_of, edit_json, fixture};
use plantain_sampling::{PredictionType, SamplerKind};
use plantain_weights::Model;
use serde_json::json;

#[test]
fn defaults_follow_card_scheduler_and_size() {
    let modern = Model::open(&fixture("modern")).unwrap();
    assert_eq!(modern.manifest().name, "modern");
    assert_eq!(modern.manifest().sampler.kind, SamplerKind::Lcm);
    let defaults = &modern.manifest().defaults;
    assert_eq!((defaults.steps, defaults.guidance), (4, 8.5));
    assert_eq!((defaults.width, defaults.height), (16, 16));

    let sharded = Model::open(&fixture("sharded")).unwrap();
    assert_eq!(sharded.manifest().sampler.kind, SamplerKind::Ddim);
    let defaults = &sharded.manifest().defaults;
    assert_eq!((defaults.steps, defaults.guidance), (20, 7.5));

    let turbo = Model::open(&fixture("turbo")).unwrap();
    assert_eq!(turbo.manifest().name, "tiny-turbo");
    assert_eq!(turbo.manifest().license.as_deref(), Some("CC0-1.0"));
    assert_eq!(turbo.manifest().sampler.kind, SamplerKind::Euler);
    let defaults = &turbo.manifest().defaults;
    assert_eq!((defaults.steps, defaults.guidance), (1, 1.0));
    assert_eq!((defaults.width, defaults.height), (24, 16));
}

#[test]
fn schedulers_become_samplers() {
    let folder = copy_of("modern");
    let path = folder.path().join("scheduler/scheduler_config.json");
    for (class, kind) in [
        ("TCDScheduler", SamplerKind::Tcd),
        ("EulerAncestralDiscreteScheduler", SamplerKind::EulerA),
        ("PNDMScheduler", SamplerKind::Ddim),
        ("FlowMatchEulerDiscreteScheduler", SamplerKind::FlowEuler),
    ] {
        edit_json(&path, |config| config["_class_name"] = json!(class));
        assert_eq!(
            Model::open(folder.path()).unwrap().manifest().sampler.kind,
            kind
        );
    }
    fs::write(
        &path,
        r#"{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity, "prediction_type": "v_prediction"}"#,
    )
    .unwrap();
    let sampler = Model::open(folder.path())
        .unwrap()
        .manifest()
        .sampler
        .clone();
    assert_eq!(sampler.kind, SamplerKind::Dpmpp2m);
    assert_eq!(sampler.schedule.prediction(), PredictionType::VPrediction);
    // What their own methods are does not matter.
    for (config, kind) in [
        (
            r#"{"_class_name": "UniPCMultistepScheduler", "solver_type": "bh2", "solver_order": 3}"#,
            SamplerKind::Dpmpp2m,
        ),
        (
            r#"{"_class_name": "DEISMultistepScheduler", "algorithm_type": "deis", "solver_type": "logrho"}"#,
            SamplerKind::Dpmpp2m,
        ),
        (
            r#"{"_class_name": "HeunDiscreteScheduler", "use_karras_sigmas": true}"#,
            SamplerKind::Euler,
        ),
    ] {
        fs::write(&path, config).unwrap();
        let model = Model::open(folder.path()).unwrap();
        let sampler = &model.manifest().sampler;
        assert_eq!(sampler.kind, kind);
        // But for how noise levels are spaced.
        let karras = config.contains("use_karras_sigmas");
        assert_eq!(sampler.schedule.use_karras_sigmas, karras);
    }
    fs::write(&path, r#"{"_class_name": "ScoreSdeVeScheduler"}"#).unwrap();
    let error = Model::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("ScoreSdeVeScheduler"), "{error}");
    fs::write(
        &path,
        r#"{"_class_name": "DDIMScheduler", "thresholding": true}"#,
    )
    .unwrap();
    let error = Model::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("thresholding"), "{error}");
}

#[test]
fn a_model_is_turbo_only_where_its_scheduler_says_so() {
    let folder = copy_of("turbo");
    let path = folder.path().join("scheduler/scheduler_config.json");
    fs::remove_file(folder.path().join("model.json")).unwrap();
    for (spacing, expected) in [
        (r#", "timestep_spacing": "trailing""#, (1, 1.0)),
        (r#", "timestep_spacing": "linspace""#, (20, 7.5)),
        ("", (20, 7.5)),
    ] {
        let config = format!(r#"{{"_class_name": "EulerDiscreteScheduler"{spacing}}}"#);
        fs::write(&path, config).unwrap();
        let model = Model::open(folder.path()).unwrap();
        let defaults = &model.manifest().defaults;
        assert_eq!((defaults.steps, defaults.guidance), expected, "{spacing}");
    }
}

#[test]
fn what_files_say_counts_more_than_a_name() {
    let folder = copy_of("modern");
    let path = folder.path().join("scheduler/scheduler_config.json");
    let index = folder.path().join("model_index.json");
    let name = json!("stabilityai/stable-diffusion-2-1-base");
    edit_json(&index, |index| index["_name_or_path"] = name.clone());
    let model = Model::open(folder.path()).unwrap();
    assert_eq!(model.manifest().sampler.kind, SamplerKind::Lcm);
    fs::write(
        &path,
        r#"{"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}"#,
    )
    .unwrap();
    let model = Model::open(folder.path()).unwrap();
    let manifest = model.manifest();
    assert_eq!(manifest.recipe.as_deref(), Some("sd2-base"));
    let prediction = manifest.sampler.schedule.prediction();
    assert_eq!(prediction, PredictionType::VPrediction);
    assert_eq!(manifest.defaults.width, 16);
}
