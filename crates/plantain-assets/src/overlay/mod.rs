//! SVG drawings over pictures.

mod error;

use std::path::Path;

use image::RgbaImage;
use resvg::usvg::Tree;

use crate::fonts::Fonts;
pub use error::OverlayError;

/// An SVG drawing that is ready to be drawn over pictures of its shape.
///
/// A text with an attribute `data-max-width` (in the units of the drawing) is set smaller until it
/// is no wider, but not smaller than its `data-min-size`, without which its size stays. It must have
/// an `id` and a plain number as `font-size`; parts of it that have a size of their own should have it
/// in `em`.
#[derive(Debug)]
pub struct Overlay {
    tree: Tree,
}

impl Overlay {
    /// Reads a drawing whose variables have been replaced. Pictures that it links to are PNG or JPEG
    /// files below `folder`.
    ///
    /// # Errors
    /// When the drawing is no SVG or has a document type, a linked picture is not there or not below
    /// `folder`, a text does not fit or leaves the drawing, or no font has a character or a family.
    pub fn new(_svg: String, _folder: &Path, _fonts: &Fonts) -> Result<Self, OverlayError> {
        todo!()
    }

    /// Draws over `onto`, scaled to its size.
    ///
    /// # Errors
    /// When the shape of the picture differs from that of the drawing by more than one in a hundred.
    pub fn draw(&self, _onto: &mut RgbaImage) -> Result<(), OverlayError> {
        let _ = &self.tree;
        todo!()
    }
}
