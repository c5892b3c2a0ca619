"""Draws planned scenes: reads the pack of drawings and composes batches of pictures, on the CPU or a graphics card."""
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from tools.data.backdrops import draw_backdrops
from tools.data.recolour import recolour
from tools.data.scenes import PHOTO
from tools.data.shapes import Canvas, draw_shadows, draw_tiles, draw_words_place, rgb

# Sides are multiples of this share of a square picture's side, so that networks may halve them a few times.
SIDE_PARTS = 8
# Keeps the blurred rim of photographs out of the picture.
PHOTO_ZOOM = 1.03
# Pictures painted at once: what fits the caches of a processor, or the memory of a graphics card.
CHUNK = {"cpu": 16, "cuda": 256}


class Parts:
    """The drawings of all wanted things in the wanted styles, as premultiplied RGBA held in memory."""

    def __init__(self, folder, things, styles):
        folder = Path(folder)
        meta = json.loads((folder / "parts.json").read_text())
        owner = {code: thing.code for thing in things for code in (thing.code, *thing.also)}
        drawn = [row for row in meta["parts"] if row["style"] in styles and row["concept"] in owner]
        rows = drawn + [row for row in meta["parts"] if row["style"] == PHOTO]
        self.drawings = {}
        for position, row in enumerate(rows):
            name = row["noun"] if row["style"] == PHOTO else owner[row["concept"]]
            self.drawings.setdefault((name, row["style"]), []).append(position)
        self.available = set(self.drawings)
        self.pictures = read_pictures(folder / "parts.bin", rows, meta["size"])
        self.widths, self.heights = [row["w"] for row in rows], [row["h"] for row in rows]

    def __len__(self):
        return len(self.pictures)

    def get(self, figure):
        """Position in `pictures` of the drawing that a figure shows."""
        drawings = self.drawings[figure.thing.code, figure.style]
        return drawings[int(figure.variant * len(drawings))]

    def photo(self, backdrop):
        """Position in `pictures` of the photograph behind a scene."""
        photos = self.drawings[backdrop.label, PHOTO]
        return photos[int(backdrop.dice[0] * len(photos))]


def read_pictures(path, rows, side):
    """All the rows' drawings [n, 4, side, side]."""
    data = path.read_bytes()
    pictures = torch.empty(len(rows), 4, side, side, dtype=torch.uint8)
    with ThreadPoolExecutor() as pool:
        for position, picture in enumerate(pool.map(lambda row: read_part(io.BytesIO(data), row), rows)):
            pictures[position] = picture
    return pictures


def read_part(file, row):
    """One WebP of the pack as a premultiplied uint8 tensor [4, side, side]."""
    file.seek(row["off"])
    image = Image.open(io.BytesIO(file.read(row["len"]))).convert("RGBA")
    rgba = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    rgba[:3] *= rgba[3:] / 255
    return rgba.round().to(torch.uint8)


def picture_size(aspect, side):
    """Width and height near the aspect with about the area of a square of this side."""
    ratio = (aspect[0] / aspect[1]) ** 0.5
    unit = side // SIDE_PARTS
    return tuple(unit * max(1, round(length / unit)) for length in (side * ratio, side / ratio))


def resampling(first, count, centre, scale, mirror, period, texels):
    """Weights [n, count, texels] that shrink or stretch one axis of drawings onto the pixels from `first` on.

    Each pixel averages the texels it covers, so shrinking does not alias; stretching is linear interpolation.
    """
    pixel = torch.arange(first, first + count, device=centre.device) + 0.5
    offset = pixel[None] - centre[:, None]
    period = period[:, None]
    offset = torch.where(period > 0, (offset + period / 2) % period.clamp(min=1) - period / 2, offset)
    middle = offset * (scale * mirror)[:, None] + texels / 2
    reach = scale.clamp(min=1)[:, None] / 2
    texel = torch.arange(texels, device=centre.device)
    upper = ((middle + reach)[..., None] - texel).clamp(0, 1)
    lower = ((middle - reach)[..., None] - texel).clamp(0, 1)
    return (upper - lower) / (2 * reach[..., None])


class Spot(NamedTuple):
    """Where a drawing's frame goes: its centre and the period it repeats after (0: never) in units of the picture's
    width and height, its side as a share of the shorter side."""

    x: float
    y: float
    size: float
    flip: bool = False
    period_x: float = 0
    period_y: float = 0


class Painter:
    """Paints batches of scenes on a device, where it keeps all drawings."""

    def __init__(self, parts, device="cpu"):
        self.parts = parts
        self.device = torch.device(device)
        self.pictures = parts.pictures.to(self.device)

    @torch.no_grad()
    def paint(self, scenes, side, window=None):
        """Pictures [n, 3, h, w] in [-1, 1]; with a window (x, y, side) only that square of them."""
        if any(scene.aspect != scenes[0].aspect for scene in scenes):
            raise ValueError("all scenes painted together must have the same aspect")
        size = picture_size(scenes[0].aspect, side)
        canvas = Canvas(size, (*window, window[2]) if window else (0, 0, *size), self.device)
        step = CHUNK[self.device.type]
        chunks = [self.paint_chunk(canvas, scenes[i : i + step]) for i in range(0, len(scenes), step)]
        return torch.cat(chunks).mul_(2).sub_(1).clamp_(-1, 1)

    def paint_chunk(self, canvas, scenes):
        """Pictures in 0..1, from the back to the front."""
        picture = draw_backdrops(canvas, [scene.backdrop for scene in scenes])
        self.lay_photos(canvas, picture, scenes)
        tiles = [i for i, scene in enumerate(scenes) if scene.tile]
        if tiles:
            picture[tiles] = draw_tiles(canvas, picture[tiles], [scenes[i] for i in tiles])
        for i, scene in enumerate(scenes):
            if scene.bars:
                picture[i : i + 1] = draw_words_place(canvas, picture[i : i + 1], scene)
        # The first figure is the nearest: it comes last.
        for slot in reversed(range(max(len(scene.figures) for scene in scenes))):
            rows = [i for i, scene in enumerate(scenes) if len(scene.figures) > slot]
            self.lay_figures(canvas, picture, rows, [(scenes[i].figures[slot], scenes[i].period) for i in rows])
        return picture

    def lay_photos(self, canvas, picture, scenes):
        """Photographs over the backdrops of the pictures that want one, large enough to fill them."""
        rows = [i for i, scene in enumerate(scenes) if scene.backdrop.kind == PHOTO]
        if rows:
            photos = self.texels([self.parts.photo(scenes[i].backdrop) for i in rows])
            spot = Spot(0.5, 0.5, PHOTO_ZOOM * max(canvas.width, canvas.height))
            picture[rows] = self.place(canvas, photos, [spot] * len(rows))[:, :3]

    def lay_figures(self, canvas, picture, rows, figures):
        """One figure, with the period it repeats after, over each of the chosen pictures."""
        positions = [self.parts.get(figure) for figure, _ in figures]
        drawings = self.texels(positions)
        coloured = [i for i, (figure, _) in enumerate(figures) if figure.colour]
        if coloured:
            colours = rgb([figures[i][0].colour for i in coloured], self.device)
            drawings[coloured] = recolour(drawings[coloured], colours)
        below = picture[rows]
        standing = [i for i, (figure, _) in enumerate(figures) if figure.stands]
        if standing:
            feet = [self.feet(canvas, figures[i][0], positions[i]) for i in standing]
            below[standing] = draw_shadows(canvas, below[standing], torch.tensor(feet, device=self.device))
        spots = [self.spot(canvas, *figure, position) for figure, position in zip(figures, positions)]
        drawn = self.place(canvas, drawings, spots)
        picture[rows] = drawn[:, :3] + below * (1 - drawn[:, 3:])

    def texels(self, positions):
        """Drawings [n, 4, side, side] in 0..1."""
        return self.pictures[positions].float() / 255

    def spot(self, canvas, figure, period, position):
        """Where a figure's frame goes; it comes down if the drawing is to stand on the frame's lower edge."""
        gap = (1 - self.parts.heights[position]) / 2 * figure.size / canvas.height if figure.stands else 0
        return Spot(figure.x, figure.y + gap, figure.size, figure.flip, *(period or ()))

    def feet(self, canvas, figure, position):
        """Where a standing figure touches the ground, and half its width, in units of the canvas."""
        x, y = (figure.x - 0.5) * canvas.width, (figure.y - 0.5) * canvas.height + figure.size / 2
        return x, y, self.parts.widths[position] * figure.size / 2

    def place(self, canvas, drawings, spots):
        """The drawings at their spots in the canvas: premultiplied [n, 4, h, w]."""
        texels = drawings.shape[-1]
        x, y, size, flip, period_x, period_y = torch.tensor(spots, device=self.device).float().unbind(1)
        width, height = canvas.width * canvas.short, canvas.height * canvas.short
        scale = texels / (size * canvas.short)
        across = resampling(canvas.x0, canvas.columns, x * width, scale, 1 - 2 * flip, period_x * width, texels)
        down = resampling(canvas.y0, canvas.rows, y * height, scale, torch.ones_like(y), period_y * height, texels)
        wide = torch.bmm(drawings.flatten(1, 2), across.mT).unflatten(1, (4, texels))
        return torch.matmul(down[:, None], wide)
