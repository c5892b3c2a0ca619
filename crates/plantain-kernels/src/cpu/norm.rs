//! Group and layer normalisation in two passes over memory, with the activation folded in.

use rayon::prelude::*;

use super::math::silu;

/// Group normalisation, then SiLU if `silu`.
///
/// # Shapes
/// - `x`: `[batch, channels, pixels]`
/// - `weight`, `bias`: `[channels]`
pub fn group_norm(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    groups: usize,
    pixels: usize,
    epsilon: f32,
    silu: bool,
) -> Vec<f32> {
    let channels = weight.len();
    let group_channels = channels / groups;
    let mut out = vec![0.0; x.len()];
    let group_len = (group_channels * pixels).max(1);
    out.par_chunks_exact_mut(group_len)
        .zip(x.par_chunks_exact(group_len))
        .enumerate()
        .for_each(|(i, (out, x))| {
            let (mean, deviation) = moments(x, epsilon);
            let first = i % groups * group_channels;
            let planes = out.chunks_exact_mut(pixels).zip(x.chunks_exact(pixels));
            for (channel, (out, x)) in (first..).zip(planes) {
                let scale = weight[channel] / deviation;
                let shift = bias[channel] - mean * scale;
                affine(x, out, scale, shift, silu);
            }
        });
    out
}

/// Layer normalisation of each row.
///
/// # Shapes
/// - `x`: `[rows, features]`
/// - `weight`, `bias`: `[features]`
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) -> Vec<f32> {
    let features = weight.len();
    let mut out = vec![0.0; x.len()];
    out.par_chunks_exact_mut(features)
        .zip(x.par_chunks_exact(features))
        .with_min_len(16)
        .for_each(|(out, x)| {
            let (mean, deviation) = moments(x, epsilon);
            let inverse = 1.0 / deviation;
            for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *out = (x - mean) * inverse * weight + bias;
            }
        });
    out
}

fn affine(x: &[f32], out: &mut [f32], scale: f32, shift: f32, activate: bool) {
    let pairs = out.iter_mut().zip(x);
    if activate {
        pairs.for_each(|(out, x)| *out = silu(x * scale + shift));
    } else {
        pairs.for_each(|(out, x)| *out = x * scale + shift);
    }
}

/// Mean and `sqrt(variance + epsilon)`. Two passes, each summed in short runs of `f32` lanes that
/// are added up in `f64`: as exact as a sum in `f64` for our purposes, and it vectorises.
fn moments(x: &[f32], epsilon: f32) -> (f32, f32) {
    let count = x.len().max(1) as f64;
    let mean = sum(x, |v| v) / count;
    let centre = mean as f32;
    let variance = sum(x, |v| (v - centre) * (v - centre)) / count;
    (centre, (variance + f64::from(epsilon)).sqrt() as f32)
}

fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    const LANES: usize = 16;
    const RUN: usize = 1024;
    x.chunks(RUN)
        .map(|run| {
            let mut lanes = [0.0f32; LANES];
            let chunks = run.chunks_exact(LANES);
            let tail: f32 = chunks.remainder().iter().map(|v| f(*v)).sum();
            for chunk in chunks {
                for (lane, v) in lanes.iter_mut().zip(chunk) {
                    *lane += f(*v);
                }
            }
            f64::from(tail) + lanes.iter().map(|v| f64::from(*v)).sum::<f64>()
        })
        .sum()
}
