//! What can go wrong, each error saying what, where and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use plantain_formats::FormatError;
use plantain_nn::ConfigError;

use crate::import::ConvertReport;
use crate::manifest::Component;

/// A model file or folder that cannot be read.
///
/// ```
/// use std::path::Path;
/// use plantain_weights::Model;
///
/// let error = Model::open(Path::new("no-such-model")).unwrap_err();
/// assert!(error.to_string().contains("no-such-model"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The operating system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A symbolic link whose target is gone.
    #[error("{} is a link to a file that does not exist; download the model again", path.display())]
    BrokenLink {
        /// The link.
        path: PathBuf,
    },
    /// Neither a file nor a folder.
    #[error("{} is neither a file nor a folder", path.display())]
    SpecialFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is damaged, or of another kind.
    #[error("{origin} {source}")]
    Format {
        /// File, or a name for bytes in memory.
        origin: String,
        /// What is wrong.
        source: FormatError,
    },
    /// A tensor whose type holds no numbers that this program reads.
    #[error("{origin}: `{tensor}` is stored as {dtype}; store it as F32")]
    TensorType {
        /// File.
        origin: String,
        /// Tensor name as in the file.
        tensor: String,
        /// Type found.
        dtype: String,
    },
    /// Tensors that are neither a package nor a checkpoint of a whole model.
    #[error(
        "{origin} holds tensors, but neither a model manifest nor a whole checkpoint; give the diffusers folder or the checkpoint that it belongs to"
    )]
    NotAPackage {
        /// File, or a name for bytes in memory.
        origin: String,
    },
    /// A checkpoint that lacks a tensor which tells what its networks are like.
    #[error("{}: `{name}` is missing, so this is no whole checkpoint; download it again", path.display())]
    Incomplete {
        /// File.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
    },
    /// The package comes from a newer version of this program.
    #[error(
        "{origin} has format version {found}, this program reads up to {supported}; update plantain"
    )]
    NewerFormat {
        /// File, or a name for bytes in memory.
        origin: String,
        /// Version found.
        found: u64,
        /// Newest version this program reads.
        supported: u32,
    },
    /// The package has a refiner that has no UNet of its own, as versions of this program before made them.
    #[error(
        "{origin} has a refiner of an earlier kind, which this program cannot run; take the version of plantain that made it, or convert the model anew without"
    )]
    EarlierRefiner {
        /// File, or a name for bytes in memory.
        origin: String,
    },
    /// A JSON document that is not what it should be.
    #[error("{origin}: {source}")]
    Json {
        /// File, or the key inside a package.
        origin: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A configuration this program cannot build.
    #[error("{origin}: {source}")]
    Config {
        /// File, or the key inside a package.
        origin: String,
        /// Which key and why.
        source: ConfigError,
    },
    /// A folder without the parts of a model.
    #[error("{} is not a diffusers folder: {reason}", path.display())]
    NotDiffusers {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        reason: &'static str,
    },
    /// A model family or part this program cannot run.
    #[error("{}: {what} is not supported ({supported})", path.display())]
    Unsupported {
        /// File or folder.
        path: PathBuf,
        /// What was found.
        what: String,
        /// What would be accepted.
        supported: &'static str,
    },
    /// A component folder without weights this program reads.
    #[error("{}: {reason}", path.display())]
    NoWeights {
        /// The component's folder.
        path: PathBuf,
        /// What was found instead, and what to do.
        reason: String,
    },
    /// Two tensors of the source have the same stable name.
    #[error("{origin}: `{first}` and `{second}` both mean `{name}`; remove one of them")]
    Ambiguous {
        /// File or folder.
        origin: String,
        /// Name of one in the source.
        first: String,
        /// Name of the other in the source.
        second: String,
        /// Their stable name.
        name: String,
    },
    /// A tokenizer that cannot be used.
    #[error("{origin}: not a usable CLIP tokenizer: {reason}")]
    Tokenizer {
        /// File, or the key inside a package.
        origin: String,
        /// What is wrong.
        reason: String,
    },
}

impl ReadError {
    /// The error for `source` at `path`, telling broken links apart.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        if source.kind() == io::ErrorKind::NotFound && path.is_symlink() {
            return Self::BrokenLink { path };
        }
        Self::Io { path, source }
    }

    pub(crate) fn json(origin: impl fmt::Display, source: serde_json::Error) -> Self {
        Self::Json {
            origin: origin.to_string(),
            source,
        }
    }
}

/// A component that cannot be built from its tensors.
///
/// ```
/// use burn::tensor::Device;
/// use plantain_weights::{Component, LoadError, Model, Target};
///
/// let model = Model::open(std::path::Path::new("../../weights/plantain-2-lite.safetensors"))?;
/// let unet = model.manifest().components.unet.clone().unwrap();
/// let network = unet.init(&Device::flex());
/// let error = plantain_weights::load_module(network, model.tensors(), "refiner").unwrap_err();
/// assert!(matches!(error, LoadError::Tensors { .. }));
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The model has no such component.
    #[error("{origin} has no {component}; use a model that has one")]
    NoComponent {
        /// File or folder.
        origin: String,
        /// The component asked for.
        component: Component,
    },
    /// Tensors are missing, of another shape or unusable.
    #[error(
        "cannot load `{prefix}` from {origin}: {}; convert the model again from a complete source",
        list(problems)
    )]
    Tensors {
        /// File or folder.
        origin: String,
        /// Prefix of the names that were loaded.
        prefix: String,
        /// Every problem of tensors that are missing or of another shape, in module order; if there are none, of those with unusable values.
        problems: Vec<TensorProblem>,
    },
}

/// Why a model was not converted.
///
/// ```
/// use std::path::Path;
/// use plantain_weights::{ConvertError, ConvertOptions, Model, convert};
///
/// let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// # let folder = tempfile::tempdir()?;
/// let package = folder.path().join("turbo.safetensors");
/// let stopped = convert(&model, &package, &ConvertOptions::default(), &|| true);
/// assert!(matches!(stopped, Err(ConvertError::Cancelled)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The source cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The source does not fit the networks it declares; nothing was written.
    #[error(
        "{} of the tensors in {} do not fit: {}; nothing was written",
        .0.problems.len(), .0.source, list(&.0.problems)
    )]
    Refused(Box<ConvertReport>),
    /// Nothing would be left to write.
    #[error("{origin} has no tensor that a package could hold")]
    Empty {
        /// File or folder.
        origin: String,
    },
    /// The destination is part of the source.
    #[error("{} is part of the model being converted; choose another destination", path.display())]
    OverSource {
        /// The destination.
        path: PathBuf,
    },
    /// The caller asked to stop; nothing was written.
    #[error("cancelled")]
    Cancelled,
    /// The destination cannot be written; nothing is left of the attempt.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The destination.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// What is wrong with one tensor.
///
/// ```
/// use plantain_weights::TensorProblem;
///
/// let problem = TensorProblem::NonFinite { name: "unet.conv_in.bias".into() };
/// assert_eq!(problem.to_string(), "`unet.conv_in.bias` holds NaN or infinity");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TensorProblem {
    /// The network needs it and the source lacks it.
    Missing {
        /// Stable name.
        name: String,
        /// Shape the network needs.
        shape: Vec<usize>,
        /// An unused name of the source that resembles it.
        suggestion: Option<String>,
    },
    /// The source has it and no network needs it.
    Unused {
        /// Name in the source.
        name: String,
        /// Shape found.
        shape: Vec<usize>,
        /// A missing name that resembles it.
        suggestion: Option<String>,
    },
    /// Another shape than the network needs.
    Misshaped {
        /// Stable name.
        name: String,
        /// Shape the network needs.
        expected: Vec<usize>,
        /// Shape found.
        found: Vec<usize>,
    },
    /// Not stored as `F32`, `F16`, `BF16` or, where it is a weight, `I8`.
    NotFloat {
        /// Stable name.
        name: String,
        /// Type found.
        dtype: String,
    },
    /// A weight stored as `I8`, with something wrong with its scales.
    Scales {
        /// Stable name of the weight.
        name: String,
        /// Stable name of its scales.
        scales: String,
        /// Output channels, each of which needs a scale.
        rows: usize,
        /// What is wrong.
        problem: ScaleProblem,
    },
    /// Holds NaN or infinity.
    NonFinite {
        /// Stable name.
        name: String,
    },
    /// Holds a number beyond the range of the type it was to be written as.
    OutOfRange {
        /// Stable name.
        name: String,
        /// Type it was to be written as.
        dtype: &'static str,
    },
}

/// What is wrong with the scales of a weight that is stored as integers.
///
/// ```
/// assert_eq!(plantain_weights::ScaleProblem::Missing.to_string(), "are missing");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScaleProblem {
    /// They are not there.
    #[error("are missing")]
    Missing,
    /// Not one per output channel.
    #[error("have shape {found:?}")]
    Misshaped {
        /// Shape found.
        found: Vec<usize>,
    },
    /// Not stored as `F32` or `F16`.
    #[error("are stored as {dtype}")]
    NotFloat {
        /// Type found.
        dtype: String,
    },
    /// NaN, infinity, zero or a negative number among them.
    #[error("are not all finite and above 0")]
    NotPositive,
}

impl TensorProblem {
    /// Name of the tensor: as in the source for [`Self::Unused`], otherwise the stable one.
    ///
    /// ```
    /// use plantain_weights::TensorProblem;
    ///
    /// let problem = TensorProblem::NonFinite { name: "unet.conv_in.bias".into() };
    /// assert_eq!(problem.name(), "unet.conv_in.bias");
    /// ```
    pub fn name(&self) -> &str {
        match self {
            Self::Missing { name, .. }
            | Self::Unused { name, .. }
            | Self::Misshaped { name, .. }
            | Self::NotFloat { name, .. }
            | Self::Scales { name, .. }
            | Self::NonFinite { name }
            | Self::OutOfRange { name, .. } => name,
        }
    }
}

impl fmt::Display for TensorProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resembles = |f: &mut fmt::Formatter<'_>, suggestion: &Option<String>| match suggestion {
            Some(other) => write!(f, ", did you mean `{other}`?"),
            None => Ok(()),
        };
        match self {
            Self::Missing {
                name,
                shape,
                suggestion,
            } => {
                write!(f, "`{name}` {shape:?} is missing")?;
                resembles(f, suggestion)
            }
            Self::Unused {
                name,
                shape,
                suggestion,
            } => {
                write!(f, "`{name}` {shape:?} is not used")?;
                resembles(f, suggestion)
            }
            Self::Misshaped {
                name,
                expected,
                found,
            } => write!(f, "`{name}` has shape {found:?} instead of {expected:?}"),
            Self::NotFloat { name, dtype } => {
                write!(f, "`{name}` is stored as {dtype}, not F32, F16 or BF16")
            }
            Self::Scales {
                name,
                scales,
                rows,
                problem,
            } => write!(
                f,
                "`{name}` is stored as I8, but its scales {problem}: `{scales}` must be [{rows}] numbers in F32 or F16"
            ),
            Self::NonFinite { name } => write!(f, "`{name}` holds NaN or infinity"),
            Self::OutOfRange { name, dtype } => {
                write!(f, "`{name}` holds numbers beyond the range of {dtype}")
            }
        }
    }
}

/// The first problems in one line; a report has them all.
fn list(problems: &[TensorProblem]) -> String {
    const SHOWN: usize = 5;
    let mut text = problems
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    if problems.len() > SHOWN {
        text.push_str(&format!("; and {} more", problems.len() - SHOWN));
    }
    text
}
