//! Where a model comes from.

use std::path::{Path, PathBuf};

use plantain_weights::{Model, ReadError};

/// Where a [`Pipeline`](crate::Pipeline) gets its model from.
///
/// ```no_run
/// use std::path::Path;
/// use plantain::{DeviceOptions, ModelSource, Pipeline};
///
/// let options = DeviceOptions::default();
/// let built_in = Pipeline::load(ModelSource::BuiltIn, options)?;
/// let own = Pipeline::load(Path::new("tiny.safetensors"), options)?;
/// # Ok::<(), plantain::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ModelSource {
    /// The model that is part of this library.
    #[cfg(feature = "embedded-model")]
    BuiltIn,
    /// A package file or a diffusers folder.
    Path(PathBuf),
    /// A model that was opened before.
    Opened(Box<Model>),
}

impl ModelSource {
    /// Opens the model; its weights stay in their files.
    ///
    /// # Errors
    /// As [`Model::open`].
    ///
    /// ```
    /// let model = plantain::ModelSource::BuiltIn.open()?;
    /// assert_eq!(model.manifest().defaults.steps, 4);
    /// # Ok::<(), plantain::weights::ReadError>(())
    /// ```
    pub fn open(self) -> Result<Model, ReadError> {
        match self {
            #[cfg(feature = "embedded-model")]
            Self::BuiltIn => default_model(),
            Self::Path(path) => Model::open(&path),
            Self::Opened(model) => Ok(*model),
        }
    }
}

impl From<&Path> for ModelSource {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_path_buf())
    }
}

impl From<PathBuf> for ModelSource {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<Model> for ModelSource {
    fn from(model: Model) -> Self {
        Self::Opened(Box::new(model))
    }
}

impl From<&Model> for ModelSource {
    fn from(model: &Model) -> Self {
        model.clone().into()
    }
}

/// The model that is part of this library.
///
/// # Errors
/// When the library was built around a damaged file.
///
/// ```
/// let model = plantain::default_model()?;
/// assert_eq!(model.manifest().name, "plantain-2-lite");
/// # Ok::<(), plantain::weights::ReadError>(())
/// ```
#[cfg(feature = "embedded-model")]
pub fn default_model() -> Result<Model, ReadError> {
    static BYTES: &[u8] = include_bytes!("../../../weights/plantain-2-lite.safetensors");
    Model::from_static(BYTES, "the built-in model")
}
