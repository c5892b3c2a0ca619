//! Resampling in linear light.

use fast_image_resize::images::TypedImage;
use fast_image_resize::pixels::U16x3;
use fast_image_resize::{FilterType, ImageView, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

use super::window::Window;
use crate::light;

/// The window of a picture in `size`; neither may be without pixels. Lanczos with three lobes where it
/// grows, without its rings; where it shrinks, Catmull-Rom over as many pixels as become one.
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
    if grows {
        quiet(&mut out, image, window);
    }
    out
}

/// Keeps each pixel of an enlarged window between the four pixels around its place. Lanczos goes beyond
/// them beside edges, and on a dark background that shows as a black ring.
fn quiet(enlarged: &mut RgbImage, image: &RgbImage, window: &Window) {
    let [across, down] = [0, 1].map(|axis| {
        let count = [enlarged.width(), enlarged.height()][axis];
        let side = [image.width(), image.height()][axis];
        neighbours(count, side, window.corner[axis], window.size[axis])
    });
    let stride = image.width() as usize * 3;
    let rows = enlarged.chunks_exact_mut(across.len() * 3);
    for (row, pair) in rows.zip(&down) {
        let [above, below] = pair.map(|y| &image.as_raw()[y * stride..(y + 1) * stride]);
        for (pixel, [left, right]) in row.chunks_exact_mut(3).zip(&across) {
            let corners = [(above, left), (above, right), (below, left), (below, right)];
            let corners = corners.map(|(row, x)| &row[x * 3..x * 3 + 3]);
            for (channel, byte) in pixel.iter_mut().enumerate() {
                let bytes = corners.map(|corner| corner[channel]);
                let least = bytes.into_iter().fold(255, u8::min);
                let most = bytes.into_iter().fold(0, u8::max);
                *byte = (*byte).clamp(least, most);
            }
        }
    }
}

/// The two pixels of a side of `side` pixels around the centre of each of `count` equal parts of a
/// window.
fn neighbours(count: u32, side: u32, corner: f64, size: f64) -> Vec<[usize; 2]> {
    let last = f64::from(side - 1);
    let part = size / f64::from(count);
    (0..count)
        .map(|index| {
            let place = corner + (f64::from(index) + 0.5) * part - 0.5;
            [place.floor(), place.floor() + 1.0].map(|pixel| pixel.clamp(0.0, last) as usize)
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
