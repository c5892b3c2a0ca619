"""Writes what `tests/image_to_image.rs` compares with: encoders, image-to-image and inpainting.

The models are those in `tests/fixtures/networks`, which have their encoders; each gets `image_to_image.safetensors` beside
it. Pictures are drawn by diffusers' own pipelines, which are handed the noise and told to take the mean of what the encoder
says instead of drawing from it.

    python tests/reference/image_to_image.py --models tests/fixtures/networks

Written with diffusers 0.42.1, transformers 5.23.0 and torch 2.15.0.
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion import (
    pipeline_stable_diffusion_img2img as img2img_module,
    pipeline_stable_diffusion_inpaint as inpaint_module,
)
from safetensors.torch import save_file
from transformers import CLIPTextModel

from networks import BETAS, FIXED, TOKENS, VOCABULARY
from schedulers import SCHEDULERS

STEPS = 5
# Of 5 steps: 3, and all.
STRENGTHS = (0.6, 1.0)
TCD_GAMMA = 0.3
LCM_GUIDANCE = 3.0
GUIDANCE = 2.5

# Samplers of each model, and the height and width of its latent.
MODELS = {
    "sd1": (["lcm", "tcd", "euler", "euler-a", "ddim", "dpmpp-2m"], (13, 11)),
    "sd2": ([], (8, 10)),
    "distilled": (["lcm"], (8, 8)),
    "own": (["flow-euler"], (7, 9)),
    "own16": (["flow-euler"], (3, 5)),
}


def load(folder):
    config = json.loads((folder / "vae/config.json").read_text())
    vae = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}[config["_class_name"]]
    return {
        "text_encoder": CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval(),
        "unet": UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).eval(),
        "vae": vae.from_pretrained(folder / "vae", torch_dtype=torch.float32).eval(),
    }


def encode(vae, image):
    output = vae.encode(image)
    return output.latent_dist.mean if hasattr(output, "latent_dist") else output.latents


def scheduler(name, folder):
    module, class_name = SCHEDULERS[name]
    config = json.loads((folder / "scheduler/scheduler_config.json").read_text())
    config = {key: value for key, value in config.items() if key not in ("_class_name", "set_alpha_to_one")}
    base = {} if name == "flow-euler" else BETAS
    return getattr(module, class_name)(**{**config, **base, **FIXED.get(name, {})})


def hand_out(name, noise, step_noise):
    """Makes the pipelines and the scheduler take the given noise, and the mean of the encoder."""
    steps = iter(step_noise)
    # The last step of euler-a draws noise that it does not use.
    SCHEDULERS[name][0].randn_tensor = lambda *_, **__: next(steps, noise)
    for module in (img2img_module, inpaint_module):
        module.randn_tensor = lambda *_, **__: noise
        module.retrieve_latents = lambda output, **_: (
            output.latent_dist.mean if hasattr(output, "latent_dist") else output.latents
        )


def pipeline_run(name, folder, parts, inputs, strength, mask=None, negative=None, output="latent"):
    """What diffusers' pipeline draws from `inputs["image"]`."""
    cls = StableDiffusionImg2ImgPipeline if mask is None else StableDiffusionInpaintPipeline
    pipeline = cls(
        vae=parts["vae"], unet=parts["unet"], scheduler=scheduler(name, folder), text_encoder=None, tokenizer=None,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    hand_out(name, inputs["noise"], inputs["step_noise"])
    image = inputs["image"] / 2 + 0.5
    size = {} if mask is None else {"mask_image": mask, "height": image.shape[2], "width": image.shape[3]}
    guidance = LCM_GUIDANCE if parts["unet"].config.time_cond_proj_dim else 1.0
    return pipeline(
        prompt_embeds=inputs["encoder_hidden_states"], negative_prompt_embeds=negative, image=image, strength=strength,
        num_inference_steps=STEPS, guidance_scale=GUIDANCE if negative is not None else guidance,
        eta=TCD_GAMMA if name == "tcd" else 0.0, output_type=output, **size,
    ).images


def flow_run(name, folder, parts, inputs, strength, latent_mask=None):
    """The same for flow matching, as diffusers' Stable Diffusion 3 pipelines do it, with as many steps as the others take."""
    flow = scheduler(name, folder)
    flow.set_timesteps(STEPS)
    start = STEPS - min(int(STEPS * strength), STEPS)
    timesteps = flow.timesteps[start:]
    flow.set_begin_index(start)
    clean, noise = inputs["init_latent"], inputs["noise"]
    pure = latent_mask is not None and strength == 1.0
    latent = noise if pure else flow.scale_noise(clean, timesteps[:1], noise)
    for index, timestep in enumerate(timesteps):
        output = parts["unet"](
            latent, timestep, inputs["encoder_hidden_states"], class_labels=inputs["class_labels"]
        ).sample
        latent = flow.step(output, timestep, latent, return_dict=False)[0]
        if latent_mask is not None:
            last = index == len(timesteps) - 1
            kept = clean if last else flow.scale_noise(clean, timesteps[index + 1 : index + 2], noise)
            latent = (1 - latent_mask) * kept + latent_mask * latent
    return latent


def model_latent(vae, encoded):
    return (encoded - (vae.config.shift_factor or 0.0)) * vae.config.scaling_factor


def text_inputs(parts):
    ids = torch.full((2, TOKENS), VOCABULARY - 1)
    ids[:, 0] = 3
    ids[1, 1] = 7
    text = parts["text_encoder"](ids)
    inputs = {"encoder_hidden_states": text.last_hidden_state[:1]}
    if parts["unet"].config.class_embed_type:
        inputs["class_labels"] = text.pooler_output[:1]
    return inputs, text.last_hidden_state[1:]


def soft_mask(height, width, generator):
    """Every grey level, so that rounding at one half shows."""
    blurred = F.interpolate(torch.rand(1, 1, 4, 4, generator=generator), size=(height, width), mode="bilinear")
    return (blurred - blurred.min()) / (blurred.max() - blurred.min())


def write(name, folder, seed):
    samplers, size = MODELS[name]
    generator = torch.Generator().manual_seed(seed)
    parts = load(folder)
    vae, channels = parts["vae"], parts["unet"].config.in_channels
    config = vae.config
    levels = config.block_out_channels if isinstance(vae, AutoencoderKL) else config.encoder_block_out_channels
    height, width = (side * 2 ** (len(levels) - 1) for side in size)
    image = 2 * torch.rand(1, 3, height, width, generator=generator) - 1
    encoded = encode(vae, image)
    tensors = {"encoder.in.image": image, "encoder.out.latent": encoded}
    if samplers:
        shape = (1, channels, *size)
        inputs, negative = text_inputs(parts)
        inputs |= {
            "image": image,
            "init_latent": model_latent(vae, encoded),
            "noise": torch.randn(shape, generator=generator),
            "step_noise": torch.randn(STEPS - 1, *shape, generator=generator),
        }
        mask = soft_mask(height, width, generator)
        latent_mask = F.interpolate((mask >= 0.5).float(), size=size)
        assert 0 < latent_mask.mean() < 1
        tensors |= {f"in.{key}": value for key, value in inputs.items() if key != "image"}
        tensors |= {"in.mask": latent_mask, "in.negative_encoder_hidden_states": negative}
        for sampler in samplers:
            for strength in STRENGTHS:
                key = f"{sampler}.{strength}"
                if sampler == "flow-euler":
                    tensors[f"{key}.image"] = flow_run(sampler, folder, parts, inputs, strength)
                    tensors[f"{key}.masked"] = flow_run(sampler, folder, parts, inputs, strength, latent_mask)
                else:
                    tensors[f"{key}.image"] = pipeline_run(sampler, folder, parts, inputs, strength)
                    tensors[f"{key}.masked"] = pipeline_run(sampler, folder, parts, inputs, strength, mask.clone())
    if name == "sd1":
        run = lambda **more: pipeline_run("euler", folder, parts, inputs, 0.6, **more)
        tensors["guided.image"] = run(negative=negative)
        tensors["guided.masked"] = run(negative=negative, mask=mask.clone())
        tensors["picture.image"] = run(output="pt")
        tensors["picture.masked"] = run(output="pt", mask=mask.clone())
    tensors = {key: tensor.float().contiguous().clone() for key, tensor in tensors.items()}
    save_file(tensors, folder / "image_to_image.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    options = parser.parse_args()
    with torch.no_grad():
        for seed, name in enumerate(MODELS):
            write(name, options.models / name, 100 + seed)


if __name__ == "__main__":
    main()
