//! What overflows in half precision on a graphics processor is computed in single precision instead, and never drawn black.

#[path = "support/damage.rs"]
mod damage;
#[path = "support/gpu.rs"]
mod gpu;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use damage::scaled;
use plantain::{
    DeviceChoice, DeviceOptions, Error, Event, Model, Observer, Picture, Pipeline, PrecisionChoice,
    Request,
};
use tempfile::TempDir;

/// Above what half precision holds (65,504) once a value is multiplied by it.
const BEYOND_F16: f32 = 1e6;

/// Twice this is beyond single precision too.
const BEYOND_F32: f32 = 1e25;

/// An attention of each component: the component, its folder, the layer of its values, whether that has a bias, and the
/// layer of its output beside it.
const ATTENTIONS: [(&str, &str, &str, bool, &str); 3] = [
    (
        "text encoder",
        "text_encoder",
        "text_model.encoder.layers.0.self_attn.v_proj",
        true,
        "out_proj",
    ),
    (
        "UNet",
        "unet",
        "mid_block.attentions.0.transformer_blocks.0.attn1.to_v",
        false,
        "to_out.0",
    ),
    (
        "decoder",
        "vae",
        "decoder.mid_block.attentions.0.to_v",
        true,
        "to_out.0",
    ),
];

/// The model with the values of an attention times one factor, and its output's weights times another.
fn scaled_attention(
    (_, part, layer, biased, output): (&str, &str, &str, bool, &str),
    values: f32,
    outputs: f32,
) -> (TempDir, Model) {
    let (block, _) = layer.rsplit_once('.').unwrap();
    let [weight, bias] = ["weight", "bias"].map(|kind| format!("{layer}.{kind}"));
    let output = format!("{block}.{output}.weight");
    let mut factors = vec![(weight.as_str(), values), (output.as_str(), outputs)];
    factors.extend(biased.then_some((bias.as_str(), values)));
    scaled(&fixture(), part, &factors)
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/weights/turbo")
}

/// Which components were loaded again.
#[derive(Default)]
struct Widened(Vec<&'static str>);

impl Observer for Widened {
    fn event(&mut self, event: Event) -> ControlFlow<()> {
        if let Event::Widening { component } = event {
            self.0.push(component);
        }
        ControlFlow::Continue(())
    }
}

fn draw(
    model: &Model,
    device: DeviceChoice,
    precision: PrecisionChoice,
) -> Result<(Picture, Vec<&'static str>), Error> {
    let mut widened = Widened::default();
    let pipeline =
        Pipeline::load_observed(model, DeviceOptions { device, precision }, &mut widened)?;
    let request = Request::new("a red fox").size([32, 32]).steps(2);
    let picture = pipeline.generate(&request, &mut widened)?.remove(0);
    Ok((picture, widened.0))
}

/// Grey levels by which two pictures differ at most.
fn largest_difference(a: &Picture, b: &Picture) -> u8 {
    let pairs = a.image.as_raw().iter().zip(b.image.as_raw());
    pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

/// The values of an attention grow a million times before its output shrinks them again: the same network, but for the
/// range in between.
#[test]
fn a_component_that_overflows_is_loaded_again_in_single_precision() {
    let Some(device) = gpu::device() else {
        return;
    };
    let model = Model::open(&fixture()).unwrap();
    let (expected, widened) = draw(&model, device, PrecisionChoice::F32).unwrap();
    assert!(widened.is_empty());
    for attention in ATTENTIONS {
        let (_folder, model) = scaled_attention(attention, BEYOND_F16, 1.0 / BEYOND_F16);
        let (picture, widened) = draw(&model, device, PrecisionChoice::F16).unwrap();
        assert_eq!(widened, [attention.0]);
        assert!(
            largest_difference(&picture, &expected) <= 2,
            "{attention:?}"
        );
    }
}

#[test]
fn a_component_that_overflows_in_single_precision_too_is_named() {
    let Some(device) = gpu::device() else {
        return;
    };
    for attention in ATTENTIONS {
        let (_folder, model) = scaled_attention(attention, BEYOND_F32, BEYOND_F32);
        for precision in [PrecisionChoice::F16, PrecisionChoice::F32] {
            let error = draw(&model, device, precision).unwrap_err();
            let Error::NonFinite { component, .. } = error else {
                panic!("{attention:?}: {error}");
            };
            assert_eq!(component, attention.0);
        }
    }
}
