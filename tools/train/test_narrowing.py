"""Checks which channels a narrower UNet keeps, and that it keeps them everywhere."""
import unittest

import torch

from tools.train.narrowing import axes_of, fitted, importance, narrowed, strongest, waves
from tools.train.presets import CHEAP_TO_LEAVE_OUT
from tools.train.removals import without
from tools.train.test_removals import unet

CHANNELS = (16, 32, 48)
FITTED = "time_embedding.linear_1.weight"


class Narrowed(unittest.TestCase):
    def test_every_weight_has_axes(self):
        for network in (unet(), without(unet(), CHEAP_TO_LEAVE_OUT)):
            self.assertEqual(axes_of(network).keys(), network.state_dict().keys())

    def test_as_many_channels_are_the_same_network(self):
        whole = unet()
        same, _ = narrowed(whole, tuple(whole.config.block_out_channels))
        weights = whole.state_dict()
        for name, value in same.state_dict().items():
            if name != FITTED:
                torch.testing.assert_close(value, weights[name], msg=name)

    def test_fewer_channels_are_those_of_the_stream_in_every_layer(self):
        whole = unet()
        small, kept = narrowed(whole, CHANNELS)
        self.assertEqual(tuple(small.config.block_out_channels), CHANNELS)
        before, after, stream = whole.state_dict(), small.state_dict(), kept["level 1"]
        for name in ("down_blocks.1.downsamplers.0.conv.weight", "up_blocks.1.upsamplers.0.conv.weight"):
            torch.testing.assert_close(after[name], before[name][stream][:, stream])
        # What the second level reads of the first, and behind the upper level's what it took up on the way down.
        name = "down_blocks.1.resnets.0.conv1.weight"
        inner = kept["down_blocks.1.resnets.0 inner"]
        torch.testing.assert_close(after[name], before[name][inner][:, kept["level 0"]])
        name = "up_blocks.1.resnets.0.norm1.weight"
        torch.testing.assert_close(after[name], before[name][torch.cat([kept["level 2"], stream + 64])])
        latents, states = torch.randn(2, 12, 8, 8), torch.randn(2, 5, 64)
        self.assertEqual(small(latents, 500, states, class_labels=torch.randn(2, 64)).sample.shape, latents.shape)

    def test_every_group_and_head_loses_its_weakest_channels(self):
        whole = unet()
        axes = axes_of(whole)
        level, heads = "level 0", "up_blocks.0.attentions.0.transformer_blocks.0.attn1 heads"
        # All the weakest are in the same half, which without groups would go whole.
        with torch.no_grad():
            for weight, sets in axes.items():
                for axis, members in enumerate(sets):
                    if members in ((level,), (heads,)):
                        half = whole.state_dict()[weight].shape[axis] // 2
                        whole.state_dict()[weight].narrow(axis, 0, half).mul_(0.01)
        found, (_, kept) = importance(whole.state_dict(), axes), narrowed(whole, CHANNELS)
        self.assertLess(found[level][:16].max(), found[level][16:].min())
        self.assertEqual((kept[level] // 2).tolist(), list(range(16)))
        # Of two heads of 32 channels each, 24.
        self.assertEqual((kept[heads] // 32).bincount().tolist(), [24, 24])
        self.assertTrue(all(found[level][place] >= found[level][place ^ 1] for place in kept[level].tolist()))


class Strongest(unittest.TestCase):
    def test_every_group_keeps_as_many_in_their_order(self):
        values = torch.tensor([9.0, 8, 7, 1, 2, 3])
        self.assertEqual(strongest(values, 4, 2).tolist(), [0, 1, 4, 5])
        self.assertEqual(strongest(values, 3, 1).tolist(), [0, 1, 2])


class Fitted(unittest.TestCase):
    def test_fewer_waves_give_nearly_what_slow_ones_gave(self):
        torch.manual_seed(0)
        weight = torch.randn(48, 32)
        # The first of the cosines and of the sines turn within a few of the thousand times.
        weight[:, :8] = weight[:, 16:24] = 0
        before, after = waves(32) @ weight.T, waves(24) @ fitted(weight, 24).T
        self.assertEqual(fitted(weight, 24).shape, (48, 24))
        self.assertLess((after - before).std(), 0.05 * before.std())


if __name__ == "__main__":
    unittest.main()
