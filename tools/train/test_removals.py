"""Checks what is left of a UNet without some of its parts."""
import unittest

import torch

from tools.train.networks import build_unet, unet_config
from tools.train.presets import CHEAP_TO_LEAVE_OUT, PRESETS
from tools.train.removals import plain_config, removals, without


def unet():
    torch.manual_seed(0)
    network = build_unet(unet_config(PRESETS["smoke"].teacher, PRESETS["smoke"]))
    torch.nn.init.normal_(network.conv_out.weight, std=0.1)
    return network


class Without(unittest.TestCase):
    def test_the_named_parts_are_gone_and_the_rest_is_what_it_was(self):
        whole = unet()
        rest = without(whole, CHEAP_TO_LEAVE_OUT)
        self.assertIsNone(rest.mid_block)
        self.assertEqual(tuple(rest.config.down_block_types), ("DownBlock2D",) * 3)
        weights = whole.state_dict()
        for name, value in rest.state_dict().items():
            torch.testing.assert_close(value, weights[name])
        latents, states = torch.randn(2, 12, 8, 8), torch.randn(2, 5, 64)
        self.assertEqual(rest(latents, 500, states, class_labels=torch.randn(2, 64)).sample.shape, latents.shape)

    def test_what_is_gone_already_is_passed_over(self):
        rest = without(unet(), CHEAP_TO_LEAVE_OUT)
        again = without(rest, CHEAP_TO_LEAVE_OUT)
        self.assertEqual(again.state_dict().keys(), rest.state_dict().keys())

    def test_all_names_are_of_parts(self):
        self.assertLessEqual(set(CHEAP_TO_LEAVE_OUT), set(removals(plain_config(unet()))))


if __name__ == "__main__":
    unittest.main()
