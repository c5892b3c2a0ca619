//! The manifest: what a package says about its model.

use std::fmt;

use plantain_nn::{
    ConfigError, DecoderConfig, EncoderConfig, RefinerConfig, TextEncoderConfig, UNetConfig,
};
use plantain_sampling::{SamplerKind, ScheduleConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Newest manifest format that this crate reads. It writes the oldest that holds the model: 1, or 2
/// for one with int8 weights.
pub const FORMAT_VERSION: u32 = 2;

/// A part of a model, also the prefix of its tensors' stable names.
///
/// ```
/// use plantain_weights::Component;
///
/// assert_eq!(Component::Unet.to_string(), "unet");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Prompt to text states.
    TextEncoder,
    /// The denoising network.
    Unet,
    /// Latent to picture.
    Vae,
    /// Picture to latent, for drawing from a picture.
    VaeEncoder,
    /// Sampled latent to the one to be decoded.
    Refiner,
}

impl Component {
    /// All, in the order in which a prompt meets them, and then what only some runs need.
    pub const ALL: [Self; 5] = [
        Self::TextEncoder,
        Self::Unet,
        Self::Refiner,
        Self::Vae,
        Self::VaeEncoder,
    ];

    /// Prefix of the stable tensor names.
    ///
    /// ```
    /// assert_eq!(plantain_weights::Component::VaeEncoder.name(), "vae_encoder");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::TextEncoder => "text_encoder",
            Self::Unet => "unet",
            Self::Vae => "vae",
            Self::VaeEncoder => "vae_encoder",
            Self::Refiner => "refiner",
        }
    }

    /// Folder in diffusers layouts: both halves of an autoencoder share one.
    ///
    /// ```
    /// assert_eq!(plantain_weights::Component::VaeEncoder.folder(), "vae");
    /// ```
    pub fn folder(self) -> &'static str {
        match self {
            Self::VaeEncoder => Self::Vae.name(),
            other => other.name(),
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Configurations of the components that a model has.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// let unet = model.manifest().components.unet.as_ref();
/// assert_eq!(unet.map(|unet| unet.in_channels), Some(4));
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Components {
    /// Prompt to text states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_encoder: Option<TextEncoderConfig>,
    /// The denoising network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unet: Option<UNetConfig>,
    /// Latent to picture, with the latent's scaling factors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vae: Option<DecoderConfig>,
    /// Picture to latent; absent from models that cannot draw from a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vae_encoder: Option<EncoderConfig>,
    /// Sampled latent to the one to be decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refiner: Option<RefinerConfig>,
}

impl Components {
    /// Whether the model has `component`.
    ///
    /// ```
    /// use plantain_weights::{Component, Components};
    ///
    /// assert!(!Components::default().has(Component::Refiner));
    /// ```
    pub fn has(&self, component: Component) -> bool {
        match component {
            Component::TextEncoder => self.text_encoder.is_some(),
            Component::Unet => self.unet.is_some(),
            Component::Vae => self.vae.is_some(),
            Component::VaeEncoder => self.vae_encoder.is_some(),
            Component::Refiner => self.refiner.is_some(),
        }
    }

    /// Checks that every component can be computed.
    ///
    /// # Errors
    /// The first key that is contradictory or asks for something not implemented, or a number no
    /// real network comes near: sizes are multiplied with each other later.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut components = model.manifest().components.clone();
    /// assert!(components.validate().is_ok());
    /// components.unet.as_mut().unwrap().norm_num_groups = 0;
    /// assert!(components.validate().is_err());
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn validate(&self) -> Result<(), ConfigError> {
        if let Ok(configs) = serde_json::to_value(self)
            && let Some(number) = huge(&configs)
        {
            return Err(ConfigError::Invalid {
                component: "model",
                reason: format!("{number} is beyond every real configuration"),
            });
        }
        self.text_encoder
            .as_ref()
            .map_or(Ok(()), TextEncoderConfig::validate)?;
        self.unet.as_ref().map_or(Ok(()), UNetConfig::validate)?;
        self.vae.as_ref().map_or(Ok(()), DecoderConfig::validate)?;
        self.vae_encoder
            .as_ref()
            .map_or(Ok(()), EncoderConfig::validate)?;
        self.refiner
            .as_ref()
            .map_or(Ok(()), RefinerConfig::validate)?;
        Ok(())
    }

    /// Checks that the components that are present fit each other, which a run through all of them
    /// needs and a single one does not.
    ///
    /// # Errors
    /// Which sizes differ, naming both keys.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut components = model.manifest().components.clone();
    /// assert!(components.check_fit().is_ok());
    /// components.unet.as_mut().unwrap().in_channels = 9;
    /// assert!(components.check_fit().is_err());
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn check_fit(&self) -> Result<(), ConfigError> {
        let Some(unet) = &self.unet else {
            return Ok(());
        };
        let latent = unet.in_channels;
        let refiner = self.refiner.as_ref();
        let encoder = self.vae_encoder.as_ref();
        let reduction = encoder.map(EncoderConfig::scale);
        let enlargement = self.vae.as_ref().map(DecoderConfig::scale);
        let text = self.text_encoder.as_ref().map(|text| text.hidden_size);
        let pairs = [
            ("out_channels of the unet", Some(unet.out_channels), latent),
            (
                "latent_channels of the vae",
                self.vae.as_ref().map(DecoderConfig::latent_channels),
                latent,
            ),
            (
                "latent_channels of the vae's encoder",
                encoder.map(EncoderConfig::latent_channels),
                latent,
            ),
            (
                "the reduction of the vae's encoder",
                enlargement.and(reduction),
                enlargement.unwrap_or(1),
            ),
            (
                "in_channels of the refiner",
                refiner.map(RefinerConfig::latent_channels),
                latent,
            ),
            (
                "cross_attention_dim of the refiner",
                refiner.map(|refiner| refiner.unet.text_dim()),
                unet.text_dim(),
            ),
            (
                "projection_class_embeddings_input_dim of the refiner",
                refiner.and_then(|refiner| refiner.unet.class_labels_dim()),
                unet.text_dim(),
            ),
            ("hidden_size of the text encoder", text, unet.text_dim()),
            (
                "projection_class_embeddings_input_dim of the unet",
                unet.class_labels_dim(),
                text.unwrap_or(unet.text_dim()),
            ),
        ];
        for (key, found, expected) in pairs {
            if let Some(found) = found
                && found != expected
            {
                return Err(ConfigError::Invalid {
                    component: "model",
                    reason: format!(
                        "{key} is {found}, but the other components need {expected} (the unet has `in_channels` {latent} and `cross_attention_dim` {})",
                        unet.text_dim()
                    ),
                });
            }
        }
        Ok(())
    }
}

/// Whether a mark is left out of the file.
fn is_false(mark: &bool) -> bool {
    !mark
}

/// A number above 2^24 in magnitude within `value`.
fn huge(value: &Value) -> Option<&serde_json::Number> {
    match value {
        Value::Number(number) => number
            .as_f64()
            .is_none_or(|n| n.abs() > f64::from(1 << 24))
            .then_some(number),
        Value::Array(items) => items.iter().find_map(huge),
        Value::Object(fields) => fields.values().find_map(huge),
        _ => None,
    }
}

/// How prompts become token sequences of the length that the text encoder takes.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// let tokenizer = model.manifest().tokenizer.as_ref();
/// assert_eq!(tokenizer.map(|tokenizer| tokenizer.max_length), Some(16));
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerInfo {
    /// Token that fills up short prompts. Often the end-of-text token, but 0 in Stable Diffusion 2.
    pub pad_token_id: u32,
    /// Length of a full sequence in tokens, start and end included.
    pub max_length: usize,
    /// Words that were added as vectors (textual inversion, arXiv:2208.01618).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub embeddings: Vec<AddedEmbedding>,
}

/// A word that stands for vectors of its own.
///
/// ```
/// # use plantain_weights::AddedEmbedding;
/// let added = AddedEmbedding { word: "<cat-toy>".to_string(), first_id: 49408, vectors: 2 };
/// println!("{} is {} tokens", added.word, added.vectors);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedEmbedding {
    /// The word, as prompts have it.
    pub word: String,
    /// The token that it is, and the first row of the token embedding that is its own.
    pub first_id: u32,
    /// How many rows in a row it stands for.
    pub vectors: u32,
}

/// How to sample.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// println!("made for {}", model.manifest().sampler.kind);
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplerInfo {
    /// The sampler that the model was trained or published for.
    pub kind: SamplerKind,
    /// The noise schedule.
    pub schedule: ScheduleConfig,
}

/// What a user gets without asking for anything else: what the model was trained for.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// let defaults = &model.manifest().defaults;
/// println!("{} steps to {}x{} pixels", defaults.steps, defaults.width, defaults.height);
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Defaults {
    /// Sampler steps.
    pub steps: u32,
    /// Classifier-free guidance scale; 1 means none.
    pub guidance: f64,
    /// Picture width in pixels.
    pub width: u32,
    /// Picture height in pixels.
    pub height: u32,
}

/// A file that a model was converted from.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// for file in &model.manifest().provenance.sources {
///     println!("{} {}", file.sha256, file.path);
/// }
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Path within the source folder, with `/` between its parts.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 of its contents, in hexadecimal.
    pub sha256: String,
}

/// Where a package comes from.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// assert_eq!(model.manifest().provenance.layout, "diffusers");
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Layout of the source, such as `diffusers`.
    pub layout: String,
    /// Program and version that wrote the package; empty for a source read in place.
    pub tool: String,
    /// Files read; empty for a source read in place.
    pub sources: Vec<SourceFile>,
}

/// What a package says about its model.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// let manifest = model.manifest();
/// println!("{}: {}", manifest.name, manifest.license.as_deref().unwrap_or("no licence"));
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// Name of the model.
    pub name: String,
    /// SPDX expression or name of the licence of the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// A sentence or two for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Everything that the model was taught to draw, each by its usual name and then others; empty for a model that draws
    /// whatever its text encoder can read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Vec<String>>,
    /// The styles that the model was taught, each by its usual name and then others; prompts that name none are drawn in the first of
    /// their subject. Empty for a model of which no style is expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub styles: Vec<Vec<String>>,
    /// For each of the `subjects`, the styles that it can be asked for in, as places in `styles`; empty where that is all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_styles: Vec<Vec<usize>>,
    /// Whether pictures show something in the middle of a plain ground, so that wide and tall ones are square ones whose ground
    /// goes on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub plain_ground: bool,
    /// Name of the recipe that sampler and defaults are from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// The networks.
    pub components: Components,
    /// Present where the package has a tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerInfo>,
    /// How to sample.
    pub sampler: SamplerInfo,
    /// What the model was trained for.
    pub defaults: Defaults,
    /// Where the package comes from.
    pub provenance: Provenance,
}
