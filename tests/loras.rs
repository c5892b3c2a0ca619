//! LoRAs in every spelling that is about, against what diffusers computes after fusing them.
//!
//! The files in `fixtures/loras` are for the model `fixtures/weights/turbo`, and were written with the numbers expected of them by
//! `reference/loras.py`.

#[path = "support/numbers.rs"]
mod numbers;

use std::path::{Path, PathBuf};

use plantain::trace::{HostTensor, SamplerTrace, Tensors, TraceComponent, trace};
use plantain::weights::{ConvertOptions, LoraError, TargetType, convert, read_tensors};
use plantain::{DeviceChoice, Model};

use numbers::{NETWORK_TOLERANCE, assert_close, on, relative_error, under};

const COMPONENTS: [TraceComponent; 2] = [TraceComponent::TextEncoder, TraceComponent::Unet];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn lora(name: &str) -> PathBuf {
    fixtures().join("loras").join(format!("{name}.safetensors"))
}

fn base() -> Model {
    Model::open(&fixtures().join("weights/turbo")).unwrap()
}

fn expected(name: &str) -> Tensors {
    read_tensors(
        &fixtures()
            .join("loras/expected")
            .join(format!("{name}.safetensors")),
    )
    .unwrap()
}

/// The answer of `component`, which has one output.
fn answer(model: &Model, component: TraceComponent) -> (String, HostTensor) {
    let asked = under(&expected("inputs"), &format!("{component}.in."));
    let device = on(DeviceChoice::Flex);
    let settings = SamplerTrace::default();
    let mut outputs = trace(model, component, &asked, device, settings).unwrap();
    outputs.retain(|name, _| name != "pooler_output");
    outputs.pop_first().unwrap()
}

#[test]
fn every_spelling_adds_what_diffusers_fuses() {
    for (name, unmatched) in [
        ("peft", false),
        ("diffusers", false),
        ("diffusers-2023", false),
        ("kohya", false),
        ("locon", false),
        ("partly", true),
    ] {
        for weight in [1.0f32, 0.6] {
            let (model, report) = base().with_lora(&lora(name), weight).unwrap();
            assert_eq!(
                !report.unmatched.is_empty(),
                unmatched,
                "{name}: {report:?}"
            );
            for component in COMPONENTS {
                let (output, actual) = answer(&model, component);
                let expected = &expected(name)[&format!("{weight:.1}.{component}.out.{output}")];
                let what = format!("{name} at {weight}, {component}");
                assert_close(&what, &actual, expected, NETWORK_TOLERANCE);
            }
        }
    }
}

#[test]
fn adapters_matter() {
    let (plain, adapted) = (base(), base().with_lora(&lora("kohya"), 1.0).unwrap().0);
    for component in COMPONENTS {
        let difference =
            relative_error(&answer(&adapted, component).1, &answer(&plain, component).1);
        assert!(difference > 1e-3, "{component}: {difference:e}");
    }
    assert_ne!(plain.fingerprint(), adapted.fingerprint());
}

#[test]
fn two_adapters_add_up() {
    let (first, _) = base().with_lora(&lora("kohya"), 0.4).unwrap();
    let (both, _) = first.with_lora(&lora("kohya"), 0.6).unwrap();
    let (once, _) = base().with_lora(&lora("kohya"), 1.0).unwrap();
    for component in COMPONENTS {
        let what = component.to_string();
        let (actual, expected) = (answer(&both, component).1, answer(&once, component).1);
        assert_close(&what, &actual, &expected, NETWORK_TOLERANCE);
    }
}

#[test]
fn a_package_holds_the_sum() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("package.safetensors");
    let (model, _) = base().with_lora(&lora("locon"), 1.0).unwrap();
    let options = ConvertOptions {
        dtype: TargetType::F32,
        ..ConvertOptions::default()
    };
    convert(&model, &package, &options, &|| false).unwrap();
    let written = Model::open(&package).unwrap();
    for component in COMPONENTS {
        let what = component.to_string();
        let (actual, expected) = (answer(&written, component).1, answer(&model, component).1);
        assert_close(&what, &actual, &expected, NETWORK_TOLERANCE);
    }
    let sources = &written.manifest().provenance.sources;
    assert!(sources.iter().any(|file| file.path == "locon.safetensors"));
}

#[test]
fn what_is_no_lora_for_the_model_is_refused_by_name() {
    let refused = |name: &str| base().with_lora(&lora(name), 1.0).unwrap_err();
    for (name, kind) in [
        ("dora", "a DoRA"),
        ("dora-kohya", "a DoRA"),
        ("loha", "a LoHa"),
        ("lokr", "a LoKr"),
        ("tucker", "a LoCon in Tucker form"),
    ] {
        let error = refused(name);
        assert!(
            matches!(&error, LoraError::Kind { kind: found, .. } if *found == kind),
            "{error}"
        );
    }
    let error = refused("foreign");
    assert!(
        matches!(error, LoraError::NoMatch { layers: 1, .. }),
        "{error}"
    );
    let no_lora = base().with_lora(&fixtures().join("single_files/tiny.safetensors"), 1.0);
    assert!(matches!(no_lora.unwrap_err(), LoraError::NoLora { .. }));
}
