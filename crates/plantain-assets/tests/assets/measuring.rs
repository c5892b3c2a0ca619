use image::{Rgb, RgbImage, imageops};
use plantain_assets::{AssetFormat, Measures, PerceptualHash, Subject, encode, measure};

use crate::scenes::{Disc, GROUND, SUBJECT, apart, gradient, noise, plain, scene};

const SIZE: [u32; 2] = [320, 240];
const DISC: Disc = Disc {
    centre: [90.0, 150.0],
    radius: 50.0,
};

fn assert_box(subject: &Subject, tolerance: f64) {
    let expected = [
        (subject.left, 40.0 / 320.0),
        (subject.right, 140.0 / 320.0),
        (subject.top, 100.0 / 240.0),
        (subject.bottom, 200.0 / 240.0),
    ];
    for (side, expected) in expected {
        assert!((side - expected).abs() < tolerance, "{subject:?}");
    }
}

#[test]
fn a_disc_is_found_on_a_plain_a_shaded_and_a_noisy_ground() {
    let measures = measure(&plain(SIZE, DISC));
    assert_box(&measures.subject, 0.01);
    assert_eq!(measures.background.unwrap().0, GROUND);
    assert!(!measures.blank);

    let measures = measure(&scene(SIZE, DISC, gradient(SIZE)));
    assert_box(&measures.subject, 0.01);
    assert!(apart(measures.background.unwrap().0, [50, 110, 170]) <= 3);

    let measures = measure(&scene(SIZE, DISC, noise(12)));
    assert_box(&measures.subject, 0.02);
    assert!(apart(measures.background.unwrap().0, GROUND) <= 3);
}

#[test]
fn a_disc_that_touches_a_side_is_found_and_has_no_margin() {
    let disc = Disc {
        centre: [20.0, 120.0],
        radius: 40.0,
    };
    let measures = measure(&plain(SIZE, disc));
    assert_eq!(measures.background.unwrap().0, GROUND);
    assert_eq!(measures.subject.left, 0.0);
    assert_eq!(measures.subject.margins(), 0.0);
    assert!((measures.subject.right - 60.0 / 320.0).abs() < 0.01);
}

#[test]
fn margins_are_the_smallest_distance_to_a_side() {
    let margins = measure(&plain(SIZE, DISC)).subject.margins();
    assert!((margins - 40.0 / 320.0).abs() < 0.01, "{margins}");
}

#[test]
fn a_busy_border_is_no_background_and_edges_show_the_subject() {
    let stripes = |x: u32, y: u32| {
        if (x / 20 + y / 20).is_multiple_of(2) {
            [90; 3]
        } else {
            [200; 3]
        }
    };
    let measures = measure(&scene(SIZE, DISC, stripes));
    assert_eq!(measures.background, None);

    // Too steep to be soft, but smooth; the disc has all the edges.
    let steep = |x: u32, _: u32| [(60 + x * 3 / 5) as u8; 3];
    let measures = measure(&scene(SIZE, DISC, steep));
    assert_eq!(measures.background, None);
    assert_box(&measures.subject, 0.05);
}

#[test]
fn pictures_with_nothing_on_them_are_blank() {
    let empty = [
        RgbImage::from_pixel(64, 64, Rgb([7, 90, 200])),
        RgbImage::from_fn(64, 64, |x, y| Rgb(gradient([64, 64])(x, y))),
        RgbImage::from_fn(64, 64, |x, y| Rgb(noise(6)(x, y))),
        RgbImage::new(0, 0),
    ];
    for image in empty {
        let measures = measure(&image);
        assert!(measures.blank);
        assert_eq!(measures.subject, Subject::WHOLE);
    }
    let loud = RgbImage::from_fn(64, 64, |x, y| Rgb(noise(120)(x, y)));
    assert!(!measure(&loud).blank);
}

#[test]
fn blurring_takes_sharpness_and_spares_contrast() {
    let sharp = plain(SIZE, DISC);
    let soft = imageops::blur(&sharp, 4.0);
    let [sharp, soft] = [sharp, soft].map(|image| measure(&image));
    assert!(soft.sharpness < 0.4 * sharp.sharpness, "{soft:?} {sharp:?}");
    assert!((soft.contrast - sharp.contrast).abs() < 0.02);
}

#[test]
fn the_palette_tells_the_colours_and_their_shares() {
    let palette = measure(&plain(SIZE, DISC)).palette;
    let part = std::f64::consts::PI * 50.0 * 50.0 / (320.0 * 240.0);
    assert!(apart(palette[0].rgb.0, GROUND) <= 2 && apart(palette[1].rgb.0, SUBJECT) <= 2);
    assert!((palette[0].share - (1.0 - part)).abs() < 0.01);
    assert!((palette[1].share - part).abs() < 0.01);

    let bands = RgbImage::from_fn(80, 8, |x, _| Rgb([(x / 10 * 36) as u8; 3]));
    assert_eq!(measure(&bands).palette.len(), 5);
}

#[test]
fn the_hash_stays_through_resizing_and_jpeg() {
    let image = scene([512, 384], DISC, gradient([512, 384]));
    let hash = measure(&image).hash;
    let small = imageops::resize(&image, 200, 150, imageops::FilterType::Triangle);
    let distances = |image| hash.distance(measure(image).hash);
    assert!(distances(&small) <= 2);
    let jpeg = encode(&image, AssetFormat::Jpeg, Some(40), None).unwrap();
    let jpeg = image::load_from_memory(&jpeg).unwrap().to_rgb8();
    assert!(distances(&jpeg) <= 4, "{}", distances(&jpeg));

    let elsewhere = Disc {
        centre: [400.0, 90.0],
        radius: 80.0,
    };
    let other = measure(&scene([512, 384], elsewhere, gradient([512, 384])));
    assert!(hash.distance(other.hash) > 6);
}

#[test]
fn measures_come_back_from_json_as_they_were() {
    let measures = measure(&scene(SIZE, DISC, noise(9)));
    let json = serde_json::to_string(&measures).unwrap();
    assert!(json.contains(&format!(r#""hash":"{}""#, measures.hash)));
    assert!(json.contains(r##""background":"#"##));
    let back: Measures = serde_json::from_str(&json).unwrap();
    assert_eq!(back, measures);
}

#[test]
fn hashes_and_colours_that_are_none_are_refused() {
    assert_eq!("00000000000000ff".parse(), Ok(PerceptualHash(255)));
    for bad in [
        "",
        "ff",
        "+0000000000000ff",
        "00000000000000fg",
        "00000000000000fff",
    ] {
        assert!(bad.parse::<PerceptualHash>().is_err(), "{bad}");
    }
    for bad in [
        "", "#", "123456", "#12345", "#12345g", "#+12345", "#1234567",
    ] {
        assert!(bad.parse::<plantain_assets::Rgb>().is_err(), "{bad}");
    }
}

#[test]
fn colours_that_are_as_light_are_told_apart() {
    // Orange on green: luminance hardly differs.
    let image = RgbImage::from_fn(64, 64, |x, _| {
        Rgb(if x < 32 {
            [245, 140, 50]
        } else {
            [80, 190, 95]
        })
    });
    let measures = measure(&image);
    assert!(measures.sharpness > 0.5, "{}", measures.sharpness);
    assert!(measures.contrast > 0.5, "{}", measures.contrast);
}
