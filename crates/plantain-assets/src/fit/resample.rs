//! Resampling in linear light.

use std::sync::LazyLock;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{
    FilterType, PixelComponentMapper, PixelType, ResizeAlg, ResizeOptions, Resizer,
    create_srgb_mapper,
};
use image::RgbImage;

use super::window::Window;

/// Tables between sRGB bytes and 16 bits of light.
static LIGHT: LazyLock<PixelComponentMapper> = LazyLock::new(create_srgb_mapper);

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
    let mut resized = Image::new(width, height, PixelType::U16x3);
    Resizer::new()
        .resize(&light_of(image), &mut resized, &options)
        .expect("a window inside the picture");
    let mut bytes = Image::new(width, height, PixelType::U8x3);
    LIGHT
        .backward_map(&resized, &mut bytes)
        .expect("pictures of one size and kind");
    let mut out = RgbImage::from_raw(width, height, bytes.into_vec()).expect("three bytes a pixel");
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
    for (x, y, pixel) in enlarged.enumerate_pixels_mut() {
        let ([left, right], [top, bottom]) = (across[x as usize], down[y as usize]);
        let corners = [(left, top), (right, top), (left, bottom), (right, bottom)];
        let corners = corners.map(|(x, y)| image.get_pixel(x, y).0);
        for channel in 0..3 {
            let bytes = corners.map(|corner| corner[channel]);
            let least = bytes.into_iter().fold(255, u8::min);
            let most = bytes.into_iter().fold(0, u8::max);
            pixel.0[channel] = pixel.0[channel].clamp(least, most);
        }
    }
}

/// The two pixels of a side of `side` pixels around the centre of each of `count` equal parts of a
/// window.
fn neighbours(count: u32, side: u32, corner: f64, size: f64) -> Vec<[u32; 2]> {
    let last = f64::from(side - 1);
    let part = size / f64::from(count);
    (0..count)
        .map(|index| {
            let place = corner + (f64::from(index) + 0.5) * part - 0.5;
            [place.floor(), place.floor() + 1.0].map(|pixel| pixel.clamp(0.0, last) as u32)
        })
        .collect()
}

/// The light of a picture's pixels, in 16 bits a channel.
fn light_of(image: &RgbImage) -> Image<'static> {
    let (width, height) = image.dimensions();
    let bytes =
        ImageRef::new(width, height, image.as_raw(), PixelType::U8x3).expect("three bytes a pixel");
    let mut light = Image::new(width, height, PixelType::U16x3);
    LIGHT
        .forward_map(&bytes, &mut light)
        .expect("pictures of one size and kind");
    light
}
