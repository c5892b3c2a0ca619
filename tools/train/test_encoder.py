"""Checks how the new encoder begins and learns, and its way into a package.  python -m unittest tools.train.test_encoder"""
import tempfile
import unittest
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from safetensors.torch import load_file

from tools.data.compose import Painter, Parts
from tools.data.scenes import MIXES, Planner
from tools.data.test_compose import THINGS, write_pack
from tools.train.encoder import BLOCKS, Batch, Drawings, encode, losses_of, relative_error, save, with_new_encoder
from tools.train.networks import Codec
from tools.train.repackage import model_card, write_refiner, write_vae

CPU = torch.device("cpu")


def finished_model(folder):
    """A small autoencoder without a trained encoder, as `unpack` leaves it."""
    torch.manual_seed(0)
    model = AutoencoderTiny(
        latent_channels=4, encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(0, 0, 0, 0), num_decoder_blocks=(0, 1, 0, 0), scaling_factor=0.9, shift_factor=-0.1,
    )
    model.save_pretrained(folder)
    return model


class Training(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.old = finished_model(self.folder / "old")
        self.codec = Codec(self.folder / "old", CPU)

    def test_begins_with_shrunken_colours(self):
        new = with_new_encoder(self.folder / "old")
        pictures = F.interpolate(torch.rand(2, 3, 2, 2) * 2 - 1, size=64, mode="bilinear")
        with torch.no_grad():
            latents = encode(new.encoder, self.codec, pictures) / 0.9 - 0.1
        self.assertEqual(latents.shape, (2, 4, 8, 8))
        inside = (..., slice(1, -1), slice(1, -1))
        error = latents[:, :3] - 2 * F.avg_pool2d(pictures, 8)
        self.assertLess(error[inside].abs().mean(), 0.5 * latents[:, :3][inside].std())

    def test_learns_the_encoder_alone(self):
        new = with_new_encoder(self.folder / "old")
        latents = torch.randn(2, 4, 4, 4)
        batch = Batch(torch.rand(2, 3, 32, 32), latents, self.codec.decode(latents))
        loss, numbers = losses_of(new.encoder, batch, self.codec)
        loss.backward()
        self.assertEqual(len(numbers), 3)
        self.assertTrue(all(parameter.grad is not None for parameter in new.encoder.parameters()))
        self.assertTrue(all(parameter.grad is None for parameter in self.codec.model.parameters()))

    def test_refuses_a_decoder_of_another_depth(self):
        AutoencoderTiny(
            encoder_block_out_channels=(8,) * 3, decoder_block_out_channels=(8,) * 3,
            num_encoder_blocks=(0,) * 3, num_decoder_blocks=(0,) * 3,
        ).save_pretrained(self.folder / "shallow")
        with self.assertRaises(ValueError):
            with_new_encoder(self.folder / "shallow")

    def test_saves_the_decoder_as_it_was(self):
        new = with_new_encoder(self.folder / "old")
        save(new, self.folder / "new")
        config = AutoencoderTiny.load_config(self.folder / "new")
        self.assertEqual(tuple(config["num_encoder_blocks"]), BLOCKS)
        self.assertEqual((config["scaling_factor"], config["shift_factor"]), (0.9, -0.1))
        self.assertNotIn("_name_or_path", (self.folder / "new" / "config.json").read_text())
        weights = load_file(self.folder / "new" / "diffusion_pytorch_model.safetensors")
        for name, value in self.old.decoder.state_dict().items():
            self.assertTrue(torch.equal(weights[f"decoder.{name}"], value.half()))

    def test_packs_an_encoder_only_with_its_own_decoder(self):
        packed = AutoencoderTiny.from_pretrained(self.folder / "old").half().float()
        save(with_new_encoder(self.folder / "old"), self.folder / "new")
        write_vae(self.folder / "new", packed, self.folder / "vae")
        self.assertTrue((self.folder / "vae" / "config.json").exists())
        packed.decoder.layers[0].bias.data += 1
        with self.assertRaises(ValueError):
            write_vae(self.folder / "new", packed, self.folder / "vae")


class Pictures(unittest.TestCase):
    def test_windows_are_of_the_models_size(self):
        with tempfile.TemporaryDirectory() as folder:
            write_pack(Path(folder))
            parts = Parts(folder, THINGS, ["3d"])
        planner = Planner(THINGS, ["3d"], parts.available, MIXES["single"], kinds=())
        drawings = Drawings(planner, Painter(parts), 64, seed=3)
        for pictures in (drawings.pictures(2), drawings.windows(2)):
            self.assertEqual(pictures.shape, (2, 3, 64, 64))
            self.assertLessEqual(pictures.abs().max(), 1)
            self.assertGreater(pictures.std(), 0)

    def test_errors_are_relative_to_what_is_wanted(self):
        wanted = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
        found = wanted + torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
        self.assertAlmostEqual(relative_error(found, wanted).item(), 0.2)


class Packing(unittest.TestCase):
    def test_the_card_repeats_the_manifest(self):
        manifest = dict(name="small", description="Draws.", license="MIT", sampler=dict(kind="flow-euler", schedule={}),
                        defaults=dict(steps=6, guidance=1.5, width=128, height=128))
        card = model_card(manifest)
        self.assertEqual(card["sampler"], "flow-euler")
        self.assertEqual((card["steps"], card["guidance"], card["width"], card["height"]), (6, 1.5, 128, 128))

    def test_the_refiner_keeps_its_weights(self):
        weight = torch.randn(2, 3).half()
        with tempfile.TemporaryDirectory() as folder:
            write_refiner(dict(width=2, sigma=0.2), dict(weight=weight.float()), Path(folder) / "refiner")
            kept = load_file(Path(folder) / "refiner" / "diffusion_pytorch_model.safetensors")
        self.assertTrue(torch.equal(kept["weight"], weight))


if __name__ == "__main__":
    unittest.main()
