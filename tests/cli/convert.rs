//! `plantain convert` and `plantain inspect`.

use std::fs;

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use crate::support::{Place, fixture};

const UNET: &str = "turbo/unet/diffusion_pytorch_model.safetensors";

/// Takes the tensor `removed` out of a safetensors file.
fn remove_tensor(place: &Place, file: &str, removed: &str) {
    let bytes = place.read(file);
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let kept: Vec<(&str, TensorView<'_>)> =
        all.iter().filter(|(name, _)| *name != removed).collect();
    assert_eq!(kept.len() + 1, all.len());
    place.write(file, safetensors::serialize(kept, None).unwrap());
}

#[test]
fn a_converted_model_is_described_and_draws_the_same() {
    let place = Place::new();
    let converted = place
        .run(&["convert", &fixture("turbo"), "t.safetensors"])
        .succeeded();
    assert!(
        converted.stdout.starts_with("t.safetensors: 368 tensors"),
        "{converted:?}"
    );
    let inspected = place.run(&["inspect", "t.safetensors"]).succeeded();
    for part in [
        "tiny-turbo",
        "CC0-1.0",
        "euler",
        "24x16",
        "unet",
        "vae",
        "memory at 24x16",
    ] {
        assert!(inspected.stdout.contains(part), "{part}: {inspected:?}");
    }
    for (model, name) in [
        (fixture("turbo").as_str(), "a.png"),
        ("t.safetensors", "b.png"),
    ] {
        let args = ["--seed", "1", "-o", name];
        place.draw_from("a fox", model, &args).succeeded();
    }
    assert_eq!(place.read("a.png"), place.read("b.png"));
    assert_eq!(place.files(), ["a.png", "b.png", "t.safetensors"]);
}

#[test]
fn converting_again_gives_identical_bytes() {
    let place = Place::new();
    let first = place.convert("modern");
    place
        .run(&["convert", &first, "second.safetensors"])
        .succeeded();
    place
        .run(&["convert", &fixture("modern"), "third.safetensors"])
        .succeeded();
    assert_eq!(place.read(&first), place.read("second.safetensors"));
    assert_eq!(place.read(&first), place.read("third.safetensors"));
}

#[test]
fn a_model_in_int8_is_smaller_and_draws_nearly_the_same() {
    let place = Place::new();
    let model = fixture("deep");
    for dtype in ["f16", "int8"] {
        let file = format!("{dtype}.safetensors");
        let convert = ["convert", &model, &file, "--dtype", dtype];
        let converted = place.run(&convert).succeeded();
        assert!(
            converted.stdout.contains("0.1 M parameters"),
            "{converted:?}"
        );
        let picture = format!("{dtype}.png");
        let args = ["--seed", "1", "--steps", "2", "-o", &picture];
        place.draw_from("a fox", &file, &args).succeeded();
    }
    assert!(place.read("int8.safetensors").len() < place.read("f16.safetensors").len());
    let inspected = place.run(&["inspect", "int8.safetensors"]).succeeded();
    assert!(inspected.stdout.contains(" int8"), "{inspected:?}");
    let (wide, narrow) = (place.image("f16.png"), place.image("int8.png"));
    assert_ne!(wide, narrow);
    let pairs = wide.as_raw().iter().zip(narrow.as_raw());
    let worst = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(worst <= 8, "{worst} grey levels");

    // What is integers in the source stays so.
    let again = ["convert", "int8.safetensors", "again.safetensors"];
    place.run(&again).succeeded();
    assert_eq!(
        place.read("int8.safetensors"),
        place.read("again.safetensors")
    );
}

#[test]
fn the_card_of_a_model_can_be_written() {
    let place = Place::new();
    let card = [
        "--name",
        "my fox",
        "--license",
        "MIT",
        "--description",
        "Foxes.",
    ];
    let convert = [
        "convert",
        &fixture("turbo"),
        "t.safetensors",
        "--dtype",
        "f32",
    ];
    place.run(&[&convert[..], &card].concat()).succeeded();
    let inspected = place
        .run(&["inspect", "t.safetensors", "--json"])
        .succeeded();
    let manifest: serde_json::Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!(manifest["name"], "my fox");
    assert_eq!(manifest["license"], "MIT");
    assert_eq!(manifest["description"], "Foxes.");
    let inspected = place
        .run(&["inspect", "t.safetensors", "--size", "64x64"])
        .succeeded();
    assert!(inspected.stdout.contains("memory at 64x64"));
    assert!(inspected.stdout.contains("F32") && !inspected.stdout.contains("F16"));
}

#[test]
fn a_model_without_a_tokenizer_is_noted() {
    let place = Place::new();
    let converted = place
        .run(&["convert", &fixture("sharded"), "s.safetensors"])
        .succeeded();
    assert!(
        converted.says("note: the source has no tokenizer"),
        "{converted:?}"
    );
}

#[test]
fn an_incomplete_model_is_refused_unless_allowed() {
    let place = Place::new();
    let model = place.copy("turbo");
    remove_tensor(&place, UNET, "conv_in.weight");
    let missing = "`unet.conv_in.weight` [8, 4, 3, 3] is missing";
    let converted = place.run(&["convert", &model, "t.safetensors"]);
    converted.refused(&[missing, "nothing was written", "--allow-partial"]);
    assert_eq!(place.files(), ["turbo"]);

    let args = ["convert", &model, "t.safetensors", "--allow-partial"];
    let converted = place.run(&args).succeeded();
    assert!(
        converted.says(&format!("left out: {missing}")),
        "{converted:?}"
    );
    place.run(&["inspect", "t.safetensors"]).succeeded();
    let drawn = place.draw_from("a fox", "t.safetensors", &["-o", "a.png"]);
    drawn.refused(&["unet.conv_in.weight"]);
    assert_eq!(place.files(), ["t.safetensors", "turbo"]);
}

#[test]
fn a_model_is_not_written_over_itself() {
    let place = Place::new();
    let folder = place.copy("turbo");
    let file = place.convert("turbo");
    let before = (place.read(UNET), place.read(&file));
    place
        .run(&["convert", &folder, UNET])
        .refused(&["is part of the model"]);
    place
        .run(&["convert", &folder, &folder])
        .refused(&["turbo"]);
    place
        .run(&["convert", &file, &file])
        .refused(&["is part of the model"]);
    let detour = format!("./turbo/../{file}");
    place
        .run(&["convert", &file, &detour])
        .refused(&["is part of the model"]);
    assert_eq!(before, (place.read(UNET), place.read(&file)));
    assert_eq!(place.files(), ["turbo", "turbo.safetensors"]);
}

#[test]
fn sources_and_destinations_that_do_not_work() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    let turbo = fixture("turbo");
    let cases: [(&str, &str, &str); 4] = [
        ("missing", "t.safetensors", "cannot read missing"),
        ("empty", "t.safetensors", "empty is not a diffusers folder"),
        (
            &turbo,
            "no/t.safetensors",
            "cannot write no/t.safetensors: there is no folder no",
        ),
        (&turbo, "empty", "cannot write empty: it is a folder"),
    ];
    for (source, destination, message) in cases {
        place
            .run(&["convert", source, destination])
            .refused(&[message]);
    }
    let dtype = ["convert", &turbo, "t.safetensors", "--dtype", "int4"];
    place.run(&dtype).refused(&["int4", "f32, f16, bf16, int8"]);
    assert_eq!(place.files(), ["empty"]);
}

#[test]
fn only_models_are_inspected() {
    let place = Place::new();
    place.write("notes.txt", "a fox");
    place.run(&["inspect", "notes.txt"]).refused(&["notes.txt"]);
    fs::write(place.path("fox.png"), b"\x89PNG\r\n").unwrap();
    place
        .run(&["inspect", "fox.png"])
        .refused(&["fox.png", "is a picture"]);
    place
        .run(&["inspect", "missing"])
        .refused(&["cannot read missing"]);
}
