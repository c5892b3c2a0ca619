//! A picture as one number a pixel, and what these say.

use image::RgbImage;

/// Magnitude of Sobel's gradient at a hard edge from black to white.
const HARDEST: f32 = 4.0 * 255.0;
/// The strongest edges are a thousandth of all pixels.
const PIXELS_PER_EDGE: usize = 1000;

/// A byte for each pixel.
pub(super) struct Plane {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

impl Plane {
    /// The luminance of a picture (Rec. 709 weights on the sRGB bytes).
    pub(super) fn luminance(image: &RgbImage) -> Self {
        Self::of(image, |pixel| {
            let [r, g, b] = [0, 1, 2].map(|channel| u32::from(pixel[channel]));
            ((54 * r + 183 * g + 19 * b + 128) >> 8) as u8
        })
    }

    /// Red, green and blue.
    pub(super) fn channels(image: &RgbImage) -> [Self; 3] {
        [0, 1, 2].map(|channel| Self::of(image, |pixel| pixel[channel]))
    }

    fn of(image: &RgbImage, byte: impl Fn(&[u8]) -> u8) -> Self {
        Self {
            width: image.width() as usize,
            height: image.height() as usize,
            bytes: image.as_raw().chunks_exact(3).map(byte).collect(),
        }
    }

    /// From the darkest to the brightest twentieth, 0 to 1.
    pub(super) fn contrast(&self) -> f64 {
        let mut counts = [0; 256];
        for &byte in &self.bytes {
            counts[usize::from(byte)] += 1;
        }
        let spare = self.bytes.len() / 20;
        let dark = rank(counts.iter(), spare);
        let bright = 255_usize.saturating_sub(rank(counts.iter().rev(), spare));
        bright.saturating_sub(dark) as f64 / 255.0
    }

    /// The weakest of the strongest edges, 0 to 1, where 1 is a hard edge from black to white.
    pub(super) fn sharpness(&self) -> f64 {
        if self.width < 3 || self.height < 3 {
            return 0.0;
        }
        let mut counts = vec![0; HARDEST as usize + 1];
        let mut magnitudes = vec![0_u16; self.width - 2];
        for y in 1..self.height - 1 {
            let rows = [y - 1, y, y + 1].map(|y| &self.bytes[y * self.width..(y + 1) * self.width]);
            gradients(rows, &mut magnitudes);
            for &magnitude in &magnitudes {
                counts[usize::from(magnitude)] += 1;
            }
        }
        let spare = self.bytes.len() / PIXELS_PER_EDGE;
        let below = rank(counts.iter().rev(), spare);
        (counts.len() - 1 - below) as f64 / f64::from(HARDEST)
    }

    /// Mean, 0 to 255, of the part of the picture between fractions of its width and height; at least
    /// of the pixel where it begins.
    pub(super) fn mean(&self, across: [f64; 2], down: [f64; 2]) -> f32 {
        if self.bytes.is_empty() {
            return 0.0;
        }
        let [left, right] = pixels(across, self.width);
        let [top, bottom] = pixels(down, self.height);
        let row = |y: usize| &self.bytes[y * self.width + left..y * self.width + right];
        let sum = |row: &[u8]| row.iter().map(|&byte| u64::from(byte)).sum::<u64>();
        let total: u64 = (top..bottom).map(|y| sum(row(y))).sum();
        total as f32 / ((right - left) * (bottom - top)) as f32
    }
}

/// First pixel and the one after the last between two fractions of a side that is not empty.
fn pixels(fractions: [f64; 2], side: usize) -> [usize; 2] {
    let [begin, end] = fractions.map(|fraction| (fraction * side as f64).round() as usize);
    let begin = begin.min(side - 1);
    [begin, end.clamp(begin + 1, side)]
}

/// Magnitudes of Sobel's gradient along the middle one of three rows, at most [`HARDEST`].
fn gradients(rows: [&[u8]; 3], magnitudes: &mut [u16]) {
    let neighbours = rows.map(|row| row.windows(3));
    let [above, beside, below] = neighbours;
    for (((magnitude, a), b), c) in magnitudes.iter_mut().zip(above).zip(beside).zip(below) {
        let at = |window: &[u8], x: usize| i32::from(window[x]);
        let across = at(a, 2) + 2 * at(b, 2) + at(c, 2) - at(a, 0) - 2 * at(b, 0) - at(c, 0);
        let down = at(c, 0) + 2 * at(c, 1) + at(c, 2) - at(a, 0) - 2 * at(a, 1) - at(a, 2);
        let length = ((across * across + down * down) as f32).sqrt();
        *magnitude = length.min(HARDEST) as u16;
    }
}

/// Number of bins to pass from the first until more than `spare` items are left behind.
fn rank<'a>(counts: impl Iterator<Item = &'a usize>, spare: usize) -> usize {
    let passed = counts.scan(0, |sum, &count| {
        *sum += count;
        Some(*sum)
    });
    passed.take_while(|&sum| sum <= spare).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// Black on the left, white on the right, with `ramp` pixels between.
    fn edge(ramp: u32) -> Plane {
        let byte = |x: u32| (255 * x.saturating_sub(31).min(ramp) / ramp) as u8;
        Plane::luminance(&RgbImage::from_fn(64, 64, |x, _| Rgb([byte(x); 3])))
    }

    #[test]
    fn a_hard_edge_is_as_sharp_as_can_be_and_a_soft_one_less_by_its_width() {
        assert_eq!(edge(1).sharpness(), 1.0);
        assert!((edge(5).sharpness() - 0.4).abs() < 0.01);
        assert!((edge(20).sharpness() - 0.1).abs() < 0.01);
    }

    #[test]
    fn a_twentieth_on_either_end_does_not_count_as_contrast() {
        let grey = |dark: u32| {
            let byte = |y: u32| if y < dark { 0 } else { 128 };
            RgbImage::from_fn(10, 100, |_, y| Rgb([byte(y); 3]))
        };
        assert_eq!(Plane::luminance(&grey(5)).contrast(), 0.0);
        assert_eq!(Plane::luminance(&grey(6)).contrast(), 128.0 / 255.0);
    }
}
