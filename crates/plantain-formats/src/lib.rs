//! Files of tensors as tables: safetensors, PyTorch, GGUF.
//!
//! [`parse`] takes the bytes of a whole file, which may be mapped into memory, and says which tensors it holds, of which
//! type and shape, and where: it reads headers only, never the numbers. [`Entry::to_f32`] and [`Entry::gather`] read one tensor.
//!
//! Nothing of a file is ever run. PyTorch saves pickles, which are programs; here they are read by a machine that knows how
//! tensors are put together and nothing else. Names of what tensors have nothing to do with are either known to be harmless
//! and skipped, or the file is refused.
//!
//! Every length, offset and count of a file is checked before it is used, and what a header may ask for is limited, so that
//! [`parse`] takes less than a second and 100 MB of memory for any input whatsoever.

mod decode;
mod detect;
mod element;
mod entry;
mod error;
mod gguf;
mod limits;
mod pickle;
mod safetensors;
mod torch;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

pub use element::ElementType;
pub use entry::Entry;
pub use error::FormatError;

/// What kind of file it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The format of Hugging Face: a JSON header, then the numbers.
    Safetensors,
    /// What `torch.save` writes since PyTorch 1.6: a zip archive with a pickle and a file for each storage.
    Torch,
    /// What `torch.save` wrote before PyTorch 1.6: pickles in a row, then the storages.
    TorchLegacy,
    /// The format of ggml and llama.cpp.
    Gguf,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::Torch => "PyTorch",
            Self::TorchLegacy => "PyTorch (before 1.6)",
            Self::Gguf => "GGUF",
        })
    }
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What kind of file it was.
    pub format: Format,
    /// The `__metadata__` of safetensors, the strings and numbers among the metadata of GGUF, the strings and numbers that
    /// lie beside the tensors of PyTorch.
    pub metadata: HashMap<String, String>,
    /// Tensors by name. Names in nested dictionaries and lists of PyTorch are joined with dots.
    pub tensors: BTreeMap<String, Entry>,
}

/// Says which tensors `bytes`, a whole file, hold.
///
/// # Errors
///
/// If they are no file of a known format, damaged, malicious, or hold what this crate does not read.
pub fn parse(bytes: &[u8]) -> Result<Table, FormatError> {
    match detect::format(bytes)? {
        Format::Safetensors => safetensors::parse(bytes),
        Format::Torch => torch::archive::parse(bytes),
        Format::TorchLegacy => torch::legacy::parse(bytes),
        Format::Gguf => gguf::parse(bytes),
    }
}
