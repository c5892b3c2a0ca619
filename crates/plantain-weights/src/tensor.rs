//! A tensor in its file, and the numbers in it.

use std::borrow::Cow;
use std::sync::Arc;

use plantain_formats::ElementType;
use rayon::prelude::*;

use crate::change::Change;
use crate::container::{Container, Stored};
use crate::error::{ScaleProblem, TensorProblem};
use crate::float::{CHUNK, FloatType, is_finite};
use crate::int8::{self, Int8Weight, StoredScales};

/// Why the numbers of a tensor cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ValueError {
    NotFloat { dtype: String },
    NonFinite,
    OutOfRange { dtype: &'static str },
    Scales { rows: usize, problem: ScaleProblem },
}

impl ValueError {
    /// The same, as what is wrong with the tensor `name`.
    pub(crate) fn of(self, name: String) -> TensorProblem {
        match self {
            Self::NotFloat { dtype } => TensorProblem::NotFloat { name, dtype },
            Self::NonFinite => TensorProblem::NonFinite { name },
            Self::OutOfRange { dtype } => TensorProblem::OutOfRange { name, dtype },
            Self::Scales { rows, problem } => TensorProblem::Scales {
                scales: int8::scales_name(&name),
                name,
                rows,
                problem,
            },
        }
    }
}

/// A tensor in its file.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// let tensor = model.tensors().get("unet.conv_in.bias").unwrap();
/// println!("{:?} as {}", tensor.shape, tensor.type_name());
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TensorRef<'a> {
    /// Its shape, as the modules of `plantain-nn` have it.
    pub shape: &'a [usize],
    dtype: ElementType,
    bytes: &'a [u8],
    /// Where it is not stored row-major.
    strides: Option<&'a [usize]>,
    /// Where it is stored as integers and its scales are there.
    pub(crate) scales: Option<StoredScales<'a>>,
    /// What is added to its numbers.
    pub(crate) changes: &'a [Change],
    /// Rows that follow those that are stored.
    pub(crate) more: &'a [Rows],
}

/// Rows of numbers in a file of their own.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) file: Arc<Container>,
    pub(crate) stored: Stored,
}

impl<'a> TensorRef<'a> {
    /// A tensor of numbers that are `bytes` as `F32`.
    pub(crate) fn of_f32(shape: &'a [usize], bytes: &'a [u8]) -> Self {
        Self {
            shape,
            dtype: ElementType::F32,
            bytes,
            strides: None,
            scales: None,
            changes: &[],
            more: &[],
        }
    }

    /// A tensor that lies in `bytes` as `stored` says.
    pub(crate) fn stored(stored: &'a Stored, bytes: &'a [u8]) -> Self {
        Self {
            dtype: stored.dtype,
            strides: stored.strides.as_deref(),
            ..Self::of_f32(&stored.shape, bytes)
        }
    }

    /// The float type that keeps its numbers: the one that it is stored as, or for a type that packages do not have the nearest;
    /// `None` when it holds no floats.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let tensor = model.tensors().get("unet.conv_in.bias").unwrap();
    /// assert!(tensor.float_type().is_some());
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn float_type(&self) -> Option<FloatType> {
        FloatType::keeping(self.dtype)
    }

    /// The float type that its bytes are numbers of, just as they lie there.
    pub(crate) fn plain_type(&self) -> Option<FloatType> {
        let plain = self.strides.is_none() && self.is_as_stored();
        FloatType::of(self.dtype).filter(|_| plain)
    }

    /// Its bytes, if they are its numbers just as this machine has them in memory.
    pub(crate) fn plain_f32(&self) -> Option<&'a [u8]> {
        let aligned = bytemuck::try_cast_slice::<u8, f32>(self.bytes).is_ok();
        let plain = self.plain_type() == Some(FloatType::F32) && cfg!(target_endian = "little");
        (plain && aligned).then_some(self.bytes)
    }

    /// Whether nothing is added to what is stored.
    fn is_as_stored(&self) -> bool {
        self.changes.is_empty() && self.more.is_empty()
    }

    /// Whether it is a weight stored as 8-bit integers, which need scales beside them.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert!(model.tensors().iter().all(|(_, tensor)| !tensor.is_int8()));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn is_int8(&self) -> bool {
        self.strides.is_none() && is_int8(self.dtype, self.shape)
    }

    /// Name of the type it is stored as, as in the headers of its file.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let tensor = model.tensors().get("unet.conv_in.bias").unwrap();
    /// assert!(tensor.type_name().starts_with('F'));
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn type_name(&self) -> String {
        self.dtype.name().to_string()
    }

    /// How many numbers it holds.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let tensor = model.tensors().get("unet.conv_in.weight").unwrap();
    /// assert_eq!(tensor.parameters(), 8 * 4 * 3 * 3);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn parameters(&self) -> usize {
        self.shape.iter().product()
    }

    /// Its bytes as they lie in the file, before anything is added to its numbers.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let tensor = model.tensors().get("unet.conv_in.bias").unwrap();
    /// let size = tensor.float_type().map_or(1, |stored| stored.size());
    /// assert_eq!(tensor.bytes().len(), size * tensor.parameters());
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether it holds finite numbers, without keeping them.
    pub(crate) fn check(self) -> Result<(), ValueError> {
        if let Some(stored) = self.plain_type() {
            let chunks = self.bytes.par_chunks(CHUNK * stored.size());
            let finite = chunks.all(|bytes| stored.all_finite(bytes));
            return finite.then_some(()).ok_or(ValueError::NonFinite);
        }
        let as_stored = self.is_int8() && self.is_as_stored();
        if as_stored && self.stored_int8()?.is_finite_whatever_its_integers() {
            return Ok(());
        }
        self.to_f32().map(drop)
    }

    /// Its numbers, converted in parallel.
    pub(crate) fn to_f32(self) -> Result<Vec<f32>, ValueError> {
        let mut values = match self.float_type() {
            None => self.stored_int8()?.to_f32(),
            Some(_) => self.decoded(),
        };
        for rows in self.more {
            values.extend(Self::stored(&rows.stored, rows.file.data(&rows.stored)).decoded());
        }
        for change in self.changes {
            change.add_to(&mut values);
        }
        let finite = values.par_chunks(CHUNK).all(is_finite);
        finite.then_some(values).ok_or(ValueError::NonFinite)
    }

    /// The bytes of what is stored, row by row without gaps.
    pub(crate) fn row_major(self) -> Cow<'a, [u8]> {
        let Some(strides) = self.strides else {
            return Cow::Borrowed(self.bytes);
        };
        let stored = Stored {
            dtype: self.dtype,
            shape: self.shape.to_vec(),
            strides: Some(strides.to_vec()),
            range: 0..self.bytes.len(),
        };
        Cow::Owned(stored.gather(self.bytes).into_owned())
    }

    /// The numbers that are stored.
    pub(crate) fn decoded(self) -> Vec<f32> {
        let (elements, size) = self.dtype.block();
        let bytes = self.row_major();
        if self.dtype == ElementType::F32 {
            // Without clearing first what is then written.
            let bytes = bytes.as_chunks().0.par_iter();
            return bytes.map(|bytes| f32::from_le_bytes(*bytes)).collect();
        }
        let mut values = vec![0.0; bytes.len() / size * elements];
        let chunk = CHUNK / elements;
        values
            .par_chunks_mut(chunk * elements)
            .zip(bytes.par_chunks(chunk * size))
            .for_each(|(values, bytes)| {
                self.dtype.decode(bytes, values);
            });
        values
    }

    /// Its integers and scales: as they are stored, or the nearest to its numbers.
    pub(crate) fn to_int8(self) -> Result<Int8Weight<'a>, ValueError> {
        if self.is_int8() && self.changes.is_empty() {
            return self.stored_int8();
        }
        let rows = self.shape.first().copied().unwrap_or(1);
        Int8Weight::nearest(&self.to_f32()?, rows)
    }

    fn stored_int8(self) -> Result<Int8Weight<'a>, ValueError> {
        if !self.is_int8() {
            let dtype = self.type_name();
            return Err(ValueError::NotFloat { dtype });
        }
        Int8Weight::stored(self.bytes, self.shape[0], self.scales)
    }

    /// Its numbers as bytes of type `target`.
    pub(crate) fn encoded(self, target: FloatType) -> Result<Cow<'a, [u8]>, ValueError> {
        if self.plain_type() == Some(target) {
            return self.check().map(|()| Cow::Borrowed(self.bytes));
        }
        let values = self.to_f32()?;
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
        let dtype = target.name();
        fits.then_some(Cow::Owned(bytes))
            .ok_or(ValueError::OutOfRange { dtype })
    }
}

/// Integers with a scale per output channel: only weights have output channels.
pub(crate) fn is_int8(dtype: ElementType, shape: &[usize]) -> bool {
    dtype == ElementType::I8 && shape.len() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_number_in_a_large_tensor_is_found() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 3 * CHUNK + 7];
            values[2 * CHUNK + 5] = bad;
            let mut bytes = vec![0; values.len() * 2];
            FloatType::F16.encode(&values, &mut bytes);
            let shape = [values.len()];
            let tensor = TensorRef {
                dtype: ElementType::F16,
                ..TensorRef::of_f32(&shape, &bytes)
            };
            assert_eq!(tensor.to_f32(), Err(ValueError::NonFinite));
        }
    }

    #[test]
    fn a_number_beyond_half_precision_is_refused() {
        let bytes = 70000f32.to_le_bytes();
        let tensor = TensorRef::of_f32(&[1], &bytes);
        assert_eq!(
            tensor.encoded(FloatType::F16),
            Err(ValueError::OutOfRange { dtype: "F16" })
        );
        assert!(tensor.encoded(FloatType::Bf16).is_ok());
    }
}
