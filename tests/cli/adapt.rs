//! Checkpoints in one file, and what is added to models: recipes, LoRAs, embeddings, autoencoders, pruning.

use plantain::weights::recipes;
use serde_json::Value;

use crate::support::{Outcome, Place};

/// A file below `tests/fixtures`.
fn fixture(path: &str) -> String {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");
    let path = std::path::Path::new(fixtures).join(path).canonicalize();
    path.expect("the fixture is there").display().to_string()
}

/// Draws with a checkpoint in one file, small and in few steps.
fn draw(place: &Place, prompt: &str, output: &str, more: &[&str]) -> Outcome {
    let model = fixture("single_files/sd1.safetensors");
    let args = [
        "--size", "64x64", "--steps", "2", "--seed", "3", "-o", output,
    ];
    place.draw_from(prompt, &model, &[&args, more].concat())
}

#[test]
fn every_recipe_is_converted_shown_and_drawn_with() {
    let place = Place::new();
    let source = fixture("single_files/sd1.safetensors");
    for recipe in recipes() {
        let name = recipe.name.as_str();
        let converted = place.run(&["convert", &source, "m.safetensors", "--recipe", name]);
        let said = format!("sampled by {} in {} step", recipe.sampler, recipe.steps);
        assert!(converted.succeeded().stdout.contains(&said), "{name}");
        let shown = place
            .run(&["inspect", "m.safetensors", "--json"])
            .succeeded();
        let manifest: Value = serde_json::from_str(&shown.stdout).unwrap();
        assert_eq!(manifest["recipe"], name);
        assert_eq!(manifest["defaults"]["steps"], recipe.steps);
        let args = ["--size", "32x32", "--seed", "1", "-o", "a.png"];
        place.draw_from("a cat", "m.safetensors", &args).succeeded();
        assert_eq!(place.image("a.png").dimensions(), (32, 32));
    }
}

#[test]
fn recipes_are_listed_and_misspelt_ones_told() {
    let listed = Place::new().run(&["convert", "--recipes"]).succeeded();
    for name in ["lcm", "sd-turbo", "hyper-sd", "dmd2", "tcd", "sdxs"] {
        assert!(listed.stdout.contains(name), "{listed:?}");
    }
    draw(&Place::new(), "a cat", "a.png", &["--recipe", "sdturbo"])
        .refused(&["no recipe `sdturbo`", "did you mean `sd-turbo`?"]);
}

#[test]
fn checkpoints_of_every_container_become_packages() {
    let place = Place::new();
    for (file, kind) in [
        ("pruned.ckpt", "PyTorch"),
        ("micro-legacy.ckpt", "PyTorch (before 1.6)"),
        ("micro-q4_0.gguf", "GGUF"),
    ] {
        let source = fixture(&format!("single_files/{file}"));
        place
            .run(&["convert", &source, "m.safetensors"])
            .succeeded();
        let shown = place.run(&["inspect", "m.safetensors"]).succeeded();
        assert!(
            shown
                .stdout
                .contains(&format!("from a single file, {kind} layout")),
            "{shown:?}"
        );
    }
}

#[test]
fn a_lora_changes_the_picture_by_its_weight() {
    let place = Place::new();
    let lora = fixture("loras/kohya.safetensors");
    let draw =
        |output: &str, more: &[&str]| place.draw(&[&["--seed", "1", "-o", output], more].concat());
    draw("plain.png", &[]).succeeded();
    draw("none.png", &["--lora", &format!("{lora}:0")]).succeeded();
    draw("whole.png", &["--lora", &lora]).succeeded();
    let half = format!("{lora}:0.5");
    draw("halves.png", &["--lora", &half, "--lora", &half]).succeeded();
    assert_eq!(place.image("plain.png"), place.image("none.png"));
    assert_ne!(place.image("plain.png"), place.image("whole.png"));
    let pixels = place.image("whole.png");
    let differences = pixels.iter().zip(place.image("halves.png").into_raw());
    assert!(differences.into_iter().all(|(a, b)| a.abs_diff(b) <= 1));
}

#[test]
fn what_of_a_lora_is_not_in_the_model_is_said() {
    let place = Place::new();
    let lora = |name: &str| fixture(&format!("loras/{name}.safetensors"));
    let partly = place
        .draw(&["-o", "a.png", "--lora", &lora("partly")])
        .succeeded();
    assert!(
        partly.says("layers are not in the model and were left out"),
        "{partly:?}"
    );
    let refused = |name: &str, parts: &[&str]| {
        place
            .draw(&["-o", "b.png", "--lora", &lora(name)])
            .refused(parts);
    };
    refused("foreign", &["none of its 1 layers is one of the model's"]);
    refused("dora", &["a DoRA, which is not supported"]);
    refused("loha", &["a LoHa"]);
    place
        .draw(&["-o", "b.png", "--lora", "nothing.safetensors"])
        .refused(&["nothing.safetensors"]);
    assert_eq!(place.files(), ["a.png"]);
}

#[test]
fn an_embedding_is_a_word() {
    let place = Place::new();
    // The model of the fixture has another width.
    let embedding = fixture("prompts/embeddings/two-vectors.pt");
    draw(
        &place,
        "a two-vectors",
        "a.png",
        &["--embedding", &embedding],
    )
    .refused(&["its vectors have 16 numbers and the model's 32"]);
}

#[test]
fn a_tiny_decoder_takes_the_place_of_the_models() {
    let place = Place::new();
    let source = fixture("single_files/sd1.safetensors");
    let taesd = fixture("tiny_decoders/taesd_decoder.pth");
    let converted = place
        .run(&["convert", &source, "m.safetensors", "--vae", &taesd])
        .succeeded();
    assert!(
        converted.says("the model can no longer start from a picture"),
        "{converted:?}"
    );
    let shown = place.run(&["inspect", "m.safetensors"]).succeeded();
    assert!(shown.stdout.contains("AutoencoderTiny"), "{shown:?}");
    let args = ["--size", "64x64", "--steps", "2", "-o", "a.png"];
    place.draw_from("a cat", "m.safetensors", &args).succeeded();
}

#[test]
fn brackets_weigh_and_escaped_ones_do_not() {
    let place = Place::new();
    draw(&place, "a cat and a circle", "plain.png", &[]).succeeded();
    draw(&place, "a (cat:1.0) and a circle", "one.png", &[]).succeeded();
    draw(&place, "a (cat:1.6) and a circle", "more.png", &[]).succeeded();
    draw(&place, r"a \(cat\) and a circle", "escaped.png", &[]).succeeded();
    assert_eq!(place.image("plain.png"), place.image("one.png"));
    assert_ne!(place.image("plain.png"), place.image("more.png"));
    assert_ne!(place.image("plain.png"), place.image("escaped.png"));
}

#[test]
fn long_prompts_go_on_in_further_chunks() {
    let place = Place::new();
    let long = "a cat and a red circle, ".repeat(4);
    let drawn = draw(&place, &long, "a.png", &[]).succeeded();
    assert!(!drawn.says("too long"), "{drawn:?}");
    draw(&place, &format!("{long} the red photo"), "b.png", &[]).succeeded();
    assert_ne!(place.image("a.png"), place.image("b.png"));
    let endless = draw(&place, &"a cat ".repeat(200), "c.png", &[]).succeeded();
    assert!(endless.says("it is cut before `cat a cat"), "{endless:?}");
}

#[test]
fn memory_is_planned_before_anything_is_loaded() {
    let place = Place::new();
    let large = ["--size", "640x640", "--steps", "1", "-o", "a.png"];
    let model = fixture("single_files/sd1.safetensors");
    let within = |megabytes: &str| {
        place.draw_from(
            "a cat",
            &model,
            &[&large[..], &["--memory", megabytes]].concat(),
        )
    };
    within("2").refused(&["take about", "MB of memory at least, and 2 MB may be used"]);
    assert!(place.files().is_empty());
    let tiled = within("250").succeeded();
    assert!(tiled.says("the picture is decoded in tiles"), "{tiled:?}");
    let info = place.run(&["info", "a.png"]).succeeded();
    assert!(info.stdout.contains("--tiled"), "{info:?}");
}

#[test]
fn pruning_says_what_it_saves() {
    let place = Place::new();
    let source = fixture("single_files/sd1.safetensors");
    let prune = |plan: &str, more: &[&str]| {
        place.run(&[&["prune", &source, "m.safetensors", "--plan", plan], more].concat())
    };
    let pruned = prune("bk-sdm-small", &["--no-timing"]).succeeded();
    for part in ["before", "after", "GFLOP", "to be trained again"] {
        assert!(pruned.stdout.contains(part), "{part}: {pruned:?}");
    }
    place.write(
        "plan.toml",
        "mid = true\ndown = [[0], [0, 1], [0], [0]]\nup = [[0, 2], [0, 1, 2], [0, 2], [0, 2]]",
    );
    prune("plan.toml", &["--no-timing"]).succeeded();
    place.write("wrong.toml", "mid = true\ndown = [[0]\n");
    prune("wrong.toml", &[]).refused(&["wrong.toml", "line 2"]);
    prune("bk-sdm-huge", &[]).refused(&["no plan `bk-sdm-huge`", "bk-sdm-tiny"]);
    let shown = place.run(&["inspect", "m.safetensors"]).succeeded();
    assert!(shown.stdout.contains("unet"), "{shown:?}");
}

#[test]
fn a_pickle_that_would_run_something_is_refused() {
    let place = Place::new();
    // What `pickle.dumps(Evil())` gives where `Evil` reduces to `os.system("true")`.
    let pickle = b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.";
    place.write("evil.pt", pickle);
    place
        .run(&["convert", "evil.pt", "m.safetensors"])
        .refused(&["evil.pt"]);
    assert_eq!(place.files(), ["evil.pt"]);
}

#[test]
fn a_licence_for_research_only_is_told_at_every_use() {
    let place = Place::new();
    let source = fixture("single_files/sd1.safetensors");
    let convert = |license: &str| {
        let args = ["convert", &source, "m.safetensors", "--license", license];
        place.run(&args).succeeded()
    };
    let says = "allows research or other non-commercial use only";
    assert!(!convert("creativeml-openrail-m").says(says));
    assert!(convert("stabilityai-nc-research-community").says(says));
    let args = ["--size", "32x32", "--steps", "1", "-o", "a.png"];
    let drawn = place.draw_from("a cat", "m.safetensors", &args).succeeded();
    assert!(drawn.says(says), "{drawn:?}");
    let shown = place.run(&["inspect", "m.safetensors"]).succeeded();
    assert!(
        shown
            .stdout
            .contains("licence: stabilityai-nc-research-community")
    );
}
