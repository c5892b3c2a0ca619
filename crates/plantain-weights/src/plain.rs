//! Safetensors files that are no models: numbers by name.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use plantain_formats::ElementType;

use crate::container::{Container, Stored};
use crate::error::ReadError;
use crate::float::FloatType;
use crate::tensor::TensorRef;
use crate::write::{OutputTensor, Part, write_safetensors};

/// A tensor on the host.
///
/// ```
/// use plantain_weights::HostTensor;
///
/// let matrix = HostTensor { shape: vec![2, 2], values: vec![1.0, 0.0, 0.0, 1.0] };
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Shape; empty for a single number.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

/// Tensors by name.
///
/// ```
/// use plantain_weights::{HostTensor, Tensors};
///
/// let number = HostTensor { shape: vec![], values: vec![0.5] };
/// let tensors = Tensors::from([("strength".into(), number)]);
/// ```
pub type Tensors = BTreeMap<String, HostTensor>;

/// Reads every tensor of the safetensors file at `path`. Numbers of other types than `F32` (other
/// floats, `I32`, `I64`) become the nearest `f32`; they need not be finite.
///
/// # Errors
/// When the file cannot be read, is damaged, or holds a tensor of yet another type.
///
/// ```
/// use plantain_weights::{HostTensor, Tensors, read_tensors, write_tensors};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("numbers.safetensors");
/// let numbers = HostTensor { shape: vec![3], values: vec![1.0, 2.0, 3.0] };
/// let tensors = Tensors::from([("numbers".into(), numbers)]);
/// write_tensors(&path, &tensors)?;
/// assert_eq!(read_tensors(&path)?, tensors);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_tensors(path: &Path) -> Result<Tensors, ReadError> {
    let file = Container::open(path)?;
    let tensors = file.tensors.iter().map(|(name, stored)| {
        let values = numbers(stored, file.data(stored));
        let values = values.ok_or_else(|| ReadError::TensorType {
            origin: path.display().to_string(),
            tensor: name.clone(),
            dtype: stored.dtype.name().to_string(),
        })?;
        let shape = stored.shape.clone();
        Ok((name.clone(), HostTensor { shape, values }))
    });
    tensors.collect()
}

/// The numbers of `stored`, which lie in `bytes`, as the nearest `f32`; `None` for types that this program reads none of.
pub(crate) fn numbers(stored: &Stored, bytes: &[u8]) -> Option<Vec<f32>> {
    fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.as_chunks().0.iter().map(|b| number(*b)).collect()
    }
    let tensor = TensorRef::stored(stored, bytes);
    match stored.dtype {
        ElementType::I32 => Some(each(&tensor.row_major(), |b| i32::from_le_bytes(b) as f32)),
        ElementType::I64 => Some(each(&tensor.row_major(), |b| i64::from_le_bytes(b) as f32)),
        dtype => dtype.is_float().then(|| tensor.decoded()),
    }
}

/// Writes `tensors`, whose values must be finite, as a safetensors file of `F32` at `path`,
/// replacing what is there only when all of it is written.
///
/// # Errors
/// Those of the file system, and [`io::ErrorKind::InvalidData`] for a value that is not finite.
///
/// # Panics
/// When a tensor has more or fewer values than its shape says.
///
/// ```
/// use plantain_weights::{HostTensor, Tensors, write_tensors};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("numbers.safetensors");
/// let infinite = HostTensor { shape: vec![1], values: vec![f32::INFINITY] };
/// assert!(write_tensors(&path, &Tensors::from([("a".into(), infinite)])).is_err());
/// assert!(!path.exists());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn write_tensors(path: &Path, tensors: &Tensors) -> io::Result<()> {
    let bytes: Vec<Vec<u8>> = tensors
        .values()
        .map(|tensor| {
            let count: usize = tensor.shape.iter().product();
            assert_eq!(count, tensor.values.len(), "shape {:?}", tensor.shape);
            let mut bytes = vec![0; count * FloatType::F32.size()];
            FloatType::F32.encode(&tensor.values, &mut bytes);
            bytes
        })
        .collect();
    let outputs = tensors.iter().zip(&bytes);
    let mut outputs: Vec<_> = outputs
        .map(|((name, tensor), bytes)| OutputTensor {
            name: name.into(),
            tensor: TensorRef::of_f32(&tensor.shape, bytes),
            part: Part::Floats(FloatType::F32),
        })
        .collect();
    let (cancelled, written) = (&|| false, &|_: &str| ());
    write_safetensors(path, &BTreeMap::new(), &mut outputs, cancelled, written).map(drop)
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let tensor = |shape: &[usize], values: &[f32]| HostTensor {
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        let tensors = Tensors::from([
            (
                "matrix".into(),
                tensor(&[2, 3], &[0.0, -1.5, 2.0, 1e-30, 7.0, f32::MAX]),
            ),
            ("nothing".into(), tensor(&[0, 3], &[])),
            ("number".into(), tensor(&[], &[0.25])),
        ]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tensors.safetensors");
        write_tensors(&path, &tensors).unwrap();
        assert_eq!(read_tensors(&path).unwrap(), tensors);

        let infinite = Tensors::from([("a".into(), tensor(&[1], &[f32::INFINITY]))]);
        let error = write_tensors(&path, &infinite).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(read_tensors(&path).unwrap(), tensors);
    }

    #[test]
    fn tensors_that_lie_otherwise_in_their_file_are_read_row_by_row() {
        let fixtures =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../plantain-formats/tests/fixtures");
        let expected = read_tensors(&fixtures.join("views.expected")).unwrap();
        let read = read_tensors(&fixtures.join("views.protocol2.pt")).unwrap();
        assert!(read.len() > 3);
        for (name, tensor) in &read {
            assert_eq!(*tensor, expected[&format!("f32/{name}")], "{name}");
        }
    }

    #[test]
    fn other_types_become_f32_or_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tensors.safetensors");
        let read = |dtype, data: &[u8]| {
            let view = TensorView::new(dtype, vec![1], data).unwrap();
            let file = safetensors::serialize([("a", view)], None).unwrap();
            std::fs::write(&path, file).unwrap();
            read_tensors(&path).map(|tensors| tensors["a"].values[0])
        };
        assert_eq!(read(Dtype::F16, &[0x00, 0xc0]).unwrap(), -2.0);
        assert_eq!(read(Dtype::F64, &0.5f64.to_le_bytes()).unwrap(), 0.5);
        assert_eq!(read(Dtype::I32, &(-7i32).to_le_bytes()).unwrap(), -7.0);
        assert_eq!(read(Dtype::I64, &533i64.to_le_bytes()).unwrap(), 533.0);
        let error = read(Dtype::U8, &[3]).unwrap_err().to_string();
        assert!(error.contains("`a` is stored as U8"), "{error}");
    }
}
