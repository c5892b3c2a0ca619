//! Resampling in linear light.

use std::ops::Range;

use fast_image_resize::images::TypedImage;
use fast_image_resize::pixels::U16x3;
use fast_image_resize::{FilterType, ImageView, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

use super::window::Window;
use crate::light;

/// The window of a picture in `size`; neither may be without pixels. Lanczos with three lobes where it
/// grows, without its rings; where it shrinks, Catmull-Rom over as many pixels as become one, likewise.
pub(super) fn resample(image: &RgbImage, window: &Window, size: [u32; 2]) -> RgbImage {
    let picture: [u32; 2] = image.dimensions().into();
    if picture == size && *window == Window::whole(picture) {
        return image.clone();
    }
    let [width, height] = size;
    let grows = f64::from(width) > window.size[0];
    let filter = if grows {
        FilterType::Lanczos3
    } else {
        FilterType::CatmullRom
    };
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter))
        .crop(
            window.corner[0],
            window.corner[1],
            window.size[0],
            window.size[1],
        );
    let mut resized = TypedImage::new(width, height);
    Resizer::new()
        .resize_typed(&light_of(image), &mut resized, &options)
        .expect("a window inside the picture");
    let mut out = picture_of(&resized);
    quiet(&mut out, image, window);
    out
}

/// Keeps each pixel of a resized window between those of the picture that it is made of, two by two at least. The filters go beyond
/// them beside edges, and on a dark background that shows as a black ring.
fn quiet(resized: &mut RgbImage, image: &RgbImage, window: &Window) {
    let [across, down] = [0, 1].map(|axis| {
        let count = [resized.width(), resized.height()][axis];
        let side = [image.width(), image.height()][axis];
        sources(count, side, window.corner[axis], window.size[axis])
    });
    let stride = image.width() as usize * 3;
    let rows = resized.chunks_exact_mut(across.len() * 3);
    for (row, lines) in rows.zip(down) {
        let lines = &image.as_raw()[lines.start * stride..lines.end * stride];
        for (pixel, columns) in row.chunks_exact_mut(3).zip(&across) {
            let (mut least, mut most) = ([255; 3], [0; 3]);
            for line in lines.chunks_exact(stride) {
                for source in line[columns.start * 3..columns.end * 3].chunks_exact(3) {
                    for channel in 0..3 {
                        least[channel] = least[channel].min(source[channel]);
                        most[channel] = most[channel].max(source[channel]);
                    }
                }
            }
            for (channel, byte) in pixel.iter_mut().enumerate() {
                *byte = (*byte).clamp(least[channel], most[channel]);
            }
        }
    }
}

/// The pixels of a side of `side` pixels that each of `count` equal parts of a window is made of: those that it covers, or the two
/// around its centre where it covers less.
fn sources(count: u32, side: u32, corner: f64, size: f64) -> Vec<Range<usize>> {
    let (side, part) = (f64::from(side), size / f64::from(count));
    (0..count)
        .map(|index| {
            let centre = corner + (f64::from(index) + 0.5) * part;
            let [begin, end] = if part < 2.0 {
                let first = (centre - 0.5).floor();
                [first, first + 2.0]
            } else {
                [(centre - part / 2.0).floor(), (centre + part / 2.0).ceil()]
            };
            begin.clamp(0.0, side - 1.0) as usize..end.clamp(1.0, side) as usize
        })
        .collect()
}

/// The light of a picture's pixels, in 16 bits a channel.
fn light_of(image: &RgbImage) -> TypedImage<'static, U16x3> {
    let stepped = light::stepped_table();
    let pixels = image.as_raw().chunks_exact(3);
    let pixels = pixels.map(|pixel| U16x3::new([0, 1, 2].map(|i| stepped[usize::from(pixel[i])])));
    TypedImage::from_pixels(image.width(), image.height(), pixels.collect())
        .expect("as many pixels as the picture has")
}

/// The picture of some light.
fn picture_of(light: &TypedImage<'_, U16x3>) -> RgbImage {
    let encoded = light::encoded_table();
    let bytes = light.pixels().iter();
    let bytes = bytes.flat_map(|pixel| pixel.0.map(|step| encoded[usize::from(step)]));
    RgbImage::from_raw(light.width(), light.height(), bytes.collect()).expect("three bytes a pixel")
}
