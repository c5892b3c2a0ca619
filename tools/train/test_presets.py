"""Checks that what a preset trains from nothing fits the package that is promised."""
import unittest

import torch

from tools.train.networks import build_unet, unet_config
from tools.train.presets import PRESETS
from tools.train.prune import parameters
from tools.train.refiner import LatentRefiner
from tools.train.removals import plain_config, removals

# Of 40 MB the text encoder takes up to four, the autoencoder, the scales and the names of things three.
UNETS = 33e6


def smallest(config):
    """The configuration that is left when everything is left out, the largest part first."""
    while found := removals(config):
        config = min(found.values(), key=lambda smaller: parameters(build_unet(smaller)))
    return config


class FromNothing(unittest.TestCase):
    def test_a_denoiser_and_a_refiner_as_large_fit(self):
        for preset in PRESETS.values():
            if preset.goes_on_from:
                continue
            with self.subTest(preset.name), torch.device("meta"):
                config = plain_config(build_unet(unet_config(preset.teacher, preset)))
                whole, most = parameters(build_unet(config)), preset.student_parameters or float("inf")
                more = parameters(LatentRefiner(config, 1)) - whole
                self.assertLess(2 * min(whole, most) + more, UNETS)
                self.assertLessEqual(parameters(build_unet(smallest(config))), most, "pruning cannot reach that")


if __name__ == "__main__":
    unittest.main()
