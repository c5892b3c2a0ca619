"""Checks how a finished denoiser is put behind another text encoder."""
import unittest

import torch

from tools.train.dataset import FACTS, NOT_STATED, fact_classes
from tools.train.presets import PRESETS
from tools.train.test_transfer import small_unet
from tools.train.widen import FAVOUR, favour, for_other_text


class OtherText(unittest.TestCase):
    def test_the_denoiser_says_the_same_where_the_map_is_exact(self):
        unet = small_unet(4).eval()
        to_old, pooled_to_old, offset = torch.randn(8, 12), torch.randn(8, 12), torch.randn(8)
        states, pooled = torch.randn(500, 12), torch.randn(400, 12)
        moved = for_other_text(
            unet, (states, states @ to_old.T), (pooled, pooled @ pooled_to_old.T + offset), ridge=0.0).eval()
        latents, time, text, vector = torch.randn(2, 4, 4, 4), torch.tensor([300.0]), torch.randn(2, 5, 12), torch.randn(2, 12)
        with torch.no_grad():
            said = unet(latents, time, text @ to_old.T, class_labels=vector @ pooled_to_old.T + offset).sample
            said_moved = moved(latents, time, text, class_labels=vector).sample
        torch.testing.assert_close(said_moved, said, atol=1e-4, rtol=1e-4)

    def test_pictures_of_new_things_come_up_more_often(self):
        preset, classes = PRESETS["wide"], fact_classes()["thing"]
        known, new = preset.known[0], next(t.code for t in preset.things() if t.code not in preset.known)
        facts = torch.full((2, 3, len(FACTS)), NOT_STATED)
        for row, code in enumerate((known, new)):
            facts[row, 1, FACTS.index("thing")] = classes[code]
        self.assertEqual(favour(facts, preset.known).tolist(), [1.0, FAVOUR])


class Wide(unittest.TestCase):
    def test_goes_on_with_everything_that_the_model_before_knows(self):
        preset = PRESETS["wide"]
        codes = {thing.code for thing in preset.things()}
        self.assertLess(set(preset.known), codes)
        self.assertEqual(len(codes), len(preset.codes.read_text().split()))


if __name__ == "__main__":
    unittest.main()
