"""Checks which latents the refiner learns from, which judge it, and what counts as an edge that is off."""
import unittest

import torch

from tools.train.refiner import Examples, edge_error


class KeptAside(unittest.TestCase):
    def test_what_is_kept_aside_is_never_trained_on(self):
        aside = torch.tensor([True, False, False, True, False])
        latents = torch.arange(5.0).view(5, 1, 1, 1)
        examples = Examples([dict(made=latents, wanted=latents + 10, aside=aside)])
        made, wanted = examples.draw(200)
        self.assertEqual(set(made.flatten().tolist()), {1, 2, 4})
        torch.testing.assert_close(wanted, made + 10)
        self.assertEqual(examples.kept_aside()[1].flatten().tolist(), [10, 13])


class Edges(unittest.TestCase):
    def test_one_that_is_blurred_or_elsewhere_is_an_error_and_one_of_another_brightness_is_not(self):
        def edge(width, place=21.5):
            return ((torch.arange(46.0) - place) / width).clamp(-0.5, 0.5).expand(1, 3, 46, 46)

        wanted = edge(1)
        self.assertEqual(edge_error(edge(1) + 0.2 - wanted).round(decimals=6), 0)
        blurred, moved = edge_error(edge(3) - wanted), edge_error(edge(1, 25.5) - wanted)
        self.assertGreater(blurred, 0)
        self.assertGreater(moved, blurred)


if __name__ == "__main__":
    unittest.main()
