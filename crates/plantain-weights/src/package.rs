//! Models: a package file, or a diffusers folder read in place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use plantain_kernels::return_freed_memory;
use plantain_nn::{ClipTextModel, Decoder, Encoder, Packing, Refiner, UNet2DConditionModel};
use serde::Deserialize;

use crate::addition::Addition;
use crate::container::Container;
use crate::error::{LoadError, ReadError};
use crate::import;
use crate::load::{ExpectedTensor, expected_tensors, load_unchecked};
use crate::manifest::{Component, FORMAT_VERSION, Manifest};
use crate::tensors::{NamedTensor, RowsInFile, TensorSource};

/// Numbers in a tensor from which on the memory that reading it took, as f32, is worth handing back.
const LARGE: usize = 4 << 20;

/// The table that the text encoder looks tokens up in.
const TOKEN_TABLE: &str = "text_encoder.embeddings.token_embedding.weight";

/// Key of the manifest in the `__metadata__` of a package.
pub const MANIFEST_KEY: &str = "plantain.manifest";
/// Key of the tokenizer in the `__metadata__` of a package.
pub const TOKENIZER_KEY: &str = "plantain.tokenizer";

/// Where a network is loaded to.
///
/// ```
/// use burn::tensor::Device;
/// use plantain_weights::Target;
///
/// let slow = Target::stock(Device::flex());
/// assert!(slow.packing.is_none());
/// ```
#[derive(Debug, Clone)]
pub struct Target {
    /// The device that it will run on.
    pub device: Device,
    /// What our kernels are to read its weights as; `None` for stock operations.
    pub packing: Option<Packing>,
}

impl Target {
    /// The slow road of stock operations.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use plantain_weights::Target;
    ///
    /// let target = Target::stock(Device::flex());
    /// ```
    pub fn stock(device: Device) -> Self {
        let packing = None;
        Self { device, packing }
    }

    /// Where parameters are before they are packed: those for a graphics processor are brought there one by one.
    fn parameters(&self) -> Device {
        match self.packing {
            Some(Packing::Device(..)) => Device::flex(),
            _ => self.device.clone(),
        }
    }
}

/// A model whose weights stay in their files until a component is loaded. Cheap to clone.
///
/// ```
/// use std::path::Path;
/// use plantain_weights::{Component, Model};
///
/// let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// assert!(model.manifest().components.has(Component::Unet));
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Model {
    pub(crate) manifest: Manifest,
    /// In the JSON format of the `tokenizers` crate.
    pub(crate) tokenizer: Option<String>,
    pub(crate) tensors: Arc<TensorSource>,
    /// Every file that was read; none for bytes in memory.
    pub(crate) files: Vec<ModelFile>,
    pub(crate) additions: Vec<Addition>,
}

/// A file that a model was read from.
#[derive(Debug, Clone)]
pub(crate) struct ModelFile {
    pub(crate) path: PathBuf,
    /// What the package to be made of it calls it, with `/` between its parts; `None` for a package, which tells itself where
    /// it came from.
    pub(crate) name: Option<String>,
}

impl ModelFile {
    /// The file `path` of a source in the folder `root`.
    pub(crate) fn within(root: &Path, path: PathBuf) -> Self {
        let within = path.strip_prefix(root).ok();
        let within = within.or_else(|| path.file_name().map(Path::new));
        let parts = within.unwrap_or(&path).iter();
        let parts: Vec<_> = parts.map(|part| part.to_string_lossy()).collect();
        Self {
            name: Some(parts.join("/")),
            path,
        }
    }
}

impl Model {
    /// Opens a package, a diffusers folder, or a checkpoint in one file (safetensors, PyTorch or GGUF) of a model of the Stable
    /// Diffusion 1 or 2 kind. The files are mapped into memory; only their headers are read.
    ///
    /// The tokenizer of a checkpoint in one file is in the folder `tokenizer` beside it; without that it is CLIP's, where its
    /// vocabulary is of that size.
    ///
    /// # Errors
    /// When the path is neither, its contents are damaged, or the model is one that this program
    /// cannot run. Whether all tensors are there shows when a component is loaded.
    ///
    /// ```
    /// use std::path::Path;
    /// use plantain_weights::Model;
    ///
    /// let package = Model::open(Path::new("../../weights/plantain-2-lite.safetensors"))?;
    /// let folder = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let metadata = path.metadata().map_err(|e| ReadError::io(path, e))?;
        if metadata.is_dir() {
            return import::open_diffusers(path);
        }
        let file = Container::open(path)?;
        if !file.metadata.contains_key(MANIFEST_KEY) {
            return import::open_checkpoint(file, path);
        }
        let package = ModelFile {
            path: path.to_path_buf(),
            name: None,
        };
        Self::from_container(file, &path.display().to_string(), vec![package])
    }

    /// Opens a package that is part of the program; errors call it `origin`.
    ///
    /// # Errors
    /// When the bytes are not a package, or one of a model that this program cannot run.
    ///
    /// ```
    /// use plantain_weights::Model;
    ///
    /// let refused = Model::from_static(b"no package", "the built-in model");
    /// assert!(refused.unwrap_err().to_string().contains("the built-in model"));
    /// ```
    pub fn from_static(bytes: &'static [u8], origin: &str) -> Result<Self, ReadError> {
        let file = Container::from_static(bytes, origin)?;
        Self::from_container(file, origin, Vec::new())
    }

    fn from_container(
        mut file: Container,
        origin: &str,
        files: Vec<ModelFile>,
    ) -> Result<Self, ReadError> {
        let manifest = read_manifest(&file, origin)?;
        let tokenizer = file.metadata.remove(TOKENIZER_KEY);
        if let Some(json) = &tokenizer {
            import::check_tokenizer(json).map_err(|reason| ReadError::Tokenizer {
                origin: format!("{origin} ({TOKENIZER_KEY})"),
                reason,
            })?;
        }
        let names = std::mem::take(&mut file.tensors);
        let named = names.into_iter().map(|(name, stored)| NamedTensor {
            original: name.clone(),
            name,
            stored,
        });
        let mut tensors = TensorSource::new(origin.to_string());
        tensors.add(file, named.collect())?;
        Ok(Self {
            manifest,
            tokenizer,
            tensors: Arc::new(tensors),
            files,
            additions: Vec::new(),
        })
    }

    /// What the model says about itself.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert_eq!(model.manifest().defaults.width, 24);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The tokenizer in the JSON format of the `tokenizers` crate, without padding and truncation;
    /// `None` when the model has none, so that it cannot be prompted with text.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert!(model.tokenizer_json().is_some_and(|json| json.starts_with('{')));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn tokenizer_json(&self) -> Option<&str> {
        self.tokenizer.as_deref()
    }

    /// The tensors under their stable names.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let tensor = model.tensors().get("unet.conv_in.weight").unwrap();
    /// assert_eq!(tensor.shape, [8, 4, 3, 3]);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn tensors(&self) -> &Arc<TensorSource> {
        &self.tensors
    }

    /// Loads the text encoder.
    ///
    /// # Errors
    /// When the model has none, or its tensors do not fit.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use plantain_weights::Target;
    ///
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let encoder = model.load_text_encoder(&Target::stock(Device::flex()))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load_text_encoder(&self, target: &Target) -> Result<ClipTextModel, LoadError> {
        let config = self.component(
            Component::TextEncoder,
            &self.manifest.components.text_encoder,
        )?;
        let network = config.init(&target.parameters());
        let pack = |network: &mut ClipTextModel, packing: &Packing| {
            if let Some(rows) = RowsInFile::of(&self.tensors, TOKEN_TABLE) {
                network.look_tokens_up_in(Arc::new(rows));
            }
            network.pack(packing);
        };
        self.load(network, Component::TextEncoder, target, pack)
    }

    /// Loads the denoising network.
    ///
    /// # Errors
    /// When the model has none, or its tensors do not fit.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use plantain_weights::Target;
    ///
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let unet = model.load_unet(&Target::stock(Device::flex()))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load_unet(&self, target: &Target) -> Result<UNet2DConditionModel, LoadError> {
        let config = self.component(Component::Unet, &self.manifest.components.unet)?;
        let network = config.init(&target.parameters());
        self.load(network, Component::Unet, target, UNet2DConditionModel::pack)
    }

    /// Loads the decoder.
    ///
    /// # Errors
    /// When the model has none, or its tensors do not fit.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use plantain_weights::Target;
    ///
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let device = Device::flex();
    /// let decoder = model.load_decoder(&Target::stock(device.clone()))?;
    /// let picture = decoder.forward(Tensor::zeros([1, 4, 8, 12], &device));
    /// assert_eq!(picture.dims(), [1, 3, 16, 24]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load_decoder(&self, target: &Target) -> Result<Decoder, LoadError> {
        let config = self.component(Component::Vae, &self.manifest.components.vae)?;
        let network = config.init(&target.parameters());
        self.load(network, Component::Vae, target, Decoder::pack)
    }

    /// Loads the encoder of pictures.
    ///
    /// # Errors
    /// When the model has none, or its tensors do not fit.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use plantain_weights::Target;
    ///
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let device = Device::flex();
    /// let encoder = model.load_encoder(&Target::stock(device.clone()))?;
    /// let latent = encoder.forward(Tensor::zeros([1, 3, 16, 24], &device));
    /// assert_eq!(latent.dims(), [1, 4, 8, 12]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load_encoder(&self, target: &Target) -> Result<Encoder, LoadError> {
        let config =
            self.component(Component::VaeEncoder, &self.manifest.components.vae_encoder)?;
        let network = config.init(&target.parameters());
        self.load(network, Component::VaeEncoder, target, Encoder::pack)
    }

    /// Loads the latent refiner; `None` when the model has none.
    ///
    /// # Errors
    /// When its tensors do not fit.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use plantain_weights::Target;
    ///
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert!(model.load_refiner(&Target::stock(Device::flex()))?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load_refiner(&self, target: &Target) -> Result<Option<Refiner>, LoadError> {
        let config = self.manifest.components.refiner.as_ref();
        let load = |network| self.load(network, Component::Refiner, target, Refiner::pack);
        config
            .map(|config| load(config.init(&target.parameters())))
            .transpose()
    }

    /// The tensors that the network of `component` needs; none when the model has no such
    /// component. No parameter is initialised.
    ///
    /// ```
    /// use plantain_weights::Component;
    ///
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let expected = model.expected_tensors(Component::Unet);
    /// assert!(expected.iter().all(|tensor| tensor.name.starts_with("unet.")));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn expected_tensors(&self, component: Component) -> Vec<ExpectedTensor> {
        let device = Device::flex();
        let configs = &self.manifest.components;
        let name = component.name();
        let tensors = match component {
            Component::TextEncoder => {
                let config = configs.text_encoder.as_ref();
                config.map(|c| expected_tensors(&c.init(&device), name))
            }
            Component::Unet => {
                let config = configs.unet.as_ref();
                config.map(|c| expected_tensors(&c.init(&device), name))
            }
            Component::Vae => {
                let config = configs.vae.as_ref();
                config.map(|c| expected_tensors(&c.init(&device), name))
            }
            Component::VaeEncoder => {
                let config = configs.vae_encoder.as_ref();
                config.map(|c| expected_tensors(&c.init(&device), name))
            }
            Component::Refiner => {
                let config = configs.refiner.as_ref();
                config.map(|c| expected_tensors(&c.init(&device), name))
            }
        };
        tensors.unwrap_or_default()
    }

    fn component<'a, C>(
        &self,
        component: Component,
        config: &'a Option<C>,
    ) -> Result<&'a C, LoadError> {
        config.as_ref().ok_or_else(|| LoadError::NoComponent {
            origin: self.tensors.origin().to_string(),
            component,
        })
    }

    fn load<M: burn::module::Module>(
        &self,
        network: M,
        component: Component,
        target: &Target,
        pack: impl FnOnce(&mut M, &Packing) + Send,
    ) -> Result<M, LoadError> {
        let load = || {
            let (tensors, name) = (&self.tensors, component.name());
            let mut network = load_unchecked(network, tensors, name)?;
            if let Some(packing) = &target.packing {
                pack(&mut network.module, packing);
                if self.largest_tensor(component) >= LARGE {
                    return_freed_memory();
                }
            }
            network.checked(tensors, name)
        };
        match target.packing {
            // On a thread of rayon's: each tensor is looked at and packed by several, and waking those for it from outside takes longer
            // than most tensors of a small model. What is uploaded stays with the thread that draws.
            Some(Packing::Host(_)) => rayon::scope(|_| load()),
            _ => load(),
        }
    }

    /// Numbers in the largest tensor of a component.
    fn largest_tensor(&self, component: Component) -> usize {
        let prefix = format!("{}.", component.name());
        let of_component = self
            .tensors
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix));
        let sizes = of_component.map(|(_, tensor)| tensor.parameters());
        sizes.max().unwrap_or(0)
    }
}

/// Whether a manifest has a refiner without a UNet of its own.
fn has_earlier_refiner(manifest: &str) -> bool {
    let manifest: Result<serde_json::Value, _> = serde_json::from_str(manifest);
    let refiner = manifest.map(|manifest| manifest["components"]["refiner"].clone());
    refiner.is_ok_and(|refiner| refiner.is_object() && refiner["unet"].is_null())
}

fn read_manifest(file: &Container, origin: &str) -> Result<Manifest, ReadError> {
    #[derive(Deserialize)]
    struct Version {
        format: u64,
    }
    let Some(json) = file.metadata.get(MANIFEST_KEY) else {
        let origin = origin.to_string();
        return Err(ReadError::NotAPackage { origin });
    };
    let within = || format!("{origin} ({MANIFEST_KEY})");
    let Version { format } =
        serde_json::from_str(json).map_err(|e| ReadError::json(within(), e))?;
    if format > u64::from(FORMAT_VERSION) {
        return Err(ReadError::NewerFormat {
            origin: origin.to_string(),
            found: format,
            supported: FORMAT_VERSION,
        });
    }
    let manifest: Manifest = serde_json::from_str(json).map_err(|e| {
        if has_earlier_refiner(json) {
            let origin = origin.to_string();
            return ReadError::EarlierRefiner { origin };
        }
        ReadError::json(within(), e)
    })?;
    let checked = manifest.components.validate();
    let checked = checked.and_then(|()| manifest.check_subject_styles());
    checked.map_err(|source| ReadError::Config {
        origin: within(),
        source,
    })?;
    if let (Some(tokenizer), Some(text)) = (&manifest.tokenizer, &manifest.components.text_encoder)
        && !(2..=text.max_position_embeddings).contains(&tokenizer.max_length)
    {
        let reason = format!(
            "the tokenizer's `max_length` {} is not within 2 and the text encoder's `max_position_embeddings` {}",
            tokenizer.max_length, text.max_position_embeddings
        );
        return Err(ReadError::Tokenizer {
            origin: within(),
            reason,
        });
    }
    Ok(manifest)
}
