//! Where the subject of a picture is.

use serde::{Deserialize, Serialize};

use super::rounded;
use crate::ground::Ground;
use crate::oklab;
use crate::reduced::Reduced;

/// Part of all cells below which a spot on the background is a speck, not a subject.
const SPECK: f64 = 0.0005;
/// Part of the edges' energy that is left out on each of the four sides.
const TRIMMED: f32 = 0.04;

/// The box around the subject, in fractions of the picture's width and height from its left upper
/// corner. The whole picture where there is no telling.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// Left side.
    pub left: f64,
    /// Upper side.
    pub top: f64,
    /// Right side.
    pub right: f64,
    /// Lower side.
    pub bottom: f64,
}

impl Subject {
    /// The whole picture.
    pub const WHOLE: Self = Self {
        left: 0.0,
        top: 0.0,
        right: 1.0,
        bottom: 1.0,
    };

    /// Smallest distance of the box to a side of the picture, as a fraction of the picture's width or
    /// height; 0 where the subject touches a side.
    pub fn margins(&self) -> f64 {
        let nearest = self.left.min(self.top);
        let nearest = nearest.min(1.0 - self.right).min(1.0 - self.bottom);
        rounded(nearest)
    }

    /// The same to four decimals.
    pub(super) fn rounded(self) -> Self {
        Self {
            left: rounded(self.left),
            top: rounded(self.top),
            right: rounded(self.right),
            bottom: rounded(self.bottom),
        }
    }

    /// The box that holds the cells from the first to the last, both included, of a picture.
    fn of_cells(picture: &Reduced, [columns, rows]: [[usize; 2]; 2]) -> Self {
        let fraction = |cell: usize, cells: usize| cell as f64 / cells as f64;
        Self {
            left: fraction(columns[0], picture.width),
            top: fraction(rows[0], picture.height),
            right: fraction(columns[1] + 1, picture.width),
            bottom: fraction(rows[1] + 1, picture.height),
        }
    }
}

/// The box around what stands on a plain background, without specks; nothing where nothing does.
pub(super) fn on_ground(picture: &Reduced, ground: &Ground) -> Option<Subject> {
    let tolerance = ground.tolerance();
    let differs = |(index, &lab): (usize, &oklab::Lab)| {
        let position = picture.position(index % picture.width, index / picture.width);
        oklab::distance(ground.at(position), lab) > tolerance
    };
    let mut unseen: Vec<bool> = picture.cells.iter().enumerate().map(differs).collect();
    let speck = (SPECK * unseen.len() as f64).max(1.0);
    let mut found: Option<[[usize; 2]; 2]> = None;
    for start in 0..unseen.len() {
        if !unseen[start] {
            continue;
        }
        let (cells, spot) = take_spot(&mut unseen, picture.width, start);
        if cells as f64 > speck {
            found = Some(found.map_or(spot, |found| union(found, spot)));
        }
    }
    found.map(|cells| Subject::of_cells(picture, cells))
}

/// Takes the spot of connected cells around `start` from the unseen ones; their number and the first
/// and last column and row.
fn take_spot(unseen: &mut [bool], width: usize, start: usize) -> (usize, [[usize; 2]; 2]) {
    let height = unseen.len() / width;
    let mut spot = [[start % width; 2], [start / width; 2]];
    let mut cells = 0;
    let mut open = vec![start];
    unseen[start] = false;
    while let Some(cell) = open.pop() {
        let (x, y) = (cell % width, cell / width);
        cells += 1;
        spot = union(spot, [[x; 2], [y; 2]]);
        for y in y.saturating_sub(1)..(y + 2).min(height) {
            for x in x.saturating_sub(1)..(x + 2).min(width) {
                if std::mem::take(&mut unseen[y * width + x]) {
                    open.push(y * width + x);
                }
            }
        }
    }
    (cells, spot)
}

fn union(a: [[usize; 2]; 2], b: [[usize; 2]; 2]) -> [[usize; 2]; 2] {
    [0, 1].map(|axis| [a[axis][0].min(b[axis][0]), a[axis][1].max(b[axis][1])])
}

/// The box that holds most of the energy of the edges; nothing where there are none.
pub(super) fn by_edges(picture: &Reduced) -> Option<Subject> {
    let mut columns = vec![0.0; picture.width];
    let mut rows = vec![0.0; picture.height];
    for here in 0..picture.cells.len() {
        let (x, y) = (here % picture.width, here / picture.width);
        let left = here - usize::from(x > 0);
        let above = here - usize::from(y > 0) * picture.width;
        let cells = [here, left, above].map(|cell| picture.cells[cell]);
        let across = oklab::difference(cells[0], cells[1]);
        let down = oklab::difference(cells[0], cells[2]);
        let energy: f32 = across.iter().chain(&down).map(|step| step * step).sum();
        columns[x] += energy;
        rows[y] += energy;
    }
    let cells = [trimmed(&columns)?, trimmed(&rows)?];
    Some(Subject::of_cells(picture, cells))
}

/// First and last of the items that hold the energy between [`TRIMMED`] from either end.
fn trimmed(energy: &[f32]) -> Option<[usize; 2]> {
    let spare = energy.iter().sum::<f32>() * TRIMMED;
    let beyond = |sum: &mut f32, energy: &f32| {
        *sum += energy;
        Some(*sum > spare)
    };
    let first = energy.iter().scan(0.0, beyond).position(|beyond| beyond)?;
    let last = energy
        .iter()
        .rev()
        .scan(0.0, beyond)
        .position(|beyond| beyond)?;
    Some([first, energy.len() - 1 - last])
}
