"""Trains the latent refiner on what the few-step student really gets wrong.

The student, with rounded weights, draws in few steps from a noise for which the teacher's many-step picture is known (the
pairs of `few_step.py`, of which some are kept aside for judging), and the refiner learns to turn the student's latent into the
teacher's. Where pictures are plain, a complete caption leaves hardly open what they show: there the refiner learns to turn
what the student draws of such captions into the training pictures. A part of the loss is taken on the decoded picture, so that it
also learns to counter what the decoder makes of small latent errors.

What counts is the absolute error of pixels: squares are least where all that the student was unsure of is blurred, and so are absolute
errors of edges; a loss on how much of edges there is around a place was met by meshes drawn over it.
"""
import json
import math
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from tools.train.autoencoder import psnr
from tools.train.common import Loop, common_arguments, in_parts, set_up
from tools.train.dataset import DRAWING, FACTS, LatentSet, evenly
from tools.train.few_step import STEPS, USUAL_SHARE
from tools.train.networks import Codec, Generator, autoencoder_of
from tools.train.pairs import PairSet
from tools.train.presets import PRESETS

WIDTH = 64
BLOCKS = 4
GROUPS = 8
EPSILON = 1e-5
PEAK_RATE = 1e-3
# The level that stands for "as the student left it".
SAMPLED_SIGMA = 0.2
BATCH = 16
DECODED = 6
LATENT_WEIGHT = 0.02
KEPT_ASIDE = 10
SAMPLE_BATCH = {"cpu": 16, "cuda": 256}
# How many plain pictures are drawn for it.
PLAIN = 1_536


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

    def __init__(self, latent_channels, width=WIDTH, num_blocks=BLOCKS, norm_num_groups=GROUPS):
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
    config = dict(_class_name="LatentRefiner", latent_channels=refiner.conv_in.in_channels, width=WIDTH, num_blocks=BLOCKS,
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


def sampled(student, tokens, noise):
    """What the student draws from noises."""
    work = partial(student.sample, steps=STEPS, guidance=1)
    return in_parts(work, SAMPLE_BATCH[student.device.type], student.device, tokens.long(), noise.float())


def beside_teacher(student, pairs):
    """What the student draws from the noises of the pairs, beside what the teacher drew: a dict for each shape."""
    return [
        dict(made=sampled(student, bucket["tokens"], bucket["noise"]), wanted=bucket["latents"].float(),
             aside=torch.arange(len(bucket["tokens"]), device=student.device) % KEPT_ASIDE == 0)
        for bucket in pairs.buckets
    ]


def beside_pictures(student, data, count):
    """What the student draws of complete captions, beside the pictures that they are of; drawings are kept aside whole."""
    data.weigh([evenly(bucket["facts"]) for bucket in data.buckets])
    data.leave_out_open(USUAL_SHARE)
    drawn = data.draw(count)
    thing, style = (drawn.facts[:, FACTS.index(fact)] for fact in DRAWING)
    return [dict(made=sampled(student, drawn.tokens, torch.randn_like(drawn.latents)), wanted=drawn.latents,
                 aside=(thing + style) % KEPT_ASIDE == 0)]


class Examples:
    """Latents as sampling leaves them beside those wanted; about every tenth is kept aside."""

    def __init__(self, buckets):
        self.buckets = buckets
        self.rows = [torch.where(~bucket["aside"])[0] for bucket in buckets]
        self.sizes = torch.tensor([float(len(rows)) for rows in self.rows])

    def draw(self, count):
        """Random ones of one shape to train on."""
        number = torch.multinomial(self.sizes, 1).item()
        bucket, rows = self.buckets[number], self.rows[number]
        rows = rows[torch.randint(len(rows), (count,), device=rows.device)]
        return bucket["made"][rows], bucket["wanted"][rows]

    def kept_aside(self, limit=64):
        """Pairs that are never trained on."""
        bucket = self.buckets[0]
        return bucket["made"][bucket["aside"]][:limit], bucket["wanted"][bucket["aside"]][:limit]


def refine(refiner, latents):
    return refiner(latents, torch.full((len(latents),), SAMPLED_SIGMA, device=latents.device))


def edge_error(error):
    """Mean square of how far differences of neighbouring pixels are off."""
    across, down = error[..., :, 1:] - error[..., :, :-1], error[..., 1:, :] - error[..., :-1, :]
    return across.square().mean() + down.square().mean()


def losses_of(refiner, batch, codec):
    """Absolute error of a few of the pictures, and a little of that of latents."""
    made, wanted = batch
    refined = refine(refiner, made)
    latent = F.mse_loss(refined, wanted)
    error = codec.decode_differentiably(refined[:DECODED]) - codec.decode(wanted[:DECODED])
    picture, edges = error.abs().mean(), edge_error(error)
    before = F.mse_loss(made, wanted)
    loss = picture + LATENT_WEIGHT * latent
    return loss, (latent.detach(), before, picture.detach(), edges.detach())


@torch.no_grad()
def judge(refiner, examples, codec):
    """Prints latent error and picture agreement on those kept aside, without and with the refiner."""
    made, wanted = examples.kept_aside()
    aims = codec.decode(wanted)
    for name, latents in (("without", made), ("with", refine(refiner, made))):
        error = codec.decode(latents) - aims
        agreement = psnr(error.square().mean((1, 2, 3))).mean()
        print(f"{name} refiner: latent error {F.mse_loss(latents, wanted):.4f}, {agreement:.2f} dB to what is wanted, "
              f"edges off by {edge_error(error):.5f}")


def latents_of(args, preset, device):
    """What this preset's model leaves, beside what is wanted."""
    student = Generator.saved(args.work / "quantize", device).requires_grad_(False)
    if student.schedule.stochastic_sampling:
        return beside_pictures(student, LatentSet(args.work / "latents.pt", device, args.seed), PLAIN)
    return beside_teacher(student, PairSet(args.work / "pairs.pt", preset.pairs).to(device))


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    codec, examples = Codec(autoencoder_of(args.work), device), Examples(latents_of(args, preset, device))
    refiner = LatentRefiner(preset.latent_channels).to(device)
    loop = Loop(args, "refiner", refiner, device, ["after", "before", "picture", "edges"], PEAK_RATE, warmup=50, ema_decay=0.99,
                made_from=args.work / "quantize")
    torch.manual_seed(args.seed + loop.step)

    def draw(workers):
        return [examples.draw(BATCH) for _ in range(workers)]

    loop.run(draw, lambda module, batch: losses_of(module, batch, codec))
    judge(refiner, examples, codec)
    save_refiner(refiner, args.work / "refiner", SAMPLED_SIGMA)


if __name__ == "__main__":
    main()
