//! Pictures without their background.

use image::{Rgba, RgbaImage};

use crate::support::Place;

fn draw(place: &Place, prompt: &str, args: &[&str]) -> crate::support::Outcome {
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
fn it_is_drawn_on_teal_where_no_ground_is_named() {
    let place = Place::new();
    draw(&place, "a fox", &["-o", "open.png"]).succeeded();
    draw(&place, "a fox on yellow", &["-o", "named.png"]).succeeded();
    let told = |file| place.run(&["info", file]).succeeded().stdout;
    let open = told("open.png");
    assert!(open.contains("'a fox, on a teal background'"), "{open}");
    assert!(open.contains(" --transparent"), "{open}");
    assert!(told("named.png").contains("'a fox on yellow'"));
}

#[test]
fn what_cannot_be_cut_out_is_told_and_not_written() {
    let place = Place::new();
    let drawn = draw(&place, "a teal car, on a teal background", &["-o", "a.png"]);
    drawn.refused(&["too much like its background", "another background"]);
    // A model of noise.
    let model = crate::support::fixture("turbo");
    let drawn = draw(&place, "a fox", &["--model", &model, "-o", "a.png"]);
    drawn.refused(&["not plain", "--transparent"]);
    draw(&place, "a fox", &["-o", "a.jpg"]).refused(&["a JPEG cannot be transparent", ".webp"]);
    draw(&place, "a fox", &["--format", "jpeg"]).refused(&["a JPEG cannot be transparent"]);
    assert!(place.files().is_empty());
}
