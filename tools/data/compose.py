"""Draws training pictures: one thing, centred with a little jitter, on a plain background."""
import io
import json
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from tools.data.vocabulary import COLOURS, STYLES

SIDE = 128
SUPERSAMPLING = 2

# The frame of the thing as a share of the picture, and how far its centre may move.
SIZE_RANGE = (0.80, 0.86)
MAX_SHIFT = 0.016
FLIP_CHANCE = 0.06


class Parts:
    """The drawings of all wanted things in all styles, as premultiplied RGBA held in memory."""

    def __init__(self, folder, things):
        folder = Path(folder)
        meta = json.loads((folder / "parts.json").read_text())
        rows = {(row["concept"], row["style"]): row for row in meta["parts"]}
        self.index = {}
        pictures = []
        with open(folder / "parts.bin", "rb") as file:
            for thing in things:
                for style in STYLES:
                    self.index[thing.code, style] = len(pictures)
                    pictures.append(read_part(file, rows[thing.code, style]))
        self.pictures = torch.stack(pictures)

    def __len__(self):
        return len(self.pictures)

    def get(self, thing, style):
        """Position of one drawing in `pictures`."""
        return self.index[thing.code, style]


def read_part(file, row):
    """One WebP of the pack as a premultiplied uint8 tensor [4, side, side]."""
    file.seek(row["off"])
    image = Image.open(io.BytesIO(file.read(row["len"]))).convert("RGBA")
    rgba = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    rgba[:3] *= rgba[3:] / 255
    return rgba.round().to(torch.uint8)


class Placement:
    """Random size, position and mirroring of one drawing."""

    def __init__(self, rng):
        self.size = rng.uniform(*SIZE_RANGE)
        self.x = rng.uniform(-MAX_SHIFT, MAX_SHIFT)
        self.y = rng.uniform(-MAX_SHIFT, MAX_SHIFT)
        self.flip = -1.0 if rng.random() < FLIP_CHANCE else 1.0

    def matrix(self):
        """Affine map from picture coordinates to drawing coordinates, both in [-1, 1]."""
        return [
            [self.flip / self.size, 0.0, -self.flip * 2 * self.x / self.size],
            [0.0, 1 / self.size, -2 * self.y / self.size],
        ]


def compose(parts, triples, rng):
    """Pictures [n, 3, 128, 128] in [-1, 1] of the given (thing, style, colour) triples."""
    rows = torch.tensor([parts.get(thing, style) for thing, style, _ in triples])
    colours = torch.tensor([COLOURS[colour] for _, _, colour in triples]).float() / 255
    matrices = torch.tensor([Placement(rng).matrix() for _ in triples])
    side = SIDE * SUPERSAMPLING
    grid = F.affine_grid(matrices, (len(triples), 4, side, side), align_corners=False)
    drawn = F.grid_sample(parts.pictures[rows].float() / 255, grid, align_corners=False)
    picture = drawn[:, :3] + colours[:, :, None, None] * (1 - drawn[:, 3:])
    return F.avg_pool2d(picture, SUPERSAMPLING) * 2 - 1


def endless_batches(parts, triples, batch_size, seed):
    """Random training batches for ever; each triple is equally likely."""
    rng = random.Random(seed)
    while True:
        chosen = rng.choices(triples, k=batch_size)
        yield compose(parts, chosen, rng), chosen
