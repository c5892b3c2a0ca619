//! The doctor finds what is wrong with a device: planted errors are named by block.

#[path = "support/damage.rs"]
mod damage;

use std::path::{Path, PathBuf};

use damage::scaled;
use plantain::doctor::{Examination, Report, Side, UNDISTURBED, Verdict, examine};
use plantain::{DeviceChoice, DeviceOptions, Model, PrecisionChoice};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/networks")
        .join(name)
}

fn on(device: DeviceChoice, precision: PrecisionChoice) -> DeviceOptions {
    DeviceOptions { device, precision }
}

const NDARRAY: DeviceOptions = DeviceOptions {
    device: DeviceChoice::NdArray,
    precision: PrecisionChoice::F32,
};

fn check(device: &Model, options: DeviceOptions, reference: &Model) -> Report {
    let device = Side {
        model: device,
        options,
    };
    let settings = Examination {
        size: Some([64, 64]),
        tolerance: None,
    };
    examine(device, Side::reference(reference), settings).unwrap()
}

#[track_caller]
fn assert_well(report: &Report) {
    assert_eq!(report.verdict, Verdict::Ok, "{report:#?}");
    assert_eq!(report.first_divergence, None);
}

/// A copy of a fixture whose UNet has one tensor times `factor`.
fn damaged(name: &str, tensor: &str, factor: f32) -> (TempDir, Model) {
    scaled(&fixture(name), "unet", &[(tensor, factor)])
}

#[test]
fn the_cpu_devices_are_well() {
    for name in ["sd1", "sd2", "distilled", "own", "own16"] {
        let model = Model::open(&fixture(name)).unwrap();
        let report = check(&model, NDARRAY, &model);
        assert_well(&report);
        let names: Vec<_> = report.components.iter().map(|c| c.component).collect();
        let components = &model.manifest().components;
        let refiner = components.refiner.is_some();
        assert_eq!(names.contains(&"refiner"), refiner, "{name}");
        for component in &report.components {
            let last = component.blocks.last().unwrap();
            assert_eq!(last.name, UNDISTURBED, "{name}");
            assert!(component.blocks.len() > 3, "{name}: {component:#?}");
        }
    }
}

#[test]
fn every_precision_stays_within_its_tolerance() {
    let model = Model::open(&fixture("own")).unwrap();
    for precision in [PrecisionChoice::Bf16, PrecisionChoice::Int8] {
        let report = check(&model, on(DeviceChoice::Flex, precision), &model);
        assert_well(&report);
        let blocks = report.components.iter().flat_map(|c| &c.blocks);
        let worst = blocks.filter_map(|b| b.relative).fold(0.0, f64::max);
        assert!(worst > 1e-4, "{precision} is no {precision}: {worst:e}");
    }
}

#[test]
fn a_scaled_weight_is_found() {
    let model = Model::open(&fixture("sd1")).unwrap();
    let (_folder, other) = damaged("sd1", "up_blocks.1.resnets.0.conv2.weight", 1.5);
    let report = check(&other, NDARRAY, &model);
    assert_eq!(report.verdict, Verdict::Differs);
    let first = report.first_divergence.unwrap();
    assert_eq!(first.component, "unet");
    assert_eq!(first.block, "up_blocks.1.resnets.0");
    assert!(report.advice.contains("convolutions"), "{}", report.advice);
}

#[test]
fn an_overflow_is_found() {
    let model = Model::open(&fixture("sd1")).unwrap();
    let (_folder, other) = damaged("sd1", "up_blocks.1.resnets.0.conv2.weight", 3e38);
    let report = check(&other, NDARRAY, &model);
    assert_eq!(report.verdict, Verdict::Broken);
    assert_eq!(
        report.first_divergence.unwrap().block,
        "up_blocks.1.resnets.0"
    );
    let unet = &report.components[1].blocks;
    let block = unet.iter().find(|b| b.name == "up_blocks.1.resnets.0");
    let block = block.unwrap();
    assert!(block.non_finite > 0, "{block:?}");
    assert_eq!((block.relative, block.reference_non_finite), (None, 0));

    let report = check(&other, NDARRAY, &other);
    assert_eq!(report.verdict, Verdict::Broken);
    assert!(report.advice.contains("weights"), "{}", report.advice);
}

#[test]
fn models_with_other_blocks_are_refused() {
    let one = Model::open(&fixture("sd1")).unwrap();
    let two = Model::open(&fixture("sd2")).unwrap();
    let device = Side {
        model: &two,
        options: NDARRAY,
    };
    let error = examine(device, Side::reference(&one), Examination::default()).unwrap_err();
    assert!(error.to_string().contains("same blocks"), "{error}");
}
