//! Reproducible normal noise, generated on the host.

use std::f64::consts::TAU;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The generator `chacha12-box-muller`: one seed is one image's noise.
///
/// Noise is a pure function of seed, stream and position, so it does not
/// depend on the device, on the batch or on what was drawn before: image `k`
/// of a run with seed `s` is made from `Noise::new(s + k)` and equals the only
/// image of a run with seed `s + k`.
///
/// The algorithm, exactly:
///
/// 1. The key of ChaCha12 (the variant with a 64-bit counter and a 64-bit
///    stream number) is the seed's 8 bytes, little-endian, and 24 zero bytes.
/// 2. The stream number is 0 for the initial noise and `1 + i` for the noise of
///    step `i`; the counter starts at 0.
/// 3. The keystream is read as 64-bit little-endian words `w0, w1, w2, ...`;
///    each gives a 53-bit integer `m = w >> 11`.
/// 4. Words are used in pairs (Box and Muller, 1958):
///    `r = sqrt(-2 ln((m0 + 1) / 2^53))`, `a = 2 pi m1 / 2^53`, giving
///    `r cos a` and then `r sin a`, computed in `f64` and rounded to `f32`. The
///    last value of an odd count drops its partner.
///
/// `ln`, `cos` and `sin` are the platform's: between platforms a value may
/// differ in the last bit of its `f32`, with a probability of about 2^-28.
///
/// ```
/// use plantain_sampling::Noise;
///
/// assert_eq!(Noise::new(7).normal(4), Noise::new(7).normal(4));
/// assert_ne!(Noise::new(7).normal(4), Noise::new(8).normal(4));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise {
    seed: u64,
}

impl Noise {
    /// The generator's name, for metadata beside the seed.
    pub const NAME: &'static str = "chacha12-box-muller";

    /// The noise of one image.
    ///
    /// ```
    /// let noise = plantain_sampling::Noise::new(7);
    /// ```
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The first `n` values of the initial noise, standard normal.
    ///
    /// ```
    /// # use plantain_sampling::Noise;
    /// let noise = Noise::new(7);
    /// assert_eq!(noise.normal(3), noise.normal(5)[..3]);
    /// ```
    #[must_use]
    pub fn normal(&self, n: usize) -> Vec<f32> {
        self.stream(0, n)
    }

    /// The first `n` values of the noise that step `step` (from 0) adds,
    /// standard normal and independent of every other step's.
    ///
    /// ```
    /// # use plantain_sampling::Noise;
    /// let noise = Noise::new(7);
    /// assert_ne!(noise.step_normal(0, 4), noise.step_normal(1, 4));
    /// ```
    #[must_use]
    pub fn step_normal(&self, step: usize, n: usize) -> Vec<f32> {
        self.stream((step as u64).wrapping_add(1), n)
    }

    fn stream(&self, stream: u64, n: usize) -> Vec<f32> {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        let mut rng = ChaCha12Rng::from_seed(key);
        rng.set_stream(stream);

        let mut values = Vec::with_capacity(n + 1);
        while values.len() < n {
            values.extend(box_muller(rng.next_u64(), rng.next_u64()));
        }
        values.truncate(n);
        values
    }
}

fn box_muller(radius_word: u64, angle_word: u64) -> [f32; 2] {
    // 53 bits are what an f64 holds exactly; the + 1 keeps ln away from 0.
    let unit = |integer: u64| integer as f64 / (1u64 << 53) as f64;
    let radius = (-2.0 * unit((radius_word >> 11) + 1).ln()).sqrt();
    let (sin, cos) = (TAU * unit(angle_word >> 11)).sin_cos();
    [(radius * cos) as f32, (radius * sin) as f32]
}
