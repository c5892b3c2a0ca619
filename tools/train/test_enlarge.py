"""Checks that drawings are found again where they were put, and how a model grows.  python -m unittest tools.train.test_enlarge"""
import tempfile
import unittest

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny

from tools.train.enlarge import FIT_TEXELS, enlarged, fit, laid
from tools.train.unpack import decoder_names

BLOCKS = (1, 2, 0)


def small_autoencoder():
    return AutoencoderTiny(
        latent_channels=3, encoder_block_out_channels=(8,) * 3, decoder_block_out_channels=(8,) * 3,
        num_encoder_blocks=(0, 1, 1), num_decoder_blocks=BLOCKS, scaling_factor=0.9, shift_factor=-0.1,
    ).eval()


class Fitting(unittest.TestCase):
    def test_finds_place_size_and_side(self):
        torch.manual_seed(0)
        shape = F.interpolate(torch.rand(2, 4, 6, 6), size=FIT_TEXELS, mode="bicubic").clamp(0, 1)
        shape[:, :3] *= shape[:, 3:]
        grounds = torch.tensor([[0.1, 0.2, 0.9], [0.9, 0.8, 0.1]])
        places, mirror = torch.tensor([[0.51, 0.49, 0.81], [0.49, 0.505, 0.86]]), torch.tensor([1.0, -1.0])
        found, side, error = fit(shape, grounds, laid(shape, grounds, places, mirror))
        self.assertTrue(torch.equal(side, mirror))
        self.assertLess((found - places).abs().max().item(), 0.002)
        self.assertLess(error.max().item(), 1e-4)


class Growing(unittest.TestCase):
    def test_a_decoder_with_one_more_stage_draws_the_same_twice_as_large(self):
        torch.manual_seed(0)
        old = small_autoencoder()
        with tempfile.TemporaryDirectory() as folder:
            old.save_pretrained(folder)
            new = enlarged(folder).eval()
        self.assertEqual((new.config.scaling_factor, new.config.shift_factor), (0.9, -0.1))
        with torch.no_grad():
            latents = torch.randn(1, 3, 8, 8)
            small, large = old.decoder(latents), new.decoder(latents)
        self.assertEqual(large.shape[-1], 2 * small.shape[-1])
        # The last convolution works at twice the resolution, so only flat regions agree exactly.
        self.assertLess((F.avg_pool2d(large, 2) - small)[..., 2:-2, 2:-2].abs().mean(), 0.5 * small.std())


class Unpacking(unittest.TestCase):
    def test_every_layer_of_a_decoder_has_a_name(self):
        layers = {name.rpartition(".")[0].removeprefix("layers.") for name in small_autoencoder().decoder.state_dict()}
        self.assertEqual(set(decoder_names(BLOCKS).values()), layers)


if __name__ == "__main__":
    unittest.main()
