//! Drawing over a picture.

use image::RgbaImage;
use resvg::tiny_skia::{Pixmap, PremultipliedColorU8, Transform};
use resvg::usvg::Tree;

/// Draws a tree over a picture, enlarged by `scale` in width and height. False where the picture has no
/// pixels to draw on.
pub(crate) fn over(onto: &mut RgbaImage, tree: &Tree, [across, down]: [f32; 2]) -> bool {
    let Some(mut drawn) = Pixmap::new(onto.width(), onto.height()) else {
        return false;
    };
    resvg::render(
        tree,
        Transform::from_scale(across, down),
        &mut drawn.as_mut(),
    );
    for (below, &above) in onto.pixels_mut().zip(drawn.pixels()) {
        below.0 = blended(below.0, above);
    }
    true
}

/// A straight pixel under a premultiplied one, mixed as sRGB bytes: SVG asks for that.
fn blended(below: [u8; 4], above: PremultipliedColorU8) -> [u8; 4] {
    if above.alpha() == 0 {
        return below;
    }
    let seen = u32::from(below[3]) * (255 - u32::from(above.alpha()));
    let alpha = u32::from(above.alpha()) * 255 + seen;
    let mix = |above: u8, below: u8| {
        let sum = u32::from(above) * 255 * 255 + u32::from(below) * seen;
        ((sum + alpha / 2) / alpha).min(255) as u8
    };
    [
        mix(above.red(), below[0]),
        mix(above.green(), below[1]),
        mix(above.blue(), below[2]),
        ((alpha + 127) / 255) as u8,
    ]
}
