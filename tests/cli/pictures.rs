//! `plantain generate`, where it goes well.

use crate::support::{Place, fixture};

#[test]
fn a_picture_has_the_models_size_and_the_last_line_tells_about_it() {
    let place = Place::new();
    let args = ["-o", "fox.png", "--seed", "7", "--device", "flex"];
    let drawn = place.draw(&args).succeeded();
    assert_eq!(place.image("fox.png").dimensions(), (24, 16));
    assert_eq!(place.files(), ["fox.png"]);
    let last = drawn.stdout.lines().last().unwrap();
    let rest = last.strip_prefix("fox.png  seed 7  ").unwrap();
    let seconds = rest.strip_suffix(" s").unwrap();
    assert!(seconds.parse::<f64>().is_ok(), "{last}");
    assert_eq!(drawn.stderr, "");
}

/// Where a build for graphics processors finds none, that is said, unless nothing is to be.
#[test]
fn falling_back_to_the_cpu_is_told() {
    let place = Place::new();
    let devices = place.run(&["devices"]).succeeded().stdout;
    let auto = devices.lines().find(|line| line.starts_with("auto"));
    let reason = auto.unwrap().split_once(", now flex: ").map(|(_, why)| why);
    let told = match reason {
        Some(why) if cfg!(feature = "wgpu") => format!("note: drawing on the CPU: {why}\n"),
        _ => String::new(),
    };
    assert_eq!(place.draw(&["-o", "a.png"]).succeeded().stderr, told);
    let quiet = place.draw(&["-o", "a.png", "--quiet"]).succeeded();
    assert_eq!(quiet.stderr, "");
}

#[test]
fn without_an_output_the_seed_names_the_file() {
    let place = Place::new();
    place.draw(&["--seed", "12"]).succeeded();
    place
        .draw(&["--seed", "12", "--format", "webp"])
        .succeeded();
    assert_eq!(place.files(), ["plantain-12.png", "plantain-12.webp"]);
}

#[test]
fn without_a_seed_every_run_has_another() {
    let place = Place::new();
    place.draw(&[]).succeeded();
    place.draw(&[]).succeeded();
    assert_eq!(place.files().len(), 2);
}

#[test]
fn the_same_seed_gives_identical_bytes_and_another_seed_others() {
    let place = Place::new();
    for device in ["flex", "ndarray"] {
        for (name, seed) in [("a.png", "7"), ("b.png", "7"), ("c.png", "8")] {
            let args = ["--device", device, "--seed", seed, "-o", name];
            place.draw(&args).succeeded();
        }
        assert_eq!(place.read("a.png"), place.read("b.png"), "{device}");
        assert_ne!(place.image("a.png"), place.image("c.png"), "{device}");
    }
}

#[test]
fn devices_agree_within_a_few_grey_levels() {
    let place = Place::new();
    for (model, steps) in [("turbo", "1"), ("modern", "4")] {
        for device in ["flex", "ndarray"] {
            let name = format!("{device}.png");
            let args = [
                "--device", device, "--seed", "3", "--steps", steps, "-o", &name, "--json",
            ];
            let drawn = place.draw_from("a fox", &fixture(model), &args).succeeded();
            let said = format!("\"device\":\"{device}\"");
            assert!(drawn.stdout.contains(&said), "{drawn:?}");
        }
        let (flex, ndarray) = (place.image("flex.png"), place.image("ndarray.png"));
        let pairs = flex.as_raw().iter().zip(ndarray.as_raw());
        let worst = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 2, "{model}: {worst} grey levels");
        let brightest = flex.as_raw().iter().max();
        assert_ne!(flex.as_raw().iter().min(), brightest, "{model} is flat");
    }
}

#[test]
fn each_of_several_pictures_equals_a_single_run_with_its_seed() {
    let place = Place::new();
    let args = ["-n", "3", "--seed", "7", "-o", "many.png"];
    let drawn = place.draw(&args).succeeded();
    assert_eq!(place.files(), ["many-7.png", "many-8.png", "many-9.png"]);
    assert_eq!(drawn.stdout.lines().count(), 3);
    for seed in ["7", "8", "9"] {
        place.draw(&["--seed", seed, "-o", "one.png"]).succeeded();
        let many = place.read(&format!("many-{seed}.png"));
        assert_eq!(many, place.read("one.png"), "seed {seed}");
    }
}

#[test]
fn the_seed_after_the_largest_is_zero() {
    let place = Place::new();
    let largest = u64::MAX.to_string();
    let args = ["-n", "2", "--seed", &largest, "-o", "x.png"];
    place.draw(&args).succeeded();
    assert_eq!(
        place.files(),
        ["x-0.png".into(), format!("x-{largest}.png")]
    );
}

#[test]
fn the_extension_or_format_chooses_the_encoding() {
    let place = Place::new();
    let cases: [(&[&str], &str, &[u8]); 7] = [
        (&["-o", "a.png"], "a.png", b"\x89PNG"),
        (&["-o", "a.PNG"], "a.PNG", b"\x89PNG"),
        (&["-o", "a.jpg"], "a.jpg", b"\xff\xd8\xff"),
        (
            &["-o", "a.jpeg", "--format", "jpg"],
            "a.jpeg",
            b"\xff\xd8\xff",
        ),
        (&["-o", "a.webp"], "a.webp", b"RIFF"),
        (
            &["-o", "plain", "--format", "jpeg"],
            "plain",
            b"\xff\xd8\xff",
        ),
        (&["-o", "plain2"], "plain2", b"\x89PNG"),
    ];
    for (args, name, start) in cases {
        place.draw(args).succeeded();
        assert!(place.read(name).starts_with(start), "{name}");
        assert_eq!(place.image(name).dimensions(), (24, 16), "{name}");
    }
}

#[test]
fn webp_holds_the_pixels_of_the_png() {
    let place = Place::new();
    place.draw(&["--seed", "1", "-o", "a.png"]).succeeded();
    place.draw(&["--seed", "1", "-o", "a.webp"]).succeeded();
    assert_eq!(place.image("a.png"), place.image("a.webp"));
}

#[test]
fn sizes_with_odd_latents_work_and_are_warned_about() {
    let place = Place::new();
    for (size, dimensions) in [("72x40", (72, 40)), ("26x18", (26, 18)), ("6x50", (6, 50))] {
        let drawn = place.draw(&["--size", size, "-o", "a.png"]).succeeded();
        assert_eq!(place.image("a.png").dimensions(), dimensions);
        assert!(
            drawn.says(&format!("trained at 24x16; at {size}")),
            "{drawn:?}"
        );
    }
}

#[test]
fn a_shape_keeps_about_the_models_area() {
    let place = Place::new();
    for (shape, dimensions) in [("16:9", (28, 16)), ("9:16", (16, 28)), ("1:1", (20, 20))] {
        place.draw(&["--aspect", shape, "-o", "a.png"]).succeeded();
        assert_eq!(place.image("a.png").dimensions(), dimensions, "{shape}");
    }
}

/// The latent is 16 times smaller, and the finest level of the decoder has no blocks.
#[test]
fn a_decoder_of_five_levels_draws_every_shape() {
    let place = Place::new();
    let model = fixture("deep");
    let cases: [(&[&str], (u32, u32)); 9] = [
        (&[], (128, 128)),
        (&["--size", "256x256"], (256, 256)),
        (&["--size", "512x512"], (512, 512)),
        (&["--size", "320x192"], (320, 192)),
        (&["--size", "16x48"], (16, 48)),
        (&["--aspect", "3:2"], (160, 96)),
        (&["--aspect", "16:9"], (160, 96)),
        (&["--aspect", "9:16"], (96, 160)),
        (&["--aspect", "1:1"], (128, 128)),
    ];
    for (args, dimensions) in cases {
        let args = [args, &["--steps", "1", "-o", "a.png"]].concat();
        place.draw_from("a fox", &model, &args).succeeded();
        assert_eq!(place.image("a.png").dimensions(), dimensions, "{args:?}");
    }
    for size in ["250x256", "256x248", "8x16"] {
        let args = ["--size", size, "-o", "b.png"];
        let drawn = place.draw_from("a fox", &model, &args);
        drawn.refused(&["multiple of 16 for this model"]);
    }
    let inspected = place.run(&["inspect", &model]).succeeded();
    assert!(inspected.stdout.contains("16 times larger"));
    assert_eq!(place.files(), ["a.png"]);
}

#[test]
fn every_sampler_that_serves_the_model_draws() {
    let place = Place::new();
    let model = fixture("modern");
    for sampler in ["lcm", "tcd", "euler", "euler-a", "ddim", "dpmpp-2m"] {
        let name = format!("{sampler}.png");
        let args = ["--sampler", sampler, "--steps", "3", "-o", &name];
        place.draw_from("a fox", &model, &args).succeeded();
        assert_eq!(place.image(&name).dimensions(), (16, 16), "{sampler}");
    }
}

#[test]
fn json_is_one_object_per_picture_and_nothing_else() {
    let place = Place::new();
    let args = [
        "--json",
        "-n",
        "2",
        "--seed",
        "7",
        "-o",
        "a.png",
        "--guidance",
        "2",
    ];
    let drawn = place.draw(&args).succeeded();
    let lines: Vec<serde_json::Value> = drawn
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object per line"))
        .collect();
    assert_eq!(lines.len(), 2);
    for (line, seed) in lines.iter().zip([7, 8]) {
        assert_eq!(line["seed"], seed);
        assert_eq!(line["path"], format!("a-{seed}.png"));
        assert_eq!(line["prompt"], "a red fox");
        assert_eq!((&line["width"], &line["height"]), (&24.into(), &16.into()));
        assert_eq!(line["sampler"], "euler");
        assert_eq!(line["guidance"], 2.0);
        assert_eq!(line["device"], "flex");
        assert!(line["seconds"].is_number());
    }
}

#[test]
fn quiet_prints_nothing_not_even_warnings() {
    let place = Place::new();
    let args = [
        "--quiet",
        "-o",
        "a.png",
        "--guidance",
        "5",
        "--size",
        "72x40",
    ];
    let drawn = place.draw(&args).succeeded();
    assert_eq!((drawn.stdout.as_str(), drawn.stderr.as_str()), ("", ""));
    assert_eq!(place.files(), ["a.png"]);
}

#[test]
fn settings_that_fight_the_model_are_warned_about() {
    let place = Place::new();
    let cases: [(&[&str], &str); 3] = [
        (
            &["--guidance", "5"],
            "was distilled to run without guidance",
        ),
        (&["--negative", "snow"], "the negative prompt has no effect"),
        (&["--steps", "30"], "is meant for 1 steps; 30 take longer"),
    ];
    for (args, warning) in cases {
        let drawn = place.draw(&[args, &["-o", "a.png"]].concat()).succeeded();
        assert!(drawn.says("warning: "), "{drawn:?}");
        assert!(drawn.says(warning), "{drawn:?}");
    }
}

#[test]
fn guidance_and_the_negative_prompt_change_the_picture() {
    let place = Place::new();
    let cases: [&[&str]; 3] = [
        &[],
        &["--guidance", "4"],
        &["--guidance", "4", "--negative", "snow"],
    ];
    let pictures = cases.map(|args| {
        let args = [args, &["--seed", "1", "-o", "a.png"]].concat();
        place.draw(&args).succeeded();
        place.image("a.png")
    });
    assert_ne!(pictures[0], pictures[1]);
    assert_ne!(pictures[1], pictures[2]);
}

#[test]
fn a_style_goes_around_the_prompt() {
    let place = Place::new();
    let drawn = place.draw(&["--style", "3d", "--json"]).succeeded();
    assert!(
        drawn.stdout.contains("\"prompt\":\"a red fox, 3d render\""),
        "{drawn:?}"
    );
}
