//! Oklab, in which distances are about as large as they look.
//!
//! Björn Ottosson, "A perceptual color space for image processing", 2020. Lightness is 0 to 1; a
//! distance of 0.02 is just noticeable side by side.

use crate::light;

/// Lightness, green to red, blue to yellow.
pub(crate) type Lab = [f32; 3];

const LMS_OF_LIGHT: [[f32; 3]; 3] = [
    [0.412_221_46, 0.536_332_55, 0.051_445_995],
    [0.211_903_5, 0.680_699_5, 0.107_396_96],
    [0.088_302_46, 0.281_718_85, 0.629_978_7],
];
const LAB_OF_ROOTS: [[f32; 3]; 3] = [
    [0.210_454_26, 0.793_617_8, -0.004_072_047],
    [1.977_998_5, -2.428_592_2, 0.450_593_7],
    [0.025_904_037, 0.782_771_77, -0.808_675_77],
];
const ROOTS_OF_LAB: [[f32; 3]; 3] = [
    [1.0, 0.396_337_78, 0.215_803_76],
    [1.0, -0.105_561_346, -0.063_854_17],
    [1.0, -0.089_484_18, -1.291_485_5],
];
const LIGHT_OF_LMS: [[f32; 3]; 3] = [
    [4.076_741_7, -3.307_711_6, 0.230_969_94],
    [-1.268_438, 2.609_757_4, -0.341_319_38],
    [-0.004_196_086_3, -0.703_418_6, 1.707_614_7],
];

/// The colour of some light, each channel 0 to 1.
pub(crate) fn of_light(light: [f32; 3]) -> Lab {
    product(&LAB_OF_ROOTS, product(&LMS_OF_LIGHT, light).map(cube_root))
}

/// The light of a colour; channels outside 0 to 1 where sRGB has no such colour.
pub(crate) fn to_light(lab: Lab) -> [f32; 3] {
    let cubed = product(&ROOTS_OF_LAB, lab).map(|root| root * root * root);
    product(&LIGHT_OF_LMS, cubed)
}

/// The colour of a pixel.
pub(crate) fn of_pixel(pixel: [u8; 3]) -> Lab {
    of_light(light::linear(pixel))
}

/// How different two colours look.
pub(crate) fn distance(a: Lab, b: Lab) -> f32 {
    norm(difference(a, b))
}

/// What must be added to `b` to get `a`.
pub(crate) fn difference(a: Lab, b: Lab) -> Lab {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// Length of a difference.
pub(crate) fn norm([l, a, b]: Lab) -> f32 {
    (l * l + a * a + b * b).sqrt()
}

fn product(matrix: &[[f32; 3]; 3], v: [f32; 3]) -> [f32; 3] {
    matrix.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

/// Cube root of a number from 0 to a few, to about 1e-5, and 0.001 for zero: faster than the standard
/// library's, and without branches it can be vectorised. A third of a float's exponent is a first
/// guess; each step of Newton's squares its error.
fn cube_root(x: f32) -> f32 {
    let x = x.max(1e-9);
    let guess = f32::from_bits(x.to_bits() / 3 + 0x2a55_5555);
    let step = |root: f32| (2.0 * root + x / (root * root)) * (1.0 / 3.0);
    step(step(guess))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(a: Lab, b: Lab, tolerance: f32) {
        assert!(distance(a, b) < tolerance, "{a:?} {b:?}");
    }

    #[test]
    fn known_colours_are_where_they_are_published() {
        // Values of CSS Color 4 for the primaries, rounded there to three digits.
        assert_near(of_pixel([255; 3]), [1.0, 0.0, 0.0], 1e-3);
        assert_near(of_pixel([255, 0, 0]), [0.628, 0.225, 0.126], 2e-3);
        assert_near(of_pixel([0, 255, 0]), [0.866, -0.234, 0.179], 2e-3);
        assert_near(of_pixel([0, 0, 255]), [0.452, -0.032, -0.312], 2e-3);
        assert_near(of_pixel([0; 3]), [0.0; 3], 1e-3);
    }

    #[test]
    fn pixels_come_back_from_their_colours() {
        for r in (0..=255).step_by(15) {
            for g in (0..=255).step_by(15) {
                for b in (0..=255).step_by(15) {
                    let pixel = [r, g, b];
                    assert_eq!(light::srgb(to_light(of_pixel(pixel))), pixel);
                }
            }
        }
    }
}
