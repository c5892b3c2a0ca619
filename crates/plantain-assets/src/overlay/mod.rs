//! SVG drawings over pictures.

mod effort;
mod error;
mod fitting;
mod links;
mod paint;
mod pictures;
mod reading;
mod texts;

use std::fmt;
use std::path::{Path, PathBuf};

use image::RgbaImage;
use resvg::usvg::Tree;

use crate::fonts::Fonts;
pub use error::OverlayError;
pub(crate) use paint::over;
pub(crate) use pictures::Pictures;
pub(crate) use reading::read;

/// Furthest that the shapes of a drawing and a picture may be apart.
const SHAPE_TOLERANCE: f32 = 0.01;

/// An SVG drawing that is ready to be drawn over pictures of its shape.
///
/// A text with an attribute `data-max-width` (in the units of the drawing) is set smaller until it
/// is no wider, but not smaller than its `data-min-size`, without which its size stays. It must have
/// an `id` of its own and a plain number as `font-size`; parts of it that have a size of their own should
/// have it in `em`.
pub struct Overlay {
    tree: Tree,
    pictures: Pictures,
    /// What it was read from, to be read again with smaller pictures.
    svg: String,
    folder: PathBuf,
    fonts: Fonts,
}

/// Its size only: the tree holds fonts and pictures.
impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.tree.size();
        write!(f, "Overlay({}x{})", size.width(), size.height())
    }
}

impl Overlay {
    /// Reads a drawing whose variables have been replaced. Pictures that it links to are PNG or JPEG
    /// files below `folder`.
    ///
    /// # Errors
    /// When the drawing is no SVG, has a document type or asks for too much, a linked picture is not there or not below
    /// `folder`, a text does not fit or leaves the drawing, or no font has a character or a family.
    pub fn new(mut svg: String, folder: &Path, fonts: &Fonts) -> Result<Self, OverlayError> {
        let (tree, pictures) = loop {
            let pictures = Pictures::default();
            let tree = read(&svg, folder, fonts, &pictures)?;
            match fitting::shrunk(&svg, &tree)? {
                Some(smaller) => svg = smaller,
                None => break (tree, pictures),
            }
        };
        effort::check(&tree)?;
        texts::check(&tree)?;
        Ok(Self {
            tree,
            pictures,
            svg,
            folder: folder.to_path_buf(),
            fonts: fonts.clone(),
        })
    }

    /// The files below `folder` that a drawing links to, in the order of their names, so that it can be told whether one of
    /// them has changed. That they are there and are pictures shows when the drawing is read; one that cannot be links to
    /// nothing.
    pub fn linked_files(svg: &str, folder: &Path) -> Vec<PathBuf> {
        let drawing = reading::document(svg);
        drawing.map_or_else(|_| Vec::new(), |drawing| links::targets(&drawing, folder))
    }

    /// Draws over `onto`, scaled to its size.
    ///
    /// # Errors
    /// When the shape of the picture differs from that of the drawing by more than one in a hundred, or a linked picture is no longer
    /// what it was.
    pub fn draw(&self, onto: &mut RgbaImage) -> Result<(), OverlayError> {
        let overlay = [self.tree.size().width(), self.tree.size().height()];
        let picture: [u32; 2] = onto.dimensions().into();
        let [across, down] = [0, 1].map(|axis| picture[axis] as f32 / overlay[axis]);
        let alike = (across / down - 1.0).abs() <= SHAPE_TOLERANCE;
        // Others are as large as their files, and would become smaller with them.
        let sized = links::all_have_sizes(&reading::document(&self.svg)?);
        let reduced = sized.then(|| self.pictures.reduced(&self.tree, across.max(down)));
        let reduced = reduced.flatten();
        let reduced = reduced.map(|pictures| read(&self.svg, &self.folder, &self.fonts, &pictures));
        let reduced = reduced.transpose()?;
        let tree = reduced.as_ref().unwrap_or(&self.tree);
        if !alike || !over(onto, tree, [across, down]) {
            return Err(OverlayError::Shape { overlay, picture });
        }
        Ok(())
    }
}
