//! Which pixels show background, and how much of it.

use std::collections::VecDeque;

use image::RgbImage;

use crate::ground::Ground;
use crate::light;
use crate::oklab;
use crate::reduced;

/// Widest edge, as a part of the picture's shorter side, which limits what stands in it: what an enlarged picture may have.
const WIDEST_EDGE: f32 = 1.0 / 40.0;
/// Slope of an edge, in Oklab over the picture's shorter side: shading on the subject rises more slowly.
const SLOPE: f32 = 2.0;
/// Part of what the subject typically differs from the background by, up to which a pixel is
/// background still: rings beside sharp edges, and its darker surroundings.
const FAINT_PART: f32 = 0.25;
/// The most that this part may be, in Oklab.
const FAINT_MOST: f32 = 0.1;
/// From this many tolerances on a pixel is the subject beyond doubt.
const DOUBT: f32 = 1.5;
/// Part of the picture from which on what the subject encloses is a hole, and not a speck on it.
const HOLE: f32 = 1.0 / 2000.0;
/// Mean distance of a hole to the background, in tolerances.
const HOLE_DISTANCE: f32 = 0.5;
/// Part of the distance up to which a pixel is the background's by its noise, from which on it shows.
const SHOWS: f32 = 0.625;
/// Alpha that is taken for noise of the background.
const FAINT: f32 = 0.01;
/// Alpha that is taken for noise of the subject.
const FULL: f32 = 0.99;

/// What a pixel shows.
#[derive(Clone, Copy, PartialEq)]
enum Shown {
    /// The subject.
    Subject,
    /// Background that the border reaches over background, or a hole in the subject.
    Background,
    /// Perhaps both: it lies where the background rises to the subject.
    Edge,
}

/// What is known of each pixel of a picture on a plain background.
pub(super) struct Matte<'a> {
    image: &'a RgbImage,
    ground: &'a Ground,
    /// Distance in Oklab of each pixel to the background.
    distances: Vec<f32>,
    shown: Vec<Shown>,
    /// Widest edge in pixels.
    widest: usize,
    /// How much more the next pixel of an edge differs from the background.
    slope: f32,
    /// Distance in Oklab up to which a pixel is the background's by its noise.
    noise: f32,
    /// The same where the border reaches it.
    tolerance: f32,
}

impl<'a> Matte<'a> {
    /// Looks at every pixel of a picture and its background.
    pub(super) fn of(image: &'a RgbImage, ground: &'a Ground) -> Self {
        let shorter = image.width().min(image.height()) as f32;
        let mut matte = Self {
            image,
            ground,
            distances: Vec::new(),
            shown: Vec::new(),
            widest: (shorter * WIDEST_EDGE).ceil() as usize,
            slope: SLOPE / shorter,
            noise: 0.0,
            tolerance: 0.0,
        };
        let pixels = image.as_raw().chunks_exact(3).enumerate();
        matte.distances = pixels
            .map(|(index, pixel)| {
                let lab = oklab::of_pixel([pixel[0], pixel[1], pixel[2]]);
                oklab::distance(lab, ground.at(matte.position(index)))
            })
            .collect();
        matte.noise = matte.noise();
        matte.tolerance = matte.tolerance();
        matte.shown = vec![Shown::Subject; matte.distances.len()];
        let mut shore = VecDeque::new();
        matte.flood(matte.border(1).collect(), &mut shore);
        if ground.is_coloured() {
            for hole in matte.holes() {
                matte.flood(vec![hole], &mut shore);
            }
        }
        matte.rise(shore);
        matte
    }

    /// Whether what is taken for background shows more than half as much as what is kept, as a white bear on white does.
    pub(super) fn loses_the_subject(&self) -> bool {
        let shows = SHOWS * self.noise;
        let kept = self.shown.iter().filter(|shown| **shown == Shown::Subject);
        let pixels = self.shown.iter().zip(&self.distances);
        let lost =
            pixels.filter(|(shown, distance)| **shown == Shown::Background && **distance > shows);
        2 * lost.count() > kept.count()
    }

    /// Colour and alpha of a pixel without the background.
    pub(super) fn pixel(&self, index: usize) -> ([u8; 3], u8) {
        match self.shown[index] {
            Shown::Background => ([0; 3], 0),
            Shown::Subject => (self.own(index), 255),
            Shown::Edge => self.edge(index),
        }
    }

    fn position(&self, index: usize) -> [f32; 2] {
        let [width, height] = [self.image.width() as usize, self.image.height() as usize];
        [
            reduced::centre(index % width, width),
            reduced::centre(index / width, height),
        ]
    }

    fn own(&self, index: usize) -> [u8; 3] {
        [0, 1, 2].map(|channel| self.image.as_raw()[index * 3 + channel])
    }

    /// The up to eight pixels around one.
    fn around(&self, index: usize) -> impl Iterator<Item = usize> + use<> {
        let [width, height] = [self.image.width() as usize, self.image.height() as usize];
        let (x, y) = (index % width, index / width);
        let rows = y.saturating_sub(1)..(y + 2).min(height);
        let columns = x.saturating_sub(1)..(x + 2).min(width);
        rows.flat_map(move |y| columns.clone().map(move |x| y * width + x))
            .filter(move |&other| other != index)
    }

    /// The tolerance that the background's noise needs.
    fn noise(&self) -> f32 {
        let [width, height] = [self.image.width() as usize, self.image.height() as usize];
        let border = self.border((width.min(height) / 64).max(1));
        self.ground
            .tolerance_by(border.map(|index| self.distances[index]))
    }

    /// The tolerance that suits the background and what stands on it.
    fn tolerance(&self) -> f32 {
        let least = self.noise;
        let differing = self.distances.iter().copied();
        let mut differing: Vec<f32> = differing.filter(|&distance| distance > least).collect();
        if differing.is_empty() {
            return least;
        }
        let half = differing.len() / 2;
        let typical = *differing.select_nth_unstable_by(half, f32::total_cmp).1;
        least.max((typical * FAINT_PART).min(FAINT_MOST))
    }

    /// The pixels that are less than `depth` from a side.
    fn border(&self, depth: usize) -> impl Iterator<Item = usize> + use<> {
        let [width, height] = [self.image.width() as usize, self.image.height() as usize];
        (0..width * height).filter(move |index| {
            let (x, y) = (index % width, index / width);
            x.min(y).min(width - 1 - x).min(height - 1 - y) < depth
        })
    }

    /// A pixel of each area that shows the background as purely as what the border reaches, and that the subject encloses.
    fn holes(&self) -> Vec<usize> {
        let is_open = |index: usize| {
            self.distances[index] <= self.tolerance && self.shown[index] == Shown::Subject
        };
        let width = self.image.width() as usize;
        let least = HOLE * self.distances.len() as f32;
        let mut seen = vec![false; self.distances.len()];
        let mut holes = Vec::new();
        for start in 0..seen.len() {
            if seen[start] || !is_open(start) {
                continue;
            }
            let (mut open, mut count, mut sum) = (vec![start], 0_usize, 0.0_f64);
            while let Some(index) = open.pop() {
                if !is_open(index) || std::mem::replace(&mut seen[index], true) {
                    continue;
                }
                count += 1;
                sum += f64::from(self.distances[index]);
                let beside = self.around(index);
                open.extend(beside.filter(|other| [1, width].contains(&other.abs_diff(index))));
            }
            let mean = (sum / count as f64) as f32;
            if count as f32 >= least && mean <= HOLE_DISTANCE * self.tolerance {
                holes.push(start);
            }
        }
        holes
    }

    /// Marks the background that can be reached from `open`, and adds its pixels beside anything else to the `shore`.
    fn flood(&mut self, mut open: Vec<usize>, shore: &mut VecDeque<usize>) {
        let tolerance = self.tolerance;
        let width = self.image.width() as usize;
        while let Some(index) = open.pop() {
            if self.distances[index] > tolerance || self.shown[index] == Shown::Background {
                continue;
            }
            self.shown[index] = Shown::Background;
            let mut inland = true;
            for other in self.around(index) {
                inland &= self.distances[other] <= tolerance;
                // Not over corners, where a thin line would leak.
                if other.abs_diff(index) == width || other.abs_diff(index) == 1 {
                    open.push(other);
                }
            }
            if !inland {
                shore.push_back(index);
            }
        }
    }

    /// Marks the edges: from the shore of the background on, as long as pixels are in doubt or differ
    /// more and more.
    fn rise(&mut self, mut front: VecDeque<usize>) {
        for &index in &front {
            self.shown[index] = Shown::Edge;
        }
        for _ in 0..self.widest {
            for _ in 0..front.len() {
                let Some(index) = front.pop_front() else {
                    return;
                };
                for other in self.around(index) {
                    let rises = self.distances[other] > self.distances[index] + self.slope;
                    let doubtful = self.distances[other] < DOUBT * self.tolerance;
                    if (rises || doubtful) && self.shown[other] == Shown::Subject {
                        self.shown[other] = Shown::Edge;
                        front.push_back(other);
                    }
                }
            }
        }
    }

    /// Colour and alpha of a pixel of an edge: it is a mixture, as light, of the background there and
    /// the subject beside it. Where there is no subject beside it, what is almost background is
    /// almost transparent.
    fn edge(&self, index: usize) -> ([u8; 3], u8) {
        let top = self.top(index);
        let subject = self.own(top);
        let share = if self.distances[top] < DOUBT * self.tolerance {
            (self.distances[index] / self.tolerance - 1.0) / (DOUBT - 1.0)
        } else {
            let ground = oklab::to_light(self.ground.at(self.position(index)));
            let whole = oklab::difference(light::linear(subject), ground);
            let part = oklab::difference(light::linear(self.own(index)), ground);
            dot(part, whole) / dot(whole, whole).max(f32::MIN_POSITIVE)
        };
        let alpha = ((share - FAINT) / (FULL - FAINT)).clamp(0.0, 1.0);
        match (alpha * 255.0).round() as u8 {
            0 => ([0; 3], 0),
            255 => (self.own(index), 255),
            alpha => (subject, alpha),
        }
    }

    /// The pixel at the top of the edge that a pixel lies on: uphill as long as it rises.
    fn top(&self, index: usize) -> usize {
        let mut top = index;
        for _ in 0..self.widest {
            let steepest = self
                .around(top)
                .max_by(|&a, &b| self.distances[a].total_cmp(&self.distances[b]));
            match steepest {
                Some(next) if self.distances[next] > self.distances[top] + self.slope => top = next,
                _ => break,
            }
        }
        top
    }
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a.iter().zip(&b).map(|(a, b)| a * b).sum()
}
