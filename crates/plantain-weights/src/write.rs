//! Writing a package: tensor by tensor into a temporary file that is then renamed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::atomic::write_atomically;
use crate::float::FloatType;
use crate::int8::Int8Weight;
use crate::tensor::TensorRef;

/// What of a tensor is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Its numbers.
    Floats(FloatType),
    /// The integers of an int8 weight.
    Integers,
    /// The scales of an int8 weight, as `F32`.
    Scales,
}

impl Part {
    /// Name of its type as in safetensors headers, and the bytes of one number.
    fn dtype(self) -> (&'static str, usize) {
        match self {
            Self::Floats(dtype) => (dtype.name(), dtype.size()),
            Self::Integers => ("I8", 1),
            Self::Scales => (FloatType::F32.name(), FloatType::F32.size()),
        }
    }
}

/// A tensor to be written, converted when its turn comes.
#[derive(Debug)]
pub(crate) struct OutputTensor<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) tensor: TensorRef<'a>,
    pub(crate) part: Part,
}

impl OutputTensor<'_> {
    fn shape(&self) -> &[usize] {
        match self.part {
            Part::Scales => &self.tensor.shape[..1],
            Part::Floats(_) | Part::Integers => self.tensor.shape,
        }
    }

    fn len(&self) -> usize {
        self.shape().iter().product::<usize>() * self.part.dtype().1
    }

    fn data(&self) -> io::Result<Cow<'_, [u8]>> {
        let data = match self.part {
            Part::Floats(dtype) => self.tensor.encoded(dtype),
            Part::Integers => self.tensor.to_int8().map(Int8Weight::into_bytes),
            Part::Scales => self.tensor.to_int8().map(|weight| {
                let scales = weight.scales.iter();
                scales.flat_map(|scale| scale.to_le_bytes()).collect()
            }),
        };
        data.map_err(|error| {
            // Models are checked before they are written, so their file has changed since.
            let message = error.of(self.name.to_string()).to_string();
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }
}

/// Writes a safetensors file at `path`, replacing what is there only when all of it is written.
/// Equal input gives equal bytes. `cancelled` is asked before each tensor and ends the writing with
/// [`io::ErrorKind::Interrupted`]; `written` hears of each afterwards. Returns the length of the file.
pub(crate) fn write_safetensors(
    path: &Path,
    metadata: &BTreeMap<&str, String>,
    tensors: &mut [OutputTensor<'_>],
    cancelled: &dyn Fn() -> bool,
    written: &dyn Fn(&str),
) -> io::Result<u64> {
    // Wide types first, so that every tensor is aligned to its type.
    tensors.sort_by(|a, b| {
        let size = |tensor: &OutputTensor<'_>| tensor.part.dtype().1;
        size(b).cmp(&size(a)).then_with(|| a.name.cmp(&b.name))
    });
    let header = header(metadata, tensors)?;
    let data: usize = tensors.iter().map(OutputTensor::len).sum();
    write_atomically(path, |file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        for tensor in tensors {
            if cancelled() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            out.write_all(&tensor.data()?)?;
            written(&tensor.name);
        }
        out.flush()
    })?;
    Ok((8 + header.len() + data) as u64)
}

/// The JSON header, padded so that the data starts at a multiple of 8 bytes.
fn header(metadata: &BTreeMap<&str, String>, tensors: &[OutputTensor<'_>]) -> io::Result<Vec<u8>> {
    let mut entries = BTreeMap::<&str, Value>::new();
    entries.insert("__metadata__", json!(metadata));
    let mut offset = 0;
    for tensor in tensors {
        let end = offset + tensor.len();
        entries.insert(
            &tensor.name,
            json!({
                "dtype": tensor.part.dtype().0,
                "shape": tensor.shape(),
                "data_offsets": [offset, end],
            }),
        );
        offset = end;
    }
    let mut header = serde_json::to_vec(&entries)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use safetensors::SafeTensors;
    use safetensors::tensor::{Dtype, TensorView, serialize};

    use super::*;
    use crate::container::Container;
    use crate::tensors::{NamedTensor, TensorSource};

    /// The tensors of `bytes` under their own names.
    fn source(bytes: Vec<u8>) -> TensorSource {
        let mut file = Container::from_static(bytes.leak(), "the test").unwrap();
        let tensors = std::mem::take(&mut file.tensors).into_iter();
        let named = tensors.map(|(name, stored)| NamedTensor {
            original: name.clone(),
            name,
            stored,
        });
        let mut source = TensorSource::new("the test".to_string());
        source.add(file, named.collect()).unwrap();
        source
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(
            shapes in prop::collection::vec((any::<bool>(), prop::collection::vec(0usize..6, 0..4)), 0..6),
            text in ".{0,40}",
        ) {
            let values: Vec<u8> = (0..125u16 * 4).flat_map(|i| (i % 0x7c00).to_le_bytes()).collect();
            let views = shapes.iter().enumerate().map(|(i, (wide, shape))| {
                let (dtype, size) = if *wide { (Dtype::F32, 4) } else { (Dtype::F16, 2) };
                let data = &values[..size * shape.iter().product::<usize>()];
                (format!("t{i}"), TensorView::new(dtype, shape.clone(), data).unwrap())
            });
            let bytes = serialize(views, None).unwrap();
            let source = source(bytes.clone());
            let mut outputs: Vec<_> = source
                .iter()
                .map(|(name, tensor)| OutputTensor {
                    name: name.into(),
                    tensor,
                    part: Part::Floats(tensor.float_type().unwrap()),
                })
                .collect();
            let metadata = BTreeMap::from([("key", text.clone())]);
            let folder = tempfile::TempDir::new().unwrap();
            let path = folder.path().join("written.safetensors");
            let length = write_safetensors(&path, &metadata, &mut outputs, &|| false, &|_| ()).unwrap();

            let written = fs::read(&path).unwrap();
            prop_assert_eq!(length, written.len() as u64);
            let (header, read) = SafeTensors::read_metadata(&written).unwrap();
            prop_assert_eq!(header % 8, 0);
            prop_assert_eq!(&read.metadata().as_ref().unwrap()["key"], &text);
            let (before, after) = (SafeTensors::deserialize(&bytes).unwrap(), SafeTensors::deserialize(&written).unwrap());
            prop_assert_eq!(before.len(), after.len());
            for (name, tensor) in before.iter() {
                prop_assert_eq!(&after.tensor(name).unwrap(), &tensor);
            }
        }
    }
}
