//! What a file may ask for. Together with the checks of lengths these bound the time and memory of [`crate::parse`] by
//! construction: far above what models need, far below what would hurt.

use crate::FormatError;

/// Longest header of safetensors and GGUF, as in the safetensors reference implementation.
pub(crate) const HEADER: usize = 100_000_000;

/// Most tensors of a file. The largest models have a few thousand.
pub(crate) const TENSORS: usize = 65_536;

/// Longest name of a tensor, in bytes.
pub(crate) const NAME: usize = 512;

/// Most dimensions of a tensor of PyTorch or GGUF.
pub(crate) const DIMENSIONS: usize = 8;

/// Most entries of the metadata.
pub(crate) const METADATA: usize = 65_536;

/// Most bytes of metadata that are kept.
pub(crate) const METADATA_BYTES: usize = 16 << 20;

/// Longest safetensors entry of one tensor, in bytes of JSON.
pub(crate) const ENTRY: usize = 4096;

/// Longest pickle, in bytes.
pub(crate) const PICKLE: usize = 64 << 20;

/// Most opcodes of a file's pickles together, each of which makes at most one object. A tensor takes about 50.
pub(crate) const OPCODES: usize = 1_000_000;

/// Most functions and classes that pickles name. Each is named once and remembered.
pub(crate) const GLOBALS: usize = 10_000;

/// Deepest nesting of dictionaries and lists around a tensor.
pub(crate) const DEPTH: usize = 32;

/// Most files in a zip archive: more do not fit into [`DIRECTORY`].
pub(crate) const FILES: u64 = 100_000;

/// Most bytes of a zip archive's directory and local headers. A file takes about 150; those that do nothing but take memory
/// take up to 12 times as much of it.
pub(crate) const DIRECTORY: usize = 4 << 20;

/// Most numbers of a tensor that repeats those of its storage.
pub(crate) const EXPANDED: usize = 1 << 24;

/// Refuses names of tensors that are longer than [`NAME`].
pub(crate) fn check_name(name: &str) -> Result<(), FormatError> {
    if name.len() <= NAME {
        return Ok(());
    }
    let shown: String = name.chars().take(40).collect();
    Err(FormatError::damaged(format!(
        "the name beginning with `{shown}` has more than {NAME} bytes"
    )))
}
