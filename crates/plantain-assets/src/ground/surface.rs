//! A smooth surface of colours.

use crate::oklab::Lab;

use super::Sample;

/// Number of terms: 1, x, y, x², y², xy.
const TERMS: usize = 6;
/// Pulls what the samples leave open, such as a slope across a picture one pixel wide, towards none.
const RIDGE: f64 = 1e-6;

/// A polynomial of second degree in the position for each channel: enough for gradients and vignettes.
pub(super) struct Surface {
    channels: [[f32; TERMS]; 3],
}

impl Surface {
    /// The same colour everywhere.
    pub(super) fn constant(lab: Lab) -> Self {
        Self {
            channels: lab.map(|value| [value, 0.0, 0.0, 0.0, 0.0, 0.0]),
        }
    }

    /// The surface with the smallest squared distances to the samples.
    pub(super) fn through<'a>(samples: impl Iterator<Item = &'a Sample>) -> Self {
        let mut products = [[0.0_f64; TERMS]; TERMS];
        let mut sides = [[0.0_f64; TERMS]; 3];
        let mut count = 0.0;
        for &(position, lab) in samples {
            let terms = terms(position).map(f64::from);
            for (row, &term) in products.iter_mut().zip(&terms) {
                (0..TERMS).for_each(|column| row[column] += term * terms[column]);
            }
            for (side, value) in sides.iter_mut().zip(lab) {
                (0..TERMS).for_each(|row| side[row] += terms[row] * f64::from(value));
            }
            count += 1.0;
        }
        for (index, row) in products.iter_mut().enumerate() {
            row[index] += RIDGE * (count + 1.0);
        }
        let channels = solve(products, sides).map(|channel| channel.map(|value| value as f32));
        Self { channels }
    }

    /// The colour at a position.
    pub(super) fn at(&self, position: [f32; 2]) -> Lab {
        let [x, y] = position;
        self.channels
            .map(|[c, cx, cy, cxx, cyy, cxy]| c + x * (cx + x * cxx + y * cxy) + y * (cy + y * cyy))
    }
}

fn terms([x, y]: [f32; 2]) -> [f32; TERMS] {
    [1.0, x, y, x * x, y * y, x * y]
}

/// Solves `matrix * x = side` for three sides, by elimination. The matrix is symmetric and positive
/// definite, so no pivot is zero.
fn solve(mut matrix: [[f64; TERMS]; TERMS], mut sides: [[f64; TERMS]; 3]) -> [[f64; TERMS]; 3] {
    for pivot in 0..TERMS {
        let upper = matrix[pivot];
        for row in pivot + 1..TERMS {
            let factor = matrix[row][pivot] / upper[pivot];
            (pivot..TERMS).for_each(|column| matrix[row][column] -= factor * upper[column]);
            for side in &mut sides {
                side[row] -= factor * side[pivot];
            }
        }
    }
    for side in &mut sides {
        for row in (0..TERMS).rev() {
            let known: f64 = (row + 1..TERMS)
                .map(|column| matrix[row][column] * side[column])
                .sum();
            side[row] = (side[row] - known) / matrix[row][row];
        }
    }
    sides
}
