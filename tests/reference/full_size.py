"""Compares `plantain trace` with diffusers and transformers on models in their real, full sizes.

No model hub is needed: the architectures are the published ones, the weights random. Each model is saved as a
diffusers folder, converted with `plantain convert`, and each component runs on every device.

    python tests/reference/full_size.py --plantain target/release/plantain --work DIR [MODEL ...]
    python tests/reference/full_size.py --plantain target/release/plantain --work DIR --pipeline FOLDER
    python tests/reference/full_size.py --plantain target/release/plantain --work DIR --single-file WRITER

With `--pipeline`, the sampled picture of an existing diffusers folder is compared instead, from the same noise. With
`--single-file`, Stable Diffusion 1.5 is written as one file of f16 by diffusers' script (see single_files.py), and its
conversion is timed once the file is in the system's cache.
Prints one line per comparison; exits with 1 when one is over its tolerance.
"""

import argparse
import contextlib
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from single_files import load_writer, with_clip

DEVICES = ("ndarray", "flex")
COMPONENT_TOLERANCE = 1e-4
SAMPLER_TOLERANCE = 1e-3
PICTURE_PSNR = 45.0

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
UP_CROSS, UP_PLAIN = "CrossAttnUpBlock2D", "UpBlock2D"

UNETS = {
    "bk-sdm-tiny": dict(
        block_out_channels=(320, 640, 1280),
        layers_per_block=1,
        down_block_types=(CROSS,) * 3,
        up_block_types=(UP_CROSS,) * 3,
        mid_block_type=None,
        cross_attention_dim=768,
        attention_head_dim=8,
    ),
    "sd-1.5": dict(cross_attention_dim=768, attention_head_dim=8),
    "sd-2.1": dict(cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20), use_linear_projection=True),
    "sdxs": dict(
        block_out_channels=(320, 640, 1280),
        layers_per_block=1,
        down_block_types=(PLAIN, CROSS, CROSS),
        up_block_types=(UP_CROSS, UP_CROSS, UP_PLAIN),
        mid_block_type=None,
        cross_attention_dim=1024,
        attention_head_dim=(5, 10, 20),
        use_linear_projection=True,
    ),
}

CLIP_L = dict(
    hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, hidden_act="quick_gelu"
)
OPEN_CLIP_H = dict(
    hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, hidden_act="gelu"
)

KL = dict(
    block_out_channels=(128, 256, 512, 512),
    down_block_types=("DownEncoderBlock2D",) * 4,
    up_block_types=("UpDecoderBlock2D",) * 4,
    layers_per_block=2,
    latent_channels=4,
)


def text_encoder(options):
    tokens = dict(vocab_size=49408, bos_token_id=49406, eos_token_id=49407, pad_token_id=49407)
    return CLIPTextModel(CLIPTextConfig(max_position_embeddings=77, **tokens, **options))


def build(name):
    """The parts of the model called `name`."""
    torch.manual_seed(1)
    linear = UNETS[name].get("use_linear_projection", False)
    tiny = name in ("bk-sdm-tiny", "sdxs")
    return {
        "unet": UNet2DConditionModel(sample_size=64, **UNETS[name]),
        "text_encoder": text_encoder(OPEN_CLIP_H if linear else CLIP_L),
        "vae": AutoencoderTiny() if tiny else AutoencoderKL(**KL),
    }


def save(parts, folder):
    for name, part in parts.items():
        part.eval().save_pretrained(folder / name)
    EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing"
    ).save_pretrained(folder / "scheduler")


def save_single_file(parts, writer, path):
    """The model as one file of f16, and the parts rounded to what that holds."""
    for part in parts.values():
        part.half()
    save_file({name: tensor.contiguous() for name, tensor in with_clip(load_writer(writer), parts).items()}, path)
    for part in parts.values():
        part.float()


class Plantain:
    """The program under test on one converted model."""

    def __init__(self, program, model, work):
        self.program, self.model, self.work = program, model, work

    def convert(self, folder):
        subprocess.run([self.program, "convert", folder, self.model], check=True)

    def convert_measured(self, path):
        """Seconds, bytes of memory at the peak, and bytes of the package."""
        path.read_bytes()
        started = time.perf_counter()
        process = subprocess.Popen([self.program, "convert", path, self.model])
        peak = 0
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status")
            with contextlib.suppress(OSError):
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
                peak = max(peak, int(lines.get("VmHWM", "0").split()[0]) * 1024)
            time.sleep(0.01)
        if process.returncode:
            sys.exit(process.returncode)
        return time.perf_counter() - started, peak, self.model.stat().st_size

    def trace(self, component, device, inputs, *options):
        """Outputs and seconds of one component."""
        source, target = self.work / "in.safetensors", self.work / "out.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in inputs.items()}, source)
        command = [self.program, "trace", "--model", self.model, "--component", component, "--device", device]
        started = time.perf_counter()
        subprocess.run([*command, "--inputs", source, "--output", target, *options], check=True)
        return load_file(target), time.perf_counter() - started


class Report:
    """Prints comparisons and remembers whether one failed."""

    def __init__(self):
        self.failed = False

    def compare(self, what, actual, expected, tolerance, seconds):
        error = ((actual - expected).norm() / expected.norm()).item()
        self.line(what, f"relative L2 {error:.2e} (limit {tolerance:.0e})", error < tolerance, seconds)

    def line(self, what, result, good, seconds):
        self.failed |= not good
        print(f"{'ok  ' if good else 'FAIL'} {what:44} {result}  {seconds:.1f} s", flush=True)


def check_components(name, parts, plantain, latent_size, report):
    generator = torch.Generator().manual_seed(2)
    height, width = latent_size
    ids = torch.randint(0, 49000, (1, 77), generator=generator)
    ids[0, 20:] = 49407
    sample = torch.randn(1, 4, height, width, generator=generator)
    noise = torch.randn(1, 4, height, width, generator=generator)
    with torch.no_grad():
        states = parts["text_encoder"](ids)
        text = states.last_hidden_state
        unet = parts["unet"](sample, torch.tensor([499.0]), text).sample
        image = parts["vae"].decode(sample).sample
        encoded = parts["vae"].encode(image.clamp(-1, 1))
        latent = encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latents
    cases = {
        "text-encoder": ({"input_ids": ids.float()}, {"last_hidden_state": text, "pooler_output": states.pooler_output}),
        "unet": ({"sample": sample, "timestep": torch.tensor([499.0]), "encoder_hidden_states": text}, {"sample": unet}),
        "decoder": ({"latent": sample}, {"image": image}),
        "encoder": ({"image": image.clamp(-1, 1)}, {"latent": latent}),
    }
    for component, (inputs, expected) in cases.items():
        for device in DEVICES:
            outputs, seconds = plantain.trace(component, device, inputs)
            for key, value in expected.items():
                what = f"{name} {component} {key} on {device}"
                report.compare(what, outputs[key], value, COMPONENT_TOLERANCE, seconds)
    latent = euler(parts["unet"], noise, text)
    for device in DEVICES:
        inputs = {"noise": noise, "encoder_hidden_states": text}
        options = ("--sampler", "euler", "--steps", "4", "--guidance", "1")
        outputs, seconds = plantain.trace("sampler", device, inputs, *options)
        report.compare(f"{name} 4 euler steps on {device}", outputs["latent"], latent, SAMPLER_TOLERANCE, seconds)


@torch.no_grad()
def euler(unet, noise, text, steps=4):
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing"
    )
    scheduler.set_timesteps(steps)
    latent = noise * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        output = unet(scheduler.scale_model_input(latent, timestep), timestep, text).sample
        latent = scheduler.step(output, timestep, latent).prev_sample
    return latent


@torch.no_grad()
def check_pipeline(folder, plantain, report, prompt="a car, 3d render, on a blue background", steps=8, guidance=3.0):
    """A flow-matching model with pooled text, from noise to picture."""
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
    vae = AutoencoderTiny.from_pretrained(folder / "vae", torch_dtype=torch.float32)
    scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler")
    length = encoder.config.max_position_embeddings
    ids = tokenizer([prompt, ""], padding="max_length", max_length=length, return_tensors="pt").input_ids
    text = encoder(ids)
    states, pooled = text.last_hidden_state, text.pooler_output
    side = unet.config.sample_size
    noise = torch.randn(1, unet.config.in_channels, side, side, generator=torch.Generator().manual_seed(5))
    scheduler.set_timesteps(steps)
    latent = noise
    for timestep in scheduler.timesteps:
        twice = torch.cat([latent, latent])
        with_text, without = unet(twice, timestep, states, class_labels=pooled).sample.chunk(2)
        latent = scheduler.step(without + guidance * (with_text - without), timestep, latent).prev_sample
    picture = vae.decode(latent / vae.config.scaling_factor + vae.config.shift_factor).sample.clamp(-1, 1)

    config = json.loads((folder / "vae/config.json").read_text())
    for device in DEVICES:
        traced, _ = plantain.trace("text-encoder", device, {"input_ids": ids.float()})
        states, pooled = traced["last_hidden_state"], traced["pooler_output"]
        inputs = {
            "noise": noise,
            "encoder_hidden_states": states[:1],
            "class_labels": pooled[:1],
            "negative_encoder_hidden_states": states[1:],
            "negative_class_labels": pooled[1:],
        }
        options = ("--steps", str(steps), "--guidance", str(guidance))
        outputs, seconds = plantain.trace("sampler", device, inputs, *options)
        scaled = outputs["latent"] / config["scaling_factor"] + config["shift_factor"]
        image = plantain.trace("decoder", device, {"latent": scaled})[0]["image"].clamp(-1, 1)
        psnr = 10 * math.log10(4 / max(1e-20, (image - picture).pow(2).mean().item()))
        what = f"{folder.name}, {steps} steps, guidance {guidance} on {device}"
        report.line(what, f"PSNR {psnr:.1f} dB (limit {PICTURE_PSNR:.0f})", psnr > PICTURE_PSNR, seconds)


def check_single_file(writer, plantain, work, size, report):
    """Stable Diffusion 1.5, 2 GB: 30 seconds, and memory of half as much again as the package."""
    parts, path = build("sd-1.5"), work / "sd15.safetensors"
    save_single_file(parts, writer, path)
    seconds, peak, size_of_package = plantain.convert_measured(path)
    share = peak / size_of_package
    what = f"converting {path.stat().st_size / 1e9:.2f} GB"
    result = f"{seconds:.1f} s (limit 30), peak memory {share:.2f} of the package (limit 1.5)"
    report.line(what, result, seconds < 30 and share < 1.5, seconds)
    for part in parts.values():
        part.eval()
    check_components("one file", parts, plantain, size, report)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plantain", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs=2, default=(15, 17), help="latent height and width")
    parser.add_argument("--pipeline", type=Path)
    parser.add_argument("--single-file", type=Path, metavar="WRITER")
    parser.add_argument("models", nargs="*", default=list(UNETS))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    report = Report()
    plantain = Plantain(options.plantain, options.work / "model.safetensors", options.work)
    if options.pipeline:
        plantain.convert(options.pipeline)
        check_pipeline(options.pipeline, plantain, report)
    elif options.single_file:
        check_single_file(options.single_file, plantain, options.work, options.size, report)
    else:
        for name in options.models:
            parts = build(name)
            save(parts, options.work / name)
            plantain.convert(options.work / name)
            check_components(name, parts, plantain, options.size, report)
    sys.exit(report.failed)


if __name__ == "__main__":
    main()
