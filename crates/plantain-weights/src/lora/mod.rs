//! Low-rank adaptations (LoRA, arXiv:2106.09685) of other people's making, added to a model's weights when these are read.

mod names;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::addition::{Addition, AdditionKind};
use crate::change::Change;
use crate::container::{Container, Stored};
use crate::error::ReadError;
use crate::keys::module_names;
use crate::manifest::Component;
use crate::package::{Model, ModelFile};
use crate::plain::numbers;
use names::{Part, Role, role_of};

/// What of a LoRA was added to a model.
///
/// ```
/// # use plantain_weights::LoraReport;
/// let report = LoraReport { applied: 128, unmatched: vec!["lora_unet_conv_in".to_string()] };
/// println!("{} of {} layers", report.applied, report.applied + report.unmatched.len());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoraReport {
    /// Layers of the model that it changes.
    pub applied: usize,
    /// Layers that it names and the model does not have, and tensors that are no part of a layer.
    pub unmatched: Vec<String>,
}

/// Why a LoRA was not added.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// # let path = Path::new("../../tests/fixtures/loras/dora.safetensors");
/// let error = model.with_lora(path, 1.0).unwrap_err();
/// assert!(error.to_string().contains("a DoRA"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoraError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A kind of adaptation that is more than a product of two matrices.
    #[error("{}: `{tensor}` is part of {kind}, which is not supported; get it as a plain LoRA", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// A tensor of that kind.
        tensor: String,
        /// The kind.
        kind: &'static str,
    },
    /// None of its layers is one of the model's.
    #[error(
        "{}: none of its {layers} layers is one of the model's (the first is `{first}`); it was made for another kind of model",
        path.display()
    )]
    NoMatch {
        /// The file.
        path: PathBuf,
        /// Layers that it names.
        layers: usize,
        /// The first of them.
        first: String,
    },
    /// No tensor in it belongs to a LoRA.
    #[error("{}: it holds no LoRA; its tensors are called like `{example}`", path.display())]
    NoLora {
        /// The file.
        path: PathBuf,
        /// Name of a tensor, or nothing.
        example: String,
    },
    /// The matrices of a layer do not fit it or each other.
    #[error(
        "{}: the matrices of `{layer}` do not fit the model's layer, {shape:?}, or hold what is no finite number; it was made for another model",
        path.display()
    )]
    Misfit {
        /// The file.
        path: PathBuf,
        /// The layer, as the file calls it.
        layer: String,
        /// Shape of the model's weight.
        shape: Vec<usize>,
    },
    /// The number that scales a layer is none.
    #[error("{}: the alpha of `{layer}` is no finite number; download it again", path.display())]
    Alpha {
        /// The file.
        path: PathBuf,
        /// The layer, as the file calls it.
        layer: String,
    },
    /// A layer has one matrix and lacks the other.
    #[error("{}: `{layer}` has only one of its two matrices; download it again", path.display())]
    Half {
        /// The file.
        path: PathBuf,
        /// The layer, as the file calls it.
        layer: String,
    },
}

/// The tensors of one layer.
#[derive(Debug, Default)]
struct Layer<'a> {
    up: Option<&'a Stored>,
    down: Option<&'a Stored>,
    alpha: Option<f32>,
}

impl Model {
    /// This model with `weight` times the LoRA at `path` added: linear layers and convolutions of the UNet and the text
    /// encoder, in the names of kohya's scripts, of diffusers (old and new) or of peft. Nothing is computed before the weights
    /// are read.
    ///
    /// # Errors
    /// When the file cannot be read, is no LoRA or of a kind that is more than that, fits no layer of the model, or has matrices
    /// of the wrong sizes.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// # let path = Path::new("../../tests/fixtures/loras/kohya.safetensors");
    /// let (adapted, report) = model.with_lora(path, 0.8)?;
    /// assert!(report.applied > 0 && report.unmatched.is_empty());
    /// assert_ne!(adapted.fingerprint(), model.fingerprint());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_lora(&self, path: &Path, weight: f32) -> Result<(Self, LoraReport), LoraError> {
        let file = Arc::new(Container::open(path)?);
        let (layers, others) = read_layers(&file, path)?;
        let alphas = stated_alphas(&file, path);
        let known = self.layers();
        let mut model = self.clone();
        let tensors = Arc::make_mut(&mut model.tensors);
        let mut report = LoraReport {
            applied: 0,
            unmatched: others,
        };
        for (name, layer) in &layers {
            let Some(stable) = names::keys(name).iter().find_map(|key| known.get(key)) else {
                report.unmatched.push(name.clone());
                continue;
            };
            let (Some(up), Some(down)) = (layer.up, layer.down) else {
                let (path, layer) = (path.to_path_buf(), name.clone());
                return Err(LoraError::Half { path, layer });
            };
            let rank = down.shape.first().map_or(1, |rank| (*rank).max(1)) as f32;
            let alpha = layer.alpha.or_else(|| alphas.of(name)).unwrap_or(rank);
            let scale = weight * alpha
                / if alphas.by_root(name) {
                    rank.sqrt()
                } else {
                    rank
                };
            let shape = self
                .tensors
                .get(stable)
                .map_or(&[][..], |tensor| tensor.shape);
            let change = Change::new(&file, up, down, scale, shape);
            let change = change.ok_or_else(|| LoraError::Misfit {
                path: path.to_path_buf(),
                layer: name.clone(),
                shape: shape.to_vec(),
            })?;
            tensors.change(stable, change);
            report.applied += 1;
        }
        if report.applied == 0 {
            return Err(LoraError::NoMatch {
                path: path.to_path_buf(),
                layers: layers.len(),
                first: layers.keys().next().cloned().unwrap_or_default(),
            });
        }
        let folder = path.parent().unwrap_or(path);
        model
            .files
            .push(ModelFile::within(folder, path.to_path_buf()));
        let mut addition = Addition::of_path(AdditionKind::Lora, path);
        addition.value += &format!(":{weight}");
        model.additions.push(addition);
        Ok((model, report))
    }

    /// The weights that a LoRA can change, by every name that one may have for them.
    fn layers(&self) -> BTreeMap<String, String> {
        let changed = [Component::Unet, Component::TextEncoder];
        let weights = changed.into_iter().flat_map(|component| {
            let expected = self.expected_tensors(component).into_iter();
            let weights = expected.filter(|tensor| tensor.shape.len() >= 2);
            weights.map(move |tensor| (component, tensor.name))
        });
        let mut layers = BTreeMap::new();
        for (component, name) in weights {
            for module in module_names(component, &name) {
                layers.insert(names::underscored(component, &module), name.clone());
            }
        }
        layers
    }
}

/// The layers of the LoRA in `file`, and the names of tensors that are no part of one.
fn read_layers<'a>(
    file: &'a Container,
    path: &Path,
) -> Result<(BTreeMap<String, Layer<'a>>, Vec<String>), LoraError> {
    let mut layers = BTreeMap::<String, Layer<'a>>::new();
    let mut others = Vec::new();
    for (name, stored) in &file.tensors {
        match role_of(name) {
            Role::Part(of, part) => {
                let layer = layers.entry(of.clone()).or_default();
                match part {
                    Part::Up => layer.up = Some(stored),
                    Part::Down => layer.down = Some(stored),
                    Part::Alpha => {
                        let (path, layer_name) = (path.to_path_buf(), of);
                        layer.alpha = Some(number(file, stored).ok_or(LoraError::Alpha {
                            path,
                            layer: layer_name,
                        })?);
                    }
                }
            }
            Role::OtherKind(kind) => {
                return Err(LoraError::Kind {
                    path: path.to_path_buf(),
                    tensor: name.clone(),
                    kind,
                });
            }
            Role::None => others.push(name.clone()),
        }
    }
    if layers
        .values()
        .all(|layer| layer.up.is_none() && layer.down.is_none())
    {
        return Err(LoraError::NoLora {
            path: path.to_path_buf(),
            example: file.tensors.keys().next().cloned().unwrap_or_default(),
        });
    }
    Ok((layers, others))
}

/// The number that a tensor of one holds, of whatever type.
fn number(file: &Container, stored: &Stored) -> Option<f32> {
    let one = stored.shape.iter().product::<usize>() == 1;
    let values = one.then(|| numbers(stored, file.data(stored)))??;
    values.first().copied().filter(|alpha| alpha.is_finite())
}

/// What peft says about its adapters: in the metadata of a file, for each component (source: diffusers `lora_base.py`), or in the file beside
/// that of a single network (source: peft `config.py`).
#[derive(Debug, Default)]
struct StatedAlphas {
    values: Map<String, Value>,
    /// Whether keys begin with the component.
    by_component: bool,
}

/// The names that peft gives an adapter's file, and the one beside it.
const PEFT_ADAPTER: &str = "adapter_model";
const PEFT_CONFIG: &str = "adapter_config.json";

fn stated_alphas(file: &Container, path: &Path) -> StatedAlphas {
    let within = file.metadata.get("lora_adapter_metadata");
    if let Some(values) = within.and_then(|json| serde_json::from_str(json).ok()) {
        return StatedAlphas {
            values,
            by_component: true,
        };
    }
    let is_peft = path.file_stem().is_some_and(|stem| stem == PEFT_ADAPTER);
    let beside = is_peft.then(|| std::fs::read(path.with_file_name(PEFT_CONFIG)).ok());
    let values = beside
        .flatten()
        .and_then(|json| serde_json::from_slice(&json).ok());
    StatedAlphas {
        values: values.unwrap_or_default(),
        by_component: false,
    }
}

impl StatedAlphas {
    /// What is stated under `key` for the layer `name`, whose start is that of its component, and the layer's name for that.
    fn get<'a>(&self, name: &'a str, key: &str) -> (Option<&Value>, &'a str) {
        match name.split_once('.') {
            Some((component, layer)) if self.by_component => {
                (self.values.get(&format!("{component}.{key}")), layer)
            }
            _ => (self.values.get(key), name),
        }
    }

    /// Whether the layer `name` is scaled by the root of its rank (rsLoRA, arXiv:2312.03732).
    fn by_root(&self, name: &str) -> bool {
        self.get(name, "use_rslora").0 == Some(&Value::Bool(true))
    }

    /// The alpha of the layer `name`.
    fn of(&self, name: &str) -> Option<f32> {
        let (patterns, layer) = self.get(name, "alpha_pattern");
        let patterns = patterns.and_then(Value::as_object).into_iter().flatten();
        let own = patterns
            .filter(|(pattern, _)| layer == *pattern || layer.ends_with(&format!(".{pattern}")))
            .map(|(_, alpha)| alpha)
            .next();
        let alpha = own.or_else(|| self.get(name, "lora_alpha").0)?;
        Some(alpha.as_f64()? as f32)
    }
}
