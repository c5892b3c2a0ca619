"""Checks what few-step models learn where their own steps have led them, and that nothing stale is gone on from."""
import tempfile
import unittest
from pathlib import Path

import torch

from tools.train.common import Checkpoint
from tools.train.dataset import Batch
from tools.train.few_step import draw_way, own_way_loss
from tools.train.networks import Generator
from tools.train.schedule import FOLLOWS_VELOCITY, NOISES_ANEW
from tools.train.teacher import mix, spread_normal

WANTED = torch.full((3, 2, 4, 4), 0.5)


class LeadsBeside(Generator):
    """Its velocity leads from anywhere to the wanted latents, but for so much; keeps where it was asked, and whether to learn."""

    def __init__(self, off, schedule=FOLLOWS_VELOCITY):
        torch.nn.Module.__init__(self)
        self.device, self.off, self.schedule, self.asked = torch.device("cpu"), off, schedule, []

    def read(self, token_ids):
        return token_ids

    def velocity(self, latents, times, text):
        self.asked.append((latents, times, torch.is_grad_enabled()))
        return (latents - WANTED - self.off) / times.view(-1, 1, 1, 1)


class OwnWay(unittest.TestCase):
    def test_is_what_the_picture_is_off_by_that_one_more_velocity_leads_to_over_the_time(self):
        drawn = Batch(WANTED, torch.zeros(3, 5, dtype=torch.long), None)
        for off in (0.0, 0.1):
            self.assertAlmostEqual(own_way_loss(LeadsBeside(off), drawn, torch.tensor([1.0, 0.5])).item(), off**2 / 0.5, places=5)

    def test_goes_through_the_times_and_learns_at_the_last(self):
        generator, drawn = LeadsBeside(0.1), Batch(WANTED, torch.zeros(3, 5, dtype=torch.long), None)
        for way in ([1.0], [1.0, 0.75], [1.0, 0.75, 0.5, 0.25]):
            generator.asked.clear()
            own_way_loss(generator, drawn, torch.tensor(way))
            noise = generator.asked[0][0]
            self.assertEqual([learns for *_, learns in generator.asked], [False] * (len(way) - 1) + [True])
            for now, (latents, times, _) in zip(way, generator.asked, strict=True):
                torch.testing.assert_close(times, torch.full((3,), now))
                torch.testing.assert_close(latents, mix(WANTED + 0.1, noise, times))

    def test_goes_to_the_picture_and_noises_it_anew(self):
        generator, drawn = LeadsBeside(0.1, NOISES_ANEW), Batch(WANTED, torch.zeros(3, 5, dtype=torch.long), None)
        own_way_loss(generator, drawn, torch.tensor([1.0, 0.5, 0.2]))
        noises = [(latents - (1 - now) * (WANTED + 0.1)) / now
                  for now, (latents, *_) in zip([1.0, 0.5, 0.2], generator.asked, strict=True)]
        for k in range(2):
            self.assertGreater((noises[k] - noises[k + 1]).abs().mean(), 0.5)
        self.assertAlmostEqual(torch.stack(noises).std().item(), 1, delta=0.2)

    def test_ways_begin_in_noise_and_end_before_the_picture(self):
        ways = [draw_way(FOLLOWS_VELOCITY) for _ in range(200)]
        self.assertEqual({way[0].item() for way in ways}, {1.0})
        self.assertEqual({way[-1].item() for way in ways}, {1.0, 0.75, 0.5, 0.25})


class Schedules(unittest.TestCase):
    def test_times_are_shifted_towards_the_picture(self):
        torch.testing.assert_close(FOLLOWS_VELOCITY.times(4), torch.tensor([1, 0.75, 0.5, 0.25, 0]))
        torch.testing.assert_close(NOISES_ANEW.times(4), torch.tensor([1, 0.6, 1 / 3, 1 / 7, 0]))


class Times(unittest.TestCase):
    def test_normal_numbers_are_spread_evenly(self):
        places = torch.special.ndtr(spread_normal(64, torch.device("cpu")))
        self.assertEqual((places * 64).floor().sort().values.tolist(), list(range(64)))


class Stale(unittest.TestCase):
    def test_a_checkpoint_of_another_model_is_left_aside(self):
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "teacher" / "unet" / "diffusion_pytorch_model.safetensors"
            weights.parent.mkdir(parents=True)
            weights.write_bytes(b"one")
            path, teacher = f"{folder}/stage.pt", Path(folder) / "teacher"
            Checkpoint(path, teacher).save([1])
            self.assertEqual(Checkpoint(path, teacher).load(), [1])
            weights.write_bytes(b"another")
            self.assertIsNone(Checkpoint(path, teacher).load())
            self.assertTrue(Path(folder, "stage.old").exists())

    def test_where_the_model_is_not_at_hand_a_checkpoint_counts(self):
        with tempfile.TemporaryDirectory() as folder:
            Checkpoint(f"{folder}/stage.pt").save([1])
            self.assertEqual(Checkpoint(f"{folder}/stage.pt", Path(folder) / "teacher").load(), [1])


if __name__ == "__main__":
    unittest.main()
