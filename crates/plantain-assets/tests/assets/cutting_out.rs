use image::{Rgb, RgbImage, RgbaImage};
use plantain_assets::{CutOutError, cut_out};

use crate::scenes::{Disc, GROUND, SUBJECT, apart, gradient, mixed, noise, scene};

const SIZE: [u32; 2] = [200, 200];
const DISC: Disc = Disc {
    centre: [90.0, 110.0],
    radius: 60.0,
};

fn cut(image: &RgbImage) -> RgbaImage {
    cut_out(image).unwrap()
}

/// A cut-out over a colour, mixed as light.
fn over(cut: &RgbaImage, ground: [u8; 3]) -> RgbImage {
    RgbImage::from_fn(cut.width(), cut.height(), |x, y| {
        let [r, g, b, alpha] = cut.get_pixel(x, y).0;
        Rgb(mixed([r, g, b], ground, f64::from(alpha) / 255.0))
    })
}

/// Largest difference of two pictures.
fn furthest(a: &RgbImage, b: &RgbImage) -> u8 {
    a.pixels()
        .zip(b.pixels())
        .map(|(a, b)| apart(a.0, b.0))
        .fold(0, u8::max)
}

#[test]
fn a_cut_out_on_another_colour_is_as_if_it_had_been_there_always() {
    let grounds: [(RgbImage, u8); 2] = [
        (scene(SIZE, DISC, |_, _| GROUND), 16),
        (scene(SIZE, DISC, gradient(SIZE)), 24),
    ];
    for (image, tolerance) in grounds {
        let cut = cut(&image);
        for colour in [[255; 3], [0; 3], [200, 0, 160]] {
            let there = scene(SIZE, DISC, |_, _| colour);
            let error = furthest(&over(&cut, colour), &there);
            assert!(error <= tolerance, "{error} on {colour:?}");
        }
    }
}

#[test]
fn edges_have_the_colour_of_the_subject_and_nothing_of_the_background() {
    let cut = cut(&scene(SIZE, DISC, |_, _| GROUND));
    let soft = cut.pixels().filter(|pixel| (1..255).contains(&pixel.0[3]));
    let mut count = 0;
    for pixel in soft {
        let [r, g, b, _] = pixel.0;
        assert!(apart([r, g, b], SUBJECT) <= 12, "{pixel:?}");
        count += 1;
    }
    assert!(count > 150, "{count}");
}

#[test]
fn a_soft_edge_stays_soft() {
    let image = image::imageops::blur(&scene(SIZE, DISC, |_, _| GROUND), 1.5);
    let cut = cut(&image);
    let row: Vec<u8> = (20..45).map(|x| cut.get_pixel(x, 110).0[3]).collect();
    assert!(row.is_sorted(), "{row:?}");
    assert!(
        row.iter()
            .filter(|alpha| (20..235).contains(*alpha))
            .count()
            >= 3,
        "{row:?}"
    );
}

#[test]
fn noise_leaves_neither_specks_nor_holes() {
    let cut = cut(&scene(SIZE, DISC, noise(10)));
    for (x, y, pixel) in cut.enumerate_pixels() {
        let distance = (f64::from(x) + 0.5 - 90.0).hypot(f64::from(y) + 0.5 - 110.0);
        if distance > 64.0 {
            assert_eq!(pixel.0[3], 0, "{x},{y}");
        } else if distance < 56.0 {
            assert_eq!(pixel.0[3], 255, "{x},{y}");
        }
    }
}

#[test]
fn a_hole_shows_the_background_where_that_is_of_a_colour() {
    let alpha = |ground: [u8; 3], side: u32| {
        let mut image = scene(SIZE, DISC, |_, _| ground);
        for y in 110..110 + side {
            for x in 90..90 + side {
                image.put_pixel(x, y, Rgb(ground));
            }
        }
        cut(&image).get_pixel(90 + side / 2, 110 + side / 2).0[3]
    };
    assert_eq!(alpha(GROUND, 10), 0);
    // The white of an eye is no hole, nor is a speck.
    assert_eq!(alpha([250; 3], 10), 255);
    assert_eq!(alpha(GROUND, 3), 255);
}

#[test]
fn a_busy_background_cannot_be_cut_out() {
    let check = |x: u32, y: u32| {
        if (x / 8 + y / 8).is_multiple_of(2) {
            [20; 3]
        } else {
            [230; 3]
        }
    };
    let image = scene(SIZE, DISC, check);
    let cut = cut_out(&image);
    assert_eq!(cut, Err(CutOutError::NotPlain));
}

#[test]
fn a_subject_that_would_go_with_its_background_is_refused() {
    let near = GROUND.map(|channel| channel + 10);
    let image = scene(SIZE, DISC, |x, y| {
        // Within the disc's place a little lighter, as a white bear is on white.
        let inside = (f64::from(x) - 40.0).hypot(f64::from(y) - 40.0) < 30.0;
        if inside { near } else { GROUND }
    });
    // The disc is kept, and is larger.
    assert!(cut_out(&image).is_ok());
    let mut alone = RgbImage::from_pixel(SIZE[0], SIZE[1], Rgb(GROUND));
    for (x, y, pixel) in alone.enumerate_pixels_mut() {
        if (60..160).contains(&x) && (60..160).contains(&y) {
            *pixel = Rgb(if x < 70 { [250; 3] } else { near });
        }
    }
    let cut = cut_out(&alone);
    assert_eq!(cut, Err(CutOutError::TooAlike));
}

#[test]
fn an_empty_background_is_wholly_transparent() {
    let image = RgbImage::from_pixel(20, 30, Rgb(GROUND));
    assert!(cut(&image).pixels().all(|pixel| pixel.0 == [0; 4]));
}
