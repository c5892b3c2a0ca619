//! What overlays show that is not in their own text.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use plantain::weights::sha256;
use plantain_assets::{Overlay, font_files};

use crate::error::CampaignError;
use crate::file::CampaignFile;
use crate::identity::key_of;

/// Knows the files that overlays use, each of which is read once.
pub(super) struct Surroundings {
    /// Hashes of the campaign's fonts.
    fonts: Vec<Option<String>>,
    /// Hashes of linked pictures by path; nothing where there is none to be read.
    pictures: HashMap<PathBuf, Option<String>>,
}

impl Surroundings {
    pub(super) fn new(file: &CampaignFile) -> Result<Self, CampaignError> {
        let fonts = match &file.campaign.fonts {
            Some(folder) => font_files(&file.resolve(folder))
                .map_err(|error| file.source.invalid(&["fonts"], error.to_string()))?,
            None => Vec::new(),
        };
        Ok(Self {
            fonts: fonts.iter().map(|path| hash_of(path)).collect(),
            pictures: HashMap::new(),
        })
    }

    /// A name for all that the drawing `svg` in `folder` shows besides.
    pub(super) fn of(&mut self, svg: &str, folder: &Path) -> String {
        let linked = Overlay::linked_files(svg, folder).into_iter();
        let pictures: Vec<_> = linked
            .map(|path| {
                let hash = self.pictures.entry(path);
                hash.or_insert_with_key(|path| hash_of(path)).clone()
            })
            .collect();
        key_of("files", &(&self.fonts, pictures))
    }
}

/// The hash of a file. Where none can be read, the overlay will say so when it is drawn.
fn hash_of(path: &Path) -> Option<String> {
    // A pipe would be waited for.
    let bytes = path.is_file().then(|| fs::read(path).ok()).flatten();
    bytes.map(|bytes| sha256(&bytes))
}
