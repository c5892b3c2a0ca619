//! What is to be drawn and made: every combination of row, matrix and format, worked out before anything is drawn.

mod asset;
mod cells;
mod path;
mod surroundings;

use std::collections::{BTreeMap, HashMap};

use plantain::weights::Manifest;
use plantain_assets::{AssetFormat, Fit};
use serde::Serialize;
use serde_json::Value;

use crate::error::CampaignError;
use crate::file::{CampaignFile, Covered};
use crate::identity::{key_of, seed_of};
use crate::size::{Pixels, nearest, own_size};
use crate::template::{Templates, Variables};

use asset::AssetMaker;
use cells::{Cell, cells};
use path::Paths;

/// The work of a campaign.
#[derive(Debug)]
pub struct Plan {
    /// In the order of rows, then of the matrix, then of formats.
    pub shots: Vec<Shot>,
}

/// One prompt in one size, with all that is made of its pictures, for whichever rows that is.
#[derive(Debug)]
pub struct Shot {
    /// A name for all that decides its pictures.
    pub key: String,
    /// A name for its prompt, which shots of several sizes share.
    pub prompt_key: String,
    /// Whose it is, in words: the first row that asks for it.
    pub of: String,
    /// Columns of that row and keys of the matrix.
    pub variables: BTreeMap<String, Value>,
    /// What the pictures show.
    pub prompt: String,
    /// What they do not show.
    pub negative: String,
    /// Size in which they are drawn.
    pub size: Pixels,
    /// Seed of the first of them.
    pub seed: u64,
    /// What is made of each that is kept.
    pub assets: Vec<Asset>,
}

/// What is made of the kept pictures of a shot.
#[derive(Debug)]
pub struct Asset {
    /// A name for all that decides it, beside the picture.
    pub key: String,
    /// Whose it is, in words.
    pub of: String,
    /// Columns of the row and keys of the matrix.
    pub variables: BTreeMap<String, Value>,
    /// Number of the format in the campaign file.
    pub format: usize,
    /// Where it goes, below the output folder, for each picture that is kept.
    pub paths: Vec<String>,
    /// How it is made.
    pub recipe: Recipe,
}

/// How a picture becomes an asset.
#[derive(Debug, Clone, Serialize)]
pub struct Recipe {
    /// Its size.
    pub size: Pixels,
    /// How the picture is brought into that shape.
    pub fit: Fit,
    /// What its overlay covers at the sides.
    pub covered: Covered,
    /// Whether a plain background becomes transparent.
    pub transparent: bool,
    /// Kind of file.
    pub file_type: AssetFormat,
    /// Quality, where the kind has one.
    pub quality: Option<u8>,
    /// The SVG to draw over it, with its variables filled in.
    pub overlay: Option<String>,
}

/// What a model adds to the identity of its pictures.
#[derive(Debug, Clone, Copy)]
pub struct ModelIdentity<'a> {
    /// What the model says about itself.
    pub manifest: &'a Manifest,
    /// A hash of everything in it.
    pub fingerprint: &'a str,
}

/// Everything that decides the pictures of a shot, beside their seeds.
#[derive(Serialize)]
struct Drawn<'a> {
    model: &'a str,
    prompt: &'a str,
    negative: &'a str,
    size: Pixels,
    seed: u64,
    steps: Option<usize>,
    guidance: Option<f64>,
}

impl Plan {
    /// Works out what `file` asks for.
    ///
    /// # Errors
    /// When a table or template cannot be read or filled in, two assets would go to the same place, or a place is not
    /// below the output folder: with the row and variable that it is about.
    pub fn new(file: &CampaignFile, model: ModelIdentity<'_>) -> Result<Self, CampaignError> {
        let cells = cells(file)?;
        check_comparison(file, &cells)?;
        let mut planner = Planner::new(file, model)?;
        for cell in &cells {
            planner.add(cell)?;
        }
        let shots = planner.shots;
        Ok(Self { shots })
    }

    /// How many files the campaign has when it is finished.
    pub fn assets(&self) -> usize {
        let assets = self.shots.iter().flat_map(|shot| &shot.assets);
        assets.map(|asset| asset.paths.len()).sum()
    }
}

impl Shot {
    /// A name for the picture with `seed`.
    pub fn picture_key(&self, seed: u64) -> String {
        key_of("picture", &(&self.key, seed))
    }
}

/// The variables within which colours are compared must be there.
fn check_comparison(file: &CampaignFile, cells: &[Cell]) -> Result<(), CampaignError> {
    for name in &file.campaign.checks.palette_within {
        if let Some(cell) = cells.iter().find(|cell| !cell.variables.contains_key(name)) {
            let problem = format!("{} has no variable `{name}`", cell.of);
            return Err(file.source.invalid(&["checks", "palette_within"], problem));
        }
    }
    Ok(())
}

const PROMPT: &str = "prompt";
const NEGATIVE: &str = "negative";

struct Planner<'a> {
    file: &'a CampaignFile,
    fingerprint: &'a str,
    good: Vec<Pixels>,
    templates: Templates,
    assets: AssetMaker<'a>,
    paths: Paths,
    shots: Vec<Shot>,
    /// Their numbers by key.
    numbers: HashMap<String, usize>,
}

impl<'a> Planner<'a> {
    fn new(file: &'a CampaignFile, model: ModelIdentity<'a>) -> Result<Self, CampaignError> {
        let campaign = &file.campaign;
        let mut templates = Templates::new();
        let mut add = |name: &str, text: &str| {
            templates.add(name, text.to_string(), file.source.place(&[name]))
        };
        add(PROMPT, &campaign.prompt)?;
        if let Some(negative) = &campaign.negative {
            add(NEGATIVE, negative)?;
        }
        let good = if campaign.sizes.is_empty() {
            vec![own_size(model.manifest)]
        } else {
            campaign.sizes.clone()
        };
        Ok(Self {
            file,
            fingerprint: model.fingerprint,
            good,
            templates,
            assets: AssetMaker::new(file)?,
            paths: Paths::default(),
            shots: Vec::new(),
            numbers: HashMap::new(),
        })
    }

    fn add(&mut self, cell: &Cell) -> Result<(), CampaignError> {
        let campaign = &self.file.campaign;
        let mut variables = cell.variables.clone();
        variables.insert("campaign".into(), campaign.name.as_str().into());
        let prompt = self.templates.render(PROMPT, &variables, &cell.of)?;
        if prompt.trim().is_empty() {
            let problem = format!("the prompt of {} is empty", cell.of);
            return Err(self.file.source.invalid(&[PROMPT], problem));
        }
        let negative = match &campaign.negative {
            Some(_) => self.templates.render(NEGATIVE, &variables, &cell.of)?,
            None => String::new(),
        };
        let text = Text {
            seed: seed_of(campaign.seed, &(&prompt, &negative)),
            prompt,
            negative,
        };
        for format in 0..campaign.format.len() {
            for pixels in campaign.format[format].pixels() {
                let size = nearest(pixels, &self.good).unwrap_or(pixels);
                let asset = self.asset(cell, &variables, format, pixels)?;
                let shot = self.number(cell, &text, size);
                self.shots[shot].assets.push(asset);
            }
        }
        Ok(())
    }

    /// The number of the shot of `text` in `size`, which is added where there is none yet.
    fn number(&mut self, cell: &Cell, text: &Text, size: Pixels) -> usize {
        let shot = self.shot(cell, text, size);
        let shots = &mut self.shots;
        *self.numbers.entry(shot.key.clone()).or_insert_with(|| {
            shots.push(shot);
            shots.len() - 1
        })
    }

    fn shot(&self, cell: &Cell, text: &Text, size: Pixels) -> Shot {
        let campaign = &self.file.campaign;
        let drawn = Drawn {
            model: self.fingerprint,
            prompt: &text.prompt,
            negative: &text.negative,
            size,
            seed: text.seed,
            steps: campaign.steps,
            guidance: campaign.guidance,
        };
        Shot {
            key: key_of("shot", &drawn),
            prompt_key: key_of("prompt", &(&text.prompt, &text.negative)),
            of: cell.of.clone(),
            variables: cell.variables.clone(),
            prompt: text.prompt.clone(),
            negative: text.negative.clone(),
            size,
            seed: text.seed,
            assets: Vec::new(),
        }
    }

    fn asset(
        &mut self,
        cell: &Cell,
        variables: &Variables,
        format: usize,
        size: Pixels,
    ) -> Result<Asset, CampaignError> {
        let mut variables = variables.clone();
        let asset = self.assets.make(cell, &mut variables, format, size)?;
        for path in &asset.paths {
            self.paths.claim(self.file, path, &cell.of, format)?;
        }
        Ok(asset)
    }
}

/// What is to be drawn.
struct Text {
    seed: u64,
    prompt: String,
    negative: String,
}
