use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage, Rgba, RgbaImage};
use plantain_assets::{AssetFormat, FontError, Fonts, Overlay, OverlayError, encode};
use tempfile::TempDir;

/// A folder with a blue logo in two formats.
pub fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let logo = RgbImage::from_pixel(8, 8, Rgb([0, 0, 255]));
    fs::create_dir(folder.path().join("brand")).unwrap();
    for (name, format) in [
        ("logo.png", AssetFormat::Png),
        ("brand/logo.jpg", AssetFormat::Jpeg),
    ] {
        let bytes = encode(&logo, format, None, None).unwrap();
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// An overlay of 1200x600 with some body, whose pictures are in a folder.
pub fn overlay_in(folder: &Path, body: &str) -> Result<Overlay, OverlayError> {
    let svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 1200 600">{body}</svg>"#
    );
    Overlay::new(svg, folder, &Fonts::bundled())
}

/// The same with the pictures of [`folder`].
pub fn overlay(body: &str) -> Result<Overlay, OverlayError> {
    overlay_in(folder().path(), body)
}

/// An overlay over a white picture.
pub fn drawn(body: &str, size: [u32; 2]) -> RgbaImage {
    let mut image = RgbaImage::from_pixel(size[0], size[1], Rgba([255; 4]));
    overlay(body).unwrap().draw(&mut image).unwrap();
    image
}

/// First and last column that is not white.
fn inked(image: &RgbaImage) -> [u32; 2] {
    let columns = image
        .enumerate_pixels()
        .filter(|(.., pixel)| pixel.0[1] < 128);
    let columns: Vec<u32> = columns.map(|(x, ..)| x).collect();
    [
        *columns.iter().min().unwrap(),
        *columns.iter().max().unwrap(),
    ]
}

fn headline(text: &str, attributes: &str) -> String {
    format!(r#"<text id="headline" x="100" y="300" font-size="96" {attributes}>{text}</text>"#)
}

#[test]
fn a_drawing_is_scaled_to_the_picture() {
    let body = r#"<rect x="600" width="600" height="600" fill="red"/>"#;
    for size in [[1200, 600], [300, 150], [301, 150]] {
        let image = drawn(body, size);
        assert_eq!(image.get_pixel(10, 10).0, [255; 4]);
        assert_eq!(image.get_pixel(size[0] - 10, 10).0, [255, 0, 0, 255]);
        assert!(inked(&image)[0].abs_diff(size[0] / 2) <= 1);
    }
}

#[test]
fn a_picture_of_another_shape_is_refused_with_both() {
    let error = overlay("")
        .unwrap()
        .draw(&mut RgbaImage::new(600, 600))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the overlay is made for the shape 1200x600, the picture has 600x600 pixels"
    );
    assert!(
        overlay("")
            .unwrap()
            .draw(&mut RgbaImage::new(0, 0))
            .is_err()
    );
}

#[test]
fn drawings_mix_with_what_is_below_and_keep_transparency() {
    let half = r#"<rect width="1200" height="600" fill="black" fill-opacity="0.5"/>"#;
    assert_eq!(
        drawn(half, [60, 30]).get_pixel(5, 5).0,
        [127, 127, 127, 255]
    );
    let mut clear = RgbaImage::new(60, 30);
    overlay(half).unwrap().draw(&mut clear).unwrap();
    assert_eq!(clear.get_pixel(5, 5).0, [0, 0, 0, 128]);
    let mut faint = RgbaImage::from_pixel(60, 30, Rgba([255, 0, 0, 128]));
    overlay(half).unwrap().draw(&mut faint).unwrap();
    assert_eq!(faint.get_pixel(5, 5).0, [85, 0, 0, 192]);
}

#[test]
fn a_text_that_is_too_wide_is_set_smaller_and_no_smaller_than_needed() {
    let wide = "Twelve red foxes in the morning";
    let free = inked(&drawn(
        &headline(wide, r#"font-weight="bold" textLength="1000""#),
        [1200, 600],
    ));
    assert!(free[1] > 1000);
    let fitted = headline(wide, r#"data-max-width="700" data-min-size="20""#);
    let [left, right] = inked(&drawn(&fitted, [1200, 600]));
    assert!((690..=702).contains(&(right - left)), "{left} {right}");
    // What fits stays as it is.
    let roomy = headline("Fox", r#"data-max-width="700" data-min-size="20""#);
    assert!(drawn(&roomy, [1200, 600]) == drawn(&headline("Fox", ""), [1200, 600]));
}

#[test]
fn several_texts_are_fitted_at_once() {
    let body = r#"<text id="a" x="9" y="100" font-size="90" data-max-width="300" data-min-size="9">The first of them</text>
        <text id="b" x="9" y="300" font-size="90" data-max-width="500" data-min-size="9">And the second one</text>"#;
    let image = drawn(body, [1200, 600]);
    assert!((500..=512).contains(&inked(&image)[1]));
}

#[test]
fn a_text_that_does_not_fit_is_named() {
    let text = "Donaudampfschifffahrtsgesellschaft ahoy";
    let error = overlay(&headline(
        text,
        r#"data-max-width="300" data-min-size="40""#,
    ))
    .unwrap_err();
    let OverlayError::TextDoesNotFit {
        id,
        text: named,
        size,
        width,
        max_width,
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(
        (id.as_str(), named.as_str(), *size, *max_width),
        ("headline", text, 40.0, 300.0)
    );
    assert!(*width > 300.0);
    assert!(error.to_string().contains(text));
    // Without a smallest size the size stays.
    let error = overlay(&headline(text, r#"data-max-width="300""#)).unwrap_err();
    assert!(matches!(
        error,
        OverlayError::TextDoesNotFit { size: 96.0, .. }
    ));
}

#[test]
fn a_text_to_be_fitted_needs_what_fitting_needs() {
    let bad = [
        r#"<text y="99" font-size="9" data-max-width="9">x</text>"#,
        r#"<text id="t" y="99" data-max-width="9">x</text>"#,
        r#"<text id="t" y="99" font-size="2em" data-max-width="9">x</text>"#,
        r#"<text id="t" y="99" font-size="9" data-max-width="wide">x</text>"#,
        r#"<text id="t" y="99" font-size="9" data-max-width="9" data-min-size="-1">x</text>"#,
        r#"<text y="99"><tspan id="t" font-size="9" data-max-width="9">x</tspan></text>"#,
        r#"<g id="t" font-size="9" data-max-width="9"><text y="99">x</text></g>"#,
        r##"<defs><text id="t" y="99" font-size="9" data-max-width="9">x</text></defs><use href="#t"/>"##,
        r#"<mask><text id="t" y="99" font-size="9" data-max-width="9">x</text></mask>"#,
        r#"<text id="t" y="99" font-size="9" data-max-width="9">x</text><text id="t" y="99">x</text>"#,
    ];
    for body in bad {
        let error = overlay(body).unwrap_err();
        assert!(
            matches!(error, OverlayError::Unfittable { .. }),
            "{body}: {error}"
        );
    }
    assert!(overlay(r#"<text id="t" font-size="9" data-max-width="9">   </text>"#).is_ok());
}

#[test]
fn other_languages_than_svg_are_refused_where_nothing_stands_for_them() {
    let foreign = r#"<foreignObject width="9" height="9"><p>x</p></foreignObject>"#;
    for alone in [foreign, &format!("<switch>{foreign}</switch>")] {
        let error = overlay(alone).unwrap_err().to_string();
        assert!(error.contains("foreignObject"), "{error}");
    }
    overlay(&format!(
        r#"<switch>{foreign}<rect width="9" height="9"/></switch>"#
    ))
    .unwrap();
}

#[test]
fn a_text_that_leaves_the_picture_is_named() {
    for position in [
        r#"x="1100" y="300""#,
        r#"x="-15" y="300""#,
        r#"x="9" y="30""#,
        r#"x="9" y="599""#,
    ] {
        let error = overlay(&format!(
            r#"<text id="claim" font-size="96" {position}>Hygge</text>"#
        ));
        let Err(OverlayError::TextLeaves { id, text }) = error else {
            panic!("{position}: {error:?}");
        };
        assert_eq!((id.as_str(), text.as_str()), ("claim", "Hygge"));
    }
    overlay(r#"<g transform="scale(0.1)"><text x="9000" y="900" font-size="96">Hygge</text></g>"#)
        .unwrap();
}

#[test]
fn letters_of_european_scripts_are_there_and_others_are_named() {
    overlay(&headline(
        "Größe Łódź Ďakujem ệ € – “Ψυχή” Съешь їжак",
        r#"font-size="40""#,
    ))
    .unwrap_err();
    let text = r#"<text x="9" y="99" font-size="30" font-weight="WEIGHT">Größe Łódź Ďakujem ệ € – “Ψυχή” Съешь їжак…</text>"#;
    for weight in ["400", "700"] {
        overlay(&text.replace("WEIGHT", weight)).unwrap();
    }
    for (text, missing) in [("Hi 🦊!", "🦊"), ("漢字", "漢")] {
        let error = overlay(&headline(text, "")).unwrap_err();
        let OverlayError::NoGlyph {
            character,
            text: named,
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!((character.as_str(), named.as_str()), (missing, text));
    }
}

#[test]
fn bold_is_bolder() {
    let ink = |weight: &str| {
        let image = drawn(
            &headline("Fox", &format!(r#"font-weight="{weight}""#)),
            [1200, 600],
        );
        image.pixels().filter(|pixel| pixel.0[0] < 128).count()
    };
    assert!(ink("bold") as f64 > 1.2 * ink("normal") as f64);
}

#[test]
fn families_that_are_not_there_are_named_unless_another_will_do() {
    let error = overlay(&headline("Fox", r#"font-family="Acme Grotesk""#)).unwrap_err();
    assert!(error.to_string().contains("Acme Grotesk"), "{error}");
    for family in ["Acme Grotesk, sans-serif", "serif", "Noto Sans"] {
        overlay(&headline("Fox", &format!(r#"font-family="{family}""#))).unwrap();
    }
}

#[test]
fn fonts_of_a_folder_are_added() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("readme.txt"), "no font").unwrap();
    let fonts = Fonts::bundled().with_folder(folder.path()).unwrap();
    Overlay::new(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>"#.into(),
        folder.path(),
        &fonts,
    )
    .unwrap();
    fs::write(folder.path().join("bad.ttf"), "no font either").unwrap();
    let error = Fonts::bundled().with_folder(folder.path()).unwrap_err();
    assert!(matches!(error, FontError::NoFont { .. }));
    let error = Fonts::bundled()
        .with_folder(&folder.path().join("none"))
        .unwrap_err();
    assert!(matches!(error, FontError::Read { .. }));
}
