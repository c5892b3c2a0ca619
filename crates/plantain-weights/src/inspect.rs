//! What `plantain inspect` shows: sizes, types and an estimate of the memory needed.

use std::collections::BTreeMap;

use plantain_nn::{DecoderConfig, EncoderConfig, UNetConfig};

use crate::manifest::Component;
use crate::package::Model;
use crate::tensor::TensorRef;

/// How many times as many bytes the weights of 3x3 convolutions take in `f32` on a CPU, which keeps most of them transformed for tiles of
/// 2x2 or 4x4 pixels: between 1.8 and 4 times, depending on sizes. What all of BK-SDM-Tiny takes at its peak comes to about this.
const TRANSFORMED: f64 = 2.5;

/// The tensors of one component, counted.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// for part in model.summary() {
///     println!("{}: {} parameters, {} bytes", part.component, part.parameters, part.bytes);
/// }
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentSummary {
    /// Which one.
    pub component: Component,
    /// Tensors in the source; the scales of an int8 weight are part of it.
    pub tensors: usize,
    /// Numbers in them.
    pub parameters: u64,
    /// Bytes they take in the source.
    pub bytes: u64,
    /// Tensors per stored type, under its safetensors name.
    pub types: BTreeMap<String, usize>,
}

/// Memory that a generation needs, in bytes.
///
/// ```
/// # use std::path::Path;
/// # use plantain_weights::Model;
/// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
/// let memory = model.estimated_memory(24, 16, 1);
/// println!("{} MiB of weights", memory.weights >> 20);
/// # Ok::<(), plantain_weights::ReadError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// All components as `f32`, but for the encoder of pictures.
    pub weights: u64,
    /// What a CPU takes beyond that in `f32`, because it keeps 3x3 convolutions transformed (Winograd).
    pub transformed: u64,
    /// The largest set of intermediate values alive at once in the UNet.
    pub sampling: u64,
    /// The same in the decoder.
    pub decoding: u64,
    /// What drawing from a picture takes besides: its encoder as `f32`, with its convolutions transformed.
    pub encoder: u64,
    /// And the largest set of intermediate values in that.
    pub encoding: u64,
}

impl MemoryEstimate {
    /// The largest set of intermediate values alive at once.
    ///
    /// ```
    /// use plantain_weights::MemoryEstimate;
    ///
    /// let memory = MemoryEstimate { weights: 300, transformed: 100, sampling: 200, decoding: 50, encoder: 30, encoding: 40 };
    /// assert_eq!(memory.activations(), 200);
    /// ```
    pub fn activations(&self) -> u64 {
        self.sampling.max(self.decoding)
    }

    /// Weights as a CPU keeps them in `f32`, and intermediate values.
    ///
    /// ```
    /// use plantain_weights::MemoryEstimate;
    ///
    /// let memory = MemoryEstimate { weights: 300, transformed: 100, sampling: 200, decoding: 50, encoder: 30, encoding: 40 };
    /// assert_eq!(memory.total(), 600);
    /// ```
    pub fn total(&self) -> u64 {
        self.weights
            .saturating_add(self.transformed)
            .saturating_add(self.activations())
    }
}

impl Model {
    /// Counts the tensors of every component that the model has.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let parameters: u64 = model.summary().iter().map(|part| part.parameters).sum();
    /// assert!(parameters > 0);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn summary(&self) -> Vec<ComponentSummary> {
        Component::ALL
            .into_iter()
            .filter(|&component| self.manifest().components.has(component))
            .map(|component| self.summarize(component))
            .collect()
    }

    fn summarize(&self, component: Component) -> ComponentSummary {
        let mut summary = ComponentSummary {
            component,
            tensors: 0,
            parameters: 0,
            bytes: 0,
            types: BTreeMap::new(),
        };
        for (name, tensor) in self.tensors_of(component) {
            summary.bytes += tensor.bytes().len() as u64;
            if self.tensors().is_scales(name) {
                continue;
            }
            summary.tensors += 1;
            summary.parameters += tensor.parameters() as u64;
            *summary.types.entry(tensor.type_name()).or_default() += 1;
        }
        summary
    }

    fn tensors_of(&self, component: Component) -> impl Iterator<Item = (&str, TensorRef<'_>)> {
        self.tensors().iter().filter(move |(name, _)| {
            let rest = name.strip_prefix(component.name());
            rest.is_some_and(|rest| rest.starts_with('.'))
        })
    }

    /// Parameters of the 3x3 convolutions of a component.
    fn convolved(&self, component: Component) -> u64 {
        let convolutions = self
            .tensors_of(component)
            .filter(|(_, tensor)| matches!(tensor.shape, [_, _, 3, 3]));
        convolutions
            .map(|(_, tensor)| tensor.parameters() as u64)
            .sum()
    }

    /// Estimates the memory for `batch` pictures decoded at `width` x `height` pixels at once (with
    /// guidance, count each picture twice).
    ///
    /// Weights: 4 bytes per parameter of the source, but for the encoder of pictures, which is loaded when a picture is first
    /// drawn from another; 3x3 convolutions take more on a CPU. Intermediate values:
    ///
    /// - UNet: the skip connections (each level's channels x area, once per residual block and
    ///   downsampling) and, at the most demanding level, 14 maps of its width where it has
    ///   transformers (the gated feed-forward layer holds 8 + 4, its input and residual 2), else 6
    ///   (a concatenated input of 2 and 4 temporaries);
    /// - decoder: at the most demanding level, 5 maps of its input's width (input, residual,
    ///   normalised copy, output, upsampled copy);
    /// - encoder: as many, of the widest of a level.
    ///
    /// A map is 4 bytes x channels x height x width of its level. Scratch space of single
    /// operations and the program itself are not counted.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let (one, four) = (model.estimated_memory(24, 16, 1), model.estimated_memory(24, 16, 4));
    /// assert_eq!(four.weights, one.weights);
    /// assert_eq!(four.sampling, 4 * one.sampling);
    /// assert_eq!(four.decoding, one.decoding);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn estimated_memory(&self, width: u32, height: u32, batch: u32) -> MemoryEstimate {
        let summary = self.summary();
        let always = summary
            .iter()
            .filter(|s| s.component != Component::VaeEncoder);
        let parameters: u64 = always.clone().map(|s| s.parameters).sum();
        let convolved: u64 = always.map(|s| self.convolved(s.component)).sum();
        let all: u64 = summary.iter().map(|s| s.parameters).sum();
        let encoder_convolved = self.convolved(Component::VaeEncoder) as f64;
        let components = &self.manifest().components;
        let pixels = f64::from(width) * f64::from(height);
        let size = [width, height].map(|side| side as usize);
        let scale = self.manifest().sampling_scale() as f64;
        let [sampled_width, sampled_height] = self.manifest().sampled_size(size);
        let sampled = sampled_width as f64 * sampled_height as f64;
        let unet = components.unet.as_ref();
        let unet = unet.map_or(0.0, |unet| unet_values(unet, sampled / (scale * scale)));
        let decoder = components
            .vae
            .as_ref()
            .map_or(0.0, |vae| decoder_values(vae, pixels));
        let encoder = components.vae_encoder.as_ref();
        let encoder = encoder.map_or(0.0, |encoder| encoder_values(encoder, pixels));
        MemoryEstimate {
            weights: 4 * parameters,
            transformed: (4.0 * (TRANSFORMED - 1.0) * convolved as f64) as u64,
            sampling: (4.0 * f64::from(batch) * unet) as u64,
            // Pictures are decoded one at a time, and encoded once for all.
            decoding: (4.0 * decoder) as u64,
            encoder: 4 * (all - parameters)
                + (4.0 * (TRANSFORMED - 1.0) * encoder_convolved) as u64,
            encoding: (4.0 * encoder) as u64,
        }
    }
}

impl Model {
    /// Floating-point operations of one evaluation of the UNet for one picture of the model's own size; 0 without a UNet. See
    /// [`UNetConfig::flops`].
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// println!("{:.1} GFLOP a step", model.unet_flops() as f64 / 1e9);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn unet_flops(&self) -> u64 {
        let manifest = self.manifest();
        let components = &manifest.components;
        let text = components.text_encoder.as_ref();
        let tokens = text.map_or(77, |text| text.max_position_embeddings);
        let size = manifest.own_size();
        let scale = manifest.sampling_scale();
        let [width, height] = size.map(|side| side / scale);
        let unet = components.unet.as_ref();
        unet.map_or(0, |unet| unet.flops(height, width, tokens))
    }
}

/// Numbers alive at once in the UNet, for a latent of `area` positions.
fn unet_values(config: &UNetConfig, area: f64) -> f64 {
    let channels = &config.block_out_channels;
    let mut skips = channels[0] as f64 * area;
    let mut widest = 0f64;
    for (level, &width) in channels.iter().enumerate() {
        let area = area / 4f64.powi(level as i32);
        let last = level + 1 == channels.len();
        skips += width as f64 * area * config.down_layers(level) as f64;
        if !last {
            skips += width as f64 * area / 4.0;
        }
        let maps = if config.down_block_types[level].has_attention() {
            14
        } else {
            6
        };
        let below = channels[if last { level } else { level + 1 }];
        widest = widest.max(f64::from(maps) * width.max(below) as f64 * area);
    }
    skips + widest
}

/// Maps of a level's width alive at once in a decoder or an encoder.
const MAPS: f64 = 5.0;

/// Numbers alive at once in the encoder, for a picture of `pixels`.
fn encoder_values(config: &EncoderConfig, pixels: f64) -> f64 {
    let channels = match config {
        EncoderConfig::AutoencoderKL(config) => &config.block_out_channels,
        EncoderConfig::AutoencoderTiny(config) => &config.encoder_block_out_channels,
    };
    let levels = channels.iter().enumerate();
    let values =
        levels.map(|(level, &width)| MAPS * width as f64 * pixels / 4f64.powi(level as i32));
    values.fold(0.0, f64::max)
}

/// Numbers alive at once in the decoder, for a picture of `pixels`.
fn decoder_values(config: &DecoderConfig, pixels: f64) -> f64 {
    match config {
        DecoderConfig::AutoencoderTiny(config) => {
            let maps = MAPS * config.decoder_block_out_channels[0] as f64;
            if config.ends_at_half_size() {
                // And the colours of the picture, in as many copies.
                (maps / 4.0 + 3.0 * MAPS) * pixels
            } else {
                maps * pixels
            }
        }
        DecoderConfig::AutoencoderKL(config) => {
            let channels = &config.block_out_channels;
            (0..channels.len())
                .map(|level| {
                    let below = channels[(level + 1).min(channels.len() - 1)];
                    let width = channels[level].max(below) as f64;
                    MAPS * width * pixels / 4f64.powi(level as i32)
                })
                .fold(0.0, f64::max)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn summary_counts_parameters_and_estimates_memory() {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/weights/modern");
        let model = Model::open(&folder).unwrap();
        let summary = model.summary();
        let components: Vec<_> = summary.iter().map(|s| s.component).collect();
        assert_eq!(
            components,
            [
                Component::TextEncoder,
                Component::Unet,
                Component::Vae,
                Component::VaeEncoder
            ]
        );
        for part in &summary {
            assert_eq!(part.bytes, 2 * part.parameters);
            assert_eq!(part.types["F16"], part.tensors);
        }
        // The encoder of pictures is not needed for drawing from a text.
        let parameters: u64 = summary[..3].iter().map(|s| s.parameters).sum();
        let small = model.estimated_memory(16, 16, 1);
        assert_eq!(small.weights, 4 * parameters);
        assert!(small.transformed > small.weights / 2 && small.transformed < 3 * small.weights / 2);
        // The UNet at 8x8: skips 8*64 + 8*64 + 8*16 + 16*16, and 14 maps of 16 channels.
        assert_eq!(
            small.sampling,
            4 * (8 * 64 + 8 * 64 + 8 * 16 + 16 * 16 + 14 * 16 * 64)
        );
        assert_eq!(
            model.estimated_memory(32, 16, 2).sampling,
            4 * small.sampling
        );
        assert!(small.encoder > 4 * summary[3].parameters);
        // 5 maps of 8 channels.
        assert_eq!(small.encoding, 4 * 5 * 8 * 16 * 16);
        assert_eq!(
            model.estimated_memory(u32::MAX, u32::MAX, u32::MAX).total(),
            u64::MAX
        );
    }
}
