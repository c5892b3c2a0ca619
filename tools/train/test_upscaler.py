"""Checks the upscaler and what it learns from."""
import unittest

import torch
import torch.nn.functional as F

from tools.train.unpack import build_upscaler
from tools.train.upscaler import Bank, KEPT_ASIDE, Upscaler, WINDOW, blurred, bytes_of, floats_of, sharpness


class Upscaling(unittest.TestCase):
    def test_begins_with_doubled_pixels(self):
        picture = torch.rand(2, 3, 6, 10) * 2 - 1
        doubled = F.interpolate(picture, scale_factor=2, mode="nearest")
        self.assertTrue(torch.equal(Upscaler(8, 1)(picture), doubled))

    def test_blur_softens_edges_and_keeps_the_ground(self):
        picture = torch.full((1, 3, 32, 32), -0.5)
        picture[..., 16:] = 0.5
        soft = blurred(picture, 1.5)
        self.assertLess(sharpness(soft), 0.5 * sharpness(picture))
        self.assertTrue(torch.allclose(soft[..., :8], picture[..., :8], atol=1e-6))

    def test_windows_show_the_same_part_at_both_sizes(self):
        bank = Bank.__new__(Bank)
        small = torch.rand(KEPT_ASIDE + 4, 3, 128, 128) * 2 - 1
        bank.decoded = bytes_of(small)
        bank.drawn = F.interpolate(bank.decoded.float(), scale_factor=2, mode="nearest").byte()
        bank.device = torch.device("cpu")
        torch.manual_seed(0)
        agreeing = 0
        for _ in range(10):
            given, wanted = bank.draw(1)
            self.assertEqual((given.shape[-1], wanted.shape[-1]), (WINDOW, 2 * WINDOW))
            agreeing += torch.equal(F.interpolate(given, scale_factor=2, mode="nearest"), wanted)
        self.assertGreater(agreeing, 0, "those that are not blurred")

    def test_a_package_gives_back_what_was_packed(self):
        upscaler = Upscaler(8, 1).half().float()
        weights = {name: value.clone() for name, value in upscaler.state_dict().items()}
        unpacked = build_upscaler(upscaler.config, weights)
        picture = torch.rand(1, 3, 6, 10)
        self.assertTrue(torch.equal(unpacked(picture), upscaler(picture)))

    def test_bytes_come_back(self):
        self.assertLess((floats_of(bytes_of(torch.tensor([-1.0, 0.3, 1.0]))) - torch.tensor([-1.0, 0.3, 1.0])).abs().max(), 0.005)


if __name__ == "__main__":
    unittest.main()
