//! How many pictures are drawn together.

use plantain_nn::{DecoderConfig, Packing, Storage, UNetConfig};

/// Most pictures that are drawn together: more keep a graphics processor no busier, and are all lost when a run stops.
const MOST: usize = 4;
/// Largest tensor, in bytes: what every graphics processor reads at once, and the only bound that its driver tells.
const LARGEST: usize = 128 << 20;

/// Whether no tensor of a tiny decoder is larger than every graphics processor reads at once, for a latent of `height` x `width`; others
/// are not looked at, and the CPU has no such bound.
pub(crate) fn decodes_at_once(
    decoder: &DecoderConfig,
    packing: Option<&Packing>,
    [height, width]: [usize; 2],
) -> bool {
    let (Some(Packing::Device(_, storage)), DecoderConfig::AutoencoderTiny(config)) =
        (packing, decoder)
    else {
        return true;
    };
    let halved = usize::from(config.ends_at_half_size());
    let scale = decoder.scale() >> halved;
    let pixels = height * width * scale.pow(2);
    storage_bytes(*storage) * config.decoder_block_out_channels[0] * pixels <= LARGEST
}

fn storage_bytes(storage: Storage) -> usize {
    match storage {
        Storage::F32 => 4,
        Storage::F16 => 2,
    }
}

/// How many latents of `height` x `width` go through a UNet together best, each as often as it is evaluated in a step.
pub(crate) fn batch_size(
    unet: &UNetConfig,
    packing: Option<&Packing>,
    [height, width]: [usize; 2],
    evaluations: usize,
) -> usize {
    let Some(Packing::Device(_, storage)) = packing else {
        return 1;
    };
    let one = storage_bytes(*storage) * evaluations * unet.largest_activation(height, width);
    (LARGEST / one.max(1)).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use plantain_nn::{Precision, TinyDecoderConfig};

    use super::*;

    #[test]
    fn as_many_as_their_tensors_fit_the_buffers() {
        let unet = UNetConfig::default();
        let on = |storage, side, evaluations| {
            let packing = Packing::Device(Device::flex(), storage);
            batch_size(&unet, Some(&packing), [side, side], evaluations)
        };
        // 40 MiB each in f32.
        assert_eq!(on(Storage::F32, 64, 1), 3);
        assert_eq!(on(Storage::F32, 64, 2), 1);
        assert_eq!(on(Storage::F16, 64, 2), 3);
        assert_eq!(on(Storage::F16, 64, 1), 4);
        assert_eq!(on(Storage::F32, 256, 2), 1);
    }

    #[test]
    fn large_pictures_are_not_decoded_at_once_on_a_device() {
        let with = |num_decoder_blocks| {
            DecoderConfig::AutoencoderTiny(TinyDecoderConfig {
                decoder_block_out_channels: vec![40; 5],
                num_decoder_blocks,
                ..TinyDecoderConfig::default()
            })
        };
        let tiny = with(vec![1; 5]);
        let device = Packing::Device(Device::flex(), Storage::F32);
        assert!(decodes_at_once(&tiny, Some(&device), [32, 56]));
        assert!(!decodes_at_once(&tiny, Some(&device), [64, 64]));
        let ending = with(vec![1, 1, 1, 1, 0]);
        assert!(decodes_at_once(&ending, Some(&device), [64, 64]));
        let host = Packing::Host(Precision::F32);
        assert!(decodes_at_once(&tiny, Some(&host), [64, 64]));
    }

    #[test]
    fn one_on_the_cpu() {
        let unet = UNetConfig::default();
        let packing = Packing::Host(Precision::F32);
        assert_eq!(batch_size(&unet, Some(&packing), [8, 8], 1), 1);
        assert_eq!(batch_size(&unet, None, [8, 8], 1), 1);
    }
}
