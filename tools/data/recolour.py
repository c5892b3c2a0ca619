"""Gives drawings another colour and keeps their shading, their eyes and their outlines."""
import torch

# Chroma (largest minus smallest channel) from which a texel counts as coloured, and the width of the passage.
VIVID, PALE, PASSAGE = 0.12, 0.35, 0.2
# A drawing with a smaller coloured share than this is a grey or white one: its light parts are coloured too.
LEAST_SHARE = 0.45
HIGHLIGHT = 0.75


def recolour(drawings, colours):
    """Premultiplied drawings [n, 4, h, w] whose own colours become shades of the given ones [n, 3]."""
    alpha = drawings[:, 3:]
    straight = drawings[:, :3] / alpha.clamp(min=1 / 255)
    light = (straight * straight.new_tensor([0.3, 0.59, 0.11])[:, None, None]).sum(1, keepdim=True)
    mask = coloured_share(straight, light, alpha)
    weight = mask * alpha
    mean = (light * weight).sum((1, 2, 3), True) / weight.sum((1, 2, 3), True).clamp(min=1e-3)
    mean = mean.clamp(0.05, 0.95)
    target = colours[:, :, None, None]
    shade = target * (light / mean).clamp(max=1)
    shade = torch.lerp(shade, torch.ones_like(shade), HIGHLIGHT * ((light - mean) / (1 - mean)).clamp(0, 1) ** 2)
    return torch.cat([torch.lerp(straight, shade, mask) * alpha, alpha], 1)


def coloured_share(straight, light, alpha):
    """How much each texel takes the new colour [n, 1, h, w]."""
    chroma = straight.amax(1, keepdim=True) - straight.amin(1, keepdim=True)
    vivid = ((chroma - VIVID) / PASSAGE).clamp(0, 1)
    pale = torch.maximum(vivid, ((light - PALE) / PASSAGE).clamp(0, 1))
    mask = torch.where(covers(pale, alpha), pale, torch.ones_like(pale))
    return torch.where(covers(vivid, alpha), vivid, mask)


def covers(mask, alpha):
    """Whether a mask takes in enough of a drawing to carry its colour [n, 1, 1, 1]."""
    share = (mask * alpha).sum((1, 2, 3)) / alpha.sum((1, 2, 3)).clamp(min=1)
    return (share >= LEAST_SHARE)[:, None, None, None]
