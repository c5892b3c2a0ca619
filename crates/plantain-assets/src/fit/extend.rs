//! Widening a picture by continuing its background.

use image::RgbImage;

use super::contained;
use super::window::{between, centre};
use crate::ground::Ground;
use crate::light;
use crate::measure::Subject;
use crate::oklab::{self, Lab};
use crate::reduced;

/// How far a gradient goes on beyond a side, where 2 is the length of the side. It flattens out on the
/// way, so that it neither stops at the seam nor runs out of colours.
const REACH: f32 = 0.5;
/// Part of the space between a side and the subject that is mirrored beyond the side.
const MIRRORED: f64 = 0.6;

/// The whole of `image` in `size`, within a room of it, given as corner and size, and its background
/// continued on all sides; nothing where the background is not plain. None may be without pixels.
pub(super) fn extend(
    image: &RgbImage,
    subject: &Subject,
    size: [u32; 2],
    [room_corner, room]: [[u32; 2]; 2],
) -> Option<RgbImage> {
    let picture = contained(image, room);
    let inner: [u32; 2] = picture.dimensions().into();
    let ground = Ground::of(&picture)?;
    let centre = centre(subject);
    let corner = [0, 1].map(|axis| {
        let free = f64::from(room[axis] - inner[axis]);
        let shift = f64::from(room[axis]) / 2.0 - centre[axis] * f64::from(inner[axis]);
        room_corner[axis] + between(0.0, shift, free).round() as u32
    });
    let beyond = Beyond {
        mirrored: mirrored(subject, inner),
        picture: &picture,
        ground,
    };
    let [columns, rows] = [0, 1].map(|axis| beyond.line(axis, corner[axis], size[axis]));
    let mut canvas = RgbImage::new(size[0], size[1]);
    for (x, y, pixel) in canvas.enumerate_pixels_mut() {
        pixel.0 = beyond.pixel([columns[x as usize], rows[y as usize]]);
    }
    Some(canvas)
}

/// Pixels from the left, upper, right and lower side that show background only, one at least.
fn mirrored(subject: &Subject, size: [u32; 2]) -> [[i64; 2]; 2] {
    let spaces = [
        [subject.left, 1.0 - subject.right],
        [subject.top, 1.0 - subject.bottom],
    ];
    [0, 1].map(|axis| {
        spaces[axis].map(|space| {
            let pixels = space * MIRRORED * f64::from(size[axis]);
            between(1.0, pixels, f64::from(size[axis])) as i64
        })
    })
}

/// A picture that goes on beyond its sides.
struct Beyond<'a> {
    picture: &'a RgbImage,
    ground: Ground,
    /// As [`mirrored`] gives it, for both sides of each axis.
    mirrored: [[i64; 2]; 2],
}

impl Beyond<'_> {
    /// What each of `count` places along an axis shows, where the picture begins at `corner`.
    fn line(&self, axis: usize, corner: u32, count: u32) -> Vec<Along> {
        let places = -i64::from(corner)..i64::from(count) - i64::from(corner);
        places.map(|place| self.along(axis, place)).collect()
    }

    /// The pixel that shows what two places show, one for each axis.
    fn pixel(&self, [across, down]: [Along; 2]) -> [u8; 3] {
        let source = [across.source, down.source];
        let shown = self.picture.get_pixel(source[0], source[1]).0;
        if across.inside && down.inside {
            return shown;
        }
        let ground = self.ground.at([across.position, down.position]);
        let rest = self.rest(source, shown);
        let weight = across.weight * down.weight;
        let lab = [0, 1, 2].map(|channel| ground[channel] + weight * rest[channel]);
        light::srgb(oklab::to_light(lab))
    }

    /// How a pixel of the picture differs from the smooth background: its grain, and what the surface
    /// misses. A subject that touches the side is not grain.
    fn rest(&self, source: [u32; 2], shown: [u8; 3]) -> Lab {
        let size: [u32; 2] = self.picture.dimensions().into();
        let position =
            [0, 1].map(|axis| reduced::centre(source[axis] as usize, size[axis] as usize));
        let rest = oklab::difference(oklab::of_pixel(shown), self.ground.at(position));
        let tolerance = self.ground.pixel_tolerance();
        let share = (2.0 - oklab::norm(rest) / tolerance).clamp(0.0, 1.0);
        rest.map(|channel| channel * share)
    }

    /// What a place, counted from where the picture begins, shows.
    fn along(&self, axis: usize, place: i64) -> Along {
        let side = [self.picture.width(), self.picture.height()][axis];
        let last = i64::from(side) - 1;
        let inside = place.clamp(0, last);
        let distance = (place - inside).abs();
        let position = reduced::centre(inside as usize, side as usize);
        if distance == 0 {
            return Along {
                inside: true,
                source: inside as u32,
                position,
                weight: 1.0,
            };
        }
        let upper = usize::from(place > last);
        let into = zigzag(distance - 1, self.mirrored[axis][upper]);
        let far = distance as f32 * 2.0 / side as f32;
        let faded = (-far / REACH).exp();
        let outward = if upper == 1 { 1.0 } else { -1.0 };
        Along {
            inside: false,
            source: (inside - into * outward as i64) as u32,
            position: position + outward * REACH * (1.0 - faded),
            weight: faded,
        }
    }
}

/// What a place shows, for one axis.
#[derive(Clone, Copy)]
struct Along {
    /// Whether it is in the picture.
    inside: bool,
    /// Pixel whose grain it repeats.
    source: u32,
    /// Where the background's colour is read, as [`Ground::at`] says.
    position: f32,
    /// How much of the grain is left.
    weight: f32,
}

/// Goes up and down between 0 and `count` - 1.
fn zigzag(step: i64, count: i64) -> i64 {
    let step = step % (2 * count);
    step.min(2 * count - 1 - step)
}
