//! Recipes: how families of models are sampled, as data.

use std::sync::LazyLock;

use plantain_nn::PerLevel;
use plantain_sampling::{PredictionType, SamplerKind, TimestepSpacing};
use serde::Deserialize;

use crate::addition::{Addition, AdditionKind};
use crate::manifest::Manifest;
use crate::package::Model;

const RECIPES: &str = include_str!("recipes.toml");

/// How a family of models is sampled.
///
/// ```
/// # use plantain_weights::Recipe;
/// let turbo = Recipe::named("sd-turbo")?;
/// assert_eq!((turbo.steps, turbo.guidance), (1, 1.0));
/// # Ok::<(), plantain_weights::UnknownRecipe>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// What it is for, in a sentence without its full stop.
    pub about: String,
    /// The papers.
    pub source: String,
    /// Parts of names by which its models are recognised.
    names: Vec<String>,
    /// The sampler.
    pub sampler: SamplerKind,
    /// Steps.
    pub steps: u32,
    /// Guidance scale; 1 means none.
    pub guidance: f64,
    /// Guidance scale of networks that take it as an input.
    embedded_guidance: Option<f64>,
    /// What the network predicts, where that is not in the files.
    pub prediction_type: Option<PredictionType>,
    timestep_spacing: Option<TimestepSpacing>,
    original_inference_steps: Option<usize>,
    /// Whether some of its models take a guidance scale although they are sampled without.
    #[serde(default)]
    pub takes_guidance: bool,
    /// Height and width in pixels, where the family has one.
    side: Option<u32>,
}

/// A name that no recipe has.
///
/// ```
/// let error = plantain_weights::Recipe::named("sdturbo").unwrap_err();
/// assert!(error.to_string().contains("did you mean `sd-turbo`?"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", unknown(self))]
pub struct UnknownRecipe {
    name: String,
    suggestion: Option<String>,
}

fn unknown(error: &UnknownRecipe) -> String {
    let alike = error.suggestion.as_ref();
    let alike = alike.map_or_else(String::new, |other| format!(", did you mean `{other}`?"));
    let name = &error.name;
    format!("there is no recipe `{name}`{alike}; `plantain convert --recipes` lists them")
}

/// All recipes.
///
/// ```
/// for recipe in plantain_weights::recipes() {
///     println!("{}: {}", recipe.name, recipe.about);
/// }
/// ```
pub fn recipes() -> &'static [Recipe] {
    #[derive(Deserialize)]
    struct Recipes {
        recipe: Vec<Recipe>,
    }
    static ALL: LazyLock<Vec<Recipe>> = LazyLock::new(|| {
        let recipes: Recipes = toml::from_str(RECIPES).expect("the recipes are tested");
        recipes.recipe
    });
    &ALL
}

impl Recipe {
    /// The recipe called `name`.
    ///
    /// # Errors
    /// When there is none, with the name that resembles it most.
    ///
    /// ```
    /// assert!(plantain_weights::Recipe::named("lcm").is_ok());
    /// ```
    pub fn named(name: &str) -> Result<&'static Self, UnknownRecipe> {
        const ALIKE: f64 = 0.6;
        let found = recipes().iter().find(|recipe| recipe.name == name);
        found.ok_or_else(|| {
            let alike = recipes().iter().map(|recipe| {
                let score = strsim::normalized_levenshtein(name, &recipe.name);
                (score, &recipe.name)
            });
            let best = alike.max_by(|a, b| a.0.total_cmp(&b.0));
            UnknownRecipe {
                name: name.to_string(),
                suggestion: best
                    .filter(|best| best.0 >= ALIKE)
                    .map(|best| best.1.clone()),
            }
        })
    }

    /// The recipe whose models are called like `name`, such as `SD-Turbo` or `lcm_dreamshaper_v7`. Where there are several, one for few
    /// steps, whose models may also bear the name of what they were made of ("tiny-sd-lcm"), and of these the one with the longest part in
    /// common.
    ///
    /// ```
    /// let recipe = plantain_weights::Recipe::recognised("lcm_dreamshaper_v7").unwrap();
    /// assert_eq!(recipe.name, "lcm");
    /// let recipe = plantain_weights::Recipe::recognised("tiny-sd-lcm").unwrap();
    /// assert_eq!(recipe.name, "lcm");
    /// ```
    pub fn recognised(name: &str) -> Option<&'static Self> {
        // Of a path the last part: folders of training runs are called anything.
        let name = words(name.rsplit(['/', '\\']).next().unwrap_or(name));
        let matches = recipes().iter().flat_map(|recipe| {
            let parts = recipe.names.iter().filter(|part| contains(&name, part));
            parts.map(move |part| (recipe.guidance <= 1.0, part.len(), recipe))
        });
        matches
            .max_by_key(|(distilled, length, _)| (*distilled, *length))
            .map(|(.., recipe)| recipe)
    }

    /// Changes what `manifest` says about sampling.
    pub(crate) fn apply(&self, manifest: &mut Manifest) {
        manifest.recipe = Some(self.name.clone());
        let components = &mut manifest.components;
        let scale = components.sampling_scale();
        let unet = components.unet.as_mut();
        let embeds = unet
            .as_ref()
            .is_some_and(|unet| unet.time_cond_proj_dim.is_some());
        let guidance = self.embedded_guidance.filter(|_| embeds);
        let defaults = &mut manifest.defaults;
        defaults.steps = self.steps;
        defaults.guidance = guidance.unwrap_or(self.guidance);
        manifest.sampler.kind = self.sampler;
        let schedule = &mut manifest.sampler.schedule;
        schedule.prediction_type = self.prediction_type.or(schedule.prediction_type);
        if let Some(spacing) = self.timestep_spacing {
            schedule.timestep_spacing = spacing;
            schedule.use_karras_sigmas = false;
        }
        if let Some(steps) = self.original_inference_steps {
            schedule.original_inference_steps = steps;
        }
        if let Some(side) = self.side {
            (defaults.width, defaults.height) = (side, side);
            if let Some(unet) = unet {
                unet.sample_size = Some(PerLevel::All(side as usize / scale));
            }
        }
    }
}

impl Model {
    /// This model, sampled by `recipe` when nothing else is asked for.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// use plantain_weights::Recipe;
    ///
    /// let fast = model.with_recipe(Recipe::named("lcm")?);
    /// assert_eq!(fast.manifest().defaults.steps, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_recipe(&self, recipe: &Recipe) -> Self {
        let mut model = self.clone();
        recipe.apply(&mut model.manifest);
        let (kind, value) = (AdditionKind::Recipe, recipe.name.clone());
        model.additions.push(Addition { kind, value });
        model
    }

    /// This model, predicting `prediction_type`: checkpoints in one file do not say what their networks predict.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// use plantain_sampling::PredictionType;
    ///
    /// let model = model.with_prediction(PredictionType::VPrediction);
    /// let schedule = &model.manifest().sampler.schedule;
    /// assert_eq!(schedule.prediction(), PredictionType::VPrediction);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    #[must_use]
    pub fn with_prediction(&self, prediction_type: PredictionType) -> Self {
        let mut model = self.clone();
        model.manifest.sampler.schedule.prediction_type = Some(prediction_type);
        model
    }
}

/// `name` in lower case with `-` between its words.
fn words(name: &str) -> String {
    let dashed = |c: char| if c.is_alphanumeric() { c } else { '-' };
    name.to_lowercase().chars().map(dashed).collect()
}

/// Whether `part` stands in `name` as whole words.
fn contains(name: &str, part: &str) -> bool {
    name.match_indices(part).any(|(start, _)| {
        let before = name[..start].chars().next_back();
        let after = name[start + part.len()..].chars().next();
        [before, after].iter().flatten().all(|c| *c == '-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_recognised_by_their_names() {
        for (name, recipe) in [
            ("stabilityai/sd-turbo", Some("sd-turbo")),
            ("sd_turbo", Some("sd-turbo")),
            ("LCM_Dreamshaper_v7", Some("lcm")),
            ("lcm-lora-sdv1-5", Some("lcm")),
            ("Hyper-SD15-1step-lora", Some("hyper-sd-1step")),
            ("ByteDance/Hyper-SD", Some("hyper-sd")),
            ("Hyper-SD15-4steps-lora", Some("hyper-sd")),
            ("/data/tcd/run3", None),
            ("IDKiro/sdxs-512-0.9", Some("sdxs")),
            ("segmind/tiny-sd", Some("bk-sdm")),
            ("nota-ai/bk-sdm-v2-tiny", Some("bk-sdm")),
            ("v1-5-pruned-emaonly", None),
            ("calcmachine", None),
        ] {
            let found = Recipe::recognised(name).map(|recipe| recipe.name.as_str());
            assert_eq!(found, recipe, "{name}");
        }
    }

    #[test]
    fn a_wrong_name_is_told_the_nearest() {
        let message = Recipe::named("sdturbo").unwrap_err().to_string();
        assert!(message.contains("did you mean `sd-turbo`?"), "{message}");
        let message = Recipe::named("qqqqqq").unwrap_err().to_string();
        assert!(
            message.starts_with("there is no recipe `qqqqqq`;"),
            "{message}"
        );
    }

    #[test]
    fn recipes_have_unique_names_and_sensible_numbers() {
        for (i, recipe) in recipes().iter().enumerate() {
            assert!(recipes()[..i].iter().all(|other| other.name != recipe.name));
            assert!(recipe.steps > 0 && recipe.guidance >= 1.0);
            assert!(recipe.names.iter().all(|name| words(name) == *name));
        }
    }
}
