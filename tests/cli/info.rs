//! `plantain info`: a picture tells how it was made.

use std::process::Command;

use image::{Rgb, RgbImage};

use crate::support::{PROGRAM, Place, fixture};

/// Runs the command that `info` prints for `file`, with the model named, into `again.png`.
fn repeat(place: &Place, file: &str, model: &str) {
    let info = place.run(&["info", file]).succeeded();
    let (command, _) = info.stdout.rsplit_once("  # model: ").unwrap();
    let line = command.strip_prefix("plantain generate").unwrap();
    let shell = format!("\"$0\" generate --model \"$1\" -o again.png {line}");
    let output = Command::new("sh")
        .args(["-c", &shell, PROGRAM, model])
        .current_dir(place.path("."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{shell}: {output:?}");
}

#[test]
#[cfg(unix)]
fn the_printed_command_makes_the_identical_file() {
    let place = Place::new();
    let prompts = [
        "a red fox",
        "it's \"red\", $HOME `id` \\ %s ! *",
        "two\nlines",
        "ünïcode 狐 🦊",
        "",
        "--seed",
        "Steps: 3, Seed: 5",
        "  spaces  ",
    ];
    for prompt in prompts {
        let model = fixture("turbo");
        let output = ["-o", "first.png", "--", prompt];
        let command = [
            "generate",
            "--model",
            &model,
            "--size",
            "20x24",
            "--guidance",
            "2.5",
        ];
        let more = [
            "--negative=-snow, it's",
            "--steps",
            "2",
            "--sampler",
            "euler-a",
        ];
        place
            .run(&[&command[..], &more, &output].concat())
            .succeeded();
        repeat(&place, "first.png", &model);
        assert_eq!(
            place.read("first.png"),
            place.read("again.png"),
            "{prompt:?}"
        );
    }
}

#[test]
#[cfg(unix)]
fn a_styled_picture_is_repeated_without_the_style() {
    let place = Place::new();
    place
        .draw(&["--style", "photo", "-o", "first.png"])
        .succeeded();
    repeat(&place, "first.png", &fixture("turbo"));
    assert_eq!(place.read("first.png"), place.read("again.png"));
}

#[test]
#[cfg(unix)]
fn what_was_added_to_the_model_is_told() {
    let place = Place::new();
    place.write(
        "it's ink.safetensors",
        std::fs::read(fixture("../loras/kohya.safetensors")).unwrap(),
    );
    let added = ["--lora", "it's ink.safetensors:0.5", "--recipe", "lcm"];
    let more = ["--precision", "int8", "-o", "first.png"];
    place.draw(&[added, more].concat()).succeeded();
    repeat(&place, "first.png", &fixture("turbo"));
    assert_eq!(place.read("first.png"), place.read("again.png"));
}

#[test]
fn the_raw_text_is_what_other_programs_read() {
    let place = Place::new();
    let args = [
        "--seed",
        "7",
        "--negative",
        "snow",
        "--guidance",
        "2",
        "-o",
        "a.png",
    ];
    place.draw(&args).succeeded();
    let info = place.run(&["info", "--raw", "a.png"]).succeeded();
    let lines: Vec<_> = info.stdout.lines().collect();
    assert_eq!(lines[..2], ["a red fox", "Negative prompt: snow"]);
    let settings =
        "Steps: 1, Sampler: euler, CFG scale: 2, Seed: 7, Size: 24x16, Model: tiny-turbo";
    assert!(lines[2].starts_with(settings), "{}", lines[2]);
}

#[test]
fn a_model_name_cannot_disturb_the_settings() {
    let place = Place::new();
    let name = "odd,\nSeed: 9, name";
    let convert = [
        "convert",
        &fixture("turbo"),
        "odd.safetensors",
        "--name",
        name,
    ];
    place.run(&convert).succeeded();
    let args = ["--seed", "1", "-o", "a.png"];
    place
        .draw_from("a fox", "odd.safetensors", &args)
        .succeeded();
    let info = place.run(&["info", "a.png"]).succeeded();
    assert!(info.stdout.contains("'a fox' --seed 1 "), "{info:?}");
    assert_eq!(info.stdout.lines().count(), 1);
}

#[test]
fn files_without_parameters_are_refused() {
    let place = Place::new();
    place.draw(&["-o", "a.jpg"]).succeeded();
    place.draw(&["-o", "a.webp"]).succeeded();
    place.draw(&["-o", "a.png"]).succeeded();
    let whole = place.read("a.png");
    place.write("cut.png", &whole[..whole.len() / 2]);
    place.write("notes.txt", "a fox");
    place.write("empty.png", "");
    let foreign = RgbImage::from_pixel(8, 8, Rgb([1, 2, 3]));
    foreign.save(place.path("foreign.png")).unwrap();
    let cases = [
        ("a.jpg", "only PNG files carry"),
        ("a.webp", "only PNG files carry"),
        ("notes.txt", "only PNG files carry"),
        ("cut.png", "is not a readable PNG"),
        ("empty.png", "is not a readable PNG"),
        ("foreign.png", "carries no `parameters` text"),
        ("missing.png", "cannot open missing.png"),
        (".", ""),
    ];
    for (file, reason) in cases {
        place.run(&["info", file]).refused(&[file, reason]);
    }
}

#[test]
fn parameters_of_other_programs_are_shown_but_not_repeated() {
    let place = Place::new();
    let text = "a fox\nSteps: 20, Sampler: UniPC, CFG scale: 7, Seed: 1, Size: 8x8, Model: m";
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
    encoder
        .add_text_chunk("parameters".into(), text.into())
        .unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[0]).unwrap();
    writer.finish().unwrap();
    place.write("other.png", bytes);
    place
        .run(&["info", "other.png"])
        .refused(&["`Sampler`", "`UniPC`", "Steps: 20"]);
}
