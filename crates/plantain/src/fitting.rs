//! Pictures at another size.

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Pixel};

/// The largest part around the centre of `image` that has the shape of `size`.
pub(crate) fn cropped<P>(image: &Image<P>, size: [usize; 2]) -> Image<P>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    let [width, height] = size.map(|side| side as u32);
    let [full_width, full_height] = <[u32; 2]>::from(image.dimensions());
    // The length that belongs to `side` at the ratio of `to` and `of`.
    let scaled = |side: u32, to: u32, of: u32| {
        let exact = f64::from(side) * f64::from(to) / f64::from(of);
        (exact.round() as u32).max(1)
    };
    let crop_width = full_width.min(scaled(full_height, width, height));
    let crop_height = full_height.min(scaled(full_width, height, width));
    let (left, top) = (
        (full_width - crop_width) / 2,
        (full_height - crop_height) / 2,
    );
    imageops::crop_imm(image, left, top, crop_width, crop_height).to_image()
}

/// [`cropped`], at that size.
pub(crate) fn fitted<P>(image: &Image<P>, size: [usize; 2], filter: FilterType) -> Image<P>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    resized(&cropped(image, size), size, filter)
}

pub(crate) type Image<P> = ImageBuffer<P, Vec<u8>>;

/// `image` at `size`; untouched where it has that.
pub(crate) fn resized<P>(image: &Image<P>, size: [usize; 2], filter: FilterType) -> Image<P>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    let [width, height] = size.map(|side| side as u32);
    if image.dimensions() == (width, height) {
        return image.clone();
    }
    imageops::resize(image, width, height, filter)
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    fn columns(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, _| Rgb([x as u8, 0, 255]))
    }

    #[test]
    fn the_middle_of_a_picture_is_taken_at_the_shape_of_the_run() {
        let wide = fitted(&columns(200, 100), [100, 100], FilterType::Lanczos3);
        assert_eq!(
            wide,
            imageops::crop_imm(&columns(200, 100), 50, 0, 100, 100).to_image()
        );
        let small = fitted(&columns(200, 100), [10, 20], FilterType::Lanczos3);
        assert_eq!(small.dimensions(), (10, 20));
        let red: Vec<_> = small.pixels().map(|pixel| pixel.0[0]).collect();
        assert!(red.iter().all(|red| (75..125).contains(red)), "{red:?}");
        let same = columns(16, 16);
        assert_eq!(fitted(&same, [16, 16], FilterType::Lanczos3), same);
    }

    #[test]
    fn pictures_of_any_shape_fit() {
        for (width, height) in [(1, 1), (1, 5000), (5000, 1), (3, 2)] {
            let fitted = fitted(&columns(width, height), [64, 32], FilterType::Lanczos3);
            assert_eq!(fitted.dimensions(), (64, 32), "{width}x{height}");
        }
    }
}
