"""Trains the upscaler, which makes decoded pictures twice as wide and high.

It sees pictures as the decoder gives them, of latents that are not quite right and at times blurred further, and learns what
was drawn at twice the size. Blur that is even on both sides of an edge leaves no doubt where the edge is, so it learns to make
edges sharp (the idea of Real-ESRGAN's degradations, Wang et al., 2021; without its adversary). The network is a small
ESPCN (Shi et al., 2016) with residual blocks, on pixels packed two by two, which halves the sides it computes at. The drawings
in the pack have to be large enough (`build_pack --side 448`); others would teach it to blur.
"""
import json
import random

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from tools.data.compose import Painter, Parts
from tools.train.autoencoder import gradient_loss, psnr
from tools.train.common import Loop, common_arguments, on_all_cores, pack_folder, save_grid, set_up, worker_count
from tools.train.dataset import planner_for
from tools.train.networks import Codec, autoencoder_of
from tools.train.presets import PRESETS

WIDTH = 48
BLOCKS = 4
# Pixels of a cell of the packed picture each way, before and after.
PACKED, SPREAD = 2, 4
PEAK_RATE = 2e-3
BATCH = 8
# Side of a window of the picture that comes in.
WINDOW = 96
EDGE_WEIGHT = 0.5
LATENT_NOISE = 0.08
# Standard deviations of the further blur, in pixels; many pictures have none.
LARGEST_BLUR, BLURRED = 1.6, 0.6
PAINTED = 8
KEPT_ASIDE = 48
# Not the pictures of the data set.
SEED = "upscaler"


class Block(nn.Module):
    """Two convolutions around a skip connection."""

    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(F.relu(self.conv1(x)))


class Upscaler(nn.Module):
    """Pictures [n, 3, h, w] in [-1, 1] at twice the size; their pixels doubled at the start of training."""

    def __init__(self, width=WIDTH, num_blocks=BLOCKS):
        super().__init__()
        self.config = dict(width=width, num_blocks=num_blocks)
        self.conv_in = nn.Conv2d(3 * PACKED**2, width, 3, padding=1)
        self.blocks = nn.ModuleList([Block(width) for _ in range(num_blocks)])
        self.conv_out = nn.Conv2d(width, 3 * SPREAD**2, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def forward(self, pictures):
        x = self.conv_in(F.pixel_unshuffle(pictures, PACKED))
        for block in self.blocks:
            x = block(x)
        return F.pixel_shuffle(self.conv_out(x), SPREAD) + F.interpolate(pictures, scale_factor=2, mode="nearest")


def blurred(pictures, sigma):
    """Pictures [n, 3, h, w] under a Gaussian blur."""
    reach = 5
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).to(pictures)
    for kernel, pad in ((weights.view(1, 1, 1, -1), (reach, reach, 0, 0)), (weights.view(1, 1, -1, 1), (0, 0, reach, reach))):
        padded = F.pad(pictures, pad, mode="replicate")
        pictures = F.conv2d(padded, kernel.expand(3, 1, -1, -1), groups=3)
    return pictures


def bytes_of(pictures):
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte()


def floats_of(pictures):
    return pictures.float() / 127.5 - 1


class Bank:
    """Square pictures as they are decoded and as they were drawn at twice the size, in bytes; the first are kept aside."""

    def __init__(self, args, preset, device):
        painter = Painter(Parts(pack_folder(args), preset.things(), list(preset.styles)), device)
        codec, rng, planner = Codec(autoencoder_of(args.work), device), random.Random(SEED), planner_for(preset, painter.parts)
        jobs = [([planner.draw(rng) for _ in range(PAINTED)], rng.random() * LATENT_NOISE)
                for _ in range(-(-preset.enlarged // PAINTED))]

        def draw(job):
            scenes, noise = job
            latents = codec.encode(painter.paint(scenes, preset.side))
            decoded = codec.decode(latents + noise * torch.randn_like(latents))
            return bytes_of(decoded).cpu(), bytes_of(painter.paint(scenes, 2 * preset.side)).cpu()

        made, width = [], worker_count(device)
        for start in range(0, len(jobs), width):
            made += on_all_cores(draw, jobs[start : start + width])
        self.decoded, self.drawn = (torch.cat(pictures) for pictures in zip(*made))
        self.device = device

    def draw(self, count):
        """Windows that come in, and those wanted."""
        side, given, wanted = self.decoded.shape[-1], [], []
        for row in torch.randint(KEPT_ASIDE, len(self.decoded), (count,)).tolist():
            # Even, so that windows begin with a whole cell.
            x, y = (PACKED * torch.randint((side - WINDOW) // PACKED + 1, (2,))).tolist()
            window = floats_of(self.decoded[row : row + 1, :, y : y + WINDOW, x : x + WINDOW])
            if torch.rand(()) < BLURRED:
                window = blurred(window, 0.3 + (LARGEST_BLUR - 0.3) * torch.rand(()).item())
            given.append(window)
            wanted.append(floats_of(self.drawn[row : row + 1, :, 2 * y : 2 * (y + WINDOW), 2 * x : 2 * (x + WINDOW)]))
        return torch.cat(given).to(self.device), torch.cat(wanted).to(self.device)

    def kept_aside(self):
        return floats_of(self.decoded[:KEPT_ASIDE]), floats_of(self.drawn[:KEPT_ASIDE])


def losses_of(upscaler, batch):
    given, wanted = batch
    error = upscaler(given) - wanted
    pixels, edges = error.abs().mean(), gradient_loss(error)
    return pixels + EDGE_WEIGHT * edges, (pixels.detach(), edges.detach())


def smoothly(pictures):
    """Enlarged without learning."""
    return F.interpolate(pictures, scale_factor=2, mode="bicubic", align_corners=False).clamp(-1, 1)


def sharpness(pictures):
    """Mean size of the differences between neighbours that are large: how hard edges are."""
    across = (pictures[..., 1:] - pictures[..., :-1]).abs().amax(1).flatten(1)
    return across.topk(across.shape[1] // 100).values.mean()


@torch.no_grad()
def judge(upscaler, bank, folder):
    """Prints agreement with what was drawn, and how sharp edges are, on pictures kept aside; writes a sheet."""
    given, wanted = bank.kept_aside()
    given, wanted = given.to(bank.device), wanted.to(bank.device)
    made = {"smoothly": smoothly(given), "by the upscaler": torch.cat([upscaler(part).clamp(-1, 1) for part in given.split(4)])}
    for name, pictures in made.items():
        agreement = psnr((pictures - wanted).pow(2).mean((1, 2, 3))).mean()
        print(f"enlarged {name}: {agreement:.2f} dB, edges {sharpness(pictures):.3f} (drawn {sharpness(wanted):.3f})", flush=True)
    save_grid(torch.cat([*(pictures[:6] for pictures in made.values()), wanted[:6]]), folder / "upscaler.png", 6)


def save_upscaler(upscaler, folder):
    """config.json and f16 weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"_class_name": "PictureUpscaler", **upscaler.config}, indent=2) + "\n")
    weights = {name: value.half().contiguous() for name, value in upscaler.state_dict().items()}
    save_file(weights, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    bank = Bank(args, preset, device)
    print(f"{len(bank.decoded)} pictures", flush=True)
    upscaler = Upscaler().to(device)
    loop = Loop(args, "upscaler", upscaler, device, ["pixels", "edges"], PEAK_RATE, warmup=50, ema_decay=0.99)
    torch.manual_seed(args.seed + loop.step)
    show = lambda: judge(upscaler, bank, args.work / "previews")
    loop.run(lambda workers: [bank.draw(BATCH) for _ in range(workers)], losses_of, show)
    show()
    save_upscaler(upscaler, args.work / "upscaler")


if __name__ == "__main__":
    main()
