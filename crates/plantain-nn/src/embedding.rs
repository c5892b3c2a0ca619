//! Numbers as vectors: the timestep and the guidance scale.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use plantain_kernels::{Activation, Packing};

use crate::layers::{Before, Linear};

/// Sinusoidal embedding of one number per sample (diffusers' `get_timestep_embedding`, after
/// "Attention Is All You Need"): frequencies `10000^(-i / (dim / 2 - freq_shift))`.
///
/// # Shapes
/// - result: `[values.len(), dim]`, sine half first unless `flip_sin_to_cos`
pub(crate) fn sinusoidal(
    values: &[f32],
    dim: usize,
    flip_sin_to_cos: bool,
    freq_shift: f64,
    device: &Device,
) -> Tensor<2> {
    let half = dim / 2;
    // In f32, in the order of the reference: at timestep 999 one ulp of the frequency is visible.
    let step = -(10_000f32.ln());
    let frequency = |i: usize| (step * i as f32 / (half as f64 - freq_shift) as f32).exp();
    let mut rows = Vec::with_capacity(values.len() * dim);
    for value in values {
        let angles: Vec<f32> = (0..half).map(|i| value * frequency(i)).collect();
        let sines = angles.iter().map(|a| a.sin());
        let cosines = angles.iter().map(|a| a.cos());
        if flip_sin_to_cos {
            rows.extend(cosines.chain(sines));
        } else {
            rows.extend(sines.chain(cosines));
        }
        rows.extend(std::iter::repeat_n(0.0, dim % 2));
    }
    Tensor::from_data(TensorData::new(rows, [values.len(), dim]), device)
}

/// LCM's embedding of the guidance scale, to be passed as
/// [`Conditioning::timestep_cond`](crate::Conditioning) (diffusers'
/// `get_guidance_scale_embedding`, which is fed `guidance_scale - 1`).
///
/// # Shapes
/// - result: `[batch, dim]`
pub fn guidance_scale_embedding(
    guidance_scale: f64,
    batch: usize,
    dim: usize,
    device: &Device,
) -> Tensor<2> {
    let values = vec![(1000.0 * (guidance_scale - 1.0)) as f32; batch];
    sinusoidal(&values, dim, false, 1.0, device)
}

/// Two linear layers with a SiLU between (diffusers' `TimestepEmbedding`).
#[derive(Module, Debug)]
pub struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
    cond_proj: Option<Linear>,
}

impl TimestepEmbedding {
    /// From width `in_dim` to `out_dim`; a second input of width `cond_dim` is added before the
    /// first layer.
    pub fn new(in_dim: usize, out_dim: usize, cond_dim: Option<usize>, device: &Device) -> Self {
        Self {
            linear_1: Linear::new(in_dim, out_dim, device),
            linear_2: Linear::new(out_dim, out_dim, device),
            cond_proj: cond_dim.map(|dim| Linear::without_bias(dim, in_dim, device)),
        }
    }

    /// # Shapes
    /// - `x`: `[batch, in_dim]`, `condition`: `[batch, cond_dim]`
    /// - result: `[batch, out_dim]`
    pub fn forward(&self, x: Tensor<2>, condition: Option<Tensor<2>>) -> Tensor<2> {
        let x = match (&self.cond_proj, condition) {
            (Some(projection), Some(condition)) => {
                let shift =
                    projection.forward_vectors(condition, Before::Nothing, Activation::None);
                x.cast(shift.dtype()) + shift
            }
            _ => x,
        };
        let h = self
            .linear_1
            .forward_vectors(x, Before::Nothing, Activation::Silu);
        self.linear_2
            .forward_vectors(h, Before::Nothing, Activation::None)
    }

    /// Moves the weights to where and into the layout in which kernels read them.
    pub fn pack(&mut self, packing: &Packing) {
        for layer in [&mut self.linear_1, &mut self.linear_2]
            .into_iter()
            .chain(&mut self.cond_proj)
        {
            layer.pack(packing);
        }
    }
}
