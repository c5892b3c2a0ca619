//! Cheap pictures of what is being drawn: a linear map from latent to colours.

use image::{Rgb, RgbImage};
use plantain_sampling::Noise;

use crate::error::Error;

/// A picture as a step predicts it, small.
///
/// ```
/// use plantain::Preview;
///
/// fn title(preview: &Preview) -> String {
///     let (width, height) = preview.image.dimensions();
///     format!("step {} of {}, {width}x{height}", preview.step + 1, preview.steps)
/// }
/// # let image = plantain::RgbImage::new(16, 16);
/// # let preview = Preview { picture: 0, step: 2, steps: 6, image };
/// assert_eq!(title(&preview), "step 3 of 6, 16x16");
/// ```
#[derive(Debug, Clone)]
pub struct Preview {
    /// Picture of the run, from 0.
    pub picture: usize,
    /// Step that was taken, from 0.
    pub step: usize,
    /// Number of steps that are run.
    pub steps: usize,
    /// One pixel for each position of the latent that is sampled: of a picture whose plain ground goes on, the
    /// square in its middle, or that of the thing that is being drawn.
    pub image: RgbImage,
}

/// Patches of the latent that the map is fitted to, in each direction.
const PATCHES: usize = 8;
/// Positions of the latent in a patch, in each direction: the decoder sees some of the neighbours of the one in the middle.
const PATCH: usize = 3;
/// Positions of that latent, in each direction.
const SIDE: usize = PATCHES * PATCH;

/// The colour of a position of the latent as a linear function of its channels. Colours are -1 to 1.
///
/// It is fitted by least squares to what the decoder makes of patches that each have the same standard normal numbers at
/// all their positions, so that it suits whatever model is loaded.
#[derive(Debug, Clone)]
pub(crate) struct LatentToRgb {
    /// One for each channel, and what is added.
    weights: Vec<[f64; 3]>,
}

impl LatentToRgb {
    /// Fits the map with one decode. `decode` gets a model latent of `[1, channels, 24, 24]` and gives the picture,
    /// `[3, 24 * scale, 24 * scale]`.
    pub(crate) fn fit(
        channels: usize,
        scale: usize,
        decode: impl FnOnce(Vec<f32>, [usize; 4]) -> Result<Vec<f32>, Error>,
    ) -> Result<Self, Error> {
        let numbers = Noise::new(0).normal(PATCHES * PATCHES * channels);
        let image = decode(patched(&numbers, channels), [1, channels, SIDE, SIDE])?;
        let samples = numbers.chunks(channels).map(|numbers| {
            let numbers = numbers.iter().map(|number| f64::from(*number));
            numbers.chain([1.0]).collect::<Vec<f64>>()
        });
        let colours = (0..PATCHES * PATCHES).map(|patch| colour(&image, patch, scale));
        Ok(Self {
            weights: least_squares(channels + 1, samples.zip(colours)),
        })
    }

    /// The picture of one latent `[channels, height, width]`.
    pub(crate) fn picture(&self, latent: &[f32], [height, width]: [usize; 2]) -> RgbImage {
        let plane = height * width;
        RgbImage::from_fn(width as u32, height as u32, |x, y| {
            let position = y as usize * width + x as usize;
            let channels = latent.iter().skip(position).step_by(plane);
            let numbers = channels.map(|number| f64::from(*number)).chain([1.0]);
            let mut colour = [0.0; 3];
            for (number, weights) in numbers.zip(&self.weights) {
                for (sum, weight) in colour.iter_mut().zip(weights) {
                    *sum += number * weight;
                }
            }
            Rgb(colour.map(|value| (value.clamp(-1.0, 1.0) * 127.5 + 127.5).round() as u8))
        })
    }
}

/// The latent `[channels, SIDE, SIDE]` whose patch `p` has `numbers[p * channels..]` at every position.
fn patched(numbers: &[f32], channels: usize) -> Vec<f32> {
    let position = |channel: usize, y: usize, x: usize| {
        let patch = y / PATCH * PATCHES + x / PATCH;
        numbers[patch * channels + channel]
    };
    let rows = (0..channels).flat_map(|channel| (0..SIDE).map(move |y| (channel, y)));
    rows.flat_map(|(channel, y)| (0..SIDE).map(move |x| position(channel, y, x)))
        .collect()
}

/// Mean colour of the pixels that belong to the middle of a patch.
fn colour(image: &[f32], patch: usize, scale: usize) -> [f64; 3] {
    let side = SIDE * scale;
    let middle = |patch: usize| (patch * PATCH + PATCH / 2) * scale;
    let (top, left) = (middle(patch / PATCHES), middle(patch % PATCHES));
    [0, 1, 2].map(|channel| {
        let row = |y: usize| &image[(channel * side + top + y) * side + left..][..scale];
        let sum: f32 = (0..scale).flat_map(row).sum();
        f64::from(sum) / (scale * scale) as f64
    })
}

/// The `w` for which `x w` is nearest to `y` over all pairs `(x, y)`, each `x` being `size` numbers, by the normal
/// equations.
fn least_squares(size: usize, pairs: impl Iterator<Item = (Vec<f64>, [f64; 3])>) -> Vec<[f64; 3]> {
    // Far below any real variance; it keeps a channel that never changes from dividing by zero.
    const RIDGE: f64 = 1e-6;
    let mut products = vec![vec![0.0; size]; size];
    let mut targets = vec![[0.0; 3]; size];
    for (i, row) in products.iter_mut().enumerate() {
        row[i] = RIDGE;
    }
    for (x, y) in pairs {
        for i in 0..size {
            for j in 0..size {
                products[i][j] += x[i] * x[j];
            }
            for (target, y) in targets[i].iter_mut().zip(y) {
                *target += x[i] * y;
            }
        }
    }
    solve(products, targets)
}

/// Gauss-Jordan elimination; `matrix` is positive definite, so that no pivot has to be looked for.
fn solve(mut matrix: Vec<Vec<f64>>, mut targets: Vec<[f64; 3]>) -> Vec<[f64; 3]> {
    for pivot in 0..matrix.len() {
        let scale = 1.0 / matrix[pivot][pivot];
        matrix[pivot].iter_mut().for_each(|value| *value *= scale);
        targets[pivot].iter_mut().for_each(|value| *value *= scale);
        let (row, target) = (matrix[pivot].clone(), targets[pivot]);
        for other in (0..matrix.len()).filter(|other| *other != pivot) {
            let factor = matrix[other][pivot];
            for (value, pivot) in matrix[other].iter_mut().zip(&row) {
                *value -= factor * pivot;
            }
            for (value, pivot) in targets[other].iter_mut().zip(target) {
                *value -= factor * pivot;
            }
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A decoder that is a linear map: two channels, two pixels for each position.
    fn decode(latent: &[f32], [_, _, height, width]: [usize; 4]) -> Vec<f32> {
        let at =
            |channel: usize, y: usize, x: usize| latent[(channel * height + y / 2) * width + x / 2];
        let mut image = Vec::new();
        for weights in [[0.2, 0.1, 0.0], [-0.3, 0.0, 0.5], [0.0, 0.4, -0.1]] {
            for y in 0..2 * height {
                let row = (0..2 * width)
                    .map(|x| weights[0] * at(0, y, x) + weights[1] * at(1, y, x) + weights[2]);
                image.extend(row);
            }
        }
        image
    }

    #[test]
    fn a_linear_decoder_is_found_again() {
        let map = LatentToRgb::fit(2, 2, |latent, shape| Ok(decode(&latent, shape))).unwrap();
        let expected = [[0.2, -0.3, 0.0], [0.1, 0.0, 0.4], [0.0, 0.5, -0.1]];
        for (found, expected) in map.weights.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
        let picture = map.picture(&[0.5, -0.5, 1.0, -1.0], [1, 2]);
        assert_eq!(picture.dimensions(), (2, 1));
        assert_eq!(picture.get_pixel(0, 0), &Rgb([153, 172, 166]));
        assert_eq!(picture.get_pixel(1, 0), &Rgb([102, 210, 64]));
    }
}
