//! Import: any supported source becomes one package file.

mod autoencoder;
mod check;
mod diffusers;
mod files;
mod scheduler;
mod single_file;
mod tokenizer;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::container::{Container, split};
use crate::error::{ConvertError, ReadError, TensorProblem};
use crate::float::FloatType;
use crate::int8;
use crate::keys::KeyMap;
use crate::manifest::{Component, FORMAT_VERSION, Manifest, Provenance, SourceFile};
use crate::package::{MANIFEST_KEY, Model, ModelFile, TOKENIZER_KEY};
use crate::sha256::sha256_of;
use crate::tensor::TensorRef;
use crate::tensors::{NamedTensor, TensorSource};
use crate::write::{OutputTensor, Part, write_safetensors};

pub(crate) use tokenizer::check as check_tokenizer;

/// Opens the diffusers folder `root` in place.
pub(crate) fn open_diffusers(root: &Path) -> Result<Model, ReadError> {
    diffusers::open(root)
}

/// Opens `file`, which is at `path` and no package, in place.
pub(crate) fn open_checkpoint(file: Container, path: &Path) -> Result<Model, ReadError> {
    if single_file::is_checkpoint(&file) {
        return single_file::open(file, path);
    }
    let origin = path.display().to_string();
    Err(ReadError::NotAPackage { origin })
}

/// Where a tensor of a source goes: the component, the map that knows it, and its stable names within the component.
type Targets<'k> = Option<(Component, &'k KeyMap, Vec<String>)>;

/// Adds the tensors of `file` to `tensors` under the names that `targets` gives them; errors put `folder` before their own.
fn add_named<'k>(
    tensors: &mut TensorSource,
    mut file: Container,
    folder: &str,
    targets: impl Fn(&str) -> Targets<'k>,
) -> Result<(), ReadError> {
    let mut named = Vec::new();
    for (original, stored) in std::mem::take(&mut file.tensors) {
        let Some((component, keys, names)) = targets(&original) else {
            continue;
        };
        let count = names.len();
        for (index, name) in names.into_iter().enumerate() {
            // One that cannot be split stays whole, and is found to be of the wrong shape.
            let part = split(&stored, index, count).unwrap_or_else(|| stored.clone());
            named.push(NamedTensor {
                stored: keys.reshaped(&name, part),
                name: format!("{component}.{name}"),
                original: format!("{folder}{original}"),
            });
        }
    }
    tensors.add(file, named)
}

/// The name of the file at `path` without its extension.
fn file_stem(path: &Path) -> String {
    let stem = path.file_stem();
    stem.map_or_else(|| "model".to_string(), |n| n.to_string_lossy().into_owned())
}

/// Type of the numbers in a converted package.
///
/// ```
/// use plantain_weights::{ConvertOptions, TargetType};
///
/// let half = ConvertOptions { dtype: TargetType::F16, ..ConvertOptions::default() };
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetType {
    /// As in the source, tensor by tensor.
    #[default]
    Keep,
    /// 32 bits.
    F32,
    /// 16 bits, up to 65504.
    F16,
    /// 16 bits, the range of `F32`.
    Bf16,
    /// 8-bit integers with a scale per output channel for the convolutions and linear layers of the
    /// UNets and the text encoder, but for their ends; `F16` for everything else.
    Int8,
}

/// How a tensor is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Float(FloatType),
    Int8,
}

impl TargetType {
    /// How the tensor `name` is written; `None` when it is stored as a type that weights do not
    /// have.
    fn of(self, name: &str, tensor: TensorRef<'_>) -> Option<Encoding> {
        let stored = match tensor.float_type() {
            Some(stored) => Encoding::Float(stored),
            None if tensor.is_int8() => Encoding::Int8,
            None => return None,
        };
        Some(match self {
            Self::Keep => stored,
            Self::F32 => Encoding::Float(FloatType::F32),
            Self::F16 => Encoding::Float(FloatType::F16),
            Self::Bf16 => Encoding::Float(FloatType::Bf16),
            // What has been rounded once gains nothing by becoming wider.
            Self::Int8 if stored == Encoding::Int8 || int8::suits(name, tensor) => Encoding::Int8,
            Self::Int8 => Encoding::Float(FloatType::F16),
        })
    }
}

/// What to change while converting.
///
/// ```
/// use plantain_weights::{ConvertOptions, TargetType};
///
/// let options = ConvertOptions {
///     dtype: TargetType::F16,
///     name: Some("tiny".into()),
///     ..ConvertOptions::default()
/// };
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConvertOptions {
    /// Type of the numbers.
    pub dtype: TargetType,
    /// Leave out what does not fit instead of refusing. A component that lacks a tensor stays
    /// listed, and loading it fails with the tensor's name.
    pub allow_partial: bool,
    /// Name of the model, instead of what the source says.
    pub name: Option<String>,
    /// Licence of the weights, instead of what the source says.
    pub license: Option<String>,
    /// Description, instead of what the source says.
    pub description: Option<String>,
}

/// What a conversion found and did.
///
/// ```
/// use plantain_weights::ConvertReport;
///
/// fn line(report: &ConvertReport) -> String {
///     format!("{} tensors, {} bytes", report.tensors, report.bytes)
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ConvertReport {
    /// The source, as in errors.
    pub source: String,
    /// What the package says about its model; without the hashes of the sources when refused.
    pub manifest: Manifest,
    /// Tensors written (or to be written).
    pub tensors: usize,
    /// Numbers in them.
    pub parameters: usize,
    /// Length of the package in bytes; 0 when nothing was written.
    pub bytes: u64,
    /// What did not fit, and was left out.
    pub problems: Vec<TensorProblem>,
}

/// Writes `model` as the package `destination`.
///
/// Weights are converted and written one tensor at a time, to a temporary file beside the
/// destination, which is renamed when it is complete. Equal models give equal packages.
///
/// `cancelled` is asked before each tensor is written; when it says so, nothing stays behind.
///
/// # Errors
/// When tensors are missing, unused, of another shape or type, not
/// finite, without their scales or beyond the range of the target type and `allow_partial` is off,
/// when the destination is part of the source, or when it cannot be written.
///
/// ```
/// use std::path::Path;
/// use plantain_weights::{ConvertOptions, Model, convert};
///
/// # let folder = tempfile::tempdir()?;
/// let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// let package = folder.path().join("turbo.safetensors");
/// convert(&model, &package, &ConvertOptions::default(), &|| false)?;
/// assert_eq!(Model::open(&package)?.manifest().name, model.manifest().name);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn convert(
    model: &Model,
    destination: &Path,
    options: &ConvertOptions,
    cancelled: &dyn Fn() -> bool,
) -> Result<ConvertReport, ConvertError> {
    refuse_source(&model.files, destination)?;
    let check::Checked {
        mut fitting,
        problems,
    } = check::check(model, options.dtype);
    let mut report = ConvertReport {
        source: model.tensors.origin().to_string(),
        manifest: renamed(&model.manifest, options),
        tensors: fitting.len(),
        parameters: parameters(&fitting),
        bytes: 0,
        problems,
    };
    if !report.problems.is_empty() && !options.allow_partial {
        return Err(ConvertError::Refused(Box::new(report)));
    }
    if fitting.is_empty() {
        let origin = report.source;
        return Err(ConvertError::Empty { origin });
    }
    report.manifest.format = format(&fitting);
    report.manifest.provenance = provenance(model)?;
    let mut metadata = BTreeMap::new();
    let manifest = serde_json::to_string(&report.manifest);
    let manifest = manifest.map_err(|e| ReadError::json(MANIFEST_KEY, e))?;
    metadata.insert(MANIFEST_KEY, manifest);
    if let Some(tokenizer) = &model.tokenizer {
        metadata.insert(TOKENIZER_KEY, tokenizer.clone());
    }
    report.bytes = write(model, destination, &metadata, &mut fitting, cancelled)?;
    Ok(report)
}

/// Numbers of the networks in `tensors`.
fn parameters(tensors: &[OutputTensor<'_>]) -> usize {
    let parts = tensors.iter().filter(|t| t.part != Part::Scales);
    parts.map(|t| t.tensor.parameters()).sum()
}

/// The oldest version of the format that has `tensors`.
fn format(tensors: &[OutputTensor<'_>]) -> u32 {
    if tensors.iter().any(|t| t.part == Part::Integers) {
        FORMAT_VERSION
    } else {
        1
    }
}

fn write(
    model: &Model,
    destination: &Path,
    metadata: &BTreeMap<&str, String>,
    tensors: &mut [OutputTensor<'_>],
    cancelled: &dyn Fn() -> bool,
) -> Result<u64, ConvertError> {
    let written = write_safetensors(destination, metadata, tensors, cancelled, &|name| {
        model.tensors.forget(name);
    });
    written.map_err(|source| match source.kind() {
        io::ErrorKind::Interrupted => ConvertError::Cancelled,
        _ => ConvertError::Write {
            path: destination.to_path_buf(),
            source,
        },
    })
}

/// Refuses to replace a file that is being read.
fn refuse_source(files: &[ModelFile], destination: &Path) -> Result<(), ConvertError> {
    let Ok(target) = destination.canonicalize() else {
        return Ok(());
    };
    let same = |file: &ModelFile| file.path.canonicalize().is_ok_and(|file| file == target);
    if files.iter().any(same) {
        let path = destination.to_path_buf();
        return Err(ConvertError::OverSource { path });
    }
    Ok(())
}

fn renamed(manifest: &Manifest, options: &ConvertOptions) -> Manifest {
    let mut manifest = manifest.clone();
    if let Some(name) = &options.name {
        manifest.name.clone_from(name);
    }
    manifest.license = options.license.clone().or(manifest.license);
    manifest.description = options.description.clone().or(manifest.description);
    manifest
}

/// Where the package will come from: the files that were read, and for a package those that it came from itself.
fn provenance(model: &Model) -> Result<Provenance, ReadError> {
    let mut provenance = model.manifest.provenance.clone();
    for file in &model.files {
        let Some(name) = &file.name else { continue };
        provenance.tool = concat!("plantain ", env!("CARGO_PKG_VERSION")).to_string();
        provenance.sources.push(source_file(&file.path, name)?);
    }
    provenance.sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(provenance)
}

fn source_file(path: &Path, name: &str) -> Result<SourceFile, ReadError> {
    let read = || {
        let mut file = File::open(path)?;
        sha256_of(&mut file)
    };
    let (bytes, sha256) = read().map_err(|e| ReadError::io(path, e))?;
    Ok(SourceFile {
        path: name.to_string(),
        bytes,
        sha256,
    })
}
