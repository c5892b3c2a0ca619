"""Checks the measures on pictures and features made up here.  python -m unittest tools.eval.test_distances"""
import unittest

import torch

from tools.eval.distances import (
    edge_sharpness, frechet_distance, kernel_distance, mean_pairwise_distance, nearest_distances, speckle, stray_speckle,
)
from tools.eval.report import interval, share

SIDE = 64


def normal(count, width, seed, shift=0.0, scale=1.0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) * scale + shift


def step_edge(softness):
    """A dark and a light half with a passage between them."""
    ramp = torch.sigmoid((torch.arange(SIDE) - SIDE / 2 + 0.5) / softness) * 2 - 1
    return ramp.expand(1, 3, SIDE, SIDE)


class Distances(unittest.TestCase):
    def test_frechet_distance_of_known_normals(self):
        a, b = normal(20000, 3, 1), normal(20000, 3, 2, shift=1.0, scale=2.0)
        # Each of three axes adds 1 for the means and (2 - 1) squared for the spreads.
        self.assertAlmostEqual(frechet_distance(a, b), 6.0, delta=0.2)
        self.assertAlmostEqual(frechet_distance(a, a), 0.0, places=6)

    def test_kernel_distance_is_about_zero_only_for_the_same_source(self):
        same, spread = kernel_distance(normal(300, 8, 1), normal(200, 8, 2))
        other, _ = kernel_distance(normal(300, 8, 1), normal(200, 8, 2, shift=0.5))
        self.assertLess(abs(same), 2 * spread)
        self.assertGreater(other, 5 * spread)

    def test_nearest_and_pairwise_distances(self):
        gallery = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        self.assertTrue(torch.allclose(nearest_distances(torch.tensor([[2.0, 0.0]]), gallery), torch.zeros(1)))
        self.assertAlmostEqual(mean_pairwise_distance(gallery), 1.0)

    def test_sharper_edges_measure_higher(self):
        sharp, soft = edge_sharpness(step_edge(0.3), SIDE), edge_sharpness(step_edge(3), SIDE)
        self.assertGreater(sharp.item(), 1.5 * soft.item())

    def test_speckle_counts_stray_pixels_but_not_edges(self):
        picture = step_edge(0.3).clone()
        self.assertEqual(speckle(picture, SIDE).item(), 0)
        picture[:, :, 10, 10] += 0.2
        picture[:, :, 50, 20] += 0.2
        self.assertAlmostEqual(speckle(picture, SIDE).item() * SIDE * SIDE, 2, delta=0.6)

    def test_specks_are_stray_where_the_wanted_picture_has_none(self):
        shown, wanted = step_edge(0.3).clone(), step_edge(0.3).clone()
        for y, x in (10, 10), (50, 20):
            shown[:, :, y, x] += 0.2
        self.assertEqual(stray_speckle(shown, shown, SIDE).item(), 0)
        wanted[:, :, 11, 12] += 0.2
        self.assertAlmostEqual(stray_speckle(shown, wanted, SIDE).item() * SIDE * SIDE, 1, delta=0.3)


class Report(unittest.TestCase):
    def test_interval_holds_the_share(self):
        low, high = interval(45, 50)
        self.assertTrue(low < 0.9 < high)
        self.assertEqual(interval(50, 50)[1], 1.0)
        self.assertEqual(share(45, 50), "90.0 (79-96)")


if __name__ == "__main__":
    unittest.main()
