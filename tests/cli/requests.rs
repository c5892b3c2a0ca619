//! What `plantain generate` refuses, before it writes anything.

use crate::support::{Place, fixture};

/// Checks that each of `cases` is refused with the words given, and leaves nothing behind.
#[track_caller]
fn all_refused(cases: &[(&[&str], &[&str])]) {
    let place = Place::new();
    for &(args, parts) in cases {
        place
            .draw(&[args, &["-o", "a.png"]].concat())
            .refused(parts);
        assert_eq!(place.files(), Vec::<String>::new(), "{args:?}");
    }
}

#[test]
fn sizes_that_cannot_be_made() {
    all_refused(&[
        (
            &["--size", "25x16"],
            &["25x16", "multiple of 2", "26x16 would do"],
        ),
        (&["--size", "2047x2047"], &["2048x2048 would do"]),
        (&["--size", "0x16"], &["0x16", "a size such as 512x512"]),
        (&["--size", "24x0"], &["24x0"]),
        (
            &["--size", "100000x100000"],
            &["100000x100000", "2 to 2048"],
        ),
        (&["--size", "24x2050"], &["24x2050", "2 to 2048"]),
        (&["--size", "4294967296x8"], &["a size such as 512x512"]),
    ]);
}

#[test]
fn sizes_that_are_none() {
    for size in ["", "24", "24x", "x16", "24x16x8", "2.5x4", "24 16", "axb"] {
        all_refused(&[(&["--size", size], &["--size <WxH>"])]);
    }
}

#[test]
fn shapes_that_are_none() {
    all_refused(&[
        (&["--aspect", "16x9"], &["a shape such as 16:9"]),
        (&["--aspect", "0:9"], &["a shape such as 16:9"]),
        (&["--aspect", "9:1"], &["narrower than 8:1"]),
        (&["--aspect", "1:4294967295"], &["narrower than 8:1"]),
        (
            &["--aspect", "1:1", "--size", "8x8"],
            &["--size", "--aspect"],
        ),
    ]);
}

#[test]
fn names_that_nothing_has() {
    all_refused(&[
        (&["--sampler", "magic"], &["magic", "lcm", "dpmpp-2m"]),
        (&["--device", "gpu"], &["gpu", "auto, flex, ndarray, wgpu"]),
        (&["--style", "baroque"], &["baroque", "watercolor"]),
        (&["--format", "gif"], &["gif", "png, jpeg or webp"]),
        (&["--sead", "1"], &["--sead", "--seed"]),
    ]);
}

#[test]
fn step_counts_out_of_range() {
    all_refused(&[
        (&["--steps", "0"], &["steps 0", "at least 1"]),
        (&["--steps", "-1"], &["--steps", "-1"]),
        (&["--steps", "many"], &["--steps", "many"]),
    ]);
    let place = Place::new();
    let drawn = place.draw(&["--steps", "1001", "-o", "a.png"]);
    drawn.refused(&["euler", "1 to 1000 steps", "1001"]);
    assert!(place.files().is_empty());
}

#[test]
fn guidance_out_of_range() {
    for scale in ["nan", "-1", "1e9", "inf"] {
        all_refused(&[(
            &["--guidance", scale],
            &["guidance", "out of range", "0 to 100"],
        )]);
    }
    all_refused(&[(&["--guidance", "strong"], &["--guidance", "strong"])]);
}

#[test]
fn counts_and_seeds_out_of_range() {
    all_refused(&[
        (&["-n", "0"], &["--count", "1..=10000"]),
        (&["-n", "10001"], &["--count", "1..=10000"]),
        (&["--seed", "-1"], &["--seed", "-1"]),
        (
            &["--seed", "18446744073709551616"],
            &["--seed", "no whole number from 0"],
        ),
        (&["--seed", "x"], &["--seed", "x"]),
    ]);
}

#[test]
fn a_sampler_for_other_models() {
    let place = Place::new();
    let args = ["--sampler", "flow-euler", "-o", "a.png"];
    let drawn = place.draw_from("a fox", &fixture("modern"), &args);
    drawn.refused(&["flow-euler", "epsilon"]);
    assert!(place.files().is_empty());
}
