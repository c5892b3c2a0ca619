"""Finds what stands out from the background, without any learned part: masks, connected pieces and crops.

The background is taken to be a plane in each Lab channel fitted to the picture's border. That holds for plain
backgrounds and mild gradients; prompts with other backdrops are not judged by what is found here.
"""
from dataclasses import dataclass

import torch
import torch.nn.functional as F

MASK_SIDE = 64
BORDER = 3
VISIBLE = 9.0
CROP_MARGIN = 1.12

# A piece counts as an object of its own from this share of the largest piece on, and this share of the picture.
PIECE_OF_LARGEST = 0.25
PIECE_OF_PICTURE = 0.004

RGB_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
WHITE = (0.9505, 1.0, 1.089)


@dataclass(frozen=True)
class Box:
    """A part of a picture in units of its width and height, and its area in mask cells."""

    left: float
    top: float
    right: float
    bottom: float
    area: int = 0

    @property
    def centre(self):
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


WHOLE = Box(0.0, 0.0, 1.0, 1.0)


def to_lab(pictures):
    """CIE Lab of pictures in [-1, 1], [n, 3, h, w]."""
    rgb = (pictures.float().clamp(-1, 1) + 1) / 2
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = torch.einsum("dc,nchw->ndhw", torch.tensor(RGB_TO_XYZ, device=rgb.device), linear)
    xyz = xyz / torch.tensor(WHITE, device=rgb.device)[:, None, None]
    f = torch.where(xyz > 0.008856, xyz.clamp(min=1e-6) ** (1 / 3), 7.787 * xyz + 16 / 116)
    return torch.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


def on_border(side, width):
    """Which cells of a square lie near its edge."""
    inner = torch.zeros(side, side, dtype=torch.bool)
    inner[width:-width, width:-width] = True
    return ~inner


def background(lab):
    """The plane through the border's colours [n, 3, side, side]; what sticks out at the border is left out."""
    side = lab.shape[-1]
    line = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(line, line, indexing="ij")
    plane = torch.stack([torch.ones_like(x), x, y], -1)
    rim = on_border(side, BORDER)
    terms, values = plane[rim], lab.permute(0, 2, 3, 1)[:, rim]
    weights = torch.ones(values.shape[:2])
    middle = values.median(1, keepdim=True).values
    weights = ((values - middle).norm(dim=-1) < 40).float()
    for _ in range(4):
        normal = torch.einsum("np,pi,pj->nij", weights, terms, terms) + 1e-3 * torch.eye(3)
        right = torch.einsum("np,pi,npc->nic", weights, terms, values)
        solution = torch.linalg.solve(normal, right)
        residual = (values - terms @ solution).norm(dim=-1)
        weights = (residual < 2.5 * residual.median(1, keepdim=True).values + 2).float()
    return torch.einsum("hwi,nic->nchw", plane, solution)


def shrink(pictures):
    """The pictures at the masks' resolution."""
    return F.interpolate(pictures.float().cpu(), size=(MASK_SIDE, MASK_SIDE), mode="area")


def small_lab(pictures):
    """Lab at the masks' resolution."""
    return to_lab(shrink(pictures))


def foreground(pictures):
    """Where the picture differs visibly from its background: bool [n, 64, 64]."""
    lab = small_lab(pictures)
    return (lab - background(lab)).norm(dim=1) > VISIBLE


def labels(masks):
    """A number for each connected piece, the same on all its cells; 0 outside."""
    ids = torch.arange(1, masks[0].numel() + 1).view(1, *masks.shape[1:]).float() * masks
    while True:
        spread = F.max_pool2d(ids[:, None], 3, 1, 1)[:, 0] * masks
        if torch.equal(spread, ids):
            return ids.long()
        ids = spread


def box_of(mask):
    """The box around the marked cells of one picture; the whole picture if there are none."""
    ys, xs = mask.nonzero(as_tuple=True)
    if not len(ys):
        return WHOLE
    side = mask.shape[-1]
    return Box(*(v.item() / side for v in (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)), len(ys))


def pieces(numbered):
    """Boxes of the pieces of one labelled picture that are large enough to be objects, largest first."""
    ids, areas = numbered[numbered > 0].unique(return_counts=True)
    if not len(ids):
        return []
    least = max(PIECE_OF_LARGEST * areas.max().item(), PIECE_OF_PICTURE * numbered.numel())
    boxes = [box_of(numbered == i) for i, area in zip(ids, areas) if area >= least]
    return sorted(boxes, key=lambda box: -box.area)


def subject_boxes(pictures):
    """For each picture the box around everything that stands out."""
    return [box_of(mask) for mask in foreground(pictures)]


def halves(mask, found, axis):
    """The boxes of the first and second object along an axis (0 across, 1 down) of one picture.

    The cut is half-way between the two largest pieces, or in the middle when they are not apart.
    """
    cut = 0.5
    if len(found) >= 2:
        first, second = sorted(found[:2], key=lambda box: box.centre[axis])
        ends = (first.right, second.left) if axis == 0 else (first.bottom, second.top)
        cut = sum(ends) / 2
    position = (torch.arange(mask.shape[-1]) + 0.5) / mask.shape[-1] < cut
    before = mask & (position[None] if axis == 0 else position[:, None])
    return box_of(before), box_of(mask & ~before)


def square_crops(pictures, boxes, side):
    """Square cuts around the boxes, with a margin; beyond the picture its edge is continued."""
    height, width = pictures.shape[-2:]
    rows = []
    for box in boxes:
        reach = CROP_MARGIN * max((box.right - box.left) * width, (box.bottom - box.top) * height)
        x, y = box.centre
        rows.append([[reach / width, 0, 2 * x - 1], [0, reach / height, 2 * y - 1]])
    grid = F.affine_grid(torch.tensor(rows), (len(boxes), 3, side, side), align_corners=False)
    return F.grid_sample(pictures.float().cpu(), grid, padding_mode="border", align_corners=False)
