"""Checks what cut out things are compared with."""
import unittest

import torch

from tools.data.scenes import Backdrop, Figure, Scene
from tools.data.vocabulary import COLOURS, load_things
from tools.eval.cut_outs import on_ground, opacity
from tools.eval.prompt_files import Prompt


class HalfClear:
    """Paints something red, the left half of which is as opaque as said."""

    def __init__(self, opaque):
        self.opaque = torch.tensor([opaque, 1.0]).view(1, 1, 2)

    def paint(self, scenes, side):
        ground = torch.tensor(COLOURS[scenes[0].backdrop.colours[0]]) / 127.5 - 1
        red = torch.tensor([1.0, -1, -1]).view(3, 1, 1)
        return (self.opaque * red + (1 - self.opaque) * ground.view(3, 1, 1))[None]


class CutOuts(unittest.TestCase):
    def setUp(self):
        scene = Scene("single", "3d", (Figure(load_things()[0], "3d", 0.5, 0.5, 0.8),), Backdrop("plain", ("green",)))
        self.prompt = Prompt("seen", "a fox on skis, 3d render, on a green background", scene)

    def test_the_ground_alone_changes(self):
        other = on_ground(self.prompt, "orange")
        self.assertEqual(other.text, "a fox on skis, 3d render, on an orange background")
        self.assertEqual(other.scene.backdrop.colours, ("orange",))
        self.assertEqual(other.scene.figures, self.prompt.scene.figures)
        self.assertEqual(on_ground(self.prompt, None).text, "a fox on skis, 3d render")

    def test_opacity_is_what_grounds_do_not_shine_through(self):
        for opaque in 0, 0.25, 1:
            torch.testing.assert_close(opacity(HalfClear(opaque), self.prompt, 2), torch.tensor([[opaque, 1.0]]))


if __name__ == "__main__":
    unittest.main()
