use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage, RgbaImage};
use plantain_assets::{Overlay, OverlayError};

use crate::overlays::{drawn, folder, overlay, overlay_in};

#[test]
fn linked_pictures_below_the_folder_are_drawn() {
    for link in ["logo.png", "./logo.png", "brand/logo.jpg"] {
        for attribute in ["href", "xlink:href"] {
            let image = drawn(
                &format!(r#"<image {attribute}="{link}" x="600" width="600" height="600"/>"#),
                [60, 30],
            );
            let [r, g, b, _] = image.get_pixel(45, 15).0;
            assert!(r < 8 && g < 8 && b > 240, "{link}: {r} {g} {b}");
        }
    }
}

#[test]
fn a_picture_drawn_much_smaller_is_the_mean_of_its_pixels() {
    let folder = folder();
    let stripes = RgbImage::from_fn(640, 640, |_, y| Rgb([255 * (y / 2 % 2) as u8; 3]));
    stripes.save(folder.path().join("stripes 1.png")).unwrap();
    let svg = r#"<image href="stripes%201.png" width="300" height="300"/>"#;
    let overlay = overlay_in(folder.path(), svg).unwrap();
    let mut image = RgbaImage::new(60, 30);
    overlay.draw(&mut image).unwrap();
    // Drawn at 15x15 pixels, where whole rows were black or white before.
    for y in 3..12 {
        let [grey, ..] = image.get_pixel(7, y).0;
        assert!((120..=220).contains(&grey), "{y}: {grey}");
    }
}

#[test]
fn pictures_in_patterns_and_of_their_own_size_stay_as_large() {
    let folder = folder();
    let halves = RgbImage::from_fn(400, 400, |x, _| Rgb([if x < 200 { 255 } else { 0 }, 0, 0]));
    halves.save(folder.path().join("halves.png")).unwrap();
    let in_pattern = r#"<defs><pattern id="p" width="1" height="1" patternContentUnits="objectBoundingBox"><image href="halves.png" width="400" height="400" transform="scale(0.0025)"/></pattern></defs><rect width="600" height="600" fill="url(#p)"/>"#;
    let of_its_own = r#"<g transform="scale(0.25)"><image href="halves.png"/></g>"#;
    for (svg, side) in [(in_pattern, 600), (of_its_own, 100)] {
        let mut image = RgbaImage::new(1200, 600);
        let overlay = overlay_in(folder.path(), svg).unwrap();
        overlay.draw(&mut image).unwrap();
        let at = |x: u32| image.get_pixel(side * x / 10, side / 2).0;
        assert_eq!([at(1), at(4)], [[255, 0, 0, 255]; 2], "{svg}");
        assert_eq!([at(6), at(9)], [[0, 0, 0, 255]; 2], "{svg}");
        assert_eq!(at(11)[3], 0, "{svg}");
    }
}

#[test]
fn a_photo_stands_as_its_camera_says() {
    let folder = folder();
    // Red above, blue below, and to be turned to the right.
    let photo = RgbImage::from_fn(64, 64, |_, y| {
        Rgb(if y < 32 { [255, 0, 0] } else { [0, 0, 255] })
    });
    let mut jpeg = Cursor::new(Vec::new());
    photo.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    let mut bytes = jpeg.into_inner();
    let tiff = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut segment = vec![0xff, 0xe1, 0, tiff.len() as u8 + 2];
    segment.extend(tiff);
    bytes.splice(2..2, segment);
    fs::write(folder.path().join("photo.jpg"), bytes).unwrap();
    let svg = r#"<image href="photo.jpg" width="600" height="600"/>"#;
    let overlay = overlay_in(folder.path(), svg).unwrap();
    let mut image = RgbaImage::new(60, 30);
    overlay.draw(&mut image).unwrap();
    let [left, right] = [5, 25].map(|x| image.get_pixel(x, 15).0);
    assert!(left[2] > 200 && left[0] < 60, "{left:?}");
    assert!(right[0] > 200 && right[2] < 60, "{right:?}");
}

#[test]
fn links_out_of_the_folder_are_refused() {
    let outer = folder();
    let inner = outer.path().join("brand");
    let absolute = outer.path().join("logo.png");
    let mut links = vec![
        "../logo.png".to_string(),
        "%2e%2e/logo.png".to_string(),
        "./../logo.png".to_string(),
        "x/../../logo.png".to_string(),
        absolute.display().to_string(),
        format!("file://{}", absolute.display()),
        "https://example.org/logo.png".to_string(),
        "/etc/passwd".to_string(),
    ];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&absolute, inner.join("shortcut.png")).unwrap();
        links.push("shortcut.png".to_string());
    }
    for link in links {
        let error = overlay_in(
            &inner,
            &format!(r#"<image href="{link}" width="9" height="9"/>"#),
        );
        assert!(
            matches!(error, Err(OverlayError::LinkOutside { .. })),
            "{link}: {error:?}"
        );
    }
}

#[test]
fn pictures_that_cannot_be_read_are_named() {
    let folder = folder();
    fs::write(
        folder.path().join("broken.png"),
        &fs::read(folder.path().join("logo.png")).unwrap()[..40],
    )
    .unwrap();
    fs::write(folder.path().join("text.png"), "no picture").unwrap();
    fs::write(
        folder.path().join("deep.svg"),
        r#"<svg xmlns="http://www.w3.org/2000/svg"/>"#,
    )
    .unwrap();
    for name in ["missing.png", "broken.png", "text.png", "deep.svg", "brand"] {
        let error = overlay_in(
            folder.path(),
            &format!(r#"<image href="{name}" width="9" height="9"/>"#),
        );
        let error = error.unwrap_err();
        assert!(
            matches!(error, OverlayError::Picture { .. }),
            "{name}: {error}"
        );
        assert!(error.to_string().contains(name), "{error}");
    }
    let error = overlay(r#"<image href="data:image/png;base64,AAAA" width="9" height="9"/>"#);
    assert!(matches!(error, Err(OverlayError::Picture { .. })));
}

#[test]
fn the_files_that_a_drawing_links_to_are_told() {
    let folder = Path::new("brand");
    let svg = r##"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9" height="9">
        <g id="mark"><image href="marks/deep/logo.png" width="1" height="1"/></g>
        <image xlink:href="badge.jpg" width="1" height="1"/><image href="./badge.jpg" width="1" height="1"/>
        <use href="#mark"/><image href="../outside.png"/><image href="data:image/png;base64,AA=="/>
    </svg>"##;
    let files = Overlay::linked_files(svg, folder);
    let expected = ["brand/badge.jpg", "brand/marks/deep/logo.png"];
    assert_eq!(files, expected.map(Path::new));
    assert!(Overlay::linked_files("no drawing", folder).is_empty());
}
