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
        "vae",
    ] {
        assert!(inspected.stdout.contains(part), "{part}: {inspected:?}");
    }
}
