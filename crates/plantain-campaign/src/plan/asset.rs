//! What is made of a cell's pictures in one format.

use std::ffi::OsStr;
use std::path::Path;

use plantain_assets::AssetFormat;
use serde_json::Value;

use super::cells::Cell;
use super::surroundings::Surroundings;
use super::{Asset, Recipe};
use crate::error::{CampaignError, Place};
use crate::file::{CampaignFile, Format};
use crate::identity::key_of;
use crate::rows::read_text;
use crate::size::Pixels;
use crate::template::{Templates, Variables};

const OUTPUT: &str = "output";

/// Makes the assets of cells.
pub(super) struct AssetMaker<'a> {
    file: &'a CampaignFile,
    templates: Templates,
    /// Of each format: the name of its overlay among the templates.
    overlays: Vec<Option<String>>,
    surroundings: Surroundings,
}

impl<'a> AssetMaker<'a> {
    pub(super) fn new(file: &'a CampaignFile) -> Result<Self, CampaignError> {
        let campaign = &file.campaign;
        let mut templates = Templates::new();
        let place = file.source.place(&[OUTPUT]);
        templates.add(OUTPUT, campaign.output.clone(), place)?;
        let mut overlays = Vec::new();
        for (i, format) in campaign.format.iter().enumerate() {
            let overlay = format.overlay.as_deref();
            overlays.push(match overlay {
                Some(path) => Some(add_overlay(file, &mut templates, i, path)?),
                None => None,
            });
        }
        Ok(Self {
            file,
            templates,
            overlays,
            surroundings: Surroundings::new(file)?,
        })
    }

    /// The asset of `cell`, whose variables get those of the asset too.
    pub(super) fn make(
        &mut self,
        cell: &Cell,
        variables: &mut Variables,
        format: usize,
        size: Pixels,
    ) -> Result<Asset, CampaignError> {
        let own = &self.file.campaign.format[format];
        variables.insert("format".into(), own.name.as_str().into());
        variables.insert("size".into(), size.to_string().into());
        let extension = own.file_type.unwrap_or(AssetFormat::Png).extension();
        variables.insert("extension".into(), extension.into());
        let overlay = match &self.overlays[format] {
            Some(name) => Some(self.templates.render(name, variables, &cell.of)?),
            None => None,
        };
        let surroundings = match &overlay {
            Some(svg) => self.surroundings.of(svg, &own.overlay_folder(self.file)),
            None => String::new(),
        };
        let paths = self.paths(cell, variables)?;
        let recipe = Recipe {
            size,
            fit: own.fit,
            covered: own.covered,
            transparent: own.transparent,
            file_type: self.file_type(format, &paths[0])?,
            quality: own.quality,
            overlay,
        };
        Ok(Asset {
            key: key_of("asset", &(&recipe, &surroundings)),
            of: cell.of.clone(),
            variables: cell.variables.clone(),
            format,
            paths,
            recipe,
        })
    }

    /// One for each picture that is kept.
    fn paths(&self, cell: &Cell, variables: &mut Variables) -> Result<Vec<String>, CampaignError> {
        let keep = self.file.campaign.keep;
        let mut path = |variant: usize| {
            variables.insert("variant".into(), Value::from(variant));
            self.templates.render(OUTPUT, variables, &cell.of)
        };
        (1..=keep).map(&mut path).collect()
    }

    fn file_type(&self, format: usize, path: &str) -> Result<AssetFormat, CampaignError> {
        let own = &self.file.campaign.format[format];
        let number = format.to_string();
        let refuse = |key: &str, problem: String| {
            Err(self.file.source.invalid(&["format", &number, key], problem))
        };
        let extension = Path::new(path).extension().unwrap_or_default();
        let named = match &extension.to_ascii_lowercase().to_string_lossy()[..] {
            "png" => AssetFormat::Png,
            "jpg" | "jpeg" => AssetFormat::Jpeg,
            "webp" => AssetFormat::WebP,
            _ => {
                let problem = format!("`{path}` does not end in .png, .jpg or .webp");
                return Err(self.file.source.invalid(&[OUTPUT], problem));
            }
        };
        if own.file_type.is_some_and(|wanted| wanted != named) {
            let problem = format!(
                "it contradicts the name `{path}`; write .{{{{ extension }}}} at the end of `output`"
            );
            return refuse("type", problem);
        }
        if own.quality.is_some() && named == AssetFormat::Png {
            return refuse(
                "quality",
                format!("{} is written without loss", named.name()),
            );
        }
        if own.transparent && named == AssetFormat::Jpeg {
            return refuse("transparent", "a JPEG cannot be transparent".into());
        }
        Ok(named)
    }
}

/// Adds the overlay of the format with number `format` to `templates`, under the name that is given back.
fn add_overlay(
    file: &CampaignFile,
    templates: &mut Templates,
    format: usize,
    path: &Path,
) -> Result<String, CampaignError> {
    let number = format.to_string();
    let refuse = |problem| {
        let keys = ["format", &number, "overlay"];
        Err(file.source.invalid(&keys, problem))
    };
    let is_svg = |extension: &OsStr| extension.eq_ignore_ascii_case("svg");
    if !path.extension().is_some_and(is_svg) {
        return refuse(format!("{} is no .svg", path.display()));
    }
    let full = file.resolve(path);
    let text = match read_text(&full) {
        Ok(text) => text,
        Err(error) => return refuse(error.to_string()),
    };
    let name = format!("{number}.svg");
    templates.add(&name, text, Place::file(&full))?;
    Ok(name)
}

impl Format {
    /// The overlay's folder within the campaign's, below which it may read.
    pub(crate) fn overlay_folder(&self, file: &CampaignFile) -> std::path::PathBuf {
        let overlay = self.overlay.as_deref().unwrap_or(Path::new(""));
        let full = file.resolve(overlay);
        full.parent()
            .map_or_else(Default::default, Path::to_path_buf)
    }
}
