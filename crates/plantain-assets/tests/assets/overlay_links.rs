use std::fs;
use std::path::Path;

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
fn links_out_of_the_folder_are_refused() {
    let outer = folder();
    let inner = outer.path().join("brand");
    let absolute = outer.path().join("logo.png");
    let mut links = vec![
        "../logo.png".to_string(),
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
