//! Contact sheets.

use image::RgbImage;

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

/// Most tiles that one sheet should show: take `tiles.chunks(TILES_PER_PAGE)` for several sheets.
pub const TILES_PER_PAGE: usize = 60;

/// A labelled grid of pictures, each within a square of `tile_side` pixels, in `columns` columns and as
/// many rows as it takes. No columns count as one.
pub fn contact_sheet(_tiles: &[Tile], _columns: usize, _tile_side: u32) -> RgbImage {
    todo!()
}
