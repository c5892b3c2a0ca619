//! The colours that a picture is made of.

use image::RgbImage;

use super::{Swatch, rounded};
use crate::colour::Rgb;
use crate::light;
use crate::oklab::{self, Lab};

/// Most colours of a palette.
const COLOURS: usize = 5;
/// Colours nearer to each other than this, in Oklab, are one.
const REACH: f32 = 0.1;
/// Smallest part of the pixels that makes a colour.
const LEAST: f64 = 0.005;
/// Bits of each channel by which pixels are sorted into bins first.
const BITS: usize = 5;

/// Pixels of about one colour.
#[derive(Clone, Copy, Default)]
struct Bin {
    count: u32,
    /// Sums of the sRGB bytes. Within a bin they are so near that their mean is as good as that of
    /// their light.
    sums: [u64; 3],
}

impl Bin {
    fn lab(&self) -> Lab {
        let linear = light::linear_table();
        let mean = self
            .sums
            .map(|sum| (sum + u64::from(self.count) / 2) / u64::from(self.count));
        oklab::of_light(mean.map(|byte| linear[byte as usize]))
    }
}

/// Bins of about one colour.
struct Cluster {
    /// Colour of its largest bin, around which the others lie.
    centre: Lab,
    count: f64,
    /// Sum of the colours of all its pixels.
    sum: [f64; 3],
}

/// The dominant colours of a picture, largest share first. Bins of similar colour make clusters around
/// the fullest bins.
pub(super) fn of(image: &RgbImage) -> Vec<Swatch> {
    let mut bins = bins(image);
    // Full bins first; equal ones stay in the order of their colours, so that the outcome is always the same.
    bins.sort_by_key(|bin| std::cmp::Reverse(bin.count));
    let mut clusters = Vec::new();
    for bin in &bins {
        add(bin, &mut clusters);
    }
    clusters.sort_by(|a, b| b.count.total_cmp(&a.count));
    let pixels = f64::from(image.width()) * f64::from(image.height());
    let swatches = clusters.iter().map(|cluster| cluster.swatch(pixels));
    swatches
        .take(COLOURS)
        .filter(|swatch| swatch.share >= LEAST)
        .collect()
}

/// The bins that hold pixels, in the order of their colours.
fn bins(image: &RgbImage) -> Vec<Bin> {
    let mut bins = vec![Bin::default(); 1 << (3 * BITS)];
    for pixel in image.as_raw().chunks_exact(3) {
        let index = pixel.iter().fold(0, |index, &byte| {
            index << BITS | usize::from(byte >> (8 - BITS))
        });
        let bin = &mut bins[index];
        bin.count += 1;
        for (sum, &byte) in bin.sums.iter_mut().zip(pixel) {
            *sum += u64::from(byte);
        }
    }
    bins.retain(|bin| bin.count > 0);
    bins
}

/// Adds a bin to the nearest cluster within reach, or begins one with it.
fn add(bin: &Bin, clusters: &mut Vec<Cluster>) {
    let lab = bin.lab();
    let near = clusters
        .iter_mut()
        .map(|cluster| (oklab::distance(cluster.centre, lab), cluster))
        .filter(|(distance, _)| *distance < REACH)
        .min_by(|(a, _), (b, _)| a.total_cmp(b));
    let count = f64::from(bin.count);
    let sum = lab.map(|value| f64::from(value) * count);
    match near {
        Some((_, cluster)) => {
            cluster.count += count;
            (0..3).for_each(|channel| cluster.sum[channel] += sum[channel]);
        }
        None => clusters.push(Cluster {
            centre: lab,
            count,
            sum,
        }),
    }
}

impl Cluster {
    fn swatch(&self, pixels: f64) -> Swatch {
        let mean = self.sum.map(|sum| (sum / self.count) as f32);
        Swatch {
            rgb: Rgb(light::srgb(oklab::to_light(mean))),
            share: rounded(self.count / pixels),
        }
    }
}
