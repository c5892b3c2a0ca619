//! Autoencoders that take the place of a model's, against TAESD's own code and diffusers.
//!
//! The files in `fixtures/tiny_decoders` were written by `reference/tiny_decoders.py`.

#[path = "support/numbers.rs"]
mod numbers;

use std::path::{Path, PathBuf};

use plantain::trace::{SamplerTrace, TraceComponent, trace};
use plantain::weights::read_tensors;
use plantain::{DeviceChoice, Model};

use numbers::{NETWORK_TOLERANCE, assert_close, on, under};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn base() -> Model {
    Model::open(&fixtures().join("single_files/sd1.safetensors")).unwrap()
}

#[test]
fn tiny_decoders_in_every_layout() {
    let folder = fixtures().join("tiny_decoders");
    let expected = read_tensors(&folder.join("expected.safetensors")).unwrap();
    let layouts = [
        ("taesd_decoder.safetensors", false),
        ("taesd_decoder.pth", false),
        ("diffusers", true),
        ("diffusers/diffusion_pytorch_model.safetensors", true),
    ];
    for (layout, encodes) in layouts {
        let model = base().with_vae(&folder.join(layout)).unwrap();
        assert_eq!(model.unused_tensors(), [], "{layout}");
        assert_eq!(
            model.manifest().components.vae_encoder.is_some(),
            encodes,
            "{layout}"
        );
        let mut components = vec![(TraceComponent::Decoder, "image")];
        if encodes {
            components.push((TraceComponent::Encoder, "latent"));
        }
        for (component, output) in components {
            let inputs = under(&expected, &format!("{component}.in."));
            let settings = SamplerTrace::default();
            let device = on(DeviceChoice::Flex);
            let actual = trace(&model, component, &inputs, device, settings).unwrap();
            let wanted = &expected[&format!("{component}.out.{output}")];
            let what = format!("{layout}, {component}");
            assert_close(&what, &actual[output], wanted, NETWORK_TOLERANCE);
        }
    }
}

#[test]
fn what_is_no_autoencoder_is_refused() {
    for file in [
        "loras/peft.safetensors",
        "tiny_decoders/taesd_encoder.safetensors",
    ] {
        let error = base()
            .with_vae(&fixtures().join(file))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("an autoencoder of Stable Diffusion"),
            "{error}"
        );
    }
}
