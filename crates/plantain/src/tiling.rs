//! Decoding large pictures tile by tile, in a fraction of the memory.
//!
//! Tiles overlap, and fade into each other where they do. Each is normalised by itself, so tints can differ a little between
//! far tiles (source: diffusers `autoencoder_kl.py`, `tiled_decode`).

use burn::tensor::Tensor;
use plantain_nn::Decoder;

use crate::error::Error;
use crate::host::read_finite;

/// Side of a tile of the latent.
pub(crate) const TILE: usize = 64;

/// How tiles of a latent overlap.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiling {
    /// Side of a tile of the latent.
    tile: usize,
    /// Positions of the latent from one tile to the next.
    stride: usize,
    /// Pixels per position.
    scale: usize,
}

impl Tiling {
    /// Tiles of `tile` positions, a quarter of which they share with the next one, for a decoder that enlarges `scale` times.
    pub(crate) fn new(tile: usize, scale: usize) -> Self {
        Self {
            tile,
            stride: (tile - tile / 4).max(1),
            scale,
        }
    }

    /// Pixels over which a tile fades into the next.
    fn fade(&self) -> usize {
        (self.tile - self.stride) * self.scale
    }

    /// Decodes `latent`, `[1, channels, height, width]`, to the values of `[1, 3, height, width]`, checked, and its width and
    /// height.
    pub(crate) fn decode(
        &self,
        decoder: &Decoder,
        latent: &Tensor<4>,
    ) -> Result<(Vec<f32>, [usize; 2]), Error> {
        let [_, _, height, width] = latent.dims();
        let mut picture = Canvas::new([width * self.scale, height * self.scale]);
        // The row of tiles above, whose lower edges this one fades in from.
        let mut above: Vec<TileValues> = Vec::new();
        for top in (0..height).step_by(self.stride) {
            let mut row: Vec<TileValues> = Vec::new();
            for (i, left) in (0..width).step_by(self.stride).enumerate() {
                let part = latent
                    .clone()
                    .narrow(2, top, self.tile.min(height - top))
                    .narrow(3, left, self.tile.min(width - left));
                let image = decoder.forward(part);
                let [_, _, tile_height, tile_width] = image.dims();
                let mut tile = TileValues {
                    values: read_finite(image, "decoder", "")?,
                    size: [tile_width, tile_height],
                };
                if let Some(above) = above.get(i) {
                    tile.fade_from_above(above, self.fade());
                }
                if let Some(before) = row.last() {
                    tile.fade_from_left(before, self.fade());
                }
                let step = self.stride * self.scale;
                picture.lay(&tile, [left * self.scale, top * self.scale], step);
                row.push(tile);
            }
            above = row;
        }
        Ok((picture.values, picture.size))
    }
}

/// The decoded values of a tile, `[3, height, width]`.
struct TileValues {
    values: Vec<f32>,
    /// Width and height.
    size: [usize; 2],
}

impl TileValues {
    fn index(&self, channel: usize, x: usize, y: usize) -> usize {
        (channel * self.size[1] + y) * self.size[0] + x
    }

    /// Mixes the first `fade` rows with the last ones of the tile above.
    fn fade_from_above(&mut self, above: &Self, fade: usize) {
        let fade = fade.min(self.size[1]).min(above.size[1]);
        for channel in 0..3 {
            for y in 0..fade {
                let share = y as f32 / fade as f32;
                for x in 0..self.size[0].min(above.size[0]) {
                    let theirs = above.values[above.index(channel, x, above.size[1] - fade + y)];
                    let at = self.index(channel, x, y);
                    self.values[at] = theirs * (1.0 - share) + self.values[at] * share;
                }
            }
        }
    }

    /// Mixes the first `fade` columns with the last ones of the tile to the left.
    fn fade_from_left(&mut self, before: &Self, fade: usize) {
        let fade = fade.min(self.size[0]).min(before.size[0]);
        for channel in 0..3 {
            for y in 0..self.size[1].min(before.size[1]) {
                for x in 0..fade {
                    let share = x as f32 / fade as f32;
                    let theirs = before.values[before.index(channel, before.size[0] - fade + x, y)];
                    let at = self.index(channel, x, y);
                    self.values[at] = theirs * (1.0 - share) + self.values[at] * share;
                }
            }
        }
    }
}

/// The picture that tiles are laid on, `[3, height, width]`.
struct Canvas {
    values: Vec<f32>,
    size: [usize; 2],
}

impl Canvas {
    fn new(size: [usize; 2]) -> Self {
        Self {
            values: vec![0.0; 3 * size[0] * size[1]],
            size,
        }
    }

    /// Lays the first `step` columns and rows of `tile` at `[left, top]`; what follows belongs to the next tiles.
    fn lay(&mut self, tile: &TileValues, [left, top]: [usize; 2], step: usize) {
        let [width, height] = self.size;
        let columns = tile.size[0].min(step).min(width - left);
        for channel in 0..3 {
            for y in 0..tile.size[1].min(step).min(height - top) {
                let from = tile.index(channel, 0, y);
                let to = (channel * height + top + y) * width + left;
                self.values[to..to + columns].copy_from_slice(&tile.values[from..from + columns]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use burn::tensor::{Device, TensorData};
    use plantain_weights::{Model, Target, Tensors, read_tensors};

    use super::*;

    fn fixtures() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
    }

    fn decoder(model: &str) -> Decoder {
        let model = Model::open(&fixtures().join(model)).unwrap();
        model.load_decoder(&Target::stock(Device::flex())).unwrap()
    }

    fn latent(tensors: &Tensors, name: &str) -> Tensor<4> {
        let tensor = &tensors[name];
        let shape: [usize; 4] = tensor.shape.clone().try_into().unwrap();
        Tensor::from_data(
            TensorData::new(tensor.values.clone(), shape),
            &Device::flex(),
        )
    }

    /// Tiles of other sizes than ours, see `tests/reference/tiling.py`.
    #[test]
    fn tiles_are_decoded_and_blended_as_by_diffusers() {
        let expected = read_tensors(&fixtures().join("tiling/kl.safetensors")).unwrap();
        let decoder = decoder("networks/sd1");
        for case in 0..3 {
            let latent = latent(&expected, &format!("decoder.{case}.in.latent"));
            let (values, _) = Tiling::new(8, 2).decode(&decoder, &latent).unwrap();
            let wanted = &expected[&format!("decoder.{case}.out.image")].values;
            assert_eq!(values.len(), wanted.len());
            let error = values.iter().zip(wanted).map(|(a, b)| (a - b).abs());
            let worst = error.fold(0.0, f32::max);
            assert!(worst < 2e-5, "case {case}: {worst}");
        }
    }

    /// A latent smaller than a tile is decoded as without tiles.
    #[test]
    fn one_tile_is_the_whole_picture() {
        let expected = read_tensors(&fixtures().join("tiling/tiny.safetensors")).unwrap();
        let decoder = decoder("networks/distilled");
        let latent = latent(&expected, "decoder.1.in.latent");
        let whole = read_finite(decoder.forward(latent.clone()), "decoder", "").unwrap();
        let (values, size) = Tiling::new(64, 4).decode(&decoder, &latent).unwrap();
        assert_eq!(size, [44, 32]);
        assert_eq!(values, whole);
    }
}
