//! Sizes: as they are written, and which of several is nearest to one that is wanted.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use plantain::weights::Manifest;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Largest side of an asset, in pixels.
const MAX_SIDE: u32 = 8192;

/// Width and height in pixels, written as `1080x1920`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pixels {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl fmt::Display for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Pixels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| {
            let side = text.trim().parse().ok();
            side.filter(|side| (1..=MAX_SIDE).contains(side))
        };
        let sides = text.split_once(['x', '×']);
        let sides = sides.and_then(|(width, height)| Some((side(width)?, side(height)?)));
        let (width, height) = sides.ok_or_else(|| {
            format!("`{text}` is not a size such as 1080x1080 with sides of 1 to {MAX_SIDE}")
        })?;
        Ok(Self { width, height })
    }
}

impl<'de> Deserialize<'de> for Pixels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Pixels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Pixels {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Pixels".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+x[0-9]+$" })
    }
}

impl Pixels {
    /// Width over height, as a logarithm: shapes that differ by the same factor are equally far apart.
    fn shape(self) -> f64 {
        (f64::from(self.width) / f64::from(self.height)).ln()
    }
}

/// The size that the model with `manifest` was made for.
pub(crate) fn own_size(manifest: &Manifest) -> Pixels {
    let defaults = &manifest.defaults;
    Pixels {
        width: defaults.width,
        height: defaults.height,
    }
}

/// The one of `good` whose shape is nearest to that of `wanted`; the first of several.
pub(crate) fn nearest(wanted: Pixels, good: &[Pixels]) -> Option<Pixels> {
    let distance = |size: &Pixels| (size.shape() - wanted.shape()).abs();
    let candidates = good.iter().copied();
    candidates.min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(text: &str) -> Pixels {
        text.parse().unwrap()
    }

    #[test]
    fn sizes_are_two_numbers() {
        assert_eq!(pixels("728x90").to_string(), "728x90");
        for bad in ["", "x", "0x5", "5", "5x", "-1x5", "9000x5", "5x5x5"] {
            assert!(bad.parse::<Pixels>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_nearest_shape_is_taken() {
        let good = ["512x512", "624x416", "416x624"].map(pixels);
        for (wanted, expected) in [
            ("1080x1080", "512x512"),
            ("1080x1350", "416x624"),
            ("1080x1200", "512x512"),
            ("1080x1920", "416x624"),
            ("728x90", "624x416"),
            ("16x16", "512x512"),
        ] {
            let found = nearest(pixels(wanted), &good).unwrap();
            assert_eq!(found, pixels(expected), "{wanted}");
        }
    }
}
