//! Pictures without their background.

use image::{Rgba, RgbaImage};

use crate::support::{Outcome, Place, fixture};

fn draw(place: &Place, prompt: &str, args: &[&str]) -> Outcome {
    let common = ["generate", prompt, "--seed", "1", "--transparent"];
    place.run(&[&common, args].concat())
}

fn image(place: &Place, name: &str) -> RgbaImage {
    let image = image::load_from_memory(&place.read(name));
    image.unwrap().to_rgba8()
}

/// Parts of it that are clear and that are whole.
fn shares(image: &RgbaImage) -> [f64; 2] {
    let share = |alpha| {
        image
            .pixels()
            .filter(|Rgba(pixel)| pixel[3] == alpha)
            .count()
    };
    [0, 255].map(|alpha| share(alpha) as f64 / f64::from(image.width() * image.height()))
}

#[test]
fn the_ground_goes_and_the_thing_stays() {
    let place = Place::new();
    for (name, args) in [("fox.png", &[][..]), ("fox.webp", &["--aspect", "16:9"])] {
        let drawn = draw(&place, "a fox, 3d render", &[args, &["-o", name]].concat());
        drawn.succeeded();
        let image = image(&place, name);
        let [clear, whole] = shares(&image);
        assert!(
            (0.4..0.85).contains(&clear) && whole > 0.15,
            "{name}: {clear}, {whole}"
        );
        assert_eq!(image.get_pixel(0, 0), &Rgba([0; 4]));
    }
}

#[test]
fn a_ground_that_is_left_open_is_unlike_the_thing() {
    let place = Place::new();
    for (prompt, drawn) in [
        ("a fox.", "a fox, on a teal background"),
        ("a cyan wrench", "a cyan wrench, on a pink background"),
        ("a fox on yellow", "a fox on yellow"),
    ] {
        draw(&place, prompt, &["-o", "a.png"]).succeeded();
        let told = place.run(&["info", "a.png"]).succeeded().stdout;
        assert!(told.contains(&format!("'{drawn}'")), "{told}");
        assert!(told.contains(" --transparent"), "{told}");
    }
}

#[test]
fn who_asks_for_no_background_is_told_how_to_get_that() {
    let place = Place::new();
    let hint = "note: --transparent takes a plain background away";
    for (prompt, args, told) in [
        ("a fox, Transparent background", &[][..], true),
        ("a fox with no background", &["--transparent"], false),
        ("a transparent umbrella, white background", &[], false),
    ] {
        let common = ["generate", prompt, "--steps", "1", "-o", "a.png"];
        let drawn = place.run(&[&common, args].concat()).succeeded();
        assert_eq!(drawn.says(hint), told, "{prompt}: {drawn:?}");
    }
}

#[test]
fn small_pictures_are_cut_out_before_they_are_made_small() {
    let place = Place::new();
    draw(&place, "a palm tree", &["--size", "24x16", "-o", "a.png"]).succeeded();
    let image = image(&place, "a.png");
    assert_eq!(image.dimensions(), (24, 16));
    assert!(shares(&image)[0] > 0.3);
    let told = place.run(&["info", "a.png"]).succeeded().stdout;
    assert!(told.contains(" --size 24x16 "), "{told}");
}

#[test]
fn what_cannot_be_cut_out_is_told_and_not_written() {
    let place = Place::new();
    let drawn = draw(&place, "a teal car, on a teal background", &["-o", "a.png"]);
    drawn.refused(&["too much like its background", "another background"]);
    // A model of noise.
    let model = fixture("turbo");
    let drawn = draw(&place, "a fox", &["--model", &model, "-o", "a.png"]);
    drawn.refused(&["not plain", "--transparent"]);
    let drawn = draw(&place, "a fox", &["--model", &model, "-n", "2", "--quiet"]);
    drawn.refused(&["2 of 2 pictures", "seed 1", "not plain"]);
    draw(&place, "a fox", &["-o", "a.jpg"]).refused(&["a JPEG cannot be transparent", ".webp"]);
    draw(&place, "a fox", &["--format", "jpeg"]).refused(&["a JPEG cannot be transparent"]);
    assert!(place.files().is_empty());
}
