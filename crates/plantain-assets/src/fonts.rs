//! The fonts that texts are set in.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resvg::usvg::fontdb::{Database, Source};

/// Family of the bundled fonts.
pub(crate) const BUNDLED_FAMILY: &str = "Noto Sans";

/// Fonts to set texts in. Cheap to clone.
///
/// `Noto Sans`, regular, bold and their italics, is always there. It is what `sans-serif` and all other
/// generic families mean, and stands in for characters that another font lacks.
#[derive(Clone)]
pub struct Fonts {
    /// The faces.
    pub(crate) database: Arc<Database>,
}

/// The names of its faces only: these hold the bytes of their files.
impl fmt::Debug for Fonts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.database.faces().map(|face| &face.post_script_name);
        f.debug_list().entries(names).finish()
    }
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
    /// The fonts that come with this library: Noto Sans, under the SIL Open Font License 1.1.
    pub fn bundled() -> Self {
        let mut database = Database::new();
        for face in [
            notosans::REGULAR_TTF,
            notosans::BOLD_TTF,
            notosans::ITALIC_TTF,
            notosans::BOLD_ITALIC_TTF,
        ] {
            database.load_font_source(Source::Binary(Arc::new(face)));
        }
        database.set_sans_serif_family(BUNDLED_FAMILY);
        database.set_serif_family(BUNDLED_FAMILY);
        database.set_monospace_family(BUNDLED_FAMILY);
        database.set_cursive_family(BUNDLED_FAMILY);
        database.set_fantasy_family(BUNDLED_FAMILY);
        Self {
            database: Arc::new(database),
        }
    }

    /// These fonts and those in the files `*.ttf`, `*.otf` and `*.ttc` of a folder.
    ///
    /// # Errors
    /// When the folder cannot be read, or one of these files is no font.
    pub fn with_folder(mut self, folder: &Path) -> Result<Self, FontError> {
        let database = Arc::make_mut(&mut self.database);
        for path in font_files(folder)? {
            let bytes = fs::read(&path).map_err(|source| FontError::Read {
                path: path.clone(),
                source,
            })?;
            let faces = database.load_font_source(Source::Binary(Arc::new(bytes)));
            if faces.is_empty() {
                return Err(FontError::NoFont { path });
            }
        }
        Ok(self)
    }
}

/// The files `*.ttf`, `*.otf` and `*.ttc` of a folder in the order of their names, so that the same folder always makes
/// the same choice.
///
/// # Errors
/// When the folder cannot be read.
pub fn font_files(folder: &Path) -> Result<Vec<PathBuf>, FontError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|source| FontError::Read {
        path: folder.to_path_buf(),
        source,
    })?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.retain(|path| is_font(path));
    paths.sort();
    Ok(paths)
}

fn is_font(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    ["ttf", "otf", "ttc"]
        .into_iter()
        .any(|known| extension.is_some_and(|extension| extension.eq_ignore_ascii_case(known)))
}
