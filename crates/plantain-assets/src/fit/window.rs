//! The part of a picture that is kept.

use crate::measure::Subject;

/// A box in pixels of a picture, not necessarily whole ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    /// Distance of its left and upper side from those of the picture.
    pub(super) corner: [f64; 2],
    /// Width and height.
    pub(super) size: [f64; 2],
}

impl Window {
    /// The largest window in a picture that has the shape of `shape`, with the subject as near its middle
    /// as the sides of the picture allow.
    pub(super) fn around(subject: &Subject, picture: [u32; 2], shape: [u32; 2]) -> Self {
        let picture = picture.map(f64::from);
        let shape = shape.map(f64::from);
        let scale = (picture[0] / shape[0]).min(picture[1] / shape[1]);
        let size = [0, 1].map(|axis| (shape[axis] * scale).min(picture[axis]));
        let centre = centre(subject);
        let corner = [0, 1].map(|axis| {
            let free = picture[axis] - size[axis];
            between(0.0, centre[axis] * picture[axis] - size[axis] / 2.0, free)
        });
        Self { corner, size }
    }

    /// The whole of a picture.
    pub(super) fn whole(picture: [u32; 2]) -> Self {
        Self {
            corner: [0.0; 2],
            size: picture.map(f64::from),
        }
    }

    /// Whether the subject of a picture is inside, but for half a pixel of rounding.
    pub(super) fn holds(&self, subject: &Subject, picture: [u32; 2]) -> bool {
        let sides = [[subject.left, subject.right], [subject.top, subject.bottom]];
        [0, 1].into_iter().all(|axis| {
            let [begin, end] = sides[axis].map(|side| side * f64::from(picture[axis]));
            let corner = self.corner[axis];
            begin > corner - 0.5 && end < corner + self.size[axis] + 0.5
        })
    }
}

/// The largest size of the picture's shape within `size`, one pixel at least.
pub(super) fn inner_size(picture: [u32; 2], size: [u32; 2]) -> [u32; 2] {
    let [across, down] = [0, 1].map(|axis| f64::from(size[axis]) / f64::from(picture[axis]));
    let scale = across.min(down);
    [0, 1].map(|axis| {
        let side = (f64::from(picture[axis]) * scale).round() as u32;
        side.clamp(1, size[axis])
    })
}

/// The middle of a subject, in fractions of the picture's width and height.
pub(super) fn centre(subject: &Subject) -> [f64; 2] {
    [subject.left + subject.right, subject.top + subject.bottom].map(|sum| sum / 2.0)
}

/// `value` within bounds; the lower bound where it is no number.
pub(super) fn between(low: f64, value: f64, high: f64) -> f64 {
    value.min(high).max(low)
}
