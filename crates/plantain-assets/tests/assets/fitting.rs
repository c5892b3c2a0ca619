use image::{Rgb, RgbImage};
use plantain_assets::{Fit, Insets, Subject, fit, fit_beside, measure};

use crate::scenes::{Disc, GROUND, SUBJECT, apart, gradient, noise, plain, scene};

/// Widths and heights of twenty shapes from 8:1 to 1:8.
const SHAPES: [[u32; 2]; 20] = [
    [640, 80],
    [600, 100],
    [500, 100],
    [480, 120],
    [480, 160],
    [468, 200],
    [400, 200],
    [480, 270],
    [300, 200],
    [320, 240],
    [300, 300],
    [240, 320],
    [200, 300],
    [270, 480],
    [200, 400],
    [160, 480],
    [120, 480],
    [100, 500],
    [100, 600],
    [80, 640],
];

const OFF_CENTRE: Disc = Disc {
    centre: [300.0, 90.0],
    radius: 20.0,
};

/// Pixels of the subject's colour.
fn subject_pixels(image: &RgbImage) -> f64 {
    let near = image.pixels().filter(|pixel| apart(pixel.0, SUBJECT) < 60);
    near.count() as f64
}

#[test]
fn cropping_keeps_the_subject_in_every_shape() {
    let image = plain([384, 384], OFF_CENTRE);
    let measures = measure(&image);
    for size in SHAPES {
        let cropped = fit(&image, &measures, size, Fit::Crop);
        assert_eq!(cropped.dimensions(), size.into());
        let scale = f64::from(size[0].max(size[1])) / 384.0;
        let expected = std::f64::consts::PI * (20.0 * scale).powi(2);
        let kept = subject_pixels(&cropped) / expected;
        assert!((0.9..1.1).contains(&kept), "{size:?}: {kept}");
    }
}

#[test]
fn a_crop_is_centred_on_the_subject_as_far_as_the_picture_goes() {
    let disc = Disc {
        centre: [250.0, 100.0],
        radius: 30.0,
    };
    let image = plain([600, 200], disc);
    let square = fit(&image, &measure(&image), [200, 200], Fit::Crop);
    let found = measure(&square).subject;
    assert!((found.left + found.right - 1.0).abs() < 0.02, "{found:?}");

    let disc = Disc {
        centre: [570.0, 100.0],
        radius: 30.0,
    };
    let image = plain([600, 200], disc);
    let square = fit(&image, &measure(&image), [200, 200], Fit::Crop);
    assert!(measure(&square).subject.right > 0.99);
}

#[test]
fn extending_shows_the_whole_picture_in_every_shape_and_no_seam() {
    let size = [240, 240];
    let disc = Disc {
        centre: [100.0, 130.0],
        radius: 70.0,
    };
    let grounds: [(RgbImage, u8); 3] = [
        (plain(size, disc), 1),
        (scene(size, disc, gradient(size)), 4),
        (scene(size, disc, noise(4)), 12),
    ];
    for (image, step) in grounds {
        let measures = measure(&image);
        for shape in SHAPES {
            let extended = fit(&image, &measures, shape, Fit::Extend);
            let scale = f64::from(shape[0].min(shape[1])) / 240.0;
            let expected = std::f64::consts::PI * (70.0 * scale).powi(2);
            let kept = subject_pixels(&extended) / expected;
            assert!((0.9..1.1).contains(&kept), "{shape:?}: {kept}");
            assert_no_seam(&extended, step);
        }
    }
}

/// Neighbours differ by `step` at most, but for those at the disc.
fn assert_no_seam(image: &RgbImage, step: u8) {
    let (width, height) = image.dimensions();
    let disc = measure(image).subject;
    let near = |place: u32, begin: f64, end: f64, side: u32| {
        let place = f64::from(place);
        place > begin * f64::from(side) - 5.0 && place < end * f64::from(side) + 5.0
    };
    for (x, y, pixel) in image.enumerate_pixels() {
        let at_disc =
            near(x, disc.left, disc.right, width) && near(y, disc.top, disc.bottom, height);
        for (x, y) in [(x + 1, y), (x, y + 1)] {
            if x < width && y < height && !at_disc {
                let next = image.get_pixel(x, y);
                assert!(
                    apart(pixel.0, next.0) <= step,
                    "{pixel:?} {next:?} at {x},{y}"
                );
            }
        }
    }
}

#[test]
fn a_plain_background_goes_on_exactly() {
    let disc = Disc {
        centre: [50.0, 50.0],
        radius: 30.0,
    };
    let image = plain([100, 100], disc);
    let extended = fit(&image, &measure(&image), [400, 100], Fit::Extend);
    let sides = extended
        .enumerate_pixels()
        .filter(|(x, ..)| *x < 140 || *x >= 260);
    for (.., pixel) in sides {
        assert_eq!(pixel.0, GROUND);
    }
}

#[test]
fn auto_crops_where_the_subject_allows_it_and_else_extends_plain_backgrounds_only() {
    let small = plain([384, 384], OFF_CENTRE);
    let large = Disc {
        centre: [192.0, 192.0],
        radius: 150.0,
    };
    let check = |x: u32, y: u32| {
        if (x / 32 + y / 32).is_multiple_of(2) {
            [20; 3]
        } else {
            [230; 3]
        }
    };
    let cases = [
        (small, Fit::Crop),
        (plain([384, 384], large), Fit::Extend),
        (scene([384, 384], large, check), Fit::Crop),
    ];
    for (image, expected) in cases {
        let measures = measure(&image);
        let [auto, expected] =
            [Fit::Auto, expected].map(|way| fit(&image, &measures, [400, 200], way));
        assert!(auto == expected);
    }
}

#[test]
fn black_and_white_mix_to_half_the_light() {
    let check = RgbImage::from_fn(2, 2, |x, y| Rgb([if x == y { 255 } else { 0 }; 3]));
    let one = fit(&check, &measure(&check), [1, 1], Fit::Crop);
    assert_eq!(one.get_pixel(0, 0).0, [188; 3]);

    let fine = RgbImage::from_fn(64, 64, |x, y| {
        Rgb([if (x + y).is_multiple_of(2) { 255 } else { 0 }; 3])
    });
    let grey = fit(&fine, &measure(&fine), [16, 16], Fit::Crop);
    assert!(grey.pixels().all(|pixel| pixel.0[0].abs_diff(188) <= 2));
}

#[test]
fn enlarging_keeps_between_the_colours_there_are() {
    let image = RgbImage::from_fn(32, 32, |x, _| {
        Rgb(if x < 16 {
            [30, 40, 90]
        } else {
            [250, 240, 230]
        })
    });
    let large = fit(&image, &measure(&image), [320, 320], Fit::Crop);
    for pixel in large.pixels() {
        assert!((30..=250).contains(&pixel.0[0]) && (90..=230).contains(&pixel.0[2]));
    }
    // The edge is no wider than the pixels beside it.
    assert_eq!(large.get_pixel(149, 9).0, [30, 40, 90]);
    assert_eq!(large.get_pixel(170, 9).0, [250, 240, 230]);
}

#[test]
fn reducing_keeps_between_the_colours_there_are() {
    let disc = Disc {
        centre: [256.0, 250.0],
        radius: 150.0,
    };
    let image = plain([512, 512], disc);
    let small = fit(&image, &measure(&image), [48, 48], Fit::Crop);
    let [least, most] = [u8::min, u8::max].map(|of| [0, 1, 2].map(|i| of(GROUND[i], SUBJECT[i])));
    for pixel in small.pixels() {
        for (channel, byte) in pixel.0.into_iter().enumerate() {
            assert!(
                (least[channel]..=most[channel]).contains(&byte),
                "{pixel:?}"
            );
        }
    }
}

#[test]
fn the_same_size_is_the_same_picture() {
    let image = scene([90, 60], OFF_CENTRE, noise(90));
    for way in Fit::ALL {
        assert!(fit(&image, &measure(&image), [90, 60], way) == image);
    }
}

#[test]
fn measures_that_make_no_sense_do_no_harm() {
    let image = plain([40, 30], OFF_CENTRE);
    let mut measures = measure(&image);
    let sides = [f64::NAN, -3.0, 1e300, f64::INFINITY];
    for side in sides {
        measures.subject = Subject {
            left: side,
            top: -side,
            right: 0.5,
            bottom: side,
        };
        for way in Fit::ALL {
            assert_eq!(fit(&image, &measures, [17, 90], way).dimensions(), (17, 90));
        }
    }
}

#[test]
fn what_is_covered_stays_clear_of_the_subject() {
    let image = plain([200, 200], OFF_CENTRE_OF_SQUARE);
    let measures = measure(&image);
    for (size, covered) in [
        ([300, 300], [0, 60, 0, 80]),
        ([200, 400], [0, 100, 0, 50]),
        ([400, 200], [150, 0, 0, 0]),
        ([120, 120], [20, 20, 40, 40]),
    ] {
        let [left, top, right, bottom] = covered;
        let insets = Insets {
            left,
            top,
            right,
            bottom,
        };
        let fitted = fit_beside(&image, &measures, size, insets, Fit::Auto);
        assert_eq!(fitted.dimensions(), (size[0], size[1]));
        let subject = fitted
            .enumerate_pixels()
            .filter(|(_, _, pixel)| apart(pixel.0, SUBJECT) < 60);
        let places: Vec<_> = subject.map(|(x, y, _)| [x, y]).collect();
        assert!(places.len() > 200, "{size:?}: {} pixels", places.len());
        let clear = |[x, y]: &[u32; 2]| {
            (left..size[0] - right).contains(x) && (top..size[1] - bottom).contains(y)
        };
        assert!(places.iter().all(clear), "{size:?} {covered:?}");
    }
}

const OFF_CENTRE_OF_SQUARE: Disc = Disc {
    centre: [120.0, 90.0],
    radius: 60.0,
};
