//! Tensors in safetensors files, for `plantain trace`.

use std::collections::BTreeMap;
use std::path::Path;

use plantain::trace::{HostTensor, Tensors};
use plantain::weights::write_atomically;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::failure::Failure;

/// Reads every tensor of the file at `path`; numbers of other types become `f32`.
pub(crate) fn read(path: &Path) -> Result<Tensors, Failure> {
    let failed = |reason: String| {
        Failure::new(format!("cannot read {}: {reason}", path.display()))
            .help("the inputs are a safetensors file with f32 tensors")
    };
    let bytes = std::fs::read(path).map_err(|e| failed(e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| failed(e.to_string()))?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        let values = numbers(view.dtype(), view.data())
            .ok_or_else(|| failed(format!("`{name}` has the type {:?}", view.dtype())))?;
        let shape = view.shape().to_vec();
        tensors.insert(name.to_string(), HostTensor { shape, values });
    }
    Ok(tensors)
}

fn numbers(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    fn all<const N: usize>(data: &[u8], f: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        data.chunks_exact(N)
            .map(|chunk| {
                let mut bytes = [0; N];
                bytes.copy_from_slice(chunk);
                f(bytes)
            })
            .collect()
    }
    match dtype {
        Dtype::F32 => Some(all(data, f32::from_le_bytes)),
        Dtype::F64 => Some(all(data, |b| f64::from_le_bytes(b) as f32)),
        Dtype::I32 => Some(all(data, |b| i32::from_le_bytes(b) as f32)),
        Dtype::I64 => Some(all(data, |b| i64::from_le_bytes(b) as f32)),
        _ => None,
    }
}

/// Writes `tensors` to a safetensors file at `path`.
pub(crate) fn write(path: &Path, tensors: &Tensors) -> Result<(), Failure> {
    let failed =
        |reason: String| Failure::new(format!("cannot write {}: {reason}", path.display()));
    let bytes: BTreeMap<&str, Vec<u8>> = tensors
        .iter()
        .map(|(name, tensor)| {
            let bytes = tensor.values.iter().flat_map(|v| v.to_le_bytes());
            (name.as_str(), bytes.collect())
        })
        .collect();
    let views: Result<Vec<_>, _> = tensors
        .iter()
        .map(|(name, tensor)| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), &bytes[name.as_str()]);
            view.map(|view| (name.as_str(), view))
        })
        .collect();
    let views = views.map_err(|e| failed(e.to_string()))?;
    let file = safetensors::serialize(views, None).map_err(|e| failed(e.to_string()))?;
    write_atomically(path, |mut out| std::io::Write::write_all(&mut out, &file))
        .map_err(|e| failed(e.to_string()))
}
