"""Measures between sets of pictures, and of how clean pictures are."""
from itertools import combinations

import torch
import torch.nn.functional as F

from tools.eval.features import fit_side

KID_SUBSETS = 50
KID_SUBSET_SIZE = 100

STRONG_EDGES = 0.05
FLAT_RANGE = 0.03
SPECKLE = 0.02
# How many pixels apart specks of two pictures still are the same detail.
SPECK_REACH = 2
GREY = (0.299, 0.587, 0.114)


def frechet_distance(a, b):
    """FID between two sets of features [n, d]. Small sets bias it upwards: compare only sets of equal size."""
    a, b = a.double(), b.double()
    mean_gap = (a.mean(0) - b.mean(0)).pow(2).sum()
    # The trace of the root of the covariances' product is the sum of the singular values of the centred sets' product;
    # their triangular factors serve as well and are at most as long as the features.
    left, right = (torch.linalg.qr((x - x.mean(0)) / (len(x) - 1) ** 0.5, mode="r").R for x in (a, b))
    shared = torch.linalg.svdvals(left @ right.T).sum()
    return (mean_gap + left.pow(2).sum() + right.pow(2).sum() - 2 * shared).item()


def kernel(a, b):
    """The cubic kernel of KID."""
    return (a @ b.T / a.shape[1] + 1) ** 3


def kernel_distance(a, b):
    """KID: mean and standard deviation over fixed random subsets. Unbiased, so sets may differ in size."""
    generator = torch.Generator().manual_seed(0)
    size = min(KID_SUBSET_SIZE, len(a), len(b))
    values = []
    for _ in range(KID_SUBSETS):
        x, y = (s[torch.randperm(len(s), generator=generator)[:size]].double() for s in (a, b))
        own = sum((k.sum() - k.trace()) / (size * (size - 1)) for k in (kernel(x, x), kernel(y, y)))
        values.append(own - 2 * kernel(x, y).mean())
    values = torch.stack(values)
    return values.mean().item(), values.std().item()


def nearest_distances(queries, gallery):
    """For each row of features the cosine distance to the nearest of the gallery."""
    return 1 - (F.normalize(queries, dim=1) @ F.normalize(gallery, dim=1).T).amax(1)


def mean_pairwise_distance(features):
    """Mean cosine distance between all pairs of rows."""
    features = F.normalize(features, dim=1)
    pairs = list(combinations(range(len(features)), 2))
    return sum(1 - (features[i] @ features[j]).item() for i, j in pairs) / len(pairs)


def mean_pairwise_perceptual(extractor, pictures):
    """Mean perceptual distance between all pairs of pictures."""
    first, second = zip(*combinations(range(len(pictures)), 2))
    return extractor.perceptual_distance(pictures[list(first)], pictures[list(second)]).mean().item()


def grey_levels(pictures, side):
    """Brightness in 0..1 [n, 1, side, side]."""
    weights = torch.tensor(GREY, device=pictures.device)
    return torch.einsum("nchw,c->nhw", (fit_side(pictures, side) + 1) / 2, weights)[:, None].cpu()


def edge_sharpness(pictures, side):
    """Mean gradient at the strongest edges of each picture [n], in brightness per pixel at this side."""
    grey = grey_levels(pictures, side)
    across = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]
    down = grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    gradient = (across.pow(2) + down.pow(2)).sqrt().flatten(1) / 2
    strongest = gradient.topk(max(1, int(STRONG_EDGES * gradient.shape[1])), dim=1).values
    return strongest.mean(1)


def specks(pictures, side):
    """Which pixels in flat regions stick out from the median of their 3 x 3 neighbourhood, and which are in such regions [n, 1, side, side].

    A region is flat where the medians in a 5 x 5 window hardly differ.
    """
    grey = F.pad(grey_levels(pictures, side), (1, 1, 1, 1), mode="replicate")
    windows = F.unfold(grey, 3).unflatten(2, (side, side))
    middle = windows.median(1, keepdim=True).values
    spread = F.max_pool2d(middle, 5, 1, 2) + F.max_pool2d(-middle, 5, 1, 2)
    flat = spread < FLAT_RANGE
    sticks_out = (windows[:, 4:5] - middle).abs() > SPECKLE
    return sticks_out & flat, flat


def speckle(pictures, side):
    """Share of the pixels in flat regions that are specks [n]."""
    found, flat = specks(pictures, side)
    return found.sum((1, 2, 3)) / flat.sum((1, 2, 3)).clamp(min=1)


def stray_speckle(pictures, wanted, side):
    """Share of the pixels in flat regions that are specks where the wanted pictures have none near [n]."""
    found, flat = specks(pictures, side)
    near = F.max_pool2d(specks(wanted, side)[0].float(), 2 * SPECK_REACH + 1, 1, SPECK_REACH) > 0
    return (found & ~near).sum((1, 2, 3)) / flat.sum((1, 2, 3)).clamp(min=1)
