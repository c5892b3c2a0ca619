//! Pictures without their background.

use std::io::Write;
use std::path::Path;

use plantain::weights::{Manifest, write_atomically};
use plantain::{Error, Format, Picture, Request, Settings};
use plantain_assets::{AssetFormat, CutOutError, Pixels, SIDE_TO_CUT, cut_out, encode, shrink};

use crate::failure::Failure;

/// Takes the background of pictures away, and remembers those of which that was not possible.
pub(crate) struct CutOut {
    size: [usize; 2],
    /// How many times as large the pictures are drawn.
    factor: u32,
    refused: Vec<(u64, CutOutError)>,
}

impl CutOut {
    /// For a request with these settings, which has pictures drawn larger where they are small and the model can.
    pub(crate) fn prepare(request: &mut Request, settings: &Settings, manifest: &Manifest) -> Self {
        let size = [settings.width, settings.height];
        let mut factor = 1;
        if manifest.plain_ground {
            factor = SIDE_TO_CUT.div_ceil(size[0].min(size[1]) as u32);
            request.aspect = None;
            request.size = Some(size.map(|side| side * factor as usize));
        }
        Self {
            size,
            factor,
            refused: Vec::new(),
        }
    }

    /// Writes the picture without its background, and tells it so; or else does not write it, and gives `false`.
    pub(crate) fn save(
        &mut self,
        picture: &mut Picture,
        path: &Path,
        format: Format,
    ) -> Result<bool, Error> {
        let cut = match cut_out(&picture.image) {
            Ok(cut) if self.factor == 1 => cut,
            Ok(cut) => shrink(&cut, self.factor),
            Err(error) => {
                self.refused.push((picture.parameters.seed, error));
                return Ok(false);
            }
        };
        let settings = &mut picture.parameters.settings;
        [settings.width, settings.height] = self.size;
        picture.parameters.transparent = true;
        let text = picture.parameters.to_string();
        let failed = |reason| Error::Write {
            path: path.to_path_buf(),
            reason,
        };
        let bytes = encode(Pixels::Rgba(&cut), asset_format(format), None, Some(&text));
        let bytes = bytes.map_err(|error| failed(error.to_string()))?;
        let written = write_atomically(path, |mut file| file.write_all(&bytes));
        written.map_err(|error| failed(error.to_string()))?;
        Ok(true)
    }

    /// Tells, after so many pictures, which were not written.
    pub(crate) fn finish(self, count: usize) -> Result<(), Failure> {
        let Some((seed, error)) = self.refused.first() else {
            return Ok(());
        };
        let message = match self.refused.len() {
            1 => format!("the picture of seed {seed} was drawn, but {error}"),
            many => format!(
                "{many} of {count} pictures were drawn, but not written: of the first, seed {seed}, {error}"
            ),
        };
        let failure = Failure::new(message);
        Err(match error {
            CutOutError::NotPlain => {
                failure.help("leave --transparent out, or ask for a plain background")
            }
            CutOutError::TooAlike => failure,
        })
    }
}

fn asset_format(format: Format) -> AssetFormat {
    match format {
        Format::Png => AssetFormat::Png,
        Format::Jpeg => AssetFormat::Jpeg,
        Format::WebP => AssetFormat::WebP,
    }
}
