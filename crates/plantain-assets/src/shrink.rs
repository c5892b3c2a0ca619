//! Making pictures with transparency smaller.

use image::{Rgba, RgbaImage};

use crate::light::{linear, srgb};

/// `image` with each square of `factor` x `factor` pixels as one: the mean of its light, in which a pixel counts as much as
/// it covers. What does not fill a square at the right and lower side is left out.
///
/// # Panics
/// When `factor` is 0.
pub fn shrink(image: &RgbaImage, factor: u32) -> RgbaImage {
    let (width, height) = (image.width() / factor, image.height() / factor);
    RgbaImage::from_fn(width, height, |x, y| {
        let columns = x * factor..(x + 1) * factor;
        let rows = y * factor..(y + 1) * factor;
        let mut sum = [0.0; 4];
        for (u, v) in rows.flat_map(|v| columns.clone().map(move |u| (u, v))) {
            let [r, g, b, a] = image.get_pixel(u, v).0;
            let cover = f32::from(a) / 255.0;
            let light = linear([r, g, b]);
            for channel in 0..3 {
                sum[channel] += light[channel] * cover;
            }
            sum[3] += cover;
        }
        let [r, g, b, cover] = sum;
        if cover == 0.0 {
            return Rgba([0; 4]);
        }
        let [r, g, b] = srgb([r, g, b].map(|sum| sum / cover));
        let pixels = (factor * factor) as f32;
        Rgba([r, g, b, (cover / pixels * 255.0).round() as u8])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_transparent_gives_no_colour() {
        let mut image = RgbaImage::from_pixel(4, 2, Rgba([255, 0, 0, 255]));
        // Transparent green beside red; black beside white.
        image.put_pixel(0, 0, Rgba([0, 255, 0, 0]));
        image.put_pixel(1, 0, Rgba([0, 255, 0, 0]));
        for (x, y, byte) in [(2, 0, 0), (3, 0, 255), (2, 1, 255), (3, 1, 0)] {
            image.put_pixel(x, y, Rgba([byte, byte, byte, 255]));
        }
        let small = shrink(&image, 2);
        assert_eq!(small.dimensions(), (2, 1));
        assert_eq!(small.get_pixel(0, 0).0, [255, 0, 0, 128]);
        assert_eq!(small.get_pixel(1, 0).0, [188, 188, 188, 255]);
        assert_eq!(shrink(&image, 3).dimensions(), (1, 0));
    }
}
