//! A hash that is alike for pictures that look alike.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::plane::Plane;

/// Columns of cells, one more than bits of a row.
const COLUMNS: usize = 9;
/// Rows of cells.
const ROWS: usize = 8;
/// How much brighter than its neighbour a cell must be, of 255. Cells of a plain or softly
/// shaded background differ by less, so that their bits do not depend on how a picture was resized or
/// compressed.
const STEP: f32 = 5.0;

/// A 64-bit difference hash: whether each cell of 9x8 is brighter than its right neighbour, row by
/// row from the highest bit. Written as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PerceptualHash(pub u64);

/// Not 16 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a hash of 16 hexadecimal digits")]
pub struct HashError(String);

impl PerceptualHash {
    /// The hash of a picture; no bits for one without pixels.
    pub(super) fn of(luminance: &Plane) -> Self {
        let mut bits = 0;
        for row in 0..ROWS {
            let mut cells = [0.0; COLUMNS];
            for (column, cell) in cells.iter_mut().enumerate() {
                *cell = luminance.mean(cell_of(column, COLUMNS), cell_of(row, ROWS));
            }
            for pair in cells.windows(2) {
                bits = bits << 1 | u64::from(pair[0] > pair[1] + STEP);
            }
        }
        Self(bits)
    }

    /// Number of bits, 0 to 64, in which two hashes differ. Up to about 6 is the same picture in
    /// another size or encoding.
    pub fn distance(self, other: Self) -> u32 {
        (self.0 ^ other.0).count_ones()
    }
}

/// Where cell `index` of `count` begins and ends, as fractions.
fn cell_of(index: usize, count: usize) -> [f64; 2] {
    [index, index + 1].map(|bound| bound as f64 / count as f64)
}

impl fmt::Display for PerceptualHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for PerceptualHash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u64::from_str_radix(text, 16).ok().filter(|_| plain);
        bits.map(Self).ok_or_else(|| HashError(text.to_string()))
    }
}

impl From<PerceptualHash> for String {
    fn from(hash: PerceptualHash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for PerceptualHash {
    type Error = HashError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}
