"""Checks which latents the refiner learns from, and which judge it."""
import unittest

import torch

from tools.train.refiner import Examples


class KeptAside(unittest.TestCase):
    def test_what_is_kept_aside_is_never_trained_on(self):
        aside = torch.tensor([True, False, False, True, False])
        latents = torch.arange(5.0).view(5, 1, 1, 1)
        examples = Examples([dict(made=latents, wanted=latents + 10, aside=aside)])
        made, wanted = examples.draw(200)
        self.assertEqual(set(made.flatten().tolist()), {1, 2, 4})
        torch.testing.assert_close(wanted, made + 10)
        self.assertEqual(examples.kept_aside()[1].flatten().tolist(), [10, 13])


if __name__ == "__main__":
    unittest.main()
