//! Drawn pictures.

use image::{Rgb, RgbImage};

/// Orange.
pub const SUBJECT: [u8; 3] = [232, 104, 32];
/// Teal.
pub const GROUND: [u8; 3] = [40, 160, 152];

/// A disc, in pixels.
#[derive(Debug, Clone, Copy)]
pub struct Disc {
    pub centre: [f64; 2],
    pub radius: f64,
}

/// A disc with antialiased edges in front of a background, mixed as light would be by a camera.
pub fn scene(size: [u32; 2], disc: Disc, ground: impl Fn(u32, u32) -> [u8; 3]) -> RgbImage {
    RgbImage::from_fn(size[0], size[1], |x, y| {
        let across = f64::from(x) + 0.5 - disc.centre[0];
        let down = f64::from(y) + 0.5 - disc.centre[1];
        let share = (disc.radius - across.hypot(down) + 0.5).clamp(0.0, 1.0);
        Rgb(mixed(SUBJECT, ground(x, y), share))
    })
}

/// The same in front of plain teal.
pub fn plain(size: [u32; 2], disc: Disc) -> RgbImage {
    scene(size, disc, |_, _| GROUND)
}

/// `share` of one colour and the rest of another, mixed as light.
pub fn mixed(a: [u8; 3], b: [u8; 3], share: f64) -> [u8; 3] {
    [0, 1, 2].map(|i| encode(decode(a[i]) * share + decode(b[i]) * (1.0 - share)))
}

/// A soft gradient over a picture of `size`, darker towards the lower right.
pub fn gradient(size: [u32; 2]) -> impl Fn(u32, u32) -> [u8; 3] {
    move |x, y| {
        let part = f64::from(x) / f64::from(size[0]) + f64::from(y) / f64::from(size[1]);
        [70.0, 130.0, 190.0].map(|byte| (byte - 20.0 * part).round() as u8)
    }
}

/// Teal with noise of up to `most` in each channel; the same every time.
pub fn noise(most: i16) -> impl Fn(u32, u32) -> [u8; 3] {
    move |x, y| {
        [0, 1, 2].map(|channel| {
            let seed =
                x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77) ^ (channel * 0x1234_5677);
            let mut bits = seed.wrapping_mul(0xc2b2_ae3d);
            bits ^= bits >> 15;
            bits = bits.wrapping_mul(0x27d4_eb2f);
            bits ^= bits >> 13;
            let step = (bits % (2 * most as u32 + 1)) as i16 - most;
            (i16::from(GROUND[channel as usize]) + step).clamp(0, 255) as u8
        })
    }
}

/// Largest difference of a channel between two colours.
pub fn apart(a: [u8; 3], b: [u8; 3]) -> u8 {
    (0..3).map(|i| a[i].abs_diff(b[i])).fold(0, u8::max)
}

fn decode(byte: u8) -> f64 {
    let value = f64::from(byte) / 255.0;
    if value <= 0.04045 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}

fn encode(light: f64) -> u8 {
    let value = if light <= 0.003_130_8 {
        light * 12.92
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    };
    (value * 255.0).round() as u8
}
