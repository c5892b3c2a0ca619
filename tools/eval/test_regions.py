"""Checks finding and cutting out on drawn shapes.  python -m unittest tools.eval.test_regions"""
import unittest

import torch

from tools.data.vocabulary import COLOURS
from tools.eval.judge import border_colours, own_colour
from tools.eval.regions import foreground, halves, labels, pieces, small_lab, square_crops, subject_boxes

SIDE = 128


def colour(name):
    return torch.tensor(COLOURS[name])[:, None, None] / 127.5 - 1


def picture(background, *blocks):
    """Blocks (left, top, right, bottom, colour) in pixels on a plain background."""
    pixels = colour(background).expand(3, SIDE, SIDE).clone()
    for left, top, right, bottom, name in blocks:
        pixels[:, top:bottom, left:right] = colour(name)
    return pixels[None]


class Regions(unittest.TestCase):
    def test_box_of_a_block(self):
        box = subject_boxes(picture("white", (32, 48, 96, 112, "red")))[0]
        for value, wanted in zip((box.left, box.top, box.right, box.bottom), (0.25, 0.375, 0.75, 0.875)):
            self.assertAlmostEqual(value, wanted, delta=0.02)

    def test_gradients_are_background(self):
        ramp = torch.linspace(-0.5, 0.5, SIDE).expand(1, 3, SIDE, SIDE)
        self.assertLess(foreground(ramp).float().mean().item(), 0.02)

    def test_nothing_found_gives_the_whole_picture(self):
        box = subject_boxes(picture("teal"))[0]
        self.assertEqual((box.left, box.right), (0.0, 1.0))

    def test_pieces_are_counted_without_crumbs(self):
        blocks = [(x, 40, x + 24, 80, "blue") for x in (8, 48, 88)]
        masks = foreground(picture("yellow", *blocks, (60, 100, 63, 103, "blue")))
        self.assertEqual(len(pieces(labels(masks)[0])), 3)

    def test_a_bent_piece_is_one_piece(self):
        bent = [(20, 20, 30, 110, "red"), (20, 100, 110, 110, "red"), (100, 20, 110, 110, "red")]
        self.assertEqual(len(pieces(labels(foreground(picture("white", *bent)))[0])), 1)

    def test_halves_cut_between_the_pieces(self):
        masks = foreground(picture("white", (10, 40, 40, 80, "red"), (60, 40, 120, 100, "blue")))
        left, right = halves(masks[0], pieces(labels(masks)[0]), 0)
        self.assertLess(left.right, right.left)

    def test_crops_show_the_block(self):
        pixels = picture("white", (8, 8, 40, 40, "red"))
        crop = square_crops(pixels, subject_boxes(pixels), 32)
        self.assertTrue(torch.allclose(crop[0, :, 16, 16], colour("red")[:, 0, 0], atol=0.02))

    def test_colours_are_named(self):
        for name in ("red", "navy", "lime", "beige"):
            pixels = picture("white" if name != "beige" else "black", (30, 30, 90, 90, name))
            lab = small_lab(pixels)
            self.assertEqual(own_colour(lab[0], foreground(pixels)[0]), name)
            self.assertEqual(border_colours(small_lab(picture(name))), [name])


if __name__ == "__main__":
    unittest.main()
