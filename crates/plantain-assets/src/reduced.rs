//! A smaller picture, which is enough to find things in and quiets noise.

use image::RgbImage;

use crate::light;
use crate::oklab::{self, Lab};

/// Longest side of a reduced picture, in cells.
const SIDE: u32 = 256;

/// A picture of cells, each the mean light of its pixels.
pub(crate) struct Reduced {
    /// Cells in a row.
    pub(crate) width: usize,
    /// Rows.
    pub(crate) height: usize,
    /// Pixels along the side of a cell, but for rounding.
    pub(crate) pixels_per_cell: u32,
    /// Colours of the cells, row by row.
    pub(crate) cells: Vec<Lab>,
}

impl Reduced {
    /// The picture in cells of 1x1 pixel, or as many as leave no side longer than [`SIDE`].
    pub(crate) fn of(image: &RgbImage) -> Self {
        let (width, height) = image.dimensions();
        let pixels_per_cell = width.max(height).div_ceil(SIDE).max(1);
        let [columns, rows] = [width, height]
            .map(|side| bounds(side as usize, side.div_ceil(pixels_per_cell) as usize));
        let mut cells = Vec::with_capacity(columns.len() * rows.len());
        let mut sums = vec![[0.0_f32; 3]; columns.len()];
        for &(top, bottom) in &rows {
            sums.fill([0.0; 3]);
            for y in top..bottom {
                add_row(row(image, y), &columns, &mut sums);
            }
            for (sum, &(left, right)) in sums.iter().zip(&columns) {
                let share = 1.0 / ((right - left) * (bottom - top)) as f32;
                cells.push(oklab::of_light(sum.map(|channel| channel * share)));
            }
        }
        Self {
            width: columns.len(),
            height: rows.len(),
            pixels_per_cell,
            cells,
        }
    }

    /// Where a cell's centre is: -1 at the left and upper side, 1 at the right and lower.
    pub(crate) fn position(&self, x: usize, y: usize) -> [f32; 2] {
        [centre(x, self.width), centre(y, self.height)]
    }
}

/// Where the centre of item `index` of `count` lies between -1 and 1.
pub(crate) fn centre(index: usize, count: usize) -> f32 {
    (2 * index + 1) as f32 / count as f32 - 1.0
}

/// First pixel and the one after the last of each of `count` cells that divide `side` pixels.
fn bounds(side: usize, count: usize) -> Vec<(usize, usize)> {
    let bound = |cell: usize| cell * side / count;
    (0..count)
        .map(|cell| (bound(cell), bound(cell + 1)))
        .collect()
}

/// The bytes of a row of pixels.
fn row(image: &RgbImage, y: usize) -> &[u8] {
    let stride = image.width() as usize * 3;
    &image.as_raw()[y * stride..(y + 1) * stride]
}

fn add_row(row: &[u8], columns: &[(usize, usize)], sums: &mut [[f32; 3]]) {
    let linear = light::linear_table();
    for (sum, &(left, right)) in sums.iter_mut().zip(columns) {
        for pixel in row[left * 3..right * 3].chunks_exact(3) {
            for (channel, &byte) in sum.iter_mut().zip(pixel) {
                *channel += linear[usize::from(byte)];
            }
        }
    }
}
