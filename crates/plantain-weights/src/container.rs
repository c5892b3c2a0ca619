//! Files of tensors in memory: mapped, or part of the program.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::AllocationProperty;
use plantain_formats::{Format, Table, parse};
use plantain_kernels::MappedFile;

use crate::error::ReadError;

/// Where a tensor lies in its file, and as what.
pub(crate) use plantain_formats::Entry as Stored;

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

/// A file of tensors whose header has been checked.
#[derive(Debug)]
pub(crate) struct Container {
    bytes: Bytes,
    /// What kind of file it is.
    pub(crate) format: Format,
    /// What its header says beside the tensors.
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
        let table = parse(&bytes).map_err(|source| ReadError::Format {
            origin: origin.to_string(),
            source,
        })?;
        let Table {
            format,
            metadata,
            tensors,
        } = table;
        Ok(Self {
            bytes,
            format,
            metadata,
            tensors,
        })
    }

    /// The bytes of `tensor`, which must be of this file.
    pub(crate) fn data(&self, tensor: &Stored) -> &[u8] {
        &self.bytes[tensor.range.clone()]
    }

    /// The bytes of `tensor`, which must be of this file, without a copy. After their use its memory is forgotten.
    pub(crate) fn lend(self: &Arc<Self>, tensor: &Stored) -> burn::tensor::Bytes {
        let lent = Lent {
            file: Arc::clone(self),
            tensor: tensor.clone(),
        };
        burn::tensor::Bytes::from_shared(bytes::Bytes::from_owner(lent), AllocationProperty::Other)
    }

    /// Lets the system take back the memory of `tensor`, which must be of this file.
    pub(crate) fn forget(&self, tensor: &Stored) {
        if let Bytes::Mapped(file) = &self.bytes {
            file.forget(tensor.range.clone());
        }
    }
}

/// A tensor whose bytes are read where they lie.
struct Lent {
    file: Arc<Container>,
    tensor: Stored,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.file.data(&self.tensor)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.file.forget(&self.tensor);
    }
}

/// The part `index` of the `count` equal ones that lie one after the other in `stored`; `None` where it does not divide.
pub(crate) fn split(stored: &Stored, index: usize, count: usize) -> Option<Stored> {
    let rows = stored.shape.first()? / count;
    let bytes = stored.range.len() / count;
    let divides = rows * count == stored.shape[0] && bytes * count == stored.range.len();
    if count == 1 || !divides || stored.strides.is_some() {
        return (count == 1).then(|| stored.clone());
    }
    let mut part = stored.clone();
    part.shape[0] = rows;
    part.range = stored.range.start + index * bytes..stored.range.start + (index + 1) * bytes;
    Some(part)
}
