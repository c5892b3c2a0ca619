//! The picture that a run starts from, and the mask of what is drawn anew.

use image::imageops::FilterType;
use image::{GrayImage, RgbImage};

use crate::error::RequestError;
use crate::fitting::{cropped, fitted, resized};
use crate::request::{Request, Settings};

/// From here on a grey level counts as white: diffusers binarises at 0.5.
const WHITE: u8 = 128;

/// A picture to start from, with its mask.
#[derive(Debug)]
pub(crate) struct InitImage {
    /// As large as it was given, of the shape of the run.
    whole: RgbImage,
    /// At the size of the run.
    picture: RgbImage,
    mask: Option<GrayImage>,
}

impl InitImage {
    /// What `request` starts from, if from a picture.
    pub(crate) fn new(request: &Request, settings: &Settings) -> Option<Self> {
        let picture = request.init_image.as_deref()?;
        let size = [settings.width, settings.height];
        let mask = request.mask.as_deref().map(|mask| {
            let whole = [picture.width() as usize, picture.height() as usize];
            let laid_over = resized(mask, whole, FilterType::Triangle);
            fitted(&laid_over, size, FilterType::Triangle)
        });
        let whole = cropped(picture, size);
        Some(Self {
            picture: resized(&whole, size, FilterType::Lanczos3),
            whole,
            mask,
        })
    }

    /// The pixels as the encoder takes them at this width and height: `[3, height, width]`, -1 to 1.
    pub(crate) fn values(&self, size: [usize; 2]) -> Vec<f32> {
        let picture = resized(&self.whole, size, FilterType::Lanczos3);
        let channel = |channel: usize| {
            let pixels = picture.pixels();
            pixels.map(move |pixel| f32::from(pixel.0[channel]) / 127.5 - 1.0)
        };
        (0..3).flat_map(channel).collect()
    }

    /// The mask for a latent of this height and width: 1 where the first pixel of a position is white, 0 elsewhere, as diffusers'
    /// nearest neighbours have it.
    ///
    /// # Errors
    /// When it is 0 everywhere.
    pub(crate) fn latent_mask(
        &self,
        [rows, columns]: [usize; 2],
    ) -> Result<Option<Vec<f32>>, RequestError> {
        let Some(mask) = &self.mask else {
            return Ok(None);
        };
        let (width, height) = mask.dimensions();
        let pixel = |at: usize, count: usize, length: u32| (at * length as usize / count) as u32;
        let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let values = places.map(|(row, column)| {
            let (x, y) = (pixel(column, columns, width), pixel(row, rows, height));
            f32::from(u8::from(mask.get_pixel(x, y).0[0] >= WHITE))
        });
        let values: Vec<_> = values.collect();
        if values.contains(&1.0) {
            return Ok(Some(values));
        }
        Err(RequestError::NothingMasked {
            scale: (width as usize)
                .div_ceil(columns)
                .max((height as usize).div_ceil(rows)),
        })
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

#[cfg(test)]
mod tests {
    use image::{Luma, Rgb};

    use super::*;

    fn columns(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, _| Rgb([x as u8, 0, 255]))
    }

    #[test]
    fn pixels_are_from_minus_one_to_one_channel_by_channel() {
        let picture = RgbImage::from_fn(2, 1, |x, _| Rgb([255, 51, if x == 0 { 0 } else { 204 }]));
        let image = InitImage {
            whole: picture.clone(),
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
            whole: columns(8, 2),
            picture: columns(8, 2),
            mask: Some(GrayImage::from_fn(8, 2, |x, _| Luma([grey(x)]))),
        }
    }

    #[test]
    fn the_mask_of_the_latent_is_the_first_pixel_of_each_position() {
        let mask = half_masked().latent_mask([1, 4]).unwrap().unwrap();
        assert_eq!(mask, [1.0, 1.0, 0.0, 0.0]);
        let black = InitImage {
            mask: Some(GrayImage::new(8, 2)),
            ..half_masked()
        };
        let error = black.latent_mask([1, 4]).unwrap_err().to_string();
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
