//! Shapes of pictures.

use std::fmt;
use std::str::FromStr;

/// Furthest from a square that a picture may be: eight times as wide as high, or the reverse.
const WIDEST: u32 = 8;

/// The shape of a picture: its width to its height, such as 16:9.
///
/// ```
/// use plantain::Aspect;
///
/// let wide: Aspect = "16:9".parse()?;
/// assert_eq!(wide, Aspect::new(16, 9)?);
/// # Ok::<(), plantain::AspectError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aspect {
    width: u32,
    height: u32,
}

/// No shape that a picture can have.
///
/// ```
/// let error = "16x9".parse::<plantain::Aspect>().unwrap_err();
/// assert_eq!(error.to_string(), "`16x9` is not a shape such as 16:9");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AspectError {
    /// Not two positive whole numbers with a colon between them.
    #[error("`{0}` is not a shape such as 16:9")]
    NoShape(String),
    /// Too far from a square.
    #[error("{0} is narrower than {WIDEST}:1")]
    TooNarrow(Aspect),
}

impl Aspect {
    /// The shape `width`:`height`.
    ///
    /// # Errors
    /// When a side is zero, or more than eight times the other.
    ///
    /// ```
    /// use plantain::Aspect;
    ///
    /// assert!(Aspect::new(3, 2).is_ok());
    /// assert!(Aspect::new(9, 1).is_err());
    /// ```
    pub fn new(width: u32, height: u32) -> Result<Self, AspectError> {
        let aspect = Self { width, height };
        if width == 0 || height == 0 {
            return Err(AspectError::NoShape(aspect.to_string()));
        }
        if width.div_ceil(WIDEST) > height || height.div_ceil(WIDEST) > width {
            return Err(AspectError::TooNarrow(aspect));
        }
        Ok(aspect)
    }

    /// Width and height in pixels of this shape with about as many pixels as `native` (width and
    /// height), each rounded to a multiple of `multiple`, which must be positive.
    ///
    /// ```
    /// let wide = plantain::Aspect::new(16, 9)?;
    /// assert_eq!(wide.size([512, 512], 8), [680, 384]);
    /// # Ok::<(), plantain::AspectError>(())
    /// ```
    pub fn size(self, native: [usize; 2], multiple: usize) -> [usize; 2] {
        let ratio = f64::from(self.width) / f64::from(self.height);
        let area = native[0] as f64 * native[1] as f64;
        let round = |side: f64| ((side / multiple as f64).round() as usize).max(1) * multiple;
        [round((area * ratio).sqrt()), round((area / ratio).sqrt())]
    }

    /// Width and height in pixels of this shape whose shorter side is `side`, and whose longer one is rounded to a multiple of
    /// `multiple`, which must be positive.
    ///
    /// ```
    /// let tall = plantain::Aspect::new(9, 16)?;
    /// assert_eq!(tall.size_of_side(512, 64), [512, 896]);
    /// # Ok::<(), plantain::AspectError>(())
    /// ```
    pub fn size_of_side(self, side: usize, multiple: usize) -> [usize; 2] {
        let (long, short) = (self.width.max(self.height), self.width.min(self.height));
        let exact = side as f64 * f64::from(long) / f64::from(short);
        let long = ((exact / multiple as f64).round() as usize).max(1) * multiple;
        if self.width > self.height {
            [long, side]
        } else {
            [side, long]
        }
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.width, self.height)
    }
}

impl FromStr for Aspect {
    type Err = AspectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let sides = text.split_once(':').and_then(|(width, height)| {
            let side = |text: &str| text.trim().parse().ok();
            Some((side(width)?, side(height)?))
        });
        let (width, height) = sides.ok_or_else(|| AspectError::NoShape(text.to_string()))?;
        Self::new(width, height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_two_positive_numbers_not_too_far_apart() {
        for good in ["3:2", "16:9", "1:1", "9:16", "2:3", "8:1", " 4 : 3 "] {
            good.parse::<Aspect>().unwrap();
        }
        for bad in [
            "", "16", "16x9", ":", "0:9", "16:0", "-1:1", "1.5:1", "1:1:1",
        ] {
            let error = bad.parse::<Aspect>().unwrap_err();
            assert!(matches!(error, AspectError::NoShape(_)), "{bad}");
        }
        for bad in ["9:1", "1:9", "1:4294967295", "4294967295:1"] {
            let error = bad.parse::<Aspect>().unwrap_err();
            assert!(matches!(error, AspectError::TooNarrow(_)), "{bad}");
        }
    }

    #[test]
    fn the_area_stays_about_the_same() {
        let size = |shape: &str, side, multiple| {
            let shape: Aspect = shape.parse().unwrap();
            shape.size([side, side], multiple)
        };
        assert_eq!(size("16:9", 512, 8), [680, 384]);
        assert_eq!(size("16:9", 128, 16), [176, 96]);
        assert_eq!(size("3:2", 256, 32), [320, 224]);
        assert_eq!(size("16:9", 256, 32), [352, 192]);
        assert_eq!(size("1:1", 256, 32), [256, 256]);
        assert_eq!(size("9:16", 256, 32), [192, 352]);
        assert_eq!(size("2:3", 256, 32), [224, 320]);
        assert_eq!(size("8:1", 16, 32), [32, 32]);
    }
}
