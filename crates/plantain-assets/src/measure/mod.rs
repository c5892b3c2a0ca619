//! Cheap, deterministic looks at one picture.

mod hash;
mod palette;
mod plane;
mod subject;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::colour::Rgb;
use crate::ground::Ground;
use crate::light;
use crate::oklab;
use crate::reduced::Reduced;
pub use hash::{HashError, PerceptualHash};
use plane::Plane;
pub use subject::Subject;

/// What can be said of a picture without knowing what it shows.
///
/// Fractions are rounded to four decimals, so that they are the same after a way through JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// There is nothing to see: a plain background with nothing on it.
    pub blank: bool,
    /// The strongest edges of red, green or blue, 0 to 1, where 1 is a hard edge from black to white. The
    /// unit is a thousandth of all pixels, so that a few stray ones decide nothing.
    pub sharpness: f64,
    /// From the twentieth of the pixels with the least red, green or blue to that with the most, 0 to 1.
    pub contrast: f64,
    /// Up to five dominant colours, the one with the largest share first.
    pub palette: Vec<Swatch>,
    /// Mean colour of the border where it is plain: one colour or a soft gradient.
    pub background: Option<Rgb>,
    /// Where the picture differs from a plain background; without one, where its edges are.
    pub subject: Subject,
    /// Alike for pictures that look alike.
    pub hash: PerceptualHash,
}

/// A dominant colour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Swatch {
    /// The colour.
    pub rgb: Rgb,
    /// Part of the picture's pixels that has about this colour, 0 to 1.
    pub share: f64,
}

/// Measures a picture of any size; one without pixels is blank.
pub fn measure(image: &RgbImage) -> Measures {
    let channels = Plane::channels(image);
    let most = |of: fn(&Plane) -> f64| channels.iter().map(of).fold(0.0, f64::max);
    let picture = Reduced::of(image);
    let ground = Ground::of_reduced(&picture);
    let found = match &ground {
        Some(ground) => subject::on_ground(&picture, ground),
        None => subject::by_edges(&picture),
    };
    Measures {
        blank: found.is_none(),
        sharpness: rounded(most(Plane::sharpness)),
        contrast: rounded(most(Plane::contrast)),
        palette: palette::of(image),
        background: ground.map(|ground| Rgb(light::srgb(oklab::to_light(ground.mean)))),
        subject: found.unwrap_or(Subject::WHOLE).rounded(),
        hash: PerceptualHash::of(&Plane::luminance(image)),
    }
}

/// To four decimals.
fn rounded(fraction: f64) -> f64 {
    (fraction * 1e4).round() / 1e4
}
