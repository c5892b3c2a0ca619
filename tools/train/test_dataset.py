"""Checks how latents are stored for training."""
import json
import tempfile
import unittest
from pathlib import Path

import torch

from tools.train.dataset import give_unit_spread


class Spread(unittest.TestCase):
    def test_latents_and_the_autoencoders_scale_agree(self):
        torch.manual_seed(0)
        raw = [torch.randn(8, 4, 6, 6), torch.randn(4, 4, 4, 8)]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.json"
            path.write_text(json.dumps({"scaling_factor": 0.5, "shift_factor": 0.0}))
            buckets = [{"latents": (0.5 * latents).half()} for latents in raw]
            give_unit_spread(buckets, path)
            scale = json.loads(path.read_text())["scaling_factor"]
        stored = torch.cat([bucket["latents"].float().flatten() for bucket in buckets])
        self.assertAlmostEqual(stored.std().item(), 1, delta=1e-3)
        torch.testing.assert_close(buckets[0]["latents"].float(), scale * raw[0], atol=2e-3, rtol=2e-3)


if __name__ == "__main__":
    unittest.main()
