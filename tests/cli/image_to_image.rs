//! `plantain generate` from a picture, and of a part of one.

use image::{GrayImage, Luma, Rgb, RgbImage};
use safetensors::SafeTensors;

use crate::support::{Outcome, Place, fixture};

/// A place with `init.png`, 48x32, and `mask.png`, 24x16 and white on the left half.
fn place() -> Place {
    let place = Place::new();
    let pixel = |x: u32, y: u32| Rgb([(x * 5) as u8, (y * 7) as u8, 128]);
    let init = RgbImage::from_fn(48, 32, pixel);
    init.save(place.path("init.png")).unwrap();
    let grey = |x: u32| if x < 12 { 255 } else { 0 };
    let mask = GrayImage::from_fn(24, 16, |x, _| Luma([grey(x)]));
    mask.save(place.path("mask.png")).unwrap();
    place
}

const BEFORE: [&str; 2] = ["init.png", "mask.png"];

/// Draws with five steps.
fn draw(place: &Place, args: &[&str]) -> Outcome {
    let fixed = ["--steps", "5", "--seed", "3", "-o", "a.png", "--quiet"];
    place.draw(&[args, &fixed].concat())
}

#[test]
fn a_picture_to_start_from_is_told_of_and_named_by_hand_when_repeated() {
    let place = place();
    let args = ["--init", "init.png", "--strength", "0.6"];
    draw(&place, &args).succeeded();
    let drawn = place.image("a.png");
    assert_eq!(drawn.dimensions(), (24, 16));
    let raw = place.run(&["info", "--raw", "a.png"]).succeeded().stdout;
    assert!(
        raw.contains("Steps: 5, ") && raw.contains("Denoising strength: 0.6"),
        "{raw}"
    );
    assert!(!raw.contains("Mask"), "{raw}");
    let command = place.run(&["info", "a.png"]).succeeded().stdout;
    assert!(command.contains(" --init INIT --strength 0.6"), "{command}");
    assert!(
        command.contains("; INIT: the picture it was made from"),
        "{command}"
    );
    draw(&place, &[]).succeeded();
    assert_ne!(drawn, place.image("a.png"));
}

#[test]
fn the_strength_is_a_default_that_a_mask_changes() {
    let place = place();
    let strength = |args: &[&str]| {
        let fixed = [
            "--steps", "5", "--init", "init.png", "-o", "a.png", "--json",
        ];
        let line = place.draw(&[args, &fixed].concat()).succeeded().stdout;
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        (object["strength"].as_f64(), object["masked"].as_bool())
    };
    assert_eq!(strength(&[]), (Some(0.8), Some(false)));
    assert_eq!(strength(&["--mask", "mask.png"]), (Some(1.0), Some(true)));
    let both = ["--mask", "mask.png", "--strength", "0.4"];
    assert_eq!(strength(&both), (Some(0.4), Some(true)));
}

#[test]
fn what_the_mask_keeps_stays_whatever_its_size() {
    let place = place();
    let large = GrayImage::from_fn(480, 320, |x, _| Luma([if x < 240 { 255 } else { 0 }]));
    large.save(place.path("large.png")).unwrap();
    let args = ["--size", "48x32", "--init", "init.png", "--mask"];
    for mask in ["mask.png", "large.png"] {
        draw(&place, &[&args[..], &[mask]].concat()).succeeded();
        let (drawn, init) = (place.image("a.png"), place.image("init.png"));
        // But for the edge, which becomes soft where the mask is resized.
        for (x, y, pixel) in init.enumerate_pixels().filter(|(x, ..)| *x > 26) {
            assert_eq!(drawn.get_pixel(x, y), pixel, "{mask}");
        }
        assert_ne!(drawn, init);
    }
    let raw = place.run(&["info", "--raw", "a.png"]).succeeded().stdout;
    assert!(raw.contains("Denoising strength: 1, Mask: on"), "{raw}");
    let command = place.run(&["info", "a.png"]).succeeded().stdout;
    assert!(
        command.contains(" --init INIT --mask MASK --strength 1"),
        "{command}"
    );
}

#[test]
fn a_converted_model_starts_from_pictures_too() {
    for name in ["turbo", "modern", "deep"] {
        let place = place();
        let package = place.convert(name);
        let mut drawn = Vec::new();
        for model in [fixture(name), package] {
            let args = ["--init", "init.png", "--steps", "3", "--seed", "1"];
            let args = [&args[..], &["--size", "64x48", "-o", "a.png"]].concat();
            place.draw_from("a fox", &model, &args).succeeded();
            drawn.push(place.read("a.png"));
        }
        assert_eq!(drawn[0], drawn[1], "{name}");
        let inspected = place.run(&["inspect", &format!("{name}.safetensors")]);
        let inspected = inspected.succeeded().stdout;
        assert!(inspected.contains("vae_encoder"), "{inspected}");
    }
}

#[test]
fn pictures_drawn_together_are_those_drawn_alone() {
    let place = place();
    let args = ["-n", "3", "--init", "init.png"];
    draw(&place, &args).succeeded();
    let names = ["a-3.png", "a-4.png", "a-5.png"];
    let alone = names.map(|name| place.image(name));
    draw(&place, &[&args[..], &["--batch", "2"]].concat()).succeeded();
    for (name, alone) in names.into_iter().zip(alone) {
        let together = place.image(name);
        let pairs = together.as_raw().iter().zip(alone.as_raw());
        assert!(
            pairs.map(|(a, b)| a.abs_diff(*b)).max() <= Some(1),
            "{name}"
        );
    }
}

#[track_caller]
fn assert_refused(place: &Place, args: &[&str], parts: &[&str]) {
    let files = place.files();
    draw(place, args).refused(parts);
    assert_eq!(place.files(), files, "{args:?}");
}

#[test]
fn files_that_are_no_pictures() {
    let place = place();
    place.write("notes.png", "not a picture");
    place.write("empty.png", "");
    let whole = place.read("init.png");
    place.write("cut.png", &whole[..whole.len() / 2]);
    std::fs::create_dir(place.path("folder.png")).unwrap();
    let cases = [
        ("missing.png", "cannot open missing.png"),
        ("notes.png", "is not a readable picture"),
        ("empty.png", "is not a readable picture"),
        ("cut.png", "is not a readable picture"),
        ("folder.png", "is not a file"),
    ];
    for (file, reason) in cases {
        assert_refused(&place, &["--init", file], &[file, reason]);
        let args = ["--init", "init.png", "--mask", file];
        assert_refused(&place, &args, &[file, reason]);
    }
}

/// A header says so many pixels, and nothing follows.
#[test]
fn pictures_too_large_to_be_opened() {
    let place = place();
    for (width, height) in [(100_000, 16), (16_000, 16_000)] {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_chunk(png::chunk::IDAT, &[]).unwrap();
        drop(writer);
        place.write("huge.png", &bytes);
        let size = format!("{width}x{height}");
        assert_refused(
            &place,
            &["--init", "huge.png"],
            &["huge.png", &size, "smaller"],
        );
    }
}

#[test]
fn strengths_out_of_range() {
    let place = place();
    for strength in ["0", "1.5", "nan", "-0.5", "inf"] {
        let args = ["--init", "init.png", "--strength", strength];
        assert_refused(&place, &args, &["strength", "out of range", "above 0"]);
    }
    let args = ["--init", "init.png", "--strength", "much"];
    assert_refused(&place, &args, &["--strength", "much"]);
}

#[test]
fn a_strength_that_leaves_no_step() {
    let place = place();
    let args = ["--init", "init.png", "--strength", "0.15"];
    assert_refused(
        &place,
        &args,
        &["0.15", "none of 5 steps", "at least 7 steps"],
    );
    // The model's own single step.
    let args = ["--init", "init.png", "-o", "a.png"];
    place
        .draw(&args)
        .refused(&["0.8", "none of 1 steps", "at least 2"]);
    assert_eq!(place.files(), BEFORE);
}

#[test]
fn what_belongs_to_a_picture_that_is_not_given() {
    let place = place();
    assert_refused(&place, &["--mask", "mask.png"], &["--init"]);
    assert_refused(&place, &["--strength", "0.5"], &["--init"]);
    assert_refused(&place, &["--batch", "0"], &["--batch"]);
}

#[test]
fn a_mask_without_white() {
    let place = place();
    GrayImage::new(24, 16)
        .save(place.path("black.png"))
        .unwrap();
    let args = ["--init", "init.png", "--mask", "black.png"];
    assert_refused(&place, &args, &["no white", "2x2"]);
}

#[test]
fn a_model_that_was_converted_without_its_encoder() {
    let place = place();
    let model = place.copy("turbo");
    let weights = "turbo/vae/diffusion_pytorch_model.safetensors";
    let bytes = place.read(weights);
    let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    let decoder = tensors
        .into_iter()
        .filter(|(name, _)| !name.contains("encoder."));
    place.write(weights, safetensors::serialize(decoder, None).unwrap());
    let args = ["--init", "init.png", "-o", "a.png"];
    place
        .draw_from("a fox", &model, &args)
        .refused(&["has no encoder", "convert it again"]);
    assert!(!place.path("a.png").exists());
}
