"""Checks the painter on a small pack made here.  python -m unittest tools.data.test_compose"""
import io
import json
import random
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tools.data.compose import Painter, Parts, picture_size
from tools.data.scenes import MIXES, Backdrop, Figure, Planner, Scene
from tools.data.vocabulary import COLOURS, Thing

SIDE = 96
RED, GREEN, SPLIT = (Thing(code, (code,), "objects", code + "s") for code in ("r", "g", "split"))
THINGS = [replace(RED, also=("r2",)), GREEN, SPLIT]
WHITE = Backdrop("plain", ("white",))


def square(*colours):
    """A filled square with a transparent rim, in one colour or in two halves."""
    rgba = np.zeros((SIDE, SIDE, 4), np.uint8)
    rgba[8:-8, 8 : SIDE // 2] = (*colours[0], 255)
    rgba[8:-8, SIDE // 2 : -8] = (*colours[-1], 255)
    return rgba


def write_pack(folder):
    """Red, green and half red half blue squares in two styles, and a photograph."""
    drawings = [
        ("r", "3d", square((220, 30, 30))), ("r2", "3d", square((120, 0, 0))), ("g", "3d", square((30, 200, 30))),
        ("split", "3d", square((220, 30, 30), (30, 30, 220))), ("r", "flat", square((220, 30, 30))),
        ("unknown", "3d", square((0, 0, 0))), ("photo:1", "photo", np.full((SIDE, SIDE, 4), (128, 128, 128, 255))),
    ]
    rows, data = [], b""
    for code, style, rgba in drawings:
        buffer = io.BytesIO()
        Image.fromarray(rgba.astype(np.uint8)).save(buffer, "WEBP", lossless=True)
        noun = "sea" if style == "photo" else code
        rows.append(dict(concept=code, noun=noun, style=style, w=0.83, h=0.83, off=len(data), len=buffer.tell()))
        data += buffer.getvalue()
    (folder / "parts.bin").write_bytes(data)
    (folder / "parts.json").write_text(json.dumps(dict(size=SIDE, parts=rows)))


def scene_of(*figures, backdrop=WHITE, **more):
    return Scene("single", "3d", figures, backdrop, **more)


def centre(picture, channel):
    """Mean x and y, in 0..1, of where one channel is much brighter than the other two."""
    others = picture[[c for c in range(3) if c != channel]].amax(0)
    y, x = torch.where(picture[channel] > others + 0.5)
    return (x.float().mean() + 0.5) / picture.shape[2], (y.float().mean() + 0.5) / picture.shape[1]


class PainterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            write_pack(Path(folder))
            cls.parts = Parts(folder, THINGS, ("3d", "flat"))
        cls.painter = Painter(cls.parts)

    def paint(self, *figures, side=128, **more):
        return self.painter.paint([scene_of(*figures, **more)], side)[0]

    def random_scenes(self, count, aspect=(1, 1), seed=0):
        planner = Planner(THINGS, ("3d", "flat"), self.parts.available, MIXES["full"])
        rng = random.Random(seed)
        return [planner.draw(rng, aspect) for _ in range(count)]

    def test_reads_what_is_wanted(self):
        drawn = {("r", "3d"), ("r", "flat"), ("g", "3d"), ("split", "3d")}
        self.assertEqual(self.parts.available, drawn | {("sea", "photo")})
        self.assertEqual(self.parts.pictures.shape, (6, 4, SIDE, SIDE))
        first, other = (self.parts.get(Figure(RED, "3d", 0.5, 0.5, 1, variant=v)) for v in (0.2, 0.7))
        self.assertNotEqual(first, other)

    def test_sizes_keep_the_area(self):
        self.assertEqual(picture_size((1, 1), 256), (256, 256))
        for aspect in ((3, 2), (16, 9), (9, 16), (2, 3)):
            width, height = picture_size(aspect, 256)
            self.assertEqual((width % 32, height % 32), (0, 0))
            self.assertAlmostEqual(width * height / 256**2, 1, delta=0.15)
            self.assertAlmostEqual(width / height / (aspect[0] / aspect[1]), 1, delta=0.15)

    def test_shape_and_range_of_every_kind(self):
        for aspect in ((1, 1), (16, 9), (2, 3)):
            width, height = picture_size(aspect, 96)
            pictures = self.painter.paint(self.random_scenes(150, aspect), 96)
            self.assertEqual(pictures.shape, (150, 3, height, width))
            self.assertEqual(pictures.dtype, torch.float32)
            self.assertTrue(pictures.isfinite().all())
            self.assertTrue(-1 <= pictures.min() < -0.8 and 0.8 < pictures.max() <= 1)

    def test_a_window_is_a_part_of_the_whole(self):
        scenes = self.random_scenes(120, (3, 2))
        whole = self.painter.paint(scenes, 128)
        window = self.painter.paint(scenes, 128, (40, 24, 64))
        self.assertLess((whole[:, :, 24:88, 40:104] - window).abs().max(), 1e-4)

    def test_pictures_do_not_depend_on_their_batch(self):
        scenes = self.random_scenes(40)
        together = self.painter.paint(scenes, 64)
        alone = torch.cat([self.painter.paint([scene], 64) for scene in scenes])
        self.assertLess((together - alone).abs().max(), 1e-4)

    def test_mixed_aspects_are_refused(self):
        scenes = [scene_of(), scene_of(aspect=(3, 2))]
        self.assertRaises(ValueError, self.painter.paint, scenes, 64)

    def test_figures_are_where_the_plan_says(self):
        picture = self.paint(Figure(RED, "3d", 0.3, 0.5, 0.4), Figure(GREEN, "3d", 0.7, 0.6, 0.3))
        for channel, (x, y) in ((0, (0.3, 0.5)), (1, (0.7, 0.6))):
            found = centre(picture, channel)
            self.assertAlmostEqual(found[0].item(), x, delta=0.01)
            self.assertAlmostEqual(found[1].item(), y, delta=0.01)

    def test_the_first_figure_is_in_front(self):
        picture = self.paint(Figure(RED, "3d", 0.5, 0.5, 0.3), Figure(GREEN, "3d", 0.5, 0.5, 0.8))
        self.assertGreater(picture[0, 64, 64], 0.5)
        self.assertGreater(picture[1, 64, 30], 0.4)

    def test_mirroring_swaps_the_sides(self):
        for flip in (False, True):
            picture = self.paint(Figure(SPLIT, "3d", 0.5, 0.5, 0.8, flip))
            red, blue = centre(picture, 0)[0], centre(picture, 2)[0]
            self.assertEqual(bool(red > blue), flip)

    def test_shrinking_keeps_the_mean_colour(self):
        for size in (0.9, 0.23):
            picture = self.paint(Figure(RED, "3d", 0.5, 0.5, size))
            missing = (0.96 - picture[1]).clamp(min=0).sum() / (0.96 - (30 / 127.5 - 1))
            self.assertAlmostEqual((missing**0.5 / 128).item(), size * 80 / 96, delta=0.01)

    def test_standing_figures_touch_the_ground(self):
        picture = self.paint(Figure(RED, "3d", 0.5, 0.5, 0.5, stands=True))
        rows = torch.where(((picture[0] - picture[1]) > 0.5).any(1))[0]
        self.assertAlmostEqual(rows.max().item() / 128, 0.75, delta=0.02)

    def test_patterns_go_on_over_the_edge(self):
        figures = Figure(RED, "3d", 0.1, 0.9, 0.3), Figure(GREEN, "3d", 0.35, 0.4, 0.3)
        picture = self.paint(*figures, period=(0.5, 1))
        self.assertLess((picture.roll(64, 2) - picture).abs().max(), 1e-4)
        self.assertGreater(picture[0, 115, 0], 0.5)
        self.assertGreater(picture[0, 1, 12], 0.5)

    def test_own_colours(self):
        for name in ("blue", "black", "white", "pink", "brown"):
            picture = self.paint(Figure(SPLIT, "3d", 0.5, 0.5, 0.8, colour=name))
            inside = ((picture[:, 40:90, 40:90] + 1) * 127.5).mean((1, 2))
            self.assertLess((inside - torch.tensor(COLOURS[name])).abs().max(), 45)

    def test_photographs_fill_the_picture(self):
        backdrop = Backdrop("photo", label="sea")
        picture = self.paint(Figure(RED, "3d", 0.5, 0.5, 0.2), backdrop=backdrop, aspect=(3, 2))
        self.assertLess((picture[:, 0] - 1 / 255).abs().max(), 0.02)
        self.assertLess((picture[:, :, -1] - 1 / 255).abs().max(), 0.02)


if __name__ == "__main__":
    unittest.main()
