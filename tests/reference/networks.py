"""Writes the network fixtures that `tests/parity.rs` compares against.

Small models with random weights, saved by diffusers and transformers as ordinary model folders, each with
`expected.safetensors`: inputs and outputs of every component, and latents of 4-step runs of diffusers' schedulers.

    python tests/reference/networks.py --out tests/fixtures/networks

Written with diffusers 0.42.1, transformers 5.23.0 and torch 2.15.0.
"""

import argparse
import copy
import json
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    UNet2DConditionModel,
)
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from schedulers import SCHEDULERS

STEPS = 4
TOKENS = 9
VOCABULARY = 60


class Refiner(nn.Module):
    """The latent refiner put together from diffusers' own blocks."""

    def __init__(self, unet, scale, num_blocks):
        super().__init__()
        self.unet = unet
        width, groups = unet.config.block_out_channels[0], unet.config.norm_num_groups
        self.upsamplers = nn.ModuleList([Upsample2D(width, use_conv=True)] if scale == 2 else [])
        self.blocks = nn.ModuleList(
            ResnetBlock2D(in_channels=width, out_channels=width, temb_channels=None, groups=groups, eps=1e-5)
            for _ in range(num_blocks)
        )
        self.conv_norm_out = nn.GroupNorm(groups, width, 1e-5)
        self.conv_out = nn.Conv2d(width, unet.config.in_channels, 3, padding=1)

    def forward(self, latent, states, labels):
        h = self.unet(latent, 0, states, class_labels=labels).sample
        for upsampler in self.upsamplers:
            h = upsampler(h)
        for block in self.blocks:
            h = block(h, None)
        return self.conv_out(F.silu(self.conv_norm_out(h)))


def shaken(module, generator):
    """Random parameters everywhere, also where the initialisation is zero or one, at stored precision."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            scale = 0.3 / max(1, parameter[0].numel()) ** 0.5 if parameter.dim() > 1 else 0.2
            noise = scale * torch.randn(parameter.shape, generator=generator)
            parameter.copy_((parameter + noise).half().float())
    return module.eval()


def text_encoder(**options):
    return CLIPTextModel(
        CLIPTextConfig(
            **{
                "vocab_size": VOCABULARY,
                "hidden_size": 16,
                "intermediate_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "max_position_embeddings": 12,
                "bos_token_id": VOCABULARY - 2,
                "eos_token_id": VOCABULARY - 1,
                "pad_token_id": VOCABULARY - 1,
                **options,
            }
        )
    )


def unet(**options):
    return UNet2DConditionModel(
        **{
            "sample_size": 16,
            "cross_attention_dim": 16,
            "norm_num_groups": 4,
            "attention_head_dim": 2,
            **options,
        }
    )


# Each: text encoder, UNet, decoder, scheduler config, samplers, latent size (odd on purpose), refiner.
MODELS = {
    # SD 1.x: convolutional projections, QuickGELU, the original decoder.
    "sd1": {
        "text_encoder": lambda: text_encoder(hidden_act="quick_gelu"),
        "unet": lambda: unet(
            block_out_channels=(8, 16, 16),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        ),
        "vae": lambda: AutoencoderKL(
            block_out_channels=(8, 16),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
        ),
        "scheduler": {"prediction_type": "epsilon", "timestep_spacing": "trailing"},
        "samplers": ["lcm", "tcd", "euler", "euler-a", "ddim", "dpmpp-2m"],
        "size": (13, 11),
    },
    # SD 2.x: linear projections, GELU, heads per level; velocity prediction with zero terminal SNR.
    "sd2": {
        "text_encoder": lambda: text_encoder(hidden_act="gelu", num_attention_heads=4, eos_token_id=2),
        "unet": lambda: unet(
            block_out_channels=(8, 16),
            layers_per_block=2,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            attention_head_dim=(1, 4),
            use_linear_projection=True,
        ),
        "vae": lambda: AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=2,
            mid_block_add_attention=False,
            use_quant_conv=False,
            use_post_quant_conv=False,
            scaling_factor=0.3,
            shift_factor=0.1,
        ),
        "scheduler": {
            "prediction_type": "v_prediction",
            "timestep_spacing": "trailing",
            "rescale_betas_zero_snr": True,
        },
        "samplers": ["ddim"],
        "size": (8, 10),
    },
    # BK-SDM-Tiny and SDXS: no mid block; LCM's guidance embedding; lists per level and block.
    "distilled": {
        "text_encoder": lambda: text_encoder(hidden_act="quick_gelu", num_hidden_layers=1),
        "unet": lambda: unet(
            block_out_channels=(8, 16, 16),
            layers_per_block=(1, 2, 1),
            transformer_layers_per_block=(1, 2, 1),
            mid_block_type=None,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            time_cond_proj_dim=10,
        ),
        "vae": lambda: AutoencoderTiny(
            encoder_block_out_channels=(8, 8, 8),
            decoder_block_out_channels=(8, 8, 8),
            num_encoder_blocks=(1, 1, 1),
            num_decoder_blocks=(2, 1, 1),
            latent_channels=4,
        ),
        "scheduler": {"prediction_type": "sample", "timestep_spacing": "leading", "steps_offset": 1},
        "samplers": ["lcm"],
        "size": (8, 8),
    },
    # Our own: flow matching, pooled text in the time embedding, refiner.
    "own": {
        "text_encoder": lambda: text_encoder(hidden_act="gelu"),
        "unet": lambda: unet(
            in_channels=6,
            out_channels=6,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            mid_block_scale_factor=2,
            use_linear_projection=True,
            class_embed_type="projection",
            projection_class_embeddings_input_dim=16,
        ),
        "vae": lambda: AutoencoderTiny(
            encoder_block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            num_encoder_blocks=(1, 1, 1, 1),
            num_decoder_blocks=(1, 1, 1, 1),
            latent_channels=6,
        ),
        "scheduler": {"shift": 1.0},
        "samplers": ["flow-euler"],
        "size": (7, 9),
        "refiner": {"scale": 1, "num_blocks": 2},
    },
    # Our own with an autoencoder of five levels, the finest of them without blocks, and a refiner that enlarges; also rounded to int8.
    "own16": {
        "text_encoder": lambda: text_encoder(hidden_act="gelu"),
        "unet": lambda: unet(
            in_channels=12,
            out_channels=12,
            block_out_channels=(8, 16, 16),
            layers_per_block=1,
            # The finest level has no attention, so its heads need not divide its channels.
            attention_head_dim=(3, 2, 4),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            use_linear_projection=True,
            class_embed_type="projection",
            projection_class_embeddings_input_dim=16,
        ),
        "vae": lambda: AutoencoderTiny(
            encoder_block_out_channels=(8,) * 5,
            decoder_block_out_channels=(8,) * 5,
            num_encoder_blocks=(0, 1, 1, 1, 1),
            num_decoder_blocks=(3, 4, 2, 1, 0),
            latent_channels=12,
        ),
        "scheduler": {"shift": 1.0},
        "samplers": ["flow-euler"],
        "size": (3, 5),
        "refiner": {"scale": 2, "num_blocks": 1},
        "int8": True,
    },
}

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
# Options of each scheduler class that plantain's sampler has by default.
FIXED = {"ddim": {"clip_sample": False, "set_alpha_to_one": False}, "tcd": {"set_alpha_to_one": False}}


def component_tensors(parts, refiner, size, generator):
    """Inputs and outputs of the single components, as `<component>.<name>`."""
    encoder, net, vae = parts["text_encoder"], parts["unet"], parts["vae"]
    ids = torch.randint(0, VOCABULARY - 2, (2, TOKENS), generator=generator)
    ids[0, 4:] = VOCABULARY - 1
    ids[1, 7:] = VOCABULARY - 1
    states = encoder(ids)
    channels = net.config.in_channels
    sample = torch.randn(2, channels, *size, generator=generator)
    timestep = torch.tensor([977.0, 12.0])
    tensors = {
        "text-encoder.in.input_ids": ids.float(),
        "text-encoder.out.last_hidden_state": states.last_hidden_state,
        "text-encoder.out.pooler_output": states.pooler_output,
        "unet.in.sample": sample,
        "unet.in.timestep": timestep,
        "unet.in.encoder_hidden_states": states.last_hidden_state,
    }
    options = {}
    if net.config.class_embed_type == "projection":
        options["class_labels"] = tensors["unet.in.class_labels"] = states.pooler_output
    if net.config.time_cond_proj_dim:
        shape = (2, net.config.time_cond_proj_dim)
        options["timestep_cond"] = tensors["unet.in.timestep_cond"] = torch.randn(shape, generator=generator)
    tensors["unet.out.sample"] = net(sample, timestep, states.last_hidden_state, **options).sample
    latent = torch.randn(1, channels, *size, generator=generator)
    tensors["decoder.in.latent"] = latent
    tensors["decoder.out.image"] = vae.decode(latent).sample
    if refiner:
        text = {"encoder_hidden_states": states.last_hidden_state, "class_labels": states.pooler_output}
        tensors |= {"refiner.in.latent": sample, **{f"refiner.in.{name}": value for name, value in text.items()}}
        tensors["refiner.out.latent"] = refiner(sample, *text.values())
    return tensors


# Parts whose weights stay floats, and are no convolutions or linear layers, or small ones.
KEPT = ("conv_in.", "conv_out.", "time_embedding.", "class_embedding.", "embeddings.")


def rounded_to_int8(module):
    """A copy with the weights that int8 with a scale per output channel holds; scales are float32."""
    module = copy.deepcopy(module)
    for name, weight in module.named_parameters():
        name = name.removeprefix("text_model.")
        if name.startswith(KEPT) or not name.endswith(".weight") or weight.dim() not in (2, 4):
            continue
        rows = weight.flatten(1)
        scale = rows.abs().amax(1, keepdim=True) / 127
        steps = torch.round(rows.double() / scale.double()).float()
        weight.copy_((steps * scale).view_as(weight))
    return module


def int8_tensors(parts, refiner, tensors):
    """Outputs for the inputs of `component_tensors` with weights as int8 holds them."""
    encoder, net = rounded_to_int8(parts["text_encoder"]), rounded_to_int8(parts["unet"])
    states = encoder(tensors["text-encoder.in.input_ids"].long())
    names = ("sample", "timestep", "encoder_hidden_states", "class_labels")
    sample = net(**{name: tensors[f"unet.in.{name}"] for name in names}).sample
    refiner = copy.deepcopy(refiner)
    refiner.unet = rounded_to_int8(refiner.unet)
    names = ("latent", "encoder_hidden_states", "class_labels")
    latent = refiner(*(tensors[f"refiner.in.{name}"] for name in names))
    return {
        "text-encoder.int8.last_hidden_state": states.last_hidden_state,
        "text-encoder.int8.pooler_output": states.pooler_output,
        "unet.int8.sample": sample,
        "refiner.int8.latent": latent,
    }


def sampler_run(name, config, net, text, noise, step_noise):
    """Latent after a 4-step run of a diffusers scheduler."""
    module, class_name = SCHEDULERS[name]
    base = {} if name == "flow-euler" else BETAS
    scheduler = getattr(module, class_name)(**base, **FIXED.get(name, {}), **config)
    scheduler.set_timesteps(STEPS)
    latent = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    options = {"class_labels": text.pooler_output[:1]} if net.config.class_embed_type else {}
    for index, timestep in enumerate(scheduler.timesteps):
        scale = getattr(scheduler, "scale_model_input", lambda x, _: x)
        output = net(scale(latent, timestep), timestep, text.last_hidden_state[:1], **options).sample
        module.randn_tensor = lambda *_, i=index, **__: step_noise[min(i, STEPS - 2)]
        latent = scheduler.step(output, timestep, latent, return_dict=False)[0]
    return latent, scheduler.timesteps


def sampler_tensors(model, parts, size, generator):
    net = parts["unet"]
    if net.config.time_cond_proj_dim:
        return {}
    ids = torch.full((2, TOKENS), VOCABULARY - 1)
    ids[:, 0] = 3
    text = parts["text_encoder"](ids)
    shape = (1, net.config.in_channels, *size)
    noise = torch.randn(shape, generator=generator)
    step_noise = torch.randn(STEPS - 1, *shape, generator=generator)
    tensors = {
        "sampler.in.noise": noise,
        "sampler.in.step_noise": step_noise,
        "sampler.in.encoder_hidden_states": text.last_hidden_state[:1],
    }
    if net.config.class_embed_type:
        tensors["sampler.in.class_labels"] = text.pooler_output[:1]
    for name in model["samplers"]:
        latent, timesteps = sampler_run(name, model["scheduler"], net, text, noise, step_noise)
        tensors[f"sampler.{name}.latent"] = latent
        tensors[f"sampler.{name}.timesteps"] = timesteps.float()
    return tensors


def write(model, folder, seed):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    parts = {name: shaken(model[name](), generator) for name in ("text_encoder", "unet", "vae")}
    refiner = None
    if "refiner" in model:
        net = parts["unet"].config
        net = UNet2DConditionModel.from_config({**net, "out_channels": net.block_out_channels[0]})
        refiner = shaken(Refiner(net, **model["refiner"]), generator)
    with torch.no_grad():
        tensors = component_tensors(parts, refiner, model["size"], generator)
        if model.get("int8"):
            tensors |= int8_tensors(parts, refiner, tensors)
        tensors |= sampler_tensors(model, parts, model["size"], generator)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, part in parts.items():
        part.half().save_pretrained(folder / name)
    class_name = SCHEDULERS[model["samplers"][0]][1]
    base = {} if class_name.startswith("Flow") else BETAS
    scheduler = {"_class_name": class_name, "set_alpha_to_one": False, **base, **model["scheduler"]}
    (folder / "scheduler").mkdir()
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(scheduler, indent=2) + "\n")
    if refiner:
        (folder / "refiner").mkdir()
        unet = {key: value for key, value in refiner.unet.config.items() if not key.startswith("_")}
        config = {"_class_name": "LatentRefiner", **model["refiner"], "unet": unet}
        (folder / "refiner/config.json").write_text(json.dumps(config, indent=2) + "\n")
        save_file(refiner.half().state_dict(), folder / "refiner/diffusion_pytorch_model.safetensors")
    tensors = {name: tensor.float().contiguous().clone() for name, tensor in tensors.items()}
    save_file(tensors, folder / "expected.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    for seed, (name, model) in enumerate(MODELS.items()):
        write(model, options.out / name, seed)


if __name__ == "__main__":
    main()
