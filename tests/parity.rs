//! Every network and every sampler against diffusers and transformers, on every device.
//!
//! The models in `fixtures/networks` are small, have random weights and were written, with the
//! numbers expected of them, by `reference/networks.py`. A graphics processor takes part where
//! `PLANTAIN_TEST_GPU` is set (see `support/gpu.rs`).

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/networks.rs"]
mod networks;

use plantain::trace::{HostTensor, SamplerTrace, Tensors, TraceComponent, trace};
use plantain::weights::{ConvertOptions, TargetType, convert};
use plantain::{DeviceChoice, Model, SamplerKind};

use networks::{Fixture, NETWORK_TOLERANCE, assert_close, devices, fixture, on, relative_error};

/// Four evaluations, each fed with the last one's error.
const SAMPLER_TOLERANCE: f64 = 1e-4;

const MODELS: [&str; 5] = ["sd1", "sd2", "distilled", "own", "own16"];

/// The numbers expected of a model's components.
struct Expected(Fixture);

impl Expected {
    fn open(name: &str) -> Self {
        Self(Fixture::open(name, "expected.safetensors"))
    }

    fn check_component(&self, component: TraceComponent) {
        self.check_outputs(component, "out");
    }

    /// Compares what `component` makes of its inputs with the tensors called `{component}.{outputs}`.
    fn check_outputs(&self, component: TraceComponent, outputs: &str) {
        let inputs = self.0.under(&format!("{component}.in."));
        let expected = self.0.under(&format!("{component}.{outputs}."));
        assert!(
            !expected.is_empty(),
            "the fixture has nothing for {component}"
        );
        for device in devices() {
            let settings = SamplerTrace::default();
            let actual = trace(&self.0.model, component, &inputs, on(device), settings).unwrap();
            for (name, expected) in &expected {
                let what = format!("{component} {name} on {device}");
                assert_close(&what, &actual[name], expected, NETWORK_TOLERANCE);
            }
        }
    }

    fn check_sampler(&self, kind: SamplerKind) {
        let inputs = self.0.under("sampler.in.");
        let expected = self.0.under(&format!("sampler.{kind}."));
        let settings = SamplerTrace {
            sampler: Some(kind),
            steps: Some(4),
            guidance: Some(1.0),
            strength: None,
        };
        for device in devices() {
            let component = TraceComponent::Sampler;
            let actual = trace(&self.0.model, component, &inputs, on(device), settings).unwrap();
            assert_eq!(actual["timesteps"], expected["timesteps"], "{kind}");
            let what = format!("{kind} on {device}");
            let (actual, expected) = (&actual["latent"], &expected["latent"]);
            assert_close(&what, actual, expected, SAMPLER_TOLERANCE);
        }
    }
}

#[test]
fn text_encoders_match_transformers() {
    for model in MODELS {
        Expected::open(model).check_component(TraceComponent::TextEncoder);
    }
}

#[test]
fn unets_match_diffusers() {
    for model in MODELS {
        Expected::open(model).check_component(TraceComponent::Unet);
    }
}

#[test]
fn decoders_match_diffusers() {
    for model in MODELS {
        Expected::open(model).check_component(TraceComponent::Decoder);
    }
}

/// torch rounded the weights too; what it computed with them is told apart from what it computed
/// with the weights of the model.
#[test]
fn int8_weights_match_torch() {
    let mut own = Expected::open("own16");
    let (exact, rounded) = (own.0.under("unet.out."), own.0.under("unet.int8."));
    assert!(relative_error(&rounded["sample"], &exact["sample"]) > 50.0 * NETWORK_TOLERANCE);

    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("int8.safetensors");
    let options = ConvertOptions {
        dtype: TargetType::Int8,
        ..ConvertOptions::default()
    };
    convert(
        &Model::open(&fixture("own16")).unwrap(),
        &package,
        &options,
        &|| false,
    )
    .unwrap();
    own.0.model = Model::open(&package).unwrap();
    own.check_outputs(TraceComponent::TextEncoder, "int8");
    own.check_outputs(TraceComponent::Unet, "int8");
    own.check_outputs(TraceComponent::Refiner, "int8");
    own.check_component(TraceComponent::Decoder);
}

#[test]
fn refiners_match_their_references() {
    for model in ["own", "own16"] {
        Expected::open(model).check_component(TraceComponent::Refiner);
    }
}

#[test]
fn samplers_match_diffusers() {
    let sd1 = Expected::open("sd1");
    for kind in SamplerKind::ALL {
        if kind != SamplerKind::FlowEuler {
            sd1.check_sampler(kind);
        }
    }
    Expected::open("sd2").check_sampler(SamplerKind::Ddim);
    for own in ["own", "own16"] {
        Expected::open(own).check_sampler(SamplerKind::FlowEuler);
    }
}

#[test]
fn guidance_combines_both_evaluations() {
    let own = Expected::open("own");
    let mut inputs = own.0.under("sampler.in.");
    let run = |inputs: &Tensors, guidance| {
        let settings = SamplerTrace {
            sampler: None,
            steps: Some(1),
            guidance: Some(guidance),
            strength: None,
        };
        let component = TraceComponent::Sampler;
        let outputs = trace(
            &own.0.model,
            component,
            inputs,
            on(DeviceChoice::Flex),
            settings,
        );
        outputs.unwrap()["latent"].clone()
    };
    let conditional = run(&inputs, 1.0);
    let prompt = inputs["encoder_hidden_states"].clone();
    let shifted = HostTensor {
        values: prompt.values.iter().map(|v| v + 0.5).collect(),
        ..prompt.clone()
    };
    let labels = inputs["class_labels"].clone();
    inputs.insert("negative_class_labels".into(), labels);
    inputs.insert("negative_encoder_hidden_states".into(), shifted.clone());
    let guided = run(&inputs, 3.0);
    inputs.insert("encoder_hidden_states".into(), shifted);
    let unconditional = run(&inputs, 1.0);
    // One flow-matching step is linear in the model's output, so guidance acts on its result too.
    let values = unconditional.values.iter().zip(&conditional.values);
    let expected = HostTensor {
        values: values.map(|(u, c)| u + 3.0 * (c - u)).collect(),
        ..conditional
    };
    assert_close("guided step", &guided, &expected, NETWORK_TOLERANCE);
}
