//! Contact sheets.

mod label;

use image::imageops::replace;
use image::{Rgb, RgbImage};

use crate::fit::contained;
use label::Labels;

/// Most tiles that one sheet should show: take `tiles.chunks(TILES_PER_PAGE)` for several sheets.
pub const TILES_PER_PAGE: usize = 60;

/// Colour of the sheet.
const PAPER: [u8; 3] = [246; 3];
/// Part of a dimmed picture that is left, of 256; the rest is paper.
const DIMMED: u32 = 80;

/// A picture on a contact sheet.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    /// The picture, of any size.
    pub image: RgbImage,
    /// One line below it; shortened where it is too long.
    pub label: String,
    /// Shown pale, as something set aside.
    pub dimmed: bool,
}

/// A labelled grid of pictures, each within a square of `tile_side` pixels, in `columns` columns and as
/// many rows as it takes. No columns count as one. Characters that the bundled fonts lack are boxes.
pub fn contact_sheet(tiles: &[Tile], columns: usize, tile_side: u32) -> RgbImage {
    let labels = Labels::new(tile_side);
    let gap = tile_side / 16;
    let columns = columns.clamp(1, tiles.len().max(1));
    let rows = tiles.len().div_ceil(columns);
    let [across, down] = [tile_side + gap, tile_side + labels.height() + gap];
    let mut sheet = RgbImage::from_pixel(
        across * columns as u32 + gap,
        down * rows as u32 + gap,
        Rgb(PAPER),
    );
    if tile_side == 0 {
        return sheet;
    }
    for (index, tile) in tiles.iter().enumerate() {
        let left = across * (index % columns) as u32 + gap;
        let top = down * (index / columns) as u32 + gap;
        place_picture(&mut sheet, tile, [left, top], tile_side);
        let label = labels.draw(&tile.label, tile.dimmed);
        replace(&mut sheet, &label, left.into(), (top + tile_side).into());
    }
    sheet
}

/// Puts a picture into the middle of the square of `side` pixels whose left upper corner is given.
fn place_picture(sheet: &mut RgbImage, tile: &Tile, [left, top]: [u32; 2], side: u32) {
    if tile.image.is_empty() {
        return;
    }
    let mut picture = contained(&tile.image, [side; 2]);
    if tile.dimmed {
        picture.pixels_mut().for_each(dim);
    }
    let x = left + (side - picture.width()) / 2;
    let y = top + (side - picture.height()) / 2;
    replace(sheet, &picture, x.into(), y.into());
}

fn dim(pixel: &mut Rgb<u8>) {
    for (byte, paper) in pixel.0.iter_mut().zip(PAPER) {
        let mixed = u32::from(*byte) * DIMMED + u32::from(paper) * (256 - DIMMED);
        *byte = (mixed / 256) as u8;
    }
}
