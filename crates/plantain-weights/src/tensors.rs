//! Tensors of a model under their stable names, and their conversion between float types.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::tensor::Dtype;
use serde::{Deserialize, Serialize};

use crate::container::{Container, Stored};
use crate::error::ReadError;

/// Types that weights may be stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FloatType {
    /// 32-bit IEEE 754.
    F32,
    /// 16-bit IEEE 754: 11 significant bits, up to 65504.
    F16,
    /// The upper half of an `F32`: 8 significant bits, the same range.
    Bf16,
}

impl FloatType {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Name as in safetensors headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::F32),
            Dtype::F16 => Some(Self::F16),
            Dtype::BF16 => Some(Self::Bf16),
            _ => None,
        }
    }

    /// `bytes` (of any alignment) as `out.len()` numbers.
    fn decode(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Self::F32 => {
                for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                    *out = f32::from_le_bytes(*bytes);
                }
            }
            Self::F16 => decode_half(bytes, out, f16::from_le_bytes),
            Self::Bf16 => decode_half(bytes, out, bf16::from_le_bytes),
        }
    }

    fn encode(self, values: &[f32], out: &mut [u8]) {
        match self {
            Self::F32 => {
                for (out, value) in out.as_chunks_mut().0.iter_mut().zip(values) {
                    *out = value.to_le_bytes();
                }
            }
            Self::F16 => encode_half(values, out, f16::to_le_bytes),
            Self::Bf16 => encode_half(values, out, bf16::to_le_bytes),
        }
    }
}

impl fmt::Display for FloatType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Numbers converted at once through the stack: bytes of a file have no alignment.
const BLOCK: usize = 512;
/// Numbers one thread converts at a time.
const CHUNK: usize = 64 * BLOCK;

fn decode_half<T: Copy + Default>(bytes: &[u8], out: &mut [f32], read: impl Fn([u8; 2]) -> T)
where
    [T]: HalfFloatSliceExt,
{
    let mut block = [T::default(); BLOCK];
    for (out, bytes) in out.chunks_mut(BLOCK).zip(bytes.chunks(2 * BLOCK)) {
        let block = &mut block[..out.len()];
        for (half, bytes) in block.iter_mut().zip(bytes.as_chunks().0) {
            *half = read(*bytes);
        }
        block.convert_to_f32_slice(out);
    }
}

fn encode_half<T: Copy + Default>(values: &[f32], out: &mut [u8], write: impl Fn(T) -> [u8; 2])
where
    [T]: HalfFloatSliceExt,
{
    let mut block = [T::default(); BLOCK];
    for (out, values) in out.chunks_mut(2 * BLOCK).zip(values.chunks(BLOCK)) {
        let block = &mut block[..values.len()];
        block.convert_from_f32_slice(values);
        for (out, half) in out.as_chunks_mut().0.iter_mut().zip(&*block) {
            *out = write(*half);
        }
    }
}

/// Why the numbers of a tensor cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueError {
    NotFloat,
    NonFinite,
    OutOfRange,
}

/// A tensor in its file.
#[derive(Debug, Clone, Copy)]
pub struct TensorRef<'a> {
    /// Its shape, as the modules of `plantain-nn` have it.
    pub shape: &'a [usize],
    dtype: Dtype,
    bytes: &'a [u8],
}

impl<'a> TensorRef<'a> {
    /// Type it is stored as; `None` when it is not one that weights may have.
    pub fn float_type(&self) -> Option<FloatType> {
        FloatType::of(self.dtype)
    }

    /// Name of the type it is stored as, as in safetensors headers.
    pub fn type_name(&self) -> String {
        self.dtype.to_string()
    }

    /// How many numbers it holds.
    pub fn parameters(&self) -> usize {
        self.shape.iter().product()
    }

    /// Its bytes in the file, little-endian, row-major.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its numbers, converted in parallel.
    pub(crate) fn to_f32(self) -> Result<Vec<f32>, ValueError> {
        let stored = self.float_type().ok_or(ValueError::NotFloat)?;
        let size = stored.size();
        let mut values = vec![0.0; self.bytes.len() / size];
        let finite = values
            .par_chunks_mut(CHUNK)
            .zip(self.bytes.par_chunks(CHUNK * size))
            .map(|(values, bytes)| {
                stored.decode(bytes, values);
                is_finite(values)
            })
            .reduce(|| true, |a, b| a & b);
        finite.then_some(values).ok_or(ValueError::NonFinite)
    }

    /// Its numbers as bytes of type `target`.
    pub(crate) fn encoded(self, target: FloatType) -> Result<Cow<'a, [u8]>, ValueError> {
        let values = self.to_f32()?;
        if self.float_type() == Some(target) {
            return Ok(Cow::Borrowed(self.bytes));
        }
        let mut bytes = vec![0; values.len() * target.size()];
        let fits = bytes
            .par_chunks_mut(CHUNK * target.size())
            .zip(values.par_chunks(CHUNK))
            .map_init(
                || vec![0.0; CHUNK],
                |back, (bytes, values)| {
                    target.encode(values, bytes);
                    let back = &mut back[..values.len()];
                    target.decode(bytes, back);
                    is_finite(back)
                },
            )
            .reduce(|| true, |a, b| a & b);
        fits.then_some(Cow::Owned(bytes))
            .ok_or(ValueError::OutOfRange)
    }
}

/// Whether no value is NaN or infinite. Without a branch, so that it is computed many at a time.
fn is_finite(values: &[f32]) -> bool {
    values.iter().fold(true, |all, v| all & v.is_finite())
}

/// A tensor to be added to a [`TensorSource`].
#[derive(Debug)]
pub(crate) struct NamedTensor {
    /// Stable name.
    pub(crate) name: String,
    /// Name in the source.
    pub(crate) original: String,
    pub(crate) stored: Stored,
}

#[derive(Debug)]
struct Entry {
    file: usize,
    original: String,
    stored: Stored,
}

/// The tensors of a model under their stable names, in one file or several.
#[derive(Debug)]
pub struct TensorSource {
    origin: String,
    files: Vec<Container>,
    entries: BTreeMap<String, Entry>,
}

impl TensorSource {
    /// No tensors yet, of a source that errors call `origin`.
    pub(crate) fn new(origin: String) -> Self {
        Self {
            origin,
            files: Vec::new(),
            entries: BTreeMap::new(),
        }
    }

    /// Adds the given tensors of `file`.
    pub(crate) fn add(
        &mut self,
        file: Container,
        tensors: Vec<NamedTensor>,
    ) -> Result<(), ReadError> {
        for tensor in tensors {
            let entry = Entry {
                file: self.files.len(),
                original: tensor.original,
                stored: tensor.stored,
            };
            if let Some(first) = self.entries.get(&tensor.name) {
                return Err(ReadError::Ambiguous {
                    origin: self.origin.clone(),
                    first: first.original.clone(),
                    second: entry.original,
                    name: tensor.name,
                });
            }
            self.entries.insert(tensor.name, entry);
        }
        self.files.push(file);
        Ok(())
    }

    /// The file or folder, or a name for bytes in memory.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The tensor with the stable name `name`.
    pub fn get(&self, name: &str) -> Option<TensorRef<'_>> {
        self.entries.get(name).map(|entry| self.view(entry))
    }

    /// The tensor with the stable name `name`, with that name borrowed from here.
    pub(crate) fn get_named(&self, name: &str) -> Option<(&str, TensorRef<'_>)> {
        let (name, entry) = self.entries.get_key_value(name)?;
        Some((name, self.view(entry)))
    }

    /// All tensors by stable name, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, TensorRef<'_>)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name.as_str(), self.view(entry)))
    }

    /// What the source file calls the tensor with the stable name `name`.
    pub fn original_name(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(|entry| entry.original.as_str())
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn view<'a>(&'a self, entry: &'a Entry) -> TensorRef<'a> {
        TensorRef {
            shape: &entry.stored.shape,
            dtype: entry.stored.dtype,
            bytes: self.files[entry.file].data(&entry.stored),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(stored: FloatType, values: &[f32]) -> Vec<f32> {
        let mut bytes = vec![0; values.len() * stored.size() + 1];
        stored.encode(values, &mut bytes[1..]);
        let mut back = vec![0.0; values.len()];
        stored.decode(&bytes[1..], &mut back);
        back
    }

    #[test]
    fn float_types_round_trip_from_unaligned_bytes() {
        let values: Vec<f32> = (0..1500).map(|i| (i as f32 - 700.0) / 64.0).collect();
        assert_eq!(round_trip(FloatType::F32, &values), values);
        assert_eq!(round_trip(FloatType::F16, &values), values);
        for (back, value) in round_trip(FloatType::Bf16, &values).iter().zip(&values) {
            assert!((back - value).abs() <= value.abs() / 256.0);
        }
    }

    #[test]
    fn one_bad_number_in_a_large_tensor_is_found() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 3 * CHUNK + 7];
            values[2 * CHUNK + 5] = bad;
            let mut bytes = vec![0; values.len() * 2];
            FloatType::F16.encode(&values, &mut bytes);
            let tensor = TensorRef {
                shape: &[values.len()],
                dtype: Dtype::F16,
                bytes: &bytes,
            };
            assert_eq!(tensor.to_f32(), Err(ValueError::NonFinite));
        }
    }

    #[test]
    fn a_number_beyond_half_precision_is_refused() {
        let bytes = 70000f32.to_le_bytes();
        let tensor = TensorRef {
            shape: &[1],
            dtype: Dtype::F32,
            bytes: &bytes,
        };
        assert_eq!(tensor.encoded(FloatType::F16), Err(ValueError::OutOfRange));
        assert!(tensor.encoded(FloatType::Bf16).is_ok());
    }
}
