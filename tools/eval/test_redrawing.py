"""Checks how encoders are judged and what is asked of redrawn pictures.  python -m unittest tools.eval.test_redrawing"""
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F

from tools.data.compose import Painter, Parts
from tools.data.scenes import Backdrop, Figure, Scene
from tools.data.test_compose import GREEN, RED, SPLIT, THINGS, write_pack
from tools.eval.encoder import SIZE, Colours, Drawings, Wish, grounds, wishes

PRESET = SimpleNamespace(styles=("3d",), colours=("red", "white", "navy"), things=lambda: THINGS)


def scene(thing, colour):
    return Scene("single", "3d", (Figure(thing, "3d", 0.5, 0.5, SIZE),), Backdrop("plain", (colour,)))


class Judging(unittest.TestCase):
    def setUp(self):
        with tempfile.TemporaryDirectory() as folder:
            write_pack(Path(folder))
            self.painter = Painter(Parts(folder, THINGS, ["3d"]))

    def test_knows_the_drawing_and_the_ground_of_a_picture(self):
        drawings = Drawings(self.painter, PRESET)
        for thing, colour in ((GREEN, "navy"), (SPLIT, "white")):
            pictures = self.painter.paint([scene(thing, colour)], 64)
            self.assertEqual(drawings.closest(pictures[0], colour), (thing, "3d"))
            self.assertEqual(PRESET.colours[grounds(pictures, PRESET)[0]], colour)

    def test_finds_latents_that_are_linear_in_colours(self):
        torch.manual_seed(0)
        pictures = F.interpolate(torch.rand(4, 3, 4, 4), size=32, mode="bilinear")
        latents = torch.einsum("oc,nchw->nohw", torch.randn(5, 3), F.avg_pool2d(pictures, 8)) + 0.5
        self.assertTrue(torch.allclose(Colours(pictures, latents)(pictures), latents, atol=1e-4))


class Wishes(unittest.TestCase):
    def test_change_one_thing_each(self):
        preset = SimpleNamespace(styles=("3d", "flat"), colours=PRESET.colours, things=PRESET.things)
        asked = wishes(scene(RED, "white"), preset)
        self.assertEqual(asked["same"], Wish(RED, "3d", "white"))
        for fact in ("colour", "style", "thing"):
            differing = [name for name in ("thing", "style", "colour")
                         if getattr(asked[fact], name) != getattr(asked["same"], name)]
            self.assertEqual(differing, [fact])

    def test_are_put_in_the_words_of_a_caption(self):
        self.assertEqual(Wish(GREEN, "flat", "orange").caption, "a g, flat illustration, on an orange background")


if __name__ == "__main__":
    unittest.main()
