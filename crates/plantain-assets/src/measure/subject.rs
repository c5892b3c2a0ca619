//! Where the subject of a picture is.

use serde::{Deserialize, Serialize};

/// The box around the subject, in fractions of the picture's width and height from its left upper
/// corner. The whole picture where there is no telling.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// Left side.
    pub left: f64,
    /// Upper side.
    pub top: f64,
    /// Right side.
    pub right: f64,
    /// Lower side.
    pub bottom: f64,
}

impl Subject {
    /// The whole picture.
    pub const WHOLE: Self = Self {
        left: 0.0,
        top: 0.0,
        right: 1.0,
        bottom: 1.0,
    };

    /// Smallest distance of the box to a side of the picture, as a fraction of the picture's width or
    /// height; 0 where the subject touches a side.
    pub fn margins(&self) -> f64 {
        let nearest = self.left.min(self.top);
        nearest.min(1.0 - self.right).min(1.0 - self.bottom)
    }
}
