use image::{ImageReader, Rgb, RgbImage, Rgba, RgbaImage};
use plantain_assets::{AssetFormat, EncodeError, encode};
use std::io::Cursor;

use crate::scenes::{Disc, gradient, scene};

fn picture() -> RgbImage {
    let disc = Disc {
        centre: [40.0, 30.0],
        radius: 20.0,
    };
    scene([97, 61], disc, gradient([97, 61]))
}

fn transparent() -> RgbaImage {
    RgbaImage::from_fn(31, 17, |x, y| {
        Rgba([200, (x * 8) as u8, (y * 15) as u8, (x * y) as u8])
    })
}

fn decoded(bytes: &[u8]) -> image::DynamicImage {
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .unwrap();
    reader.decode().unwrap()
}

/// Mean of the squared differences.
fn error(a: &RgbImage, b: &RgbImage) -> f64 {
    let squares = a
        .as_raw()
        .iter()
        .zip(b.as_raw())
        .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    squares.sum::<f64>() / a.as_raw().len() as f64
}

#[test]
fn png_and_webp_without_quality_lose_nothing() {
    for format in [AssetFormat::Png, AssetFormat::WebP] {
        let bytes = encode(&picture(), format, None, None).unwrap();
        assert!(decoded(&bytes).into_rgb8() == picture());
        let bytes = encode(&transparent(), format, None, None).unwrap();
        assert!(decoded(&bytes).into_rgba8() == transparent());
    }
}

#[test]
fn png_carries_its_text_in_any_script() {
    for text in ["a fox, 3d render\nSteps: 6", "лиса 🦊", "naïve"] {
        let bytes = encode(&picture(), AssetFormat::Png, None, Some(text)).unwrap();
        let reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
        let info = reader.info();
        let latin = info.uncompressed_latin1_text.iter();
        let latin = latin.map(|chunk| (chunk.keyword.clone(), chunk.text.clone()));
        let unicode = info.utf8_text.iter();
        let unicode = unicode.map(|chunk| (chunk.keyword.clone(), chunk.get_text().unwrap()));
        let found: Vec<_> = latin.chain(unicode).collect();
        assert_eq!(found, [("parameters".to_string(), text.to_string())]);
    }
}

#[test]
fn alpha_that_shows_nothing_is_left_out() {
    let opaque = RgbaImage::from_pixel(5, 5, Rgba([1, 2, 3, 255]));
    for format in AssetFormat::ALL {
        let bytes = encode(&opaque, format, None, None).unwrap();
        assert!(!decoded(&bytes).color().has_alpha(), "{format:?}");
    }
    let bytes = encode(&transparent(), AssetFormat::Png, None, None).unwrap();
    assert!(decoded(&bytes).color().has_alpha());
}

#[test]
fn a_higher_quality_costs_more_and_differs_less() {
    for format in [AssetFormat::Jpeg, AssetFormat::WebP] {
        let [low, high] =
            [30, 95].map(|quality| encode(&picture(), format, Some(quality), None).unwrap());
        assert!(low.len() < high.len(), "{format:?}");
        let [low, high] = [low, high].map(|bytes| error(&decoded(&bytes).into_rgb8(), &picture()));
        assert!(high < low && high < 50.0, "{format:?}: {low} {high}");
    }
}

#[test]
fn lossy_webp_of_any_size_is_read_by_another_decoder() {
    for (width, height) in [
        (1, 1),
        (2, 3),
        (15, 16),
        (16, 17),
        (33, 1),
        (1, 50),
        (64, 48),
    ] {
        let image = RgbImage::from_fn(width, height, |x, y| {
            Rgb([(x * 3) as u8, (y * 4) as u8, 120])
        });
        let bytes = encode(&image, AssetFormat::WebP, Some(90), None).unwrap();
        assert!(
            error(&decoded(&bytes).into_rgb8(), &image) < 20.0,
            "{width}x{height}"
        );
    }
    let bytes = encode(&transparent(), AssetFormat::WebP, Some(80), None).unwrap();
    let alphas = decoded(&bytes).into_rgba8();
    assert!(
        alphas
            .pixels()
            .zip(transparent().pixels())
            .all(|(a, b)| a.0[3] == b.0[3])
    );
}

#[test]
fn what_a_format_cannot_do_is_refused() {
    let jpeg = encode(&transparent(), AssetFormat::Jpeg, None, None);
    assert!(matches!(jpeg, Err(EncodeError::Transparent)));
    let png = encode(&picture(), AssetFormat::Png, Some(80), None);
    assert!(matches!(png, Err(EncodeError::NoQuality)));
    for quality in [0, 101] {
        let jpeg = encode(&picture(), AssetFormat::Jpeg, Some(quality), None);
        assert!(matches!(jpeg, Err(EncodeError::Quality(_))));
    }
    for format in AssetFormat::ALL {
        for quality in [None, Some(50)]
            .into_iter()
            .take(if format == AssetFormat::Png { 1 } else { 2 })
        {
            let nothing = encode(&RgbImage::new(0, 7), format, quality, None);
            assert!(
                matches!(nothing, Err(EncodeError::Encoder { .. })),
                "{format:?}"
            );
        }
    }
    assert_eq!("webp".parse(), Ok(AssetFormat::WebP));
    assert!("gif".parse::<AssetFormat>().is_err());
}
