//! sRGB bytes and the light that they stand for (IEC 61966-2-1).

use std::sync::LazyLock;

/// Light, 0 to 1, of each sRGB byte.
static LINEAR: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|byte| decode(byte as f32 / 255.0)));

/// sRGB byte of each of these steps of light. Fine enough that every byte comes back from its light:
/// the darkest bytes are 20 steps apart.
static ENCODED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let byte = |step: usize| (encode(step as f32 / STEPS) * 255.0).round() as u8;
    (0..=STEPS as usize).map(byte).collect()
});

/// Light of each sRGB byte in these steps.
static STEPPED: LazyLock<[u16; 256]> =
    LazyLock::new(|| LINEAR.map(|light| (light * STEPS).round() as u16));

/// Number of steps of light between black and white.
const STEPS: f32 = 65535.0;

fn decode(value: f32) -> f32 {
    if value <= 0.04045 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}

fn encode(light: f32) -> f32 {
    if light <= 0.003_130_8 {
        light * 12.92
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    }
}

/// Light, 0 to 1, of each sRGB byte, as a table for loops over pixels.
pub(crate) fn linear_table() -> &'static [f32; 256] {
    &LINEAR
}

/// Light, 0 to 65535, of each sRGB byte.
pub(crate) fn stepped_table() -> &'static [u16; 256] {
    &STEPPED
}

/// sRGB byte of each light, 0 to 65535.
pub(crate) fn encoded_table() -> &'static [u8] {
    &ENCODED
}

/// The light of a pixel, each channel 0 to 1.
pub(crate) fn linear(pixel: [u8; 3]) -> [f32; 3] {
    pixel.map(|byte| LINEAR[usize::from(byte)])
}

/// The pixel nearest to some light; what is beyond black or white becomes these.
pub(crate) fn srgb(light: [f32; 3]) -> [u8; 3] {
    light.map(|value| ENCODED[(value.clamp(0.0, 1.0) * STEPS + 0.5) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back_from_its_light() {
        for byte in 0..=255 {
            assert_eq!(srgb(linear([byte; 3])), [byte; 3]);
            let stepped = stepped_table()[usize::from(byte)];
            assert_eq!(encoded_table()[usize::from(stepped)], byte);
        }
    }

    #[test]
    fn half_the_light_is_byte_188() {
        assert_eq!(srgb([0.5; 3]), [188; 3]);
        assert_eq!(srgb([-1.0, 2.0, f32::NAN]), [0, 255, 0]);
    }
}
