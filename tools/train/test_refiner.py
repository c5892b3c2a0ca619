"""Checks which latents the refiner learns from, which judge it, and what it begins with."""
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

import torch

from tools.train.networks import build_unet, unet_config
from tools.train.presets import PRESETS
from tools.train.dataset import FACTS, NOT_STATED
from tools.train.refiner import (
    KEPT_ASIDE, Examples, LatentRefiner, apart, begun, favour, load_refiner, others_of, save_refiner)


class KeptAside(unittest.TestCase):
    def test_what_is_kept_aside_is_never_trained_on(self):
        count = 2 * KEPT_ASIDE
        numbers = torch.arange(float(count)).view(count, 1, 1, 1)
        bucket = dict(made=numbers[:, None], tokens=torch.arange(count).view(count, 1, 1), wanted=numbers + 1000)
        examples = Examples([bucket], torch.device("cpu"))
        made, tokens, wanted = examples.draw(2000)
        self.assertEqual(set(range(count)) - set(made.int().flatten().tolist()), {0, KEPT_ASIDE})
        torch.testing.assert_close(wanted, made + 1000)
        torch.testing.assert_close(tokens.float().flatten(), made.flatten())
        self.assertEqual(examples.kept_aside()[0].flatten().tolist(), [0, KEPT_ASIDE])

    def test_drawings_that_the_student_draws_badly_come_up_more_often(self):
        facts = torch.tensor([[1, 0, 5], [1, 0, 6], [2, 0, 5]]).view(3, 1, 3)
        latents = torch.zeros(3, 1, 2, 2)
        made = torch.tensor([0.1, 0.1, 0.2]).view(3, 1, 1, 1).expand(3, 1, 2, 2)
        weights = favour(dict(facts=facts, latents=latents), made)
        self.assertAlmostEqual((weights[2] / weights[:2].sum()).item(), 0.2**2 / 0.1**2 / 1.25, places=4)


class Others(unittest.TestCase):
    """One thing in three styles, of which two are nearly the same, another in one, and the first in a colour."""

    def setUp(self):
        drawn = [(0, 0, None), (0, 1, None), (0, 2, None), (0, 1, None), (1, 0, None), (0, 1, 5), (0, 2, 5)]
        facts = torch.full((len(drawn) + 1, 2, len(FACTS)), NOT_STATED)
        for row, (thing, style, colour) in enumerate(drawn, 1):
            facts[row, 1, [FACTS.index("thing"), FACTS.index("style")]] = torch.tensor([thing, style])
            facts[row, :, FACTS.index("object_colour")] = NOT_STATED if colour is None else colour
        self.wanted = torch.tensor([0, 0, 0.9, 1.0, 0.9, 0, 5, 0]).view(-1, 1, 1, 1)
        torch.manual_seed(0)
        self.others = others_of(facts, self.wanted)

    def test_they_show_the_thing_in_the_nearest_style_and_the_same_colour(self):
        found = [set(row.tolist()) for row in self.others]
        self.assertEqual(found[1], found[1] & {2, 4})
        self.assertEqual(found[3], found[3] & {2, 4})
        self.assertEqual(found[2], {3})
        self.assertEqual(found[5:], [{5}, {7}, {6}])

    def test_batches_have_the_same_things_in_both_halves(self):
        bucket = dict(made=self.wanted[:, None], tokens=torch.arange(8).view(8, 1, 1), wanted=self.wanted, others=self.others)
        examples = Examples([bucket], torch.device("cpu"))
        self.assertTrue(examples.paired)
        first, second = examples.draw(200)[1].flatten().chunk(2)
        self.assertTrue((self.others[first] == second[:, None]).any(1).all())

    def test_errors_that_differ_count_twice_and_those_alike_not_at_all(self):
        error = torch.ones(1, 1, 2, 2)
        self.assertEqual(apart(torch.cat([error, -error])).item(), 2)
        self.assertEqual(apart(torch.cat([error, error])).item(), 0)


class Networks(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        preset = PRESETS["smoke"]
        self.config = unet_config(preset.teacher, preset)
        self.latents = torch.randn(2, preset.latent_channels, 8, 8)
        self.text = torch.randn(2, 5, preset.text_width), torch.randn(2, preset.text_width)

    def test_it_begins_as_the_denoiser_whose_velocity_goes_on(self):
        unet = build_unet(self.config)
        torch.nn.init.normal_(unet.conv_out.weight)
        refiner = LatentRefiner(self.config, 2)
        refiner.begin_as(unet)
        states, pooled = self.text
        velocity = unet(self.latents, 0, states, class_labels=pooled).sample
        goes_on = refiner.unet(self.latents, 0, states, class_labels=pooled).sample
        torch.testing.assert_close(goes_on[:, : velocity.shape[1]], velocity, rtol=1e-3, atol=1e-3)

    @torch.no_grad()
    def test_it_is_saved_and_enlarges_if_asked_to(self):
        for scale in (1, 2):
            refiner = LatentRefiner(self.config, scale).half().float()
            refined = refiner(self.latents, self.text)
            self.assertEqual(refined.shape[2:], (8 * scale, 8 * scale))
            with tempfile.TemporaryDirectory() as folder:
                save_refiner(refiner, Path(folder))
                torch.testing.assert_close(load_refiner(folder)(self.latents, self.text), refined)

    @torch.no_grad()
    def test_it_goes_on_from_an_earlier_one_that_fits(self):
        earlier, student = LatentRefiner(self.config, 2).half().float(), SimpleNamespace(unet=build_unet(self.config))
        with tempfile.TemporaryDirectory() as folder:
            save_refiner(earlier, Path(folder))
            args = SimpleNamespace(start_from=Path(folder))
            refiner = begun(student, args, PRESETS["smoke"], 2)
            self.assertTrue(refiner.training)
            torch.testing.assert_close(refiner.eval()(self.latents, self.text), earlier.eval()(self.latents, self.text))
            work = Path(folder) / "work"
            save_refiner(earlier, work / "first" / "refiner")
            of_package = begun(student, SimpleNamespace(start_from=None, work=work), PRESETS["further"], 2)
            torch.testing.assert_close(of_package.eval()(self.latents, self.text), earlier(self.latents, self.text))
            with self.assertRaisesRegex(SystemExit, "2 times as large .* not for .* 1 times as large"):
                begun(student, args, PRESETS["smoke"], 1)


if __name__ == "__main__":
    unittest.main()
