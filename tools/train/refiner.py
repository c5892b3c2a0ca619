"""Trains the latent refiner, a small convolutional network that corrects the sampled latent before decoding.

It is trained on two kinds of pairs, half and half, both with the clean latent of a drawn picture as the target:
what the finished model makes of that latent when it is noised half-way and sampled back in the usual steps, and the
latent with plain noise of a known level.
"""
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from tools.data.vocabulary import load_things
from tools.train.autoencoder import LATENT_CHANNELS
from tools.train.common import (
    Checkpoint, Clock, CsvLog, Ema, StopRequest, common_arguments, set_learning_rate, set_up,
)
from tools.train.export import averaged_generator
from tools.train.model import step_times

WIDTH = 64
BLOCKS = 4
GROUPS = 8
EPSILON = 1e-5
PEAK_RATE = 1e-3
# The level that stands for "as the model left it"; plain noise is drawn up to MAX_SIGMA.
SAMPLED_SIGMA = 0.2
MAX_SIGMA = 0.5
# Starting points on the times of the usual steps: 2, 3 or 4 of 6 steps are done.
STEPS_DONE = (2, 3, 4)
PAIRS_PER_ROUND = 32
UPDATES_PER_ROUND = 8
POOL_LIMIT = 6000
BATCH = 64


def sigma_features(sigma, width):
    """Sinusoidal features of 1000 sigma, cosines first."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=sigma.device) / half)
    angles = 1000 * sigma[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], 1)


class SigmaEmbedding(nn.Module):
    """Two linear layers on the features of sigma."""

    def __init__(self, width):
        super().__init__()
        self.linear_1 = nn.Linear(width, 4 * width)
        self.linear_2 = nn.Linear(4 * width, 4 * width)

    def forward(self, features):
        return self.linear_2(F.silu(self.linear_1(features)))


class ResidualBlock(nn.Module):
    """Two normalised convolutions with the level added between them."""

    def __init__(self, width, groups):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, width, EPSILON)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.time_emb_proj = nn.Linear(4 * width, width)
        self.norm2 = nn.GroupNorm(groups, width, EPSILON)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x, level):
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb_proj(F.silu(level))[:, :, None, None]
        return x + self.conv2(F.silu(self.norm2(h)))


class LatentRefiner(nn.Module):
    """Adds a predicted correction to a latent; at the start of training the correction is zero."""

    def __init__(self, latent_channels=LATENT_CHANNELS, width=WIDTH, num_blocks=BLOCKS, norm_num_groups=GROUPS):
        super().__init__()
        self.width = width
        self.conv_in = nn.Conv2d(latent_channels, width, 3, padding=1)
        self.time_embedding = SigmaEmbedding(width)
        self.blocks = nn.ModuleList([ResidualBlock(width, norm_num_groups) for _ in range(num_blocks)])
        self.conv_norm_out = nn.GroupNorm(norm_num_groups, width, EPSILON)
        self.conv_out = nn.Conv2d(width, latent_channels, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def forward(self, latents, sigma):
        level = self.time_embedding(sigma_features(sigma, self.width))
        x = self.conv_in(latents)
        for block in self.blocks:
            x = block(x, level)
        return latents + self.conv_out(F.silu(self.conv_norm_out(x)))


def save_refiner(refiner, folder, sigma):
    """config.json and f16 weights."""
    folder.mkdir(parents=True, exist_ok=True)
    config = dict(_class_name="LatentRefiner", latent_channels=LATENT_CHANNELS, width=WIDTH, num_blocks=BLOCKS,
                  norm_num_groups=GROUPS, sigma=sigma)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {name: value.half().contiguous() for name, value in refiner.state_dict().items()}
    save_file(weights, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def load_refiner(folder):
    """The refiner of a model folder, and the level it asks for by default."""
    config = json.loads((Path(folder) / "config.json").read_text())
    refiner = LatentRefiner(config["latent_channels"], config["width"], config["num_blocks"], config["norm_num_groups"])
    weights = load_file(Path(folder) / "diffusion_pytorch_model.safetensors")
    refiner.load_state_dict({name: value.float() for name, value in weights.items()})
    return refiner.eval(), config["sigma"]


class Pairs:
    """A growing pool of (what the model made, clean latent)."""

    def __init__(self, generator, data):
        self.generator, self.data = generator, data
        self.made, self.clean = [], []

    def grow(self):
        """Adds one batch: data latents noised part of the way and sampled back by the model."""
        clean, captions, _ = self.data.draw(PAIRS_PER_ROUND)
        times = step_times()[STEPS_DONE[torch.randint(len(STEPS_DONE), (1,)).item()] :]
        noised = (1 - times[0]) * clean + times[0] * torch.randn_like(clean)
        made = self.generator.sample(captions, noised, times)
        self.made = (self.made + [*made])[-POOL_LIMIT:]
        self.clean = (self.clean + [*clean])[-POOL_LIMIT:]

    def batch(self):
        """Inputs, their levels and targets, half of each kind."""
        rows = torch.randint(len(self.made), (BATCH // 2,)).tolist()
        made = torch.stack([self.made[i] for i in rows])
        target = torch.stack([self.clean[i] for i in rows])
        clean, _, _ = self.data.draw(BATCH // 2)
        sigma = torch.rand(BATCH // 2) * MAX_SIGMA
        s = sigma.view(-1, 1, 1, 1)
        noised = (1 - s) * clean + s * torch.randn_like(clean)
        levels = torch.cat([torch.full((BATCH // 2,), SAMPLED_SIGMA), sigma])
        return torch.cat([made, noised]), levels, torch.cat([target, clean])


def main():
    from tools.train.text_unet import TrainingSet

    args = common_arguments(__doc__).parse_args()
    stop = StopRequest()
    checkpoint = Checkpoint(args.work / "refiner.pt")
    saved = checkpoint.load()
    step = saved["step"] if saved else 0
    set_up(args.seed + step)
    generator, _ = averaged_generator(args.work)
    pairs = Pairs(generator, TrainingSet(args.work / "latents.pt", load_things(), args.seed + step))
    refiner = LatentRefiner()
    optimizer = torch.optim.AdamW(refiner.parameters(), PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    ema = Ema(refiner.parameters(), 0.99)
    if saved:
        refiner.load_state_dict(saved["refiner"])
        optimizer.load_state_dict(saved["optimizer"])
        ema.load(saved["ema"])
    clock = Clock(args.minutes, saved["spent"] if saved else 0.0)
    log = CsvLog(args.work / "refiner.csv", ["step", "minutes", "sampled_before", "sampled_after", "noised_after"])

    def save():
        checkpoint.save(dict(refiner=refiner.state_dict(), optimizer=optimizer.state_dict(), ema=ema.average,
                             step=step, spent=clock.spent()))

    while not clock.over() and not stop:
        pairs.grow()
        for _ in range(UPDATES_PER_ROUND):
            set_learning_rate(optimizer, clock.learning_rate(PEAK_RATE, step, warmup=50, decay_share=0.6))
            inputs, levels, target = pairs.batch()
            output = refiner(inputs, levels)
            loss = F.mse_loss(output, target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(refiner.parameters(), 1.0)
            optimizer.step()
            step += 1
            ema.update(step)
        half = BATCH // 2
        log.write(step=step, minutes=clock.spent() / 60,
                  sampled_before=F.mse_loss(inputs[:half], target[:half]).item(),
                  sampled_after=F.mse_loss(output[:half], target[:half]).item(),
                  noised_after=F.mse_loss(output[half:], target[half:]).item())
        if checkpoint.due():
            save()
    save()
    ema.swap()
    save_refiner(refiner, args.work / "refiner", SAMPLED_SIGMA)
    log.plot("sampled_after")


if __name__ == "__main__":
    main()
