"""Checks how a finished denoiser is moved into other latents, and the way back from a package's names."""
import unittest

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel

from tools.train.transfer import in_new_latents, linear_map
from tools.train.unpack import decoder_names, encoder_names


def small_unet(channels):
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=4, in_channels=channels, out_channels=channels, block_out_channels=(8, 16), attention_head_dim=2,
        layers_per_block=1, norm_num_groups=4, cross_attention_dim=8, class_embed_type="projection",
        projection_class_embeddings_input_dim=8, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"))


class Transfer(unittest.TestCase):
    def test_finds_the_map_between_latents(self):
        wanted, offset = torch.randn(3, 5), torch.randn(3)
        inputs = torch.randn(4, 5, 6, 6)
        outputs = torch.einsum("bihw,ji->bjhw", inputs, wanted) + offset[:, None, None]
        found, found_offset = linear_map(inputs, outputs)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found_offset, offset, atol=1e-5, rtol=1e-5)

    def test_a_moved_denoiser_sees_and_says_the_same(self):
        # The new latents are the old ones turned: where one is clean the other is, and the map between them is exact.
        turn, _ = torch.linalg.qr(torch.randn(4, 4))
        old = torch.randn(8, 4, 4, 4)
        new = torch.einsum("bihw,ji->bjhw", old, turn)
        unet = small_unet(4).eval()
        moved = in_new_latents(unet, old, new).eval()
        time, text, pooled = torch.tensor([300.0]), torch.randn(8, 3, 8), torch.randn(8, 8)
        with torch.no_grad():
            said = unet(old, time, text, class_labels=pooled).sample
            said_moved = moved(new, time, text, class_labels=pooled).sample
        torch.testing.assert_close(said_moved, torch.einsum("bihw,ji->bjhw", said, turn), atol=1e-4, rtol=1e-4)

    def test_more_channels_keep_everything_but_both_ends(self):
        unet = small_unet(4)
        moved = in_new_latents(unet, torch.randn(8, 4, 4, 4), torch.randn(8, 6, 4, 4))
        self.assertEqual((moved.config.in_channels, moved.config.out_channels), (6, 6))
        for name, value in unet.state_dict().items():
            if not name.startswith(("conv_in", "conv_out")):
                self.assertTrue(torch.equal(value, moved.state_dict()[name]), name)


class Names(unittest.TestCase):
    def test_every_layer_of_an_autoencoder_has_a_name(self):
        encoder_blocks, decoder_blocks = (0, 1, 2), (2, 1, 0)
        model = AutoencoderTiny(
            latent_channels=4, encoder_block_out_channels=(8,) * 3, decoder_block_out_channels=(8,) * 3,
            num_encoder_blocks=encoder_blocks, num_decoder_blocks=decoder_blocks)
        for part, names in ((model.encoder, encoder_names(encoder_blocks)), (model.decoder, decoder_names(decoder_blocks))):
            layers = {name.removeprefix("layers.").rpartition(".")[0] for name in part.state_dict()}
            self.assertEqual(layers, set(names.values()))


if __name__ == "__main__":
    unittest.main()
