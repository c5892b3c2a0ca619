//! Where what the UNet samples lies on the latent of a picture.

use burn::tensor::{Tensor, TensorData};
use plantain_weights::Manifest;

use crate::prompt::{Reading, Things};
use crate::request::Request;
use crate::size::MAX_SIDE;

/// Most room between two things, as a part of a thing's side.
const ROOM: usize = 4;

/// Squares in the shorter side of a picture beyond which things would be too small.
const MOST_IN_A_ROW: usize = 4;
/// Squares in a picture beyond which decoding them all would take too much memory.
const MOST_SQUARES: usize = 16;

/// How much of a thing there is at the outermost positions of its square, and at the next: things do not reach them, so only grounds
/// that differ a little are blended.
const FADING: [f32; 2] = [0.25, 0.75];

/// What is sampled for a picture, and where it lies: all of the latent; or squares on a plain ground, one for each thing that the prompt
/// asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// For each thing the prompt that asks for it.
    pub(crate) prompts: Vec<String>,
    /// Height and width of the whole latent.
    whole: [usize; 2],
    /// Height and width of what is sampled for each thing.
    sampled: [usize; 2],
    /// Upper left corner of each thing.
    corners: Vec<[usize; 2]>,
}

impl Layout {
    /// That of the pictures of a request, of this width and height.
    pub(crate) fn new(request: &Request, size: [usize; 2], manifest: &Manifest) -> Self {
        Self::of(&request.reading(manifest), request, size, manifest)
    }

    /// The same of a request whose prompt was read.
    pub(crate) fn of(
        reading: &Reading<'_>,
        request: &Request,
        size: [usize; 2],
        manifest: &Manifest,
    ) -> Self {
        let several = reading.things.as_ref();
        let several = several.and_then(|things| Self::of_several(things, size, manifest));
        several.unwrap_or_else(|| Self {
            prompts: vec![reading.caption.prompt.clone()],
            ..Self::of_one(size, request.init_image.is_some(), manifest)
        })
    }

    /// That of a picture of a single thing, `size` being its width and height; all of it is sampled where it is made from another.
    pub(crate) fn of_one(size: [usize; 2], from_picture: bool, manifest: &Manifest) -> Self {
        let whole @ [height, width] = if manifest.plain_ground {
            canvas(size, 1, manifest)
        } else {
            let [width, height] = size.map(|side| side / manifest.sampling_scale());
            [height, width]
        };
        let sampled = if from_picture {
            whole
        } else {
            manifest.sampled_size(whole)
        };
        Self {
            prompts: vec![String::new()],
            whole,
            sampled,
            corners: vec![[(height - sampled[0]) / 2, (width - sampled[1]) / 2]],
        }
    }

    /// That of a picture of several things, each sampled as large as the model was trained for and all of them as large in the picture as
    /// they have room; `None` where they would be too small.
    fn of_several(things: &Things, size: [usize; 2], manifest: &Manifest) -> Option<Self> {
        let side = own_side(manifest);
        (1..=MOST_IN_A_ROW).find_map(|squares| {
            let whole = canvas(size, squares, manifest);
            if whole[0] * whole[1] > MOST_SQUARES * side * side {
                return None;
            }
            let rows = rows_of(things, whole.map(|length| length / side))?;
            Some(Self {
                prompts: things.prompts(),
                whole,
                sampled: [side; 2],
                corners: corners(&rows, side, whole),
            })
        })
    }

    /// Whether the UNet was trained on latents as large as what it samples.
    pub(crate) fn is_trained(&self, manifest: &Manifest) -> bool {
        self.sampled == Self::of_one(manifest.own_size(), false, manifest).sampled
    }

    /// Width and height in pixels of what is decoded of the latent, refined or not.
    pub(crate) fn decoded_size(&self, refined: bool, manifest: &Manifest) -> [usize; 2] {
        let [height, width] = self.whole;
        let scale = if refined {
            manifest.sampling_scale()
        } else {
            manifest.components.decoder_scale()
        };
        [width, height].map(|length| length * scale)
    }

    /// Width and height in pixels of what is decoded of a single thing.
    pub(crate) fn sampled_size(&self, manifest: &Manifest) -> [usize; 2] {
        let [height, width] = self.sampled;
        [width, height].map(|length| length * manifest.sampling_scale())
    }

    /// `[batch, channels, height, width]` of the whole latent.
    pub(crate) fn shape(&self, batch: usize, channels: usize) -> [usize; 4] {
        let [height, width] = self.whole;
        [batch, channels, height, width]
    }

    /// `[batch, channels, height, width]` of what is sampled for each thing.
    pub(crate) fn sampled_shape(&self, batch: usize, channels: usize) -> [usize; 4] {
        let [height, width] = self.sampled;
        [batch, channels, height, width]
    }

    /// The whole latent, of things as they were sampled or as the refiner enlarged them, with a thing at each corner and, where they
    /// leave room, the mean of what is just inside their rims around them: a plain ground goes on, and ends as theirs do. Grounds of several things are brought
    /// to that mean, and each thing's fades into it at its rim.
    pub(crate) fn place(&self, things: &[Tensor<4>]) -> Tensor<4> {
        let [batch, channels, height, width] = things[0].dims();
        let scale = height / self.sampled[0];
        let shape = [
            batch,
            channels,
            scale * self.whole[0],
            scale * self.whole[1],
        ];
        if things[0].dims() == shape {
            return things[0].clone();
        }
        let grounds: Vec<_> = things.iter().map(|thing| rim(thing, scale)).collect();
        let ground = Tensor::cat(grounds.clone(), 3).mean_dim(3);
        let opaque = opacity([height, width], scale, &ground);
        let mut whole = ground.clone().expand(shape);
        for ((thing, own), corner) in things.iter().zip(grounds).zip(&self.corners) {
            let [top, left] = corner.map(|at| scale * at);
            let place = [0..batch, 0..channels, top..top + height, left..left + width];
            let thing = ground.clone() + (thing.clone() - own) * opaque.clone();
            whole = whole.slice_assign(place, thing);
        }
        let mean = things.iter().cloned().reduce(|sum, thing| sum + thing);
        let mean = mean.expect("a thing at least") / things.len() as f64;
        let whole = with_edge(with_edge(whole, &mean, 2, scale), &mean, 3, scale);
        with_corners(whole, &mean, scale)
    }
}

/// The whole latent with the first and the last `depth` positions along a dimension as `square` has them there on average: what is at
/// the edge of a picture tells the decoder so, and without it the ground darkens there.
fn with_edge(whole: Tensor<4>, square: &Tensor<4>, dim: usize, depth: usize) -> Tensor<4> {
    let along = 5 - dim;
    let [length, whole_length] = [square.dims()[dim], whole.dims()[dim]];
    let inner = square.dims()[along].saturating_sub(2 * depth);
    if inner == 0 || length < 2 * depth {
        return whole;
    }
    let shape = whole.dims();
    let ends = [(0, 0), (length - depth, whole_length - depth)];
    ends.into_iter().fold(whole, |whole, (from, to)| {
        let edge = square.clone().narrow(along, depth, inner);
        let edge = edge.narrow(dim, from, depth).mean_dim(along);
        let mut place = shape.map(|length| 0..length);
        place[dim] = to..to + depth;
        let mut extent = shape;
        extent[dim] = depth;
        whole.slice_assign(place, edge.expand(extent))
    })
}

/// The whole latent with the corners of `square`, so many positions wide and high.
fn with_corners(whole: Tensor<4>, square: &Tensor<4>, size: usize) -> Tensor<4> {
    let [batch, channels, height, width] = whole.dims();
    let [_, _, own_height, own_width] = square.dims();
    let vertical = [(0, 0), (own_height - size, height - size)];
    let horizontal = [(0, 0), (own_width - size, width - size)];
    let corners = vertical
        .into_iter()
        .flat_map(|y| horizontal.map(|x| (y, x)));
    corners.fold(whole, |whole, ((from_y, to_y), (from_x, to_x))| {
        let corner = square.clone().narrow(2, from_y, size);
        let place = [0..batch, 0..channels, to_y..to_y + size, to_x..to_x + size];
        whole.slice_assign(place, corner.narrow(3, from_x, size))
    })
}

/// Side of the square that a model samples, in positions of the latent.
fn own_side(manifest: &Manifest) -> usize {
    let own = manifest.own_size();
    (own[0].min(own[1]) / manifest.sampling_scale()).max(1)
}

/// Height and width in positions of a latent that is as wide, for its height, as a picture of this width and height in pixels, and whose
/// shorter side has room for so many squares as the model samples.
fn canvas(size: [usize; 2], squares: usize, manifest: &Manifest) -> [usize; 2] {
    let short = squares * own_side(manifest);
    // Sizes are checked later than they are asked for here.
    let [width, height] = size.map(|side| side.min(MAX_SIDE));
    [height, width].map(|side| (short * side).div_ceil(width.min(height).max(1)))
}

/// How much of a thing there is at each position, `[1, 1, height, width]`, of which `scale` each way make one that was sampled, where
/// `like` is; else there is the ground.
fn opacity([height, width]: [usize; 2], scale: usize, like: &Tensor<4>) -> Tensor<4> {
    let from_rim = |at: usize, length: usize| at.min(length - 1 - at);
    let values: Vec<f32> = (0..height * width)
        .map(|at| {
            let rim = from_rim(at / width, height).min(from_rim(at % width, width));
            FADING.get(rim / scale).copied().unwrap_or(1.0)
        })
        .collect();
    let values = TensorData::new(values, [1, 1, height, width]);
    let opacity = Tensor::<4>::from_data(values, &like.device());
    opacity.cast(like.dtype())
}

/// The mean of what is so many positions inside a latent, `[batch, channels, 1, 1]`: the innermost of those that a sampled position at the
/// rim became, because the outermost tell of the edge of the picture.
fn rim(latent: &Tensor<4>, scale: usize) -> Tensor<4> {
    let [batch, channels, height, width] = latent.dims();
    let depth = (scale - 1).min((height.min(width) - 1) / 2);
    let [rows, columns] = [height, width].map(|length| length - 2 * depth);
    let inner = latent
        .clone()
        .narrow(2, depth, rows)
        .narrow(3, depth, columns);
    let edge = |dim: usize, at: usize| {
        let edge = inner.clone().narrow(dim, at, 1);
        edge.reshape([batch, channels, rows * columns / inner.dims()[dim]])
    };
    let rim = vec![
        edge(2, 0),
        edge(2, rows - 1),
        edge(3, 0),
        edge(3, columns - 1),
    ];
    let mean = Tensor::cat(rim, 2).mean_dim(2);
    mean.reshape([batch, channels, 1, 1])
}

/// How many things each row has, where there is room for so many rows and columns; a row whose order is not told may be broken into several.
fn rows_of(things: &Things, [rows, columns]: [usize; 2]) -> Option<Vec<usize>> {
    let mut lengths: Vec<_> = things.rows.iter().map(Vec::len).collect();
    if let ([all], true) = (&lengths[..], things.loose && columns > 0) {
        let broken = all.div_ceil(columns);
        lengths = (0..broken)
            .map(|row| (all + broken - 1 - row) / broken)
            .collect();
    }
    let fits = lengths.len() <= rows && lengths.iter().all(|length| *length <= columns);
    fits.then_some(lengths)
}

/// Upper left corners of squares in rows, in the middle of `[height, width]`, with some room between them where there is any.
fn corners(rows: &[usize], side: usize, [height, width]: [usize; 2]) -> Vec<[usize; 2]> {
    let starts = |count: usize, whole: usize| {
        let free = whole - count * side;
        let room = (free / (count + 1)).min(side / ROOM);
        let first = (free - (count - 1) * room) / 2;
        (0..count).map(move |number| first + number * (side + room))
    };
    let tops = starts(rows.len(), height).zip(rows);
    tops.flat_map(|(top, &length)| starts(length, width).map(move |left| [top, left]))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::tensor::Device;
    use plantain_nn::RefinerConfig;
    use plantain_weights::Model;

    use super::*;

    #[test]
    fn a_ground_goes_on_with_the_mean_of_the_rim_up_to_the_edge() {
        let device = Device::flex();
        // The rim of the first channel is 1 and 3 in turn, its middle 9; the second is 5 everywhere.
        let rows = [1.0, 3.0, 1.0, 3.0, 9.0, 3.0, 1.0, 3.0, 1.0];
        let values: Vec<f32> = rows.into_iter().chain([5.0; 9]).collect();
        let latent = Tensor::from_data(TensorData::new(values, [1, 2, 3, 3]), &device);
        let mut layout = Layout {
            prompts: vec![String::new()],
            whole: [5, 7],
            sampled: [3, 3],
            corners: vec![[1, 2]],
        };
        let wide = layout.place(std::slice::from_ref(&latent));
        let wide = wide.into_data().try_into_vec::<f32>().unwrap();
        let mean = (4.0 * (1.0 + 3.0 + 1.0)) / 12.0;
        let [rim, middle] = FADING;
        let one = |value: f32, opacity: f32| mean + (value - mean) * opacity;
        let near = |row: &[f32], expected: [f32; 7]| {
            let apart = row.iter().zip(expected).map(|(a, b)| (a - b).abs());
            assert!(
                apart.fold(0.0, f32::max) < 1e-6,
                "{row:?}, not {expected:?}"
            );
        };
        // The edge of the picture is that of the square: its corners, and what is between them on average.
        let edge = [1.0, 3.0, 3.0, 3.0, 3.0, 3.0, 1.0];
        near(&wide[..7], edge);
        let [faint, strong] = [one(1.0, rim), one(3.0, rim)];
        near(&wide[7..14], [3.0, mean, faint, strong, faint, mean, 3.0]);
        let inner = one(9.0, middle);
        near(&wide[14..21], [3.0, mean, strong, inner, strong, mean, 3.0]);
        near(&wide[28..35], edge);
        assert!(wide[35..].iter().all(|value| *value == 5.0));
        layout.whole = [3, 3];
        assert_eq!(
            layout.place(std::slice::from_ref(&latent)).into_data(),
            latent.into_data()
        );
    }

    /// The whole latent of a thing of six by six positions.
    fn placed(layout: &Layout, value: impl Fn(usize) -> f32) -> Tensor<4> {
        let values: Vec<f32> = (0..36).map(value).collect();
        let thing = Tensor::from_data(TensorData::new(values, [1, 1, 6, 6]), &Device::flex());
        layout.place(std::slice::from_ref(&thing))
    }

    #[test]
    fn what_the_refiner_enlarged_lies_twice_as_far_away() {
        let layout = Layout {
            prompts: vec![String::new()],
            whole: [3, 6],
            sampled: [3, 3],
            corners: vec![[0, 2]],
        };
        let whole = placed(&layout, |at| if at == 14 { 9.0 } else { 1.0 });
        assert_eq!(whole.dims(), [1, 1, 6, 12]);
        let whole = whole.into_data().try_into_vec::<f32>().unwrap();
        let there = whole.iter().position(|value| *value != 1.0);
        // In the third row, two positions right of a corner at twice two; faded by what is next to the rim at half the size.
        assert_eq!(there, Some(2 * 12 + 4 + 2));
        assert_eq!(whole[30], 1.0 + 8.0 * FADING[1]);
    }

    #[test]
    fn what_tells_of_the_edge_of_a_picture_is_no_ground() {
        let layout = Layout {
            prompts: vec![String::new()],
            whole: [9, 9],
            sampled: [3, 3],
            corners: vec![[3, 3]],
        };
        let outermost = |at: usize| [0, 5].contains(&(at / 6)) || [0, 5].contains(&(at % 6));
        let whole = placed(&layout, |at| if outermost(at) { 7.0 } else { 1.0 });
        let whole = whole.into_data().try_into_vec::<f32>().unwrap();
        // The outermost is at the edge of the whole.
        assert_eq!(whole[9], 7.0);
        assert_eq!(whole[4 * 18 + 4], 1.0);
    }

    #[test]
    fn grounds_of_several_things_are_brought_together() {
        let device = Device::flex();
        let thing = |ground: f32| {
            let values = [
                ground,
                ground,
                ground,
                ground,
                ground + 8.0,
                ground,
                ground,
                ground,
                ground,
            ];
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 1, 3, 3]), &device)
        };
        let layout = Layout {
            prompts: vec![String::new(); 2],
            whole: [3, 7],
            sampled: [3, 3],
            corners: vec![[0, 0], [0, 4]],
        };
        let whole = layout.place(&[thing(1.0), thing(3.0)]);
        let whole = whole.into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(whole[..7], [2.0; 7]);
        // Eight more than the ground, faded.
        assert_eq!(whole[7..14], [2.0, 8.0, 2.0, 2.0, 2.0, 8.0, 2.0]);
    }

    /// A model that draws 64 x 64 pixels from latents of 2 x 2, which its refiner enlarges.
    fn manifest() -> Manifest {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/weights");
        let model = Model::open(&Path::new(folder).join("deep")).unwrap();
        let mut manifest = model.manifest().clone();
        let unet = manifest.components.unet.clone().unwrap();
        manifest.components.refiner = Some(RefinerConfig {
            scale: 2,
            num_blocks: 1,
            unet,
        });
        (manifest.defaults.width, manifest.defaults.height) = (64, 64);
        manifest.subjects = vec![vec!["fox".into()], vec!["cat".into()]];
        manifest.plain_ground = true;
        manifest
    }

    #[test]
    fn things_lie_in_rows_that_fit() {
        let manifest = manifest();
        let layout = |prompt: &str, size: [usize; 2]| {
            let layout = Layout::new(&Request::new(prompt), size, &manifest);
            (layout.whole, layout.corners)
        };
        // One thing is as large as it has room for, whatever the size of the picture.
        for size in [[64, 64], [32, 32], [100, 100]] {
            assert_eq!(layout("a fox", size), ([2, 2], vec![[0, 0]]));
        }
        assert_eq!(layout("a fox", [96, 32]), ([2, 6], vec![[0, 2]]));
        // Two fit a square only at half the size.
        assert_eq!(
            layout("two foxes", [64, 64]),
            ([4, 4], vec![[1, 0], [1, 2]])
        );
        assert_eq!(
            layout("a fox above a cat", [32, 32]),
            ([4, 4], vec![[0, 1], [2, 1]])
        );
        assert_eq!(
            layout("a fox and a cat", [128, 64]),
            ([2, 4], vec![[0, 0], [0, 2]])
        );
        let three = vec![[0, 0], [0, 2], [2, 1]];
        assert_eq!(layout("three foxes", [64, 64]), ([4, 4], three));
        // What is told to be beside or above stays so.
        let (whole, corners) = layout("a fox left of a cat", [32, 64]);
        assert_eq!((whole, corners), ([8, 4], vec![[3, 0], [3, 2]]));
        // Two of the longest row and no more in all than can be decoded.
        assert_eq!(layout("a fox above a cat", [512, 64]).1.len(), 1);
        let (whole, corners) = layout("three foxes above a cat", [64, 64]);
        assert_eq!((whole, corners.len()), ([6, 6], 4));
    }

    #[test]
    fn a_picture_to_start_from_is_sampled_as_a_whole() {
        let manifest = manifest();
        let layout = Layout::of_one([128, 64], true, &manifest);
        assert_eq!(layout.sampled_shape(2, 4), [2, 4, 2, 4]);
        let layout = Layout::of_one([128, 64], false, &manifest);
        assert_eq!(layout.sampled_shape(2, 4), [2, 4, 2, 2]);
    }
}
