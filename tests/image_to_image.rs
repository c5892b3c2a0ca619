//! Encoders, image-to-image and inpainting against diffusers, on every device.
//!
//! What is expected was written by `reference/image_to_image.py` beside the models of `fixtures/networks`: latents that
//! diffusers' pipelines drew from given pictures, masks and noise. Figures are printed with `--nocapture`.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/networks.rs"]
mod networks;

use plantain::trace::{HostTensor, SamplerTrace, Tensors, TraceComponent, trace};
use plantain::{DeviceChoice, SamplerKind};

use networks::{Fixture, NETWORK_TOLERANCE, assert_close, devices, on, relative_error};

/// Up to five evaluations, each fed with the last one's error.
const PIPELINE_TOLERANCE: f64 = 1e-4;
/// As many as the pipelines were asked for.
const STEPS: usize = 5;

const MODELS: [&str; 5] = ["sd1", "sd2", "distilled", "own", "own16"];

fn open(model: &str) -> Fixture {
    Fixture::open(model, "image_to_image.safetensors")
}

impl Fixture {
    fn run(
        &self,
        component: TraceComponent,
        inputs: &Tensors,
        device: DeviceChoice,
        settings: SamplerTrace,
    ) -> Tensors {
        trace(&self.model, component, inputs, on(device), settings).unwrap()
    }

    /// The latent drawn from the fixture's picture, of which the mask keeps a part if `masked`.
    fn draw(
        &self,
        init_latent: Option<HostTensor>,
        masked: bool,
        device: DeviceChoice,
        settings: SamplerTrace,
    ) -> HostTensor {
        let mut inputs = self.under("in.");
        if let Some(latent) = init_latent {
            inputs.insert("init_latent".into(), latent);
        }
        if !masked {
            inputs.remove("mask");
        }
        let mut outputs = self.run(TraceComponent::Sampler, &inputs, device, settings);
        outputs.remove("latent").unwrap()
    }

    fn check(&self, name: &str, settings: SamplerTrace) {
        for (masked, drawn) in [(false, "image"), (true, "masked")] {
            let expected = &self.expected[&format!("{name}.{drawn}")];
            for device in devices() {
                let actual = self.draw(None, masked, device, settings);
                let what = format!("{name}.{drawn} on {device}");
                println!("{what}: {:.1e}", relative_error(&actual, expected));
                assert_close(&what, &actual, expected, PIPELINE_TOLERANCE);
            }
        }
    }
}

fn settings(kind: SamplerKind, strength: f64, guidance: f64) -> SamplerTrace {
    SamplerTrace {
        sampler: Some(kind),
        steps: Some(STEPS),
        guidance: Some(guidance),
        strength: Some(strength),
    }
}

#[test]
fn encoders_match_diffusers() {
    for model in MODELS {
        let fixture = open(model);
        let expected = &fixture.expected["encoder.out.latent"];
        let inputs = fixture.under("encoder.in.");
        for device in devices() {
            let component = TraceComponent::Encoder;
            let actual = fixture.run(component, &inputs, device, SamplerTrace::default());
            let what = format!("{model} on {device}");
            println!(
                "{what}: {:.1e}",
                relative_error(&actual["latent"], expected)
            );
            assert_close(&what, &actual["latent"], expected, NETWORK_TOLERANCE);
        }
    }
}

#[test]
fn pipelines_match_diffusers() {
    let sd1 = open("sd1");
    for strength in [0.6, 1.0] {
        let name = |kind| format!("{kind}.{strength:.1}");
        for kind in SamplerKind::ALL {
            if kind != SamplerKind::FlowEuler {
                sd1.check(&name(kind), settings(kind, strength, 1.0));
            }
        }
        let lcm = SamplerKind::Lcm;
        open("distilled").check(&name(lcm), settings(lcm, strength, 3.0));
        for own in ["own", "own16"] {
            let flow = SamplerKind::FlowEuler;
            open(own).check(&name(flow), settings(flow, strength, 1.0));
        }
    }
}

#[test]
fn guided_pipelines_match_diffusers() {
    open("sd1").check("guided", settings(SamplerKind::Euler, 0.6, 2.5));
}

/// From picture to picture: encoder, sampler and decoder in a row.
#[test]
fn whole_pipelines_match_diffusers() {
    const SCALING: f32 = 0.18215;
    let sd1 = open("sd1");
    let scaled = |tensor: &HostTensor, factor: f32| HostTensor {
        shape: tensor.shape.clone(),
        values: tensor.values.iter().map(|v| v * factor).collect(),
    };
    for (masked, drawn) in [(false, "picture.image"), (true, "picture.masked")] {
        for device in devices() {
            let run = |component, inputs: &Tensors| {
                sd1.run(component, inputs, device, SamplerTrace::default())
            };
            let encoded = run(TraceComponent::Encoder, &sd1.under("encoder.in."));
            let init = scaled(&encoded["latent"], SCALING);
            let how = settings(SamplerKind::Euler, 0.6, 1.0);
            let latent = sd1.draw(Some(init), masked, device, how);
            let latent = scaled(&latent, 1.0 / SCALING);
            let inputs = Tensors::from([("latent".into(), latent)]);
            let mut image = run(TraceComponent::Decoder, &inputs)["image"].clone();
            for value in &mut image.values {
                *value = (*value / 2.0 + 0.5).clamp(0.0, 1.0);
            }
            let expected = &sd1.expected[drawn];
            let what = format!("{drawn} on {device}");
            println!("{what}: {:.1e}", relative_error(&image, expected));
            assert_close(&what, &image, expected, PIPELINE_TOLERANCE);
        }
    }
}
