"""Checks which latents the refiner learns from, which judge it, and that it is told of blurred edges."""
import unittest

import torch

from tools.train.refiner import Examples, edges_around


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
    def test_count_the_less_the_more_they_are_blurred_and_wherever_they_are(self):
        def edge(width, place=21.5):
            row = ((torch.arange(46.0) - place) / width).clamp(-0.5, 0.5)
            return edges_around(row.expand(1, 3, 46, 46))[0, 0, 1, 1].item()

        self.assertGreater(edge(1), 1.5 * edge(3))
        self.assertGreater(edge(3), 1.5 * edge(9))
        self.assertAlmostEqual(edge(3, 19.5), edge(3, 25.5), places=4)


if __name__ == "__main__":
    unittest.main()
