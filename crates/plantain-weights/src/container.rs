//! Safetensors files: the header checked against the file, tensors as borrowed bytes.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Deref, Range};
use std::path::Path;

use plantain_kernels::MappedFile;
use safetensors::tensor::{Dtype, TensorInfo};
use serde_json::value::RawValue;

use crate::error::ReadError;

/// Longest header read, as in the safetensors reference implementation.
const MAX_HEADER: usize = 100_000_000;

/// A mapped file, or bytes that are part of the program.
#[derive(Debug)]
enum Bytes {
    Mapped(MappedFile),
    Static(&'static [u8]),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(file) => file,
            Self::Static(bytes) => bytes,
        }
    }
}

/// One tensor of a file: where it lies, checked to be within the file and of the declared size.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    range: Range<usize>,
}

/// A safetensors file whose header has been checked.
#[derive(Debug)]
pub(crate) struct Container {
    bytes: Bytes,
    /// The `__metadata__` of the header.
    pub(crate) metadata: HashMap<String, String>,
    /// Tensors by name.
    pub(crate) tensors: BTreeMap<String, Stored>,
}

impl Container {
    /// Maps and checks the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, ReadError> {
        let metadata = path.metadata().map_err(|e| ReadError::io(path, e))?;
        if !metadata.is_file() {
            let path = path.to_path_buf();
            return Err(ReadError::SpecialFile { path });
        }
        let file = MappedFile::open(path).map_err(|e| ReadError::io(path, e))?;
        Self::new(Bytes::Mapped(file), &path.display().to_string())
    }

    /// Checks `bytes`, which errors call `origin`.
    pub(crate) fn from_static(bytes: &'static [u8], origin: &str) -> Result<Self, ReadError> {
        Self::new(Bytes::Static(bytes), origin)
    }

    fn new(bytes: Bytes, origin: &str) -> Result<Self, ReadError> {
        let (metadata, tensors) = parse(&bytes, origin)?;
        Ok(Self {
            bytes,
            metadata,
            tensors,
        })
    }

    /// The bytes of `tensor`, which must be of this file.
    pub(crate) fn data(&self, tensor: &Stored) -> &[u8] {
        &self.bytes[tensor.range.clone()]
    }

    /// Lets the system take back the memory of `tensor`, which must be of this file.
    pub(crate) fn forget(&self, tensor: &Stored) {
        if let Bytes::Mapped(file) = &self.bytes {
            file.forget(tensor.range.clone());
        }
    }
}

/// What the first bytes of files that people take for safetensors look like, and what to do then.
const FOREIGN: [(&[u8], &str, &str); 7] = [
    (
        b"PK",
        "a zip archive (PyTorch saves .bin, .pt and .ckpt so)",
        SAVE_AGAIN,
    ),
    (
        b"\x80\x02",
        "a Python pickle (an old .ckpt or .pt)",
        SAVE_AGAIN,
    ),
    (
        b"\x80\x04",
        "a Python pickle (an old .ckpt or .pt)",
        SAVE_AGAIN,
    ),
    (
        b"\x80\x05",
        "a Python pickle (an old .ckpt or .pt)",
        SAVE_AGAIN,
    ),
    (
        b"GGUF",
        "a GGUF file",
        "use the safetensors files of the same model",
    ),
    (
        b"version https://git-lfs",
        "a Git LFS pointer",
        "fetch the file itself with `git lfs pull`",
    ),
    (
        b"<",
        "a web page",
        "the download failed; download the file again",
    ),
];
const SAVE_AGAIN: &str = "save the model as safetensors (`safe_serialization=True` in diffusers)";

fn foreign(bytes: &[u8], origin: &str) -> Option<ReadError> {
    let (found, advice) = if bytes.is_empty() {
        ("an empty file", "download or convert it again")
    } else if bytes.get(8) == Some(&b'{') {
        return None;
    } else {
        let (_, found, advice) = FOREIGN
            .iter()
            .find(|(magic, ..)| bytes.starts_with(magic))?;
        (*found, *advice)
    };
    Some(ReadError::Foreign {
        origin: origin.to_string(),
        found,
        advice,
    })
}

type Parsed = (HashMap<String, String>, BTreeMap<String, Stored>);

fn parse(bytes: &[u8], origin: &str) -> Result<Parsed, ReadError> {
    if let Some(error) = foreign(bytes, origin) {
        return Err(error);
    }
    let damaged = |reason: String| ReadError::Damaged {
        origin: origin.to_string(),
        reason,
    };
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(damaged(format!("only {} bytes long", bytes.len())));
    };
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length)
        .ok()
        .filter(|&n| n <= MAX_HEADER)
        .ok_or_else(|| damaged(format!("it declares a header of {length} bytes")))?;
    let Some((header, data)) = rest.split_at_checked(header) else {
        let all = bytes.len();
        return Err(damaged(format!(
            "it declares a header of {length} bytes, and the file has {all}"
        )));
    };
    let mut entries: BTreeMap<String, &RawValue> =
        serde_json::from_slice(header).map_err(|e| damaged(format!("header: {e}")))?;
    let metadata = match entries.remove("__metadata__") {
        Some(raw) => serde_json::from_str::<Option<_>>(raw.get())
            .map_err(|e| damaged(format!("`__metadata__`: {e}")))?
            .unwrap_or_default(),
        None => HashMap::new(),
    };
    let tensors = entries
        .into_iter()
        .map(|(name, raw)| entry(&name, raw, data.len(), origin).map(|e| (name, e)))
        .collect::<Result<Vec<_>, _>>()?;
    let tensors = tile(tensors, data.len(), bytes.len() - data.len(), origin)?;
    Ok((metadata, tensors))
}

/// Reads the entry of one tensor and checks its size; offsets are still relative to the data.
fn entry(name: &str, raw: &RawValue, available: usize, origin: &str) -> Result<Stored, ReadError> {
    let damaged = |reason: String| ReadError::DamagedTensor {
        origin: origin.to_string(),
        tensor: name.to_string(),
        reason,
    };
    let TensorInfo {
        dtype,
        shape,
        data_offsets: (start, end),
    } = serde_json::from_str(raw.get()).map_err(|e| damaged(e.to_string()))?;
    if start > end || end > available {
        return Err(damaged(format!(
            "it lies at {start}..{end}, and the file holds {available} bytes of data"
        )));
    }
    let bits = shape
        .iter()
        .try_fold(dtype.bitsize(), |n, &d| n.checked_mul(d))
        .ok_or_else(|| damaged(format!("the shape {shape:?} is too large")))?;
    if bits % 8 != 0 || bits / 8 != end - start {
        return Err(damaged(format!(
            "shape {shape:?} of {dtype} does not fill its {} bytes",
            end - start
        )));
    }
    Ok(Stored {
        dtype,
        shape,
        range: start..end,
    })
}

/// Checks that the tensors cover the data without gap or overlap, and makes offsets absolute.
fn tile(
    mut tensors: Vec<(String, Stored)>,
    available: usize,
    data_start: usize,
    origin: &str,
) -> Result<BTreeMap<String, Stored>, ReadError> {
    tensors.sort_by_key(|(_, t)| (t.range.start, t.range.end));
    let mut covered = 0;
    for (name, tensor) in &mut tensors {
        let Range { start, end } = tensor.range;
        if start != covered {
            let what = if start < covered {
                "overlaps"
            } else {
                "leaves a gap after"
            };
            return Err(ReadError::DamagedTensor {
                origin: origin.to_string(),
                tensor: name.clone(),
                reason: format!("it {what} the tensor before it, which ends at {covered}"),
            });
        }
        covered = end;
        tensor.range = start + data_start..end + data_start;
    }
    if covered != available {
        return Err(ReadError::Damaged {
            origin: origin.to_string(),
            reason: format!("its tensors fill {covered} of {available} bytes of data"),
        });
    }
    Ok(tensors.into_iter().collect())
}
