//! Kernels for graphics processors, in CubeCL, and the adapter that puts them behind Burn.
//!
//! They need nothing that a device may lack: no cooperative matrices, no shared memory beyond a reduction, no
//! subgroups. A unit (an invocation) computes several output channels of neighbouring pixels, so that what all units of
//! a group read at once, the weights, is read once for all of them. Lanes run over pixels, as everywhere in this crate.
//!
//! Products and sums are f32 throughout; [`Storage`](crate::Storage) says how numbers rest in memory.

mod adapter;
mod adapter_memory;
mod attention;
mod elementwise;
mod layer;
mod norm;
mod settings;
mod tile;

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use cubecl::prelude::*;

pub use adapter_memory::adapter_memory;
pub use settings::RuntimeSettings;

type CubeTensor = FloatTensor<CubeBackend>;

/// Units of a cube that share one pass over the weights.
const UNITS: u32 = 64;

/// An output of the device and type of `like`.
fn output_like<const D: usize>(like: &CubeTensor, dims: [usize; D]) -> CubeTensor {
    let (client, device) = (like.client.clone(), like.device.clone());
    empty_device_contiguous_dtype(client, device, Shape::new(dims), like.dtype)
}

/// What CubeCL calls the type of the elements.
fn element(tensor: &CubeTensor) -> ElemType {
    match tensor.dtype() {
        DType::F32 => ElemType::Float(cubecl::ir::FloatKind::F32),
        DType::F16 => ElemType::Float(cubecl::ir::FloatKind::F16),
        other => panic!("the kernels compute with f32 and f16, not {other:?}"),
    }
}

/// The buffer of a tensor, brought into row-major order if it is not.
fn buffer(tensor: CubeTensor) -> BufferArg {
    into_contiguous(tensor).into_buffer_arg()
}
