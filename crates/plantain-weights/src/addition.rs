//! What was added to a model since it was opened, so that a picture can tell what it was drawn with.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::package::Model;

/// What kind of thing was added.
///
/// ```
/// assert_eq!(plantain_weights::AdditionKind::Lora.name(), "lora");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdditionKind {
    /// A LoRA, with its weight.
    Lora,
    /// A textual inversion.
    Embedding,
    /// An autoencoder in place of the model's.
    Vae,
    /// A way of sampling in place of the model's.
    Recipe,
}

impl AdditionKind {
    const ALL: [Self; 4] = [Self::Lora, Self::Embedding, Self::Vae, Self::Recipe];

    /// Name on the command line.
    ///
    /// ```
    /// assert_eq!(plantain_weights::AdditionKind::Vae.name(), "vae");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Lora => "lora",
            Self::Embedding => "embedding",
            Self::Vae => "vae",
            Self::Recipe => "recipe",
        }
    }
}

/// Something that was added to a model.
///
/// ```
/// use plantain_weights::{Addition, AdditionKind};
///
/// let addition: Addition = "lora ink.safetensors:0.8".parse()?;
/// assert_eq!((addition.kind, addition.value.as_str()), (AdditionKind::Lora, "ink.safetensors:0.8"));
/// assert_eq!(addition.to_string(), "lora ink.safetensors:0.8");
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// What it is.
    pub kind: AdditionKind,
    /// Its name, or that of its file without the folders, and after a colon the weight of a LoRA.
    pub value: String,
}

impl fmt::Display for Addition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.value)
    }
}

impl FromStr for Addition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, value) = text.split_once(' ').unwrap_or((text, ""));
        let known = AdditionKind::ALL;
        let kind = known.into_iter().find(|known| known.name() == kind);
        let kind = kind.ok_or_else(|| format!("`{text}` is nothing that is added to a model"))?;
        let value = value.to_string();
        Ok(Self { kind, value })
    }
}

impl Addition {
    /// The file or folder at `path`, added as `kind`.
    pub(crate) fn of_path(kind: AdditionKind, path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let value = name.to_string_lossy().into_owned();
        Self { kind, value }
    }
}

impl Model {
    /// What was added since the model was opened, in that order.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// use plantain_weights::Recipe;
    ///
    /// let fast = model.with_recipe(Recipe::named("lcm")?);
    /// assert_eq!(fast.additions()[0].to_string(), "recipe lcm");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn additions(&self) -> &[Addition] {
        &self.additions
    }
}
