"""Checks which weights Muon moves, that it does so as torch does matrices, and that it goes on where it stopped."""
import copy
import unittest
from unittest.mock import patch

import torch
from torch import nn

from tools.train.optimizers import Muon, adamw, dealt, is_outer

RATE = 1e-2


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_in, self.conv, self.linear = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3), nn.Linear(6, 5)

    def forward(self, x):
        return self.linear(self.conv(self.conv_in(x)).mean((2, 3)))


def stepped(network, optimizer, times):
    """Moves the network so many times by gradients that depend on nothing but its weights."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(times):
        loss = network(torch.randn(4, 3, 7, 7, generator=generator)).square().mean()
        network.zero_grad()
        loss.backward()
        optimizer.step()


def moved(network, make, times=3):
    """The network after a few steps by a fresh optimizer."""
    network = copy.deepcopy(network)
    stepped(network, make(network, RATE, 0.01), times)
    return network


class Optimizers(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.network = Network()

    def test_a_convolution_moves_as_a_matrix_does_in_whatever_order_it_lies(self):
        weights = self.network.conv.weight
        matrix = nn.Parameter(weights.detach().flatten(1).clone())
        reference = torch.optim.Muon([matrix], RATE, 0.01, adjust_lr_fn="match_rms_adamw")
        stepped_once = moved(self.network, Muon, 1)
        loss = self.network(torch.randn(4, 3, 7, 7, generator=torch.Generator().manual_seed(1))).square().mean()
        loss.backward()
        matrix.grad = weights.grad.flatten(1).clone()
        reference.step()
        torch.testing.assert_close(stepped_once.conv.weight.flatten(1), matrix)
        by_channels = moved(self.network.to(memory_format=torch.channels_last), Muon, 1)
        self.assertFalse(by_channels.conv.weight.is_contiguous())
        torch.testing.assert_close(by_channels.conv.weight.flatten(1), matrix, atol=2e-4, rtol=0)
        self.assertGreater((matrix - weights.flatten(1)).abs().max(), 10 * 2e-4)

    def test_outer_layers_and_what_is_no_matrix_move_as_by_adamw(self):
        by_muon, by_adamw = moved(self.network, Muon, 1), moved(self.network, adamw, 1)
        for name, weights in by_muon.named_parameters():
            others = by_adamw.get_parameter(name)
            self.assertEqual(torch.equal(weights, others), name.startswith("conv_in") or name.endswith("bias"), name)

    def test_numbers_of_words_and_facts_are_outer(self):
        for name in ("generator.unet.conv_in.weight", "text_teacher.heads.0.weight", "text_teacher.to_sentence.weight",
                     "generator.text_encoder.text_model.embeddings.token_embedding.weight"):
            self.assertTrue(is_outer(name), name)
        for name in ("generator.text_encoder.text_model.encoder.layers.0.mlp.fc1.weight", "generator.unet.down_blocks.0.resnets.0.conv1.weight"):
            self.assertFalse(is_outer(name), name)

    def test_goes_on_where_it_stopped_on_fewer_cores(self):
        whole, parts = copy.deepcopy(self.network), copy.deepcopy(self.network)
        optimizer = Muon(parts, RATE, 0.01)
        stepped(parts, optimizer, 2)
        saved = copy.deepcopy(optimizer.state_dict())
        with patch("tools.train.optimizers.worker_count", return_value=1):
            optimizer = Muon(parts, RATE, 0.01)
        optimizer.load_state_dict(saved)
        stepped(parts, optimizer, 1)
        optimizer = Muon(whole, RATE, 0.01)
        stepped(whole, optimizer, 2)
        stepped(whole, optimizer, 1)
        for mine, other, first in zip(parts.parameters(), whole.parameters(), self.network.parameters()):
            torch.testing.assert_close(mine, other, atol=0, rtol=0)
            self.assertFalse(torch.equal(mine, first))

    def test_frozen_weights_stay(self):
        self.network.conv.requires_grad_(False)
        after = moved(self.network, Muon)
        torch.testing.assert_close(after.conv.weight, self.network.conv.weight, atol=0, rtol=0)

    def test_matrices_are_dealt_evenly(self):
        matrices = [torch.empty(8, 8 * size) for size in (1, 4, 2, 1)]
        self.assertEqual(sorted(sum(matrix.shape[1] for matrix in share) for share in dealt(matrices, 2)), [32, 32])
        self.assertEqual(len(dealt(matrices[:1], 2)), 1)


if __name__ == "__main__":
    unittest.main()
