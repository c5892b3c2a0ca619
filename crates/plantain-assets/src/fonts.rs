//! The fonts that texts are set in.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resvg::usvg::fontdb::Database;

/// Fonts to set texts in. Cheap to clone.
///
/// `Noto Sans`, regular, bold and their italics, is always there, is what `sans-serif` and all other
/// generic families mean, and stands in for characters that another font lacks.
#[derive(Debug, Clone)]
pub struct Fonts {
    /// The faces.
    pub(crate) database: Arc<Database>,
}

/// Fonts that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FontError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read the fonts in {path}: {source}")]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file with the extension of a font is none.
    #[error("{path} is not a TrueType or OpenType font")]
    NoFont {
        /// The file.
        path: PathBuf,
    },
}

impl Fonts {
    /// The fonts that come with this library.
    pub fn bundled() -> Self {
        todo!()
    }

    /// These fonts and those in the files `*.ttf`, `*.otf` and `*.ttc` of a folder.
    ///
    /// # Errors
    /// When the folder cannot be read, or one of these files is no font.
    pub fn with_folder(self, _folder: &Path) -> Result<Self, FontError> {
        todo!()
    }
}
