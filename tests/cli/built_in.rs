//! The model that comes with the program.

use crate::support::Place;

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

/// Pictures of its own size are drawn at half of it and enlarged, small ones are not, and the ground of others goes on.
#[test]
fn the_built_in_model_draws_all_its_sizes() {
    let place = Place::new();
    let cases: [(&[&str], (u32, u32)); 9] = [
        (&[], (512, 512)),
        (&["--no-refine"], (512, 512)),
        (&["--size", "256x256"], (256, 256)),
        (&["--size", "256x448"], (256, 448)),
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
    let odd = ["generate", "a fox", "--size", "400x400", "-o", "b.png"];
    place
        .run(&odd)
        .refused(&["multiple of 32", "416x416 would do"]);
    let odd = ["generate", "a fox", "--size", "360x360", "-o", "b.png"];
    place.run(&odd).refused(&["384x384 would do"]);
    let large = [
        "generate", "a fox", "--size", "768x768", "--steps", "1", "-o", "a.png",
    ];
    let large = place.run(&large).succeeded();
    assert!(large.stderr.contains("was trained at 512x512"));
}

#[test]
fn the_built_in_model_describes_itself() {
    let place = Place::new();
    let inspected = place.run(&["inspect"]).succeeded();
    for part in [
        "plantain",
        "licence: ",
        "text_encoder",
        "unet",
        "refiner",
        "upscaler",
        "vae",
    ] {
        assert!(inspected.stdout.contains(part), "{part}: {inspected:?}");
    }
}
