//! The picture that a run starts from, and the mask of what is drawn anew.

use image::imageops::{self, FilterType};
use image::{GrayImage, ImageBuffer, Pixel, RgbImage};

use crate::error::RequestError;
use crate::request::{Request, Settings};

/// From here on a grey level counts as white: diffusers binarises at 0.5.
const WHITE: u8 = 128;

/// A picture to start from at the size of the run, with its mask.
#[derive(Debug)]
pub(crate) struct InitImage {
    picture: RgbImage,
    mask: Option<GrayImage>,
}

impl InitImage {
    /// What `request` starts from, if from a picture.
    pub(crate) fn new(request: &Request, settings: &Settings) -> Option<Self> {
        let picture = request.init_image.as_deref()?;
        let size = [settings.width as u32, settings.height as u32];
        let mask = request.mask.as_deref().map(|mask| {
            let laid_over = resized(mask, picture.dimensions().into(), FilterType::Triangle);
            fitted(&laid_over, size, FilterType::Triangle)
        });
        Some(Self {
            picture: fitted(picture, size, FilterType::Lanczos3),
            mask,
        })
    }

    /// The pixels as the encoder takes them at this width and height: `[3, height, width]`, -1 to 1.
    pub(crate) fn values(&self, size: [usize; 2]) -> Vec<f32> {
        let size = size.map(|side| side as u32);
        let picture = resized(&self.picture, size, FilterType::Lanczos3);
        let channel = |channel: usize| {
            let pixels = picture.pixels();
            pixels.map(move |pixel| f32::from(pixel.0[channel]) / 127.5 - 1.0)
        };
        (0..3).flat_map(channel).collect()
    }

    /// The mask for a latent of which each position is `scale` pixels wide and high: 1 where its first pixel is white, 0
    /// elsewhere, as diffusers' nearest neighbours have it.
    ///
    /// # Errors
    /// When it is 0 everywhere.
    pub(crate) fn latent_mask(&self, scale: usize) -> Result<Option<Vec<f32>>, RequestError> {
        let Some(mask) = &self.mask else {
            return Ok(None);
        };
        let rows = mask.rows().step_by(scale);
        let values = rows.flat_map(|row| row.step_by(scale).map(|pixel| pixel.0[0] >= WHITE));
        let values: Vec<_> = values.map(|white| if white { 1.0 } else { 0.0 }).collect();
        if values.contains(&1.0) {
            return Ok(Some(values));
        }
        Err(RequestError::NothingMasked { scale })
    }

    /// Takes from `drawn` what the mask lets through and from the picture the rest; grey levels mix both.
    pub(crate) fn composite(&self, drawn: &mut RgbImage) {
        let Some(mask) = &self.mask else {
            return;
        };
        let before = self.picture.pixels().zip(mask.pixels());
        for (pixel, (original, share)) in drawn.pixels_mut().zip(before) {
            let share = u32::from(share.0[0]);
            for (new, old) in pixel.0.iter_mut().zip(original.0) {
                let mixed = share * u32::from(*new) + (255 - share) * u32::from(old);
                *new = ((mixed + 127) / 255) as u8;
            }
        }
    }
}

/// The largest part around the centre of `image` that has the shape of `size`, at that size.
fn fitted<P>(image: &Image<P>, [width, height]: [u32; 2], filter: FilterType) -> Image<P>
where
    P: Pixel<Subpixel = u8> + 'static,
{
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
    let crop = imageops::crop_imm(image, left, top, crop_width, crop_height).to_image();
    resized(&crop, [width, height], filter)
}

type Image<P> = ImageBuffer<P, Vec<u8>>;

/// `image` at `size`; untouched where it has that.
fn resized<P>(image: &Image<P>, [width, height]: [u32; 2], filter: FilterType) -> Image<P>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    if image.dimensions() == (width, height) {
        return image.clone();
    }
    imageops::resize(image, width, height, filter)
}

#[cfg(test)]
mod tests {
    use image::{Luma, Rgb};

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

    #[test]
    fn pixels_are_from_minus_one_to_one_channel_by_channel() {
        let picture = RgbImage::from_fn(2, 1, |x, _| Rgb([255, 51, if x == 0 { 0 } else { 204 }]));
        let image = InitImage {
            picture,
            mask: None,
        };
        let expected = [1.0, 1.0, -0.6, -0.6, -1.0, 0.6];
        for (value, expected) in image.values([2, 1]).into_iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{value} {expected}");
        }
    }

    /// The left half is white.
    fn half_masked() -> InitImage {
        let grey = |x: u32| [255, 128, 127, 0][x as usize / 2];
        InitImage {
            picture: columns(8, 2),
            mask: Some(GrayImage::from_fn(8, 2, |x, _| Luma([grey(x)]))),
        }
    }

    #[test]
    fn the_mask_of_the_latent_is_the_first_pixel_of_each_position() {
        let mask = half_masked().latent_mask(2).unwrap().unwrap();
        assert_eq!(mask, [1.0, 1.0, 0.0, 0.0]);
        let black = InitImage {
            mask: Some(GrayImage::new(8, 2)),
            ..half_masked()
        };
        let error = black.latent_mask(2).unwrap_err().to_string();
        assert!(error.contains("2x2"), "{error}");
    }

    #[test]
    fn what_the_mask_keeps_is_the_picture_to_the_last_bit() {
        let image = half_masked();
        let mut drawn = RgbImage::from_pixel(8, 2, Rgb([200, 200, 0]));
        image.composite(&mut drawn);
        assert_eq!(drawn.get_pixel(0, 1), &Rgb([200, 200, 0]));
        assert_eq!(drawn.get_pixel(7, 1), &Rgb([7, 0, 255]));
        // 128 of 255 parts of the new pixel.
        assert_eq!(drawn.get_pixel(2, 0), &Rgb([101, 100, 127]));
    }
}
