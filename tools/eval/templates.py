"""Small pictures of all drawings, to be compared colour by colour with what is cut out of a picture.

The ImageNet features alone mistake blurred pictures more often than the eye does, and confuse styles that share their
outlines. Colours at low resolution are the better judge there, though only of things in the drawings' own pose.
"""
import torch
import torch.nn.functional as F

from tools.data.recolour import recolour
from tools.data.shapes import rgb
from tools.eval.features import BATCH
from tools.eval.regions import MASK_SIDE, box_of, square_crops, to_lab

CROP_SIDE = 96
COMPARED_SIDE = 16
OPAQUE = 0.1


def shrunk(crops):
    """Crops at the compared size."""
    return F.interpolate(crops, size=COMPARED_SIDE, mode="area")


def small_crops(pictures, boxes):
    """Lab of the boxes' contents at low resolution [n, 3, 16, 16]."""
    return to_lab(shrunk(square_crops(pictures, boxes, CROP_SIDE)))


def both_ways(pictures):
    """The pictures and their mirror images [2, n, ...]."""
    return torch.stack([pictures, pictures.flip(-1)])


def colour_difference(lab, others):
    """Mean distance of the colours of one small picture to others, mirrored or not [n]."""
    return (both_ways(others) - lab).norm(dim=2).mean((2, 3)).amin(0)


class Templates:
    """All drawings, cut out and small, with their transparency."""

    def __init__(self, drawings):
        """From premultiplied drawings, uint8 [n, 4, side, side]."""
        small = []
        for batch in drawings.split(BATCH):
            batch = batch.cpu().float() / 255
            opaque = F.interpolate(batch[:, 3:], size=MASK_SIDE, mode="area")[:, 0] > OPAQUE
            batch = F.interpolate(batch, size=CROP_SIDE, mode="area")
            small.append(shrunk(square_crops(batch, [box_of(mask) for mask in opaque], CROP_SIDE)))
        self.pictures = torch.cat(small)

    def differences(self, lab, ground, positions, own_colour=None):
        """How far the drawings at some positions, in another colour if one is named, laid on a ground of one colour (0..1), are from a
        small crop [n]."""
        return colour_difference(lab, self.on_ground(positions, ground, own_colour))

    def on_ground(self, positions, ground, own_colour=None):
        """Lab of the drawings at some positions, laid on a ground of one colour [n, 3, 16, 16]."""
        chosen = self.pictures[positions]
        if own_colour:
            chosen = recolour(chosen, rgb([own_colour], chosen.device).expand(len(chosen), -1))
        return to_lab((chosen[:, :3] + (1 - chosen[:, 3:]) * ground[:, None, None]) * 2 - 1)
