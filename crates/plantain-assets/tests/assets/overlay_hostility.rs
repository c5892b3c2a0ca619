use std::path::Path;

use image::RgbaImage;
use plantain_assets::{Fonts, Overlay, OverlayError};

use crate::overlays::overlay;

#[test]
fn hostile_drawings_fail_cleanly() {
    let bomb = r#"<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><text>&b;</text></svg>"#;
    let external = r#"<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg"/>"#;
    let documents = ["", "no xml", "<html/>", "<svg", bomb, external].map(String::from);
    for svg in documents {
        let error = Overlay::new(svg.clone(), Path::new("."), &Fonts::bundled());
        assert!(
            matches!(error, Err(OverlayError::Svg { .. })),
            "{svg}: {error:?}"
        );
    }
    let doubling: String = (1..40)
        .map(|n| {
            format!(
                r##"<g id="g{n}"><use href="#g{m}"/><use href="#g{m}"/></g>"##,
                m = n - 1
            )
        })
        .collect();
    let nested = format!(
        "{}{}",
        "<g opacity='0.9'>".repeat(5000),
        "</g>".repeat(5000)
    );
    let bodies = [
        format!(r#"<rect id="g0" width="1" height="1"/>{doubling}"#),
        r##"<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>"##.to_string(),
        r##"<g id="a"><use href="#a"/></g>"##.to_string(),
        nested,
    ];
    for body in bodies {
        let error = overlay(&body);
        assert!(matches!(error, Err(OverlayError::Svg { .. })), "{error:?}");
    }
}

#[test]
fn drawings_of_absurd_size_are_drawn_or_refused_but_do_no_harm() {
    let sizes = [
        r#"viewBox="0 0 1e30 1e30""#,
        r#"viewBox="0 0 0 0""#,
        r#"viewBox="0 0 1e-30 1e-30""#,
        r#"width="1e9" height="1e9""#,
        r#"viewBox="NaN 0 9 9""#,
    ];
    let bodies = [
        "<rect width='1e38' height='1e38' fill='red'/>",
        "<filter id='f'><feGaussianBlur stdDeviation='1e9'/></filter><rect width='9' height='9' filter='url(#f)'/>",
        "<filter id='f'><feTurbulence baseFrequency='1e9' numOctaves='1000000000'/></filter><rect width='9' height='9' filter='url(#f)'/>",
        "<filter id='f'><feMorphology operator='dilate' radius='1e9'/></filter><rect width='9' height='9' filter='url(#f)'/>",
        "<filter id='f'><feDropShadow dx='1e30' stdDeviation='1e30'/></filter><rect width='9' height='9' filter='url(#f)'/>",
        "<filter id='f' x='-1e9' y='-1e9' width='1e19' height='1e19'><feOffset dx='1e20'/></filter><rect width='9' height='9' filter='url(#f)'/>",
        "<pattern id='p' width='1e-6' height='1e-6' patternUnits='userSpaceOnUse'><rect width='1' height='1'/></pattern><rect width='900' height='900' fill='url(#p)'/>",
        "<mask id='m' mask='url(#m)'><rect width='9' height='9' mask='url(#m)'/></mask><rect width='9' height='9' mask='url(#m)'/>",
        "<text y='1' font-size='1e30'>x</text>",
        "<text y='1' font-size='1e-30'>x</text>",
    ];
    for size in sizes {
        for body in bodies {
            let svg = format!(r#"<svg xmlns="http://www.w3.org/2000/svg" {size}>{body}</svg>"#);
            if let Ok(overlay) = Overlay::new(svg, Path::new("."), &Fonts::bundled()) {
                overlay.draw(&mut RgbaImage::new(64, 64)).ok();
            }
        }
    }
}
