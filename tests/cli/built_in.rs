//! The model that comes with the program.

use image::RgbImage;

use crate::support::{Outcome, Place, fixture};

#[test]
fn the_built_in_model_draws() {
    let place = Place::new();
    let args = [
        "generate",
        "a red fox",
        "--seed",
        "1",
        "--steps",
        "1",
        "-o",
        "fox.png",
    ];
    place.run(&args).succeeded();
    let drawn = place.image("fox.png");
    assert!(drawn.width() >= 64 && drawn.height() >= 64);
    let mean =
        drawn.as_raw().iter().map(|v| u64::from(*v)).sum::<u64>() / drawn.as_raw().len() as u64;
    assert!((8..248).contains(&mean), "mean grey level {mean}");
}

/// Pictures are drawn at its own size and resized, and the ground of wide and tall ones goes on.
#[test]
fn the_built_in_model_draws_all_its_sizes() {
    let place = Place::new();
    let cases: [(&[&str], (u32, u32)); 11] = [
        (&[], (512, 512)),
        (&["--no-refine"], (512, 512)),
        (&["--size", "256x256"], (256, 256)),
        (&["--size", "256x448"], (256, 448)),
        (&["--size", "64x64"], (64, 64)),
        (&["--size", "397x123"], (397, 123)),
        (&["--aspect", "16:9"], (896, 512)),
        (&["--aspect", "2:3"], (512, 768)),
        (&["--aspect", "5:1"], (1280, 256)),
        (&["--size", "640x256"], (640, 256)),
        (&["--tiled"], (512, 512)),
    ];
    for (args, dimensions) in cases {
        let common = ["generate", "a fox", "--seed", "1", "--steps", "1"];
        let drawn = place.run(&[&common, args, &["-o", "a.png"]].concat());
        let drawn = drawn.succeeded();
        assert!(!drawn.stderr.contains("was trained at"), "{args:?}");
        assert_eq!(place.image("a.png").dimensions(), dimensions, "{args:?}");
    }
    let from_picture = [
        "generate",
        "a fox",
        "--init",
        "a.png",
        "--strength",
        "0.5",
        "--steps",
        "4",
        "-o",
        "b.png",
    ];
    place.run(&from_picture).succeeded();
    assert_eq!(place.image("b.png").dimensions(), (512, 512));
    let wide = [&from_picture[..8], &["--aspect", "16:9", "-o", "c.png"]].concat();
    let wide = place.run(&wide).succeeded();
    assert!(
        wide.stderr.contains("was trained at"),
        "the whole is sampled"
    );
    let refused = |size: &str, words: &str| {
        let args = ["generate", "a fox", "--size", size, "-o", "b.png"];
        place.run(&args).refused(&[words]);
    };
    refused("4x64", "each side must be 8 to 2048");
    refused("64x2049", "each side must be 8 to 2048");
    refused("900x100", "no side may be more than 8 times the other");
    let large = [
        "generate", "a fox", "--size", "768x768", "--steps", "1", "-o", "a.png",
    ];
    let large = place.run(&large).succeeded();
    assert!(large.says("768x768 pixels are drawn as 512x512 and enlarged"));
    assert_eq!(place.image("a.png").dimensions(), (768, 768));
}

/// The mean colour of a square of a sixteenth of the picture's width, around a point in sixteenths of width and height.
fn colour_at(picture: &image::RgbImage, [x, y]: [u32; 2]) -> [i32; 3] {
    let (width, height) = picture.dimensions();
    let side = width / 32;
    let [left, top] = [x * width / 16 - side, y * height / 16 - side];
    let square = image::imageops::crop_imm(picture, left, top, 2 * side, 2 * side).to_image();
    let count = square.pixels().len() as i32;
    let sum = |channel| {
        square
            .pixels()
            .map(|pixel| i32::from(pixel.0[channel]))
            .sum::<i32>()
    };
    [0, 1, 2].map(|channel| sum(channel) / count)
}

fn apart(one: [i32; 3], other: [i32; 3]) -> i32 {
    one.iter()
        .zip(other)
        .map(|(a, b)| (a - b).abs())
        .max()
        .unwrap_or_default()
}

#[test]
fn the_built_in_model_draws_several_things_on_one_ground() {
    let place = Place::new();
    let draw = |prompt: &str, more: &[&str]| {
        let prompt = format!("{prompt}, 3d render, on a teal background");
        let common = ["generate", &prompt, "--seed", "3", "-o", "a.png"];
        let drawn = place.run(&[&common, more].concat()).succeeded();
        (place.image("a.png"), drawn.stderr)
    };
    let (picture, said) = draw("a pumpkin and a snowman", &[]);
    assert!(!said.contains("warning"), "{said}");
    assert_eq!(picture.dimensions(), (512, 512));
    let [ground, left, right] = [[1, 1], [4, 8], [12, 8]].map(|place| colour_at(&picture, place));
    for corner in [[15, 1], [1, 15], [15, 15], [8, 2], [8, 14]] {
        let colour = colour_at(&picture, corner);
        assert!(
            apart(ground, colour) < 24,
            "{corner:?}: {ground:?} {colour:?}"
        );
    }
    assert!(apart(ground, left) > 60 && apart(ground, right) > 60);
    // Orange, and white with a blue scarf.
    assert!(
        left[0] > left[2] + 60 && right[2] > left[2] + 60,
        "{left:?} {right:?}"
    );
    let (turned, _) = draw("a pumpkin to the right of a snowman", &[]);
    let [left, right] = [[4, 8], [12, 8]].map(|place| colour_at(&turned, place));
    assert!(
        right[0] > right[2] + 60 && left[2] > 130,
        "{left:?} {right:?}"
    );
    let (tiled, _) = draw("a pumpkin and a snowman", &["--tiled"]);
    assert_eq!(tiled.dimensions(), (512, 512));
    let (small, said) = draw("a pumpkin and a snowman", &["--size", "128x128"]);
    assert!(!said.contains("warning"), "{said}");
    let [left, right] = [[4, 8], [12, 8]].map(|place| colour_at(&small, place));
    assert!(left[0] > left[2] + 60, "{left:?}");
    assert!(right[2] > left[2] + 60, "{right:?}");
    let (two, _) = draw("two pumpkins", &["--aspect", "2:1"]);
    assert_eq!(two.dimensions(), (1024, 512));
    let halves = [0, 512].map(|x| image::imageops::crop_imm(&two, x, 0, 512, 512).to_image());
    assert_ne!(halves[0], halves[1], "each has noise of its own");
}

/// The picture of a prompt in one step, and what the program said.
fn in_one_step(place: &Place, prompt: &str) -> (RgbImage, Outcome) {
    let args = [
        "generate", prompt, "--seed", "1", "--steps", "1", "-o", "a.png",
    ];
    let drawn = place.run(&args).succeeded();
    (place.image("a.png"), drawn)
}

#[test]
fn a_prompt_without_a_style_is_drawn_in_the_first_of_its_thing() {
    let place = Place::new();
    let draw = |prompt: &str| in_one_step(&place, prompt);
    let (plain, drawn) = draw("a fox, on a teal background");
    assert!(!drawn.says("warning"), "{drawn:?}");
    assert_eq!(plain, draw("a fox, 3d render, on a teal background").0);
    assert_ne!(plain, draw("a fox, cartoon, on a teal background").0);
    let white = draw("a fox, 3d render, on a white background").0;
    assert_eq!(draw("a fox").0, white);
    for (prompt, told) in [
        (
            "a fox eating cake",
            "drawn as `a fox, 3d render, on a white background`",
        ),
        (
            "a fox and a cat, cartoon, who play chess together",
            "drawn without `play chess`",
        ),
    ] {
        let (_, drawn) = draw(prompt);
        assert!(drawn.says(told), "{drawn:?}");
    }
}

#[test]
fn an_icon_is_drawn_in_a_style_of_its_own() {
    let place = Place::new();
    let draw = |prompt: &str| in_one_step(&place, prompt);
    let (icon, drawn) = draw("a piggy bank, app icon, on a white background");
    assert!(!drawn.says("warning"), "{drawn:?}");
    for prompt in [
        "a piggy bank",
        "piggy bank app icon",
        "a cartoon piggy bank",
    ] {
        let (_, drawn) = draw(prompt);
        assert_eq!(
            drawn.says("not as cartoon; drawn as app icon"),
            prompt.contains("cartoon"),
            "{drawn:?}"
        );
    }
    assert_eq!(draw("a piggy bank").0, icon);
    assert_eq!(draw("a piggy bank, cartoon").0, icon);
    let listed = place.run(&["inspect"]).succeeded();
    assert!(
        listed.stdout.contains("piggy bank (app icon)"),
        "{listed:?}"
    );
    assert!(!listed.stdout.contains("fox ("), "{listed:?}");
}

#[test]
fn a_campaign_tells_what_its_prompts_come_to() {
    let place = Place::new();
    let campaign = r#"name = "sale"
output = "{{ what }}.png"
prompt = "a {{ what }}"
rows = "rows.csv"

[[format]]
name = "card"
size = "512x512"
"#;
    place.write("campaign.toml", campaign);
    place.write(
        "rows.csv",
        "what\nfox\nfox that eats cake\npiggy bank\ncartoon piggy bank\n\"fox, cartoon, 3d render\"\n",
    );
    let args = ["batch", "campaign.toml", "--out", "out", "--dry-run"];
    let planned = place.run(&args).succeeded();
    for told in [
        "1 of 5 prompts say more than a thing",
        "1 of 5 prompts are drawn in another style",
        "1 of 5 prompts ask for two styles at once, such as `a fox, cartoon, 3d render`",
        "drawn as `a fox, 3d render, on a white background`",
    ] {
        assert!(planned.says(told), "{planned:?}");
    }
}

#[test]
fn the_refiner_is_timed() {
    let place = Place::new();
    let bench = |more: &[&str]| {
        let common = ["bench", "--part", "refiner", "--runs", "1", "--json"];
        place.run(&[&common, more].concat())
    };
    let row = bench(&[]).succeeded().stdout;
    assert!(
        row.contains("\"part\":\"refiner\"") && row.contains("\"width\":512"),
        "{row}"
    );
    let turbo = fixture("turbo");
    bench(&["--model", &turbo]).refused(&["has no refiner"]);
    bench(&["--size", "520x520"]).refused(&["multiples of"]);
}

#[test]
fn the_built_in_model_describes_itself() {
    let place = Place::new();
    let inspected = place.run(&["inspect"]).succeeded();
    for part in [
        "plantain",
        "licence: ",
        "styles: 3d render, flat illustration, cartoon",
        "text_encoder",
        "unet",
        "refiner",
        "vae",
    ] {
        assert!(inspected.stdout.contains(part), "{part}: {inspected:?}");
    }
}
