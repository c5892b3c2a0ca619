"""Random weights from few values: exact in float16, and in git a fifth of their size on disk."""

import math

import torch

# Multiples of a power of two, so that the lower byte of every float16 is zero.
LEVELS = torch.arange(-2, 3) / 2
# Rows differ in size, so that whatever scales rows or blocks by itself has to find that out.
ROW_SCALES = torch.tensor([0.5, 1.0])


def pick(values, shape, generator):
    return values[torch.randint(len(values), shape, generator=generator)]


def weights(shape, generator, fan_in=None):
    """Keeps activations near 1 where `fan_in` products are summed."""
    fan_in = fan_in or math.prod(shape[1:])
    scale = 2.0 ** round(math.log2(2 / fan_in**0.5))
    rows = pick(ROW_SCALES, (shape[0], *[1] * (len(shape) - 1)), generator)
    return scale * rows * pick(LEVELS, shape, generator)


def fill(module, generator):
    """Gives every parameter of `module` new values, also those that start as zero or one."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "embedding.weight" in name:
                values = 0.5 * pick(LEVELS, parameter.shape, generator)
            elif parameter.dim() > 1:
                values = weights(parameter.shape, generator)
            elif name.endswith("bias"):
                values = pick(LEVELS, parameter.shape, generator) / 4
            else:
                values = 1 + pick(LEVELS, parameter.shape, generator) / 2
            parameter.copy_(values)
    return module.eval()
