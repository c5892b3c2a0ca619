"""Checks how latents are stored for training."""
import json
import tempfile
import unittest
from pathlib import Path

import torch

from tools.train.dataset import FACTS, NOT_STATED, LatentSet, evenly, give_unit_spread, keep_spread

END = 9


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

    def test_a_model_that_goes_on_keeps_its_scale(self):
        with tempfile.TemporaryDirectory() as folder:
            config, first = Path(folder) / "config.json", Path(folder) / "first.json"
            config.write_text(json.dumps({"scaling_factor": 0.5, "shift_factor": 0.1, "latent_channels": 12}))
            first.write_text(json.dumps({"scaling_factor": 0.7, "shift_factor": 0.2, "latent_channels": 4}))
            keep_spread(config, first)
            kept = json.loads(config.read_text())
        self.assertEqual(kept, {"scaling_factor": 0.7, "shift_factor": 0.2, "latent_channels": 12})


class Drawing(unittest.TestCase):
    def test_drawings_with_few_pictures_come_up_as_often_as_others(self):
        facts = torch.full((4, 2, len(FACTS)), NOT_STATED)
        for row, (thing, style) in enumerate(((1, 0), (1, 1), (1, 0), (2, 0))):
            facts[row, row % 2, FACTS.index("thing")] = thing
            facts[row, 0, FACTS.index("style")] = style
        torch.testing.assert_close(evenly(facts), torch.tensor([0.5, 1, 0.5, 1]))

    def test_empty_captions_can_be_left_out(self):
        tokens = torch.tensor([[[8, END, END], [8, 1, END]], [[8, 2, END], [8, 3, 4]], [[8, END, END], [8, END, END]]])
        bucket = dict(latents=torch.zeros(3, 1, 1, 1), tokens=tokens, facts=torch.zeros(3, 2, len(FACTS)))
        with tempfile.TemporaryDirectory() as folder:
            torch.save([bucket], f"{folder}/latents.pt")
            data = LatentSet(f"{folder}/latents.pt", torch.device("cpu"), 0)
            self.assertIn([8, END, END], data.draw(99).tokens.tolist())
            data.weigh([torch.tensor([1.0, 1.0, 0.0])])
            data.leave_out_empty(END)
            self.assertEqual({tuple(row) for row in data.draw(99).tokens.tolist()}, {(8, 1, END), (8, 2, END), (8, 3, 4)})

    def test_captions_that_leave_something_open_can_be_left_out(self):
        facts = torch.full((2, 3, len(FACTS)), NOT_STATED)
        facts[0, 1, :3], facts[0, 2, :2] = 4, 4
        bucket = dict(latents=torch.zeros(2, 1, 1, 1), tokens=torch.arange(6).view(2, 3, 1), facts=facts)
        with tempfile.TemporaryDirectory() as folder:
            torch.save([bucket], f"{folder}/latents.pt")
            data = LatentSet(f"{folder}/latents.pt", torch.device("cpu"), 0)
            data.leave_out_open(0.5)
            # The second picture has none that is complete, and keeps all.
            self.assertEqual(set(data.draw(99).tokens.flatten().tolist()), {1, 3, 4, 5})

    def test_the_usual_caption_comes_up_as_often_as_told(self):
        bucket = dict(latents=torch.zeros(1, 1, 1, 1), tokens=torch.arange(5).view(1, 5, 1), facts=torch.zeros(1, 5, len(FACTS)))
        with tempfile.TemporaryDirectory() as folder:
            torch.save([bucket], f"{folder}/latents.pt")
            data = LatentSet(f"{folder}/latents.pt", torch.device("cpu"), 0)
            data.leave_out_open(0.7)
            usual = (data.draw(1000).tokens == 0).float().mean().item()
        self.assertAlmostEqual(usual, 0.7, delta=0.06)

    def test_weights_do_not_change_how_often_a_shape_comes_up(self):
        def bucket(count, width):
            facts = torch.zeros(count, 1, len(FACTS))
            return dict(latents=torch.zeros(count, 1, 1, width), tokens=torch.zeros(count, 1, 2), facts=facts)

        with tempfile.TemporaryDirectory() as folder:
            torch.save([bucket(30, 1), bucket(10, 2)], f"{folder}/latents.pt")
            data = LatentSet(f"{folder}/latents.pt", torch.device("cpu"), 0)
            data.weigh([torch.full((30,), 0.1), torch.full((10,), 5.0)])
            wide = sum(data.draw(1).latents.shape[-1] == 2 for _ in range(400))
        self.assertAlmostEqual(wide / 400, 0.25, delta=0.08)


if __name__ == "__main__":
    unittest.main()
