//! The plain background of a picture.

mod surface;

use image::RgbImage;

use crate::oklab::{self, Lab};
use crate::reduced::Reduced;
use surface::Surface;

/// Distance in Oklab up to which a colour is the background's, where the picture has no noise.
const TOLERANCE: f32 = 0.04;
/// The same in units of the background's noise: few pixels of it are further off.
const TOLERANCE_OF_NOISE: f32 = 4.0;
/// More noise than this is texture.
const LOUDEST: f32 = 0.03;
/// Part of the border that must be background. The rest may be a subject that touches it.
const SHARE: f32 = 0.75;
/// Furthest from its mean that a soft gradient goes along the border.
const SOFTEST: f32 = 0.2;
/// Least distance in Oklab from the greys for a background to be of a colour.
const COLOURED: f32 = 0.06;
/// Rounds of fitting to what the round before took for background.
const ROUNDS: usize = 5;

/// A background of one colour or a soft gradient, known everywhere from the border of the picture.
pub(crate) struct Ground {
    surface: Surface,
    /// Typical distance of a cell of the border to the surface, in Oklab.
    noise: f32,
    /// Pixels along the side of a cell.
    pixels_per_cell: u32,
    /// Mean colour of the border.
    pub(crate) mean: Lab,
}

/// A colour and where it is, as [`Reduced::position`] says.
type Sample = ([f32; 2], Lab);

impl Ground {
    /// The background of a picture, if it is plain.
    pub(crate) fn of(image: &RgbImage) -> Option<Self> {
        Self::of_reduced(&Reduced::of(image))
    }

    /// The same for a picture that is already reduced.
    pub(crate) fn of_reduced(picture: &Reduced) -> Option<Self> {
        let border = border(picture);
        let (surface, noise) = fit(&border)?;
        let tolerance = tolerance(noise);
        let mut sum = [0.0; 3];
        let mut count = 0.0;
        for &(position, lab) in &border {
            if oklab::distance(surface.at(position), lab) <= tolerance {
                (0..3).for_each(|channel| sum[channel] += lab[channel]);
                count += 1.0;
            }
        }
        let mean = sum.map(|channel| channel / count);
        let steep = |&(position, _): &Sample| oklab::distance(surface.at(position), mean) > SOFTEST;
        let plain =
            noise <= LOUDEST && count >= SHARE * border.len() as f32 && !border.iter().any(steep);
        plain.then_some(Self {
            surface,
            noise,
            pixels_per_cell: picture.pixels_per_cell,
            mean,
        })
    }

    /// Its colour at a position; beyond the picture's sides, which are at -1 and 1, as they go on.
    pub(crate) fn at(&self, position: [f32; 2]) -> Lab {
        self.surface.at(position)
    }

    /// Distance in Oklab up to which a colour of the reduced picture is the background's.
    pub(crate) fn tolerance(&self) -> f32 {
        tolerance(self.noise)
    }

    /// The same for single pixels, which have more noise than the mean of several.
    pub(crate) fn pixel_tolerance(&self) -> f32 {
        tolerance(self.noise * self.pixels_per_cell as f32)
    }

    /// The same where the picture may have been enlarged, and its noise with it: by the distances to the background of the pixels along
    /// the border.
    pub(crate) fn tolerance_by(&self, border: impl Iterator<Item = f32>) -> f32 {
        tolerance(middle(border).unwrap_or(self.noise))
    }

    /// Whether it is of a colour and no grey, which other things often are.
    pub(crate) fn is_coloured(&self) -> bool {
        let [_, a, b] = self.mean;
        a.hypot(b) >= COLOURED
    }
}

fn tolerance(noise: f32) -> f32 {
    TOLERANCE.max(TOLERANCE_OF_NOISE * noise)
}

/// The outermost cells, a sixty-fourth of each side.
fn border(picture: &Reduced) -> Vec<Sample> {
    let [across, down] = [picture.width, picture.height].map(|side| (side / 64).max(1));
    let mut samples = Vec::new();
    for (index, &lab) in picture.cells.iter().enumerate() {
        let (x, y) = (index % picture.width, index / picture.width);
        let inner =
            x >= across && y >= down && x + across < picture.width && y + down < picture.height;
        if !inner {
            samples.push((picture.position(x, y), lab));
        }
    }
    samples
}

/// A surface through most of the samples, and their typical distance to it. What is far from it is left
/// out when it is fitted again, so that a subject at the border does not bend it.
fn fit(border: &[Sample]) -> Option<(Surface, f32)> {
    let median = [0, 1, 2].map(|channel| middle(border.iter().map(|(_, lab)| lab[channel])));
    let [Some(l), Some(a), Some(b)] = median else {
        return None;
    };
    let mut surface = Surface::constant([l, a, b]);
    let mut noise = 0.0;
    for _ in 0..ROUNDS {
        let distance = |&(position, lab): &Sample| oklab::distance(surface.at(position), lab);
        noise = middle(border.iter().map(distance))?;
        let reach = tolerance(noise);
        let near = border.iter().filter(|sample| distance(sample) <= reach);
        surface = Surface::through(near);
    }
    Some((surface, noise))
}

/// The median of some numbers.
fn middle(numbers: impl Iterator<Item = f32>) -> Option<f32> {
    let mut numbers: Vec<f32> = numbers.collect();
    if numbers.is_empty() {
        return None;
    }
    let half = numbers.len() / 2;
    Some(*numbers.select_nth_unstable_by(half, f32::total_cmp).1)
}
