"""The text encoder and the UNet: building, loading, and sampling from them."""
import json
from dataclasses import asdict
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tools.train.common import autocast, compiled
from tools.train.schedule import FOLLOWS_VELOCITY, Schedule, schedule_of

MAX_TOKENS = 32


def vocabulary_config(tokenizer):
    """What a text encoder's configuration says of its vocabulary."""
    return dict(
        vocab_size=len(tokenizer), max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)


def build_text_encoder(tokenizer, preset):
    """A small CLIP text encoder for our vocabulary."""
    width = preset.text_width
    return CLIPTextModel(CLIPTextConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=preset.text_layers,
        num_attention_heads=max(2, width // 64), hidden_act="gelu", projection_dim=width, **vocabulary_config(tokenizer)))


def unet_config(shape, preset):
    """diffusers' configuration of a denoiser. The pooled text joins the time embedding."""
    def block(kind, attends):
        return f"CrossAttn{kind}Block2D" if attends else f"{kind}Block2D"

    return dict(
        sample_size=preset.latent_side, in_channels=preset.latent_channels, out_channels=preset.latent_channels,
        block_out_channels=shape.channels, layers_per_block=shape.layers, attention_head_dim=shape.heads,
        norm_num_groups=16, down_block_types=tuple(block("Down", attends) for attends in shape.attention),
        up_block_types=tuple(block("Up", attends) for attends in reversed(shape.attention)),
        cross_attention_dim=preset.text_width, use_linear_projection=True, class_embed_type="projection",
        projection_class_embeddings_input_dim=preset.text_width,
    )


def build_unet(config):
    """An untrained denoiser; its last layer starts at zero."""
    unet = UNet2DConditionModel(**config)
    torch.nn.init.zeros_(unet.conv_out.weight)
    torch.nn.init.zeros_(unet.conv_out.bias)
    return unet


def autoencoder_of(work):
    """The folder of the autoencoder whose decoder has learned on, if it has, or else as it was."""
    learned = work / "decoder"
    return learned if (learned / "config.json").exists() else work / "vae"


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
    def decode(self, latents, batch=16):
        """Pictures in [-1, 1], a few at a time because they are large."""
        return torch.cat([self.decode_differentiably(part) for part in latents.to(self.device).split(batch)]).clamp(-1, 1)

    def decode_differentiably(self, latents):
        """Pictures through which gradients reach the latents."""
        latents = latents / self.scale + self.shift
        with autocast(self.device):
            pictures = self.model.decoder(latents.contiguous(memory_format=torch.channels_last))
        return pictures.float()


class Generator(torch.nn.Module):
    """Tokenizer, text encoder and UNet together, and how they are sampled."""

    def __init__(self, tokenizer, text_encoder, unet, device, schedule=FOLLOWS_VELOCITY):
        super().__init__()
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder.to(device)
        self.unet = unet.to(device, memory_format=torch.channels_last)
        self.compiled_unet = None
        self.device, self.schedule = device, schedule
        if device.type == "cpu":
            # On so few tokens the fused attention's backward pass costs a quarter of the whole step.
            self.unet.set_attn_processor(AttnProcessor())
            self.text_encoder.set_attn_implementation("eager")

    @classmethod
    def untrained(cls, tokenizer_folder, preset, device):
        tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)
        unet = build_unet(unet_config(preset.teacher, preset))
        return cls(tokenizer, build_text_encoder(tokenizer, preset), unet, device, schedule_of(preset))

    @classmethod
    def saved(cls, folder, device):
        """From a folder written by `save`."""
        folder = Path(folder)
        sampling = json.loads((folder / "sampling.json").read_text())
        return cls(
            CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32),
            UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32),
            device,
            Schedule.noted(sampling),
        )

    def compile(self):
        """Compiles what training calls most. Pictures of other shapes and sampling do without: each would compile anew."""
        self.compiled_unet = compiled(self.unet.forward, self.device)

    def save(self, folder, **facts):
        """The networks in diffusers layout, f32, with a note of how they want to be sampled."""
        folder = Path(folder)
        self.unet.to(memory_format=torch.contiguous_format).save_pretrained(folder / "unet")
        self.unet.to(memory_format=torch.channels_last)
        self.text_encoder.save_pretrained(folder / "text_encoder")
        self.tokenizer.save_pretrained(folder / "tokenizer")
        sampling = {**facts, **asdict(self.schedule)}
        (folder / "sampling.json").write_text(json.dumps(sampling, indent=2) + "\n")

    def token_ids(self, captions):
        """Padded ids [n, length]."""
        ids = self.tokenizer(list(captions), padding="max_length", truncation=True)["input_ids"]
        return torch.tensor(ids, device=self.device)

    def read(self, token_ids):
        """Token states for cross attention and the pooled state for the time embedding."""
        with autocast(self.device):
            output = self.text_encoder(token_ids)
        return output.last_hidden_state, output.pooler_output

    def velocity(self, latents, times, text):
        """Predicted noise minus latent, at times in [0, 1] where 1 is pure noise."""
        states, pooled = text
        with autocast(self.device):
            latents = latents.contiguous(memory_format=torch.channels_last)
            trains = torch.is_grad_enabled() and latents.shape[2] == latents.shape[3]
            unet = self.compiled_unet if trains and self.compiled_unet else self.unet
            return unet(latents, times * 1000, states, class_labels=pooled).sample.float()

    def guided_velocity(self, latents, time, text, guidance):
        """Velocity pushed away from what the empty caption gives; at guidance 1 that is not asked."""
        if guidance == 1:
            return self.velocity(latents, time.expand(len(latents)), text)
        both = self.velocity(torch.cat([latents, latents]), time.expand(2 * len(latents)), text)
        stated, empty = both.chunk(2)
        return empty + guidance * (stated - empty)

    @torch.no_grad()
    def sample(self, token_ids, noise, steps, guidance, anew=None):
        """From noise to clean latents in so many steps."""
        return self.walk(self.read_guided(token_ids, guidance), noise, self.schedule.times(steps), guidance, anew)

    @torch.no_grad()
    def redraw(self, token_ids, latents, noise, strength, steps, guidance, anew=None):
        """Clean latents from others that noise covers in part, by the last steps: as large a share of them as `strength` says."""
        times = self.schedule.times(steps)[steps - int(steps * strength) :]
        text = self.read_guided(token_ids, guidance)
        return self.walk(text, torch.lerp(latents, noise, times[0].item()), times, guidance, anew)

    def read_guided(self, token_ids, guidance):
        """States of the captions and, where guidance needs it, of as many empty ones behind them."""
        if guidance != 1:
            empty = self.token_ids([""]).expand(len(token_ids), -1)
            token_ids = torch.cat([token_ids, empty])
        return self.read(token_ids)

    def walk(self, text, latents, times, guidance, anew=None):
        """Steps from latents of the first of the times to those of the last.

        A schedule that noises anew takes `anew` [n, steps, channels, height, width] for it, random noise if there is none.
        """
        times = times.to(self.device)
        for step, (now, after) in enumerate(zip(times[:-1], times[1:])):
            velocity = self.guided_velocity(latents, now, text, guidance)
            if self.schedule.stochastic_sampling:
                clean = latents - now * velocity
                noise = torch.randn_like(clean) if anew is None else anew[:, step]
                latents = torch.lerp(clean, noise, after)
            else:
                latents = latents + (after - now) * velocity
        return latents


def load_generator(folder, device):
    """A function from captions and seeds to pictures in [-1, 1], for the stage saved in WORK/STAGE.

    `WORK/STAGE:STEPS` samples in another number of steps than the stage's own. Pictures are not refined.
    """
    name, _, steps = str(folder).partition(":")
    folder = Path(name)
    sampling = json.loads((folder / "sampling.json").read_text())
    generator, codec = Generator.saved(folder, device).eval(), Codec(folder.parent / "vae", device)
    side, channels = generator.unet.config.sample_size, generator.unet.config.in_channels

    @torch.no_grad()
    def generate(captions, seeds):
        count = int(steps or sampling["steps"])
        noise = noise_for(seeds, channels, side, side, 1 + count).to(device)
        latents = generator.sample(generator.token_ids(captions), noise[:, 0], count, sampling["guidance"], noise[:, 1:])
        return codec.decode(latents).cpu()

    return generate


def noise_for(seeds, channels, height, width, draws=None):
    """Starting noise [n, channels, height, width], always the same for a seed; or so many draws [n, draws, ...], the first the same."""
    shape = (1, draws or 1, channels, height, width)
    noise = torch.cat([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    return noise if draws else noise[:, 0]


def adopt(module, weights):
    """Copies all weights whose name and shape agree; returns how many did."""
    mine = module.state_dict()
    taken = {name: value for name, value in weights.items() if name in mine and mine[name].shape == value.shape}
    module.load_state_dict(taken, strict=False)
    return len(taken), len(mine)
