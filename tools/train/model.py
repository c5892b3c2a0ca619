"""The text encoder and the UNet: building, loading, and sampling from them."""
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tools.train.autoencoder import LATENT_CHANNELS
from tools.train.common import autocast

LATENT_SIDE = 16
TEXT_WIDTH = 192
TEXT_LAYERS = 3
CHANNELS = (64, 128, 240)
HEADS = (2, 4, 6)
STEPS = 6
GUIDANCE = 1.5


def build_text_encoder(tokenizer):
    """A small CLIP text encoder for our vocabulary."""
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=TEXT_WIDTH, intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=TEXT_LAYERS, num_attention_heads=4, hidden_act="gelu", projection_dim=TEXT_WIDTH,
        max_position_embeddings=tokenizer.model_max_length, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    ))


def build_unet():
    """The denoiser. The pooled text joins the time embedding; its last layer starts at zero."""
    unet = UNet2DConditionModel(
        sample_size=LATENT_SIDE, in_channels=LATENT_CHANNELS, out_channels=LATENT_CHANNELS,
        block_out_channels=CHANNELS, layers_per_block=1, attention_head_dim=HEADS, norm_num_groups=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH, use_linear_projection=True,
        class_embed_type="projection", projection_class_embeddings_input_dim=TEXT_WIDTH,
    )
    torch.nn.init.zeros_(unet.conv_out.weight)
    torch.nn.init.zeros_(unet.conv_out.bias)
    return unet


class Codec:
    """The frozen autoencoder: pictures to and from latents of unit spread."""

    def __init__(self, folder, device):
        self.model = AutoencoderTiny.from_pretrained(folder, torch_dtype=torch.float32).to(device).eval()
        self.model.requires_grad_(False).to(memory_format=torch.channels_last)
        self.scale, self.shift = self.model.config.scaling_factor, self.model.config.shift_factor
        self.device = device

    @torch.no_grad()
    def encode(self, pictures):
        with autocast(self.device):
            latents = self.model.encoder(pictures.to(self.device).contiguous(memory_format=torch.channels_last))
        return (latents.float() - self.shift) * self.scale

    @torch.no_grad()
    def decode(self, latents):
        latents = latents / self.scale + self.shift
        with autocast(self.device):
            pictures = self.model.decoder(latents.contiguous(memory_format=torch.channels_last))
        return pictures.float().clamp(-1, 1)


class Generator(torch.nn.Module):
    """Tokenizer, text encoder and UNet together."""

    def __init__(self, tokenizer, text_encoder, unet, device):
        super().__init__()
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder.to(device)
        self.unet = unet.to(device, memory_format=torch.channels_last)
        self.device = device
        self.known_ids = {}
        if device.type == "cpu":
            # On so few tokens the fused attention's backward pass costs a quarter of the whole step.
            self.unet.set_attn_processor(AttnProcessor())

    @classmethod
    def untrained(cls, tokenizer_folder, device):
        tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)
        return cls(tokenizer, build_text_encoder(tokenizer), build_unet(), device)

    @classmethod
    def exported(cls, folder, device):
        """From a folder written by export.py."""
        folder = Path(folder)
        return cls(
            CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32),
            UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32),
            device,
        )

    def token_ids(self, captions):
        """Padded ids [n, length]; captions recur, so each is tokenized once."""
        for caption in set(captions) - self.known_ids.keys():
            ids = self.tokenizer(caption, padding="max_length", truncation=True)["input_ids"]
            self.known_ids[caption] = torch.tensor(ids)
        return torch.stack([self.known_ids[caption] for caption in captions]).to(self.device)

    def read(self, captions):
        """Token states for cross attention and the pooled state for the time embedding."""
        with autocast(self.device):
            output = self.text_encoder(self.token_ids(captions))
        return output.last_hidden_state, output.pooler_output

    def velocity(self, latents, times, text):
        """Predicted noise minus latent, at times in [0, 1] where 1 is pure noise."""
        states, pooled = text
        with autocast(self.device):
            latents = latents.contiguous(memory_format=torch.channels_last)
            return self.unet(latents, times * 1000, states, class_labels=pooled).sample.float()

    def guided_velocity(self, latents, time, text, guidance):
        """Velocity pushed away from what the empty caption gives; at guidance 1 that is not asked."""
        if guidance == 1:
            return self.velocity(latents, time.expand(len(latents)), text)
        both = self.velocity(torch.cat([latents, latents]), time.expand(2 * len(latents)), text)
        stated, empty = both.chunk(2)
        return empty + guidance * (stated - empty)

    @torch.no_grad()
    def sample(self, captions, noised, times, guidance=GUIDANCE):
        """Euler steps along falling times to clean latents."""
        text = self.read(list(captions) + [""] * len(captions) * (guidance != 1))
        latents, times = noised, times.to(self.device)
        for now, after in zip(times[:-1], times[1:]):
            latents = latents + (after - now) * self.guided_velocity(latents, now, text, guidance)
        return latents


def step_times(steps=STEPS):
    """Times of the Euler steps, spaced as diffusers and plantain space them: the last step starts at 1/1000."""
    return torch.cat([torch.linspace(1, 0.001, steps), torch.zeros(1)])


def noise_for(count, seed, device):
    """Fixed starting noise."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE, generator=generator).to(device)
