//! `plantain trace`: single components on given tensors.

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use crate::support::{Outcome, Place, fixture};

type Given<'a> = (&'a str, &'a [usize]);

/// Writes `in.safetensors`: tensors of the given names and shapes, filled with numbers of every
/// size between -1 and 1.
fn write_inputs(place: &Place, given: &[Given<'_>]) {
    let tensors: Vec<(&str, &[usize], Vec<u8>)> = given
        .iter()
        .map(|(name, shape)| {
            let count = shape.iter().product();
            let numbers = (0..count).map(|i: usize| (i as f32 * 0.7).sin());
            (*name, *shape, numbers.flat_map(f32::to_le_bytes).collect())
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
        (*name, view.unwrap())
    });
    place.write(
        "in.safetensors",
        safetensors::serialize(views, None).unwrap(),
    );
}

fn trace_with(place: &Place, model: &str, component: &str, more: &[&str]) -> Outcome {
    let files = ["--inputs", "in.safetensors", "--output", "out.safetensors"];
    let command = ["trace", "--model", model, "--component", component];
    place.run(&[&command[..], &files, more].concat())
}

fn trace(place: &Place, component: &str, given: &[Given<'_>]) -> Outcome {
    write_inputs(place, given);
    trace_with(place, &fixture("turbo"), component, &[])
}

/// Checks that the output has a finite tensor `name` of `shape`.
#[track_caller]
fn assert_output(place: &Place, name: &str, shape: &[usize]) {
    let bytes = place.read("out.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor(name).unwrap();
    assert_eq!(tensor.shape(), shape);
    let mut numbers = tensor.data().chunks_exact(4);
    let finite = numbers.all(|n| f32::from_le_bytes(n.try_into().unwrap()).is_finite());
    assert!(finite, "{name}");
}

const LATENT: &[usize] = &[1, 4, 8, 12];
const STATES: Given<'_> = ("encoder_hidden_states", &[1, 5, 12]);

#[test]
fn the_text_encoder() {
    let place = Place::new();
    let ids: Vec<u8> = [532i64, 5, 7, 533]
        .iter()
        .flat_map(|id| id.to_le_bytes())
        .collect();
    let view = TensorView::new(Dtype::I64, vec![1, 4], &ids).unwrap();
    let file = safetensors::serialize([("input_ids", view)], None).unwrap();
    place.write("in.safetensors", file);
    trace_with(&place, &fixture("turbo"), "text-encoder", &[]).succeeded();
    assert_output(&place, "last_hidden_state", &[1, 4, 12]);
    assert_output(&place, "pooler_output", &[1, 12]);
}

#[test]
fn the_unet() {
    let place = Place::new();
    let given = [("sample", LATENT), ("timestep", &[]), STATES];
    trace(&place, "unet", &given).succeeded();
    assert_output(&place, "sample", LATENT);
}

#[test]
fn the_decoder_on_both_devices() {
    let place = Place::new();
    write_inputs(&place, &[("latent", LATENT)]);
    for device in ["flex", "ndarray"] {
        let more = ["--device", device];
        trace_with(&place, &fixture("turbo"), "decoder", &more).succeeded();
        assert_output(&place, "image", &[1, 3, 16, 24]);
    }
}

#[test]
fn the_encoder_on_both_devices() {
    let place = Place::new();
    write_inputs(&place, &[("image", &[1, 3, 16, 24])]);
    for device in ["flex", "ndarray"] {
        let more = ["--device", device];
        trace_with(&place, &fixture("turbo"), "encoder", &more).succeeded();
        assert_output(&place, "latent", LATENT);
    }
}

#[test]
fn the_sampler_from_a_latent() {
    let place = Place::new();
    let mask: Given<'_> = ("mask", &[1, 1, 8, 12]);
    let given = [("noise", LATENT), STATES, ("init_latent", LATENT), mask];
    write_inputs(&place, &given);
    let more = ["--steps", "5", "--strength", "0.6"];
    trace_with(&place, &fixture("turbo"), "sampler", &more).succeeded();
    assert_output(&place, "latent", LATENT);
    assert_output(&place, "timesteps", &[3]);
    for (strength, parts) in [
        ("0", ["strength 0", "above 0"]),
        ("0.1", ["0.1", "10 steps"]),
    ] {
        let more = ["--steps", "5", "--strength", strength];
        trace_with(&place, &fixture("turbo"), "sampler", &more).refused(&parts);
    }
}

#[test]
fn the_sampler() {
    let place = Place::new();
    write_inputs(&place, &[("noise", LATENT), STATES]);
    trace_with(&place, &fixture("turbo"), "sampler", &["--steps", "3"]).succeeded();
    assert_output(&place, "latent", LATENT);
    assert_output(&place, "timesteps", &[3]);
}

#[test]
fn a_model_without_a_text_encoder_can_be_traced() {
    let place = Place::new();
    write_inputs(&place, &[("noise", LATENT), STATES]);
    let traced = trace_with(&place, &fixture("sharded"), "sampler", &["--steps", "2"]);
    traced.succeeded();
    let traced = trace_with(&place, &fixture("sharded"), "text-encoder", &[]);
    traced.refused(&["input_ids", "noise"]);
}

/// No model of these tests has a refiner; but converting one whose refiner has no tensors tells which ones it needs.
#[test]
fn the_refiner() {
    let place = Place::new();
    let model = place.copy("turbo");
    let unet: Value = serde_json::from_slice(&place.read("turbo/unet/config.json")).unwrap();
    let mut config = json!({"scale": 2, "num_blocks": 1, "unet": unet});
    config["unet"]["out_channels"] = config["unet"]["block_out_channels"][0].clone();
    let config = config.to_string();
    std::fs::create_dir(place.path("turbo/refiner")).unwrap();
    place.write("turbo/refiner/config.json", &config);
    let weights = "turbo/refiner/diffusion_pytorch_model.safetensors";
    let none: [(&str, TensorView<'_>); 0] = [];
    place.write(weights, safetensors::serialize(none, None).unwrap());
    let args = ["convert", &model, "partial.safetensors", "--allow-partial"];
    let report = place.run(&args).succeeded().stderr;
    let needed: Vec<(&str, Vec<usize>)> = report.lines().filter_map(missing).collect();
    assert!(!needed.is_empty(), "{report}");
    let given: Vec<Given<'_>> = needed
        .iter()
        .map(|(name, shape)| (*name, &shape[..]))
        .collect();
    write_inputs(&place, &given);
    place.write(weights, place.read("in.safetensors"));

    write_inputs(&place, &[("latent", LATENT), STATES]);
    trace_with(&place, &model, "refiner", &[]).succeeded();
    assert_output(&place, "latent", &[1, 4, 16, 24]);
    let pictures = [&[][..], &["--no-refine"]].map(|args| {
        let args = [args, &["--seed", "1", "-o", "a.png"]].concat();
        place.draw_from("a fox", &model, &args).succeeded();
        place.image("a.png")
    });
    assert_eq!(pictures[0].dimensions(), pictures[1].dimensions());
    assert_ne!(pictures[0], pictures[1]);
}

/// From `left out: `refiner.conv.weight` [8, 4] is missing`.
fn missing(line: &str) -> Option<(&str, Vec<usize>)> {
    let line = line.strip_prefix("left out: `refiner.")?;
    let (name, shape) = line.strip_suffix("] is missing")?.split_once("` [")?;
    let sides = shape.split(", ").map(|side| side.parse().unwrap());
    Some((name, sides.collect()))
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let place = Place::new();
    let cases: [(&str, &[Given<'_>], &[&str]); 14] = [
        (
            "text-encoder",
            &[("ids", &[1, 4])],
            &["`input_ids` is missing", "given are: ids"],
        ),
        (
            "text-encoder",
            &[("input_ids", &[1, 1, 4])],
            &["`input_ids`", "[1, 1, 4]"],
        ),
        (
            "unet",
            &[("sample", LATENT), STATES],
            &["`timestep` is missing"],
        ),
        (
            "unet",
            &[("sample", &[1, 3, 8, 12]), ("timestep", &[]), STATES],
            &["`sample`", "[1, 3, 8, 12]"],
        ),
        (
            "unet",
            &[("sample", LATENT), ("timestep", &[3]), STATES],
            &["`timestep`", "[3]"],
        ),
        (
            "unet",
            &[
                ("sample", LATENT),
                ("timestep", &[]),
                ("encoder_hidden_states", &[1, 5, 13]),
            ],
            &["`encoder_hidden_states`", "[1, 5, 13]", "[1, tokens, 12]"],
        ),
        (
            "decoder",
            &[("latent", &[4, 8, 12])],
            &["`latent`", "[4, 8, 12]"],
        ),
        (
            "decoder",
            &[("latent", &[1, 4, 0, 12])],
            &["`latent`", "none of them 0"],
        ),
        ("refiner", &[("latent", LATENT)], &["has no refiner"]),
        (
            "encoder",
            &[("image", &[1, 4, 16, 24])],
            &["`image`", "[1, 4, 16, 24]"],
        ),
        (
            "encoder",
            &[("image", &[1, 3, 16, 23])],
            &["`image`", "multiples of 2"],
        ),
        (
            "sampler",
            &[("noise", LATENT), STATES, ("mask", &[1, 1, 8, 12])],
            &["a mask is given"],
        ),
        (
            "sampler",
            &[("noise", LATENT), STATES, ("init_latent", &[1, 4, 8, 8])],
            &["`init_latent`", "[1, 4, 8, 8]", "[1, 4, 8, 12]"],
        ),
        ("sampler", &[STATES], &["`noise` is missing"]),
    ];
    for (component, given, parts) in cases {
        trace(&place, component, given).refused(parts);
        assert_eq!(place.files(), ["in.safetensors"], "{component}");
    }
}

#[test]
fn token_ids_beyond_the_vocabulary_are_refused() {
    let place = Place::new();
    for id in [-1i64, 534, i64::MAX] {
        let bytes = id.to_le_bytes();
        let view = TensorView::new(Dtype::I64, vec![1, 1], &bytes).unwrap();
        let file = safetensors::serialize([("input_ids", view)], None).unwrap();
        place.write("in.safetensors", file);
        trace_with(&place, &fixture("turbo"), "text-encoder", &[]).refused(&["534"]);
    }
    trace(&place, "text-encoder", &[("input_ids", &[1, 17])]).refused(&["no token id"]);
    let bytes = [0; 8 * 17];
    let view = TensorView::new(Dtype::I64, vec![1, 17], &bytes).unwrap();
    let file = safetensors::serialize([("input_ids", view)], None).unwrap();
    place.write("in.safetensors", file);
    trace_with(&place, &fixture("turbo"), "text-encoder", &[]).refused(&["17", "16"]);
}

#[test]
fn files_and_names_that_do_not_work() {
    let place = Place::new();
    let turbo = fixture("turbo");
    trace_with(&place, &turbo, "decoder", &[]).refused(&["cannot read in.safetensors"]);
    place.write("in.safetensors", "not tensors");
    trace_with(&place, &turbo, "decoder", &[]).refused(&["in.safetensors is a text"]);
    place.write("in.safetensors", [255; 16]);
    trace_with(&place, &turbo, "decoder", &[]).refused(&["in.safetensors is damaged", "F32"]);
    write_inputs(&place, &[("latent", LATENT)]);
    trace_with(&place, &turbo, "coder", &[]).refused(&["coder", "text-encoder"]);
    let traced = trace_with(&place, &turbo, "decoder", &["--steps", "2"]);
    traced.refused(&["--steps", "decoder"]);
    let command = ["trace", "--model", &turbo, "--component", "decoder"];
    let files = [
        "--inputs",
        "in.safetensors",
        "--output",
        "no/out.safetensors",
    ];
    let traced = place.run(&[&command[..], &files].concat());
    traced.refused(&["cannot write no/out.safetensors"]);
    assert_eq!(place.files(), ["in.safetensors"]);
}
