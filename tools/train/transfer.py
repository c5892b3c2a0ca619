"""Moves a finished model into the latents of another autoencoder, which shows pictures twice as large on the same grid.

What the networks know stays: which drawing goes with which words, and where. Only the first and the last convolution
speak of latents. They begin as the old ones seen through the best linear map between old and new latents of the same
pictures, and then the whole denoiser learns on. The text encoder stays as it is.
"""
import random

import torch
import torch.nn.functional as F

from tools.data.compose import Painter, Parts
from tools.train.common import Loop, common_arguments, pack_folder, set_up
from tools.train.dataset import LatentSet, planner_for
from tools.train.networks import Codec, Generator, build_unet
from tools.train.presets import PRESETS
from tools.train.schedule import schedule_of
from tools.train.teacher import Preview, draw_times, mix

STEPS, GUIDANCE = 6, 1.5
FITTED = 256


def linear_map(inputs, outputs):
    """Weights [to, from] and offsets [to] of the best map from one autoencoder's channels to the other's."""
    known, wanted = (latents.movedim(1, -1).flatten(0, -2).double() for latents in (inputs, outputs))
    known = torch.cat([known, torch.ones_like(known[:, :1])], 1)
    solution = torch.linalg.lstsq(known, wanted).solution.float()
    return solution[:-1].T, solution[-1]


def same_pictures(args, preset, device):
    """Old and new latents of the same pictures; the old autoencoder sees them in half the size."""
    parts = Parts(pack_folder(args), preset.things(), list(preset.styles))
    planner, rng = planner_for(preset, parts), random.Random(args.seed)
    pictures = Painter(parts, device).paint([planner.draw(rng) for _ in range(FITTED)], preset.side)
    first, codec = Codec(args.work / "first" / "vae", device), Codec(args.work / "vae", device)
    return first.encode(F.avg_pool2d(pictures, 2)).cpu(), codec.encode(pictures).cpu()


@torch.no_grad()
def in_new_latents(unet, old, new):
    """The denoiser with its first and last convolution seen through the maps between the latents."""
    channels = new.shape[1]
    config = {**unet.config, "in_channels": channels, "out_channels": channels}
    moved = build_unet({name: value for name, value in config.items() if not name.startswith("_")})
    weights = {name: value for name, value in unet.state_dict().items() if not name.startswith(("conv_in", "conv_out"))}
    moved.load_state_dict(weights, strict=False)
    to_old, offset = linear_map(new, old)
    to_new, _ = linear_map(old, new)
    moved.conv_in.weight.copy_(torch.einsum("ojhw,ji->oihw", unet.conv_in.weight, to_old))
    moved.conv_in.bias.copy_(unet.conv_in.bias + unet.conv_in.weight.sum((2, 3)) @ offset)
    moved.conv_out.weight.copy_(torch.einsum("jihw,oj->oihw", unet.conv_out.weight, to_new))
    moved.conv_out.bias.copy_(to_new @ unet.conv_out.bias)
    return moved


class Trainee(torch.nn.Module):
    """The denoiser; its text encoder stays as it is."""

    def __init__(self, generator):
        super().__init__()
        generator.text_encoder.requires_grad_(False)
        self.generator = generator

    def losses(self, drawn):
        """Loss of one batch, which is also what the log shows."""
        times, noise = draw_times(len(drawn.latents), drawn.latents.device), torch.randn_like(drawn.latents)
        with torch.no_grad():
            text = self.generator.read(drawn.tokens)
        flow = F.mse_loss(self.generator.velocity(mix(drawn.latents, noise, times), times, text), noise - drawn.latents)
        return flow, (flow.detach(),)


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    first = Generator.saved(args.work / "first", device)
    unet = in_new_latents(first.unet.cpu(), *same_pictures(args, preset, device))
    generator = Generator(first.tokenizer, first.text_encoder, unet, device, schedule_of(preset))
    loop = Loop(args, "transfer", Trainee(generator), device, ["flow"], preset.peak_rate)
    torch.manual_seed(args.seed + loop.step)
    data = LatentSet(args.work / "latents.pt", device, args.seed + loop.step)
    preview = Preview(args, preset, "transfer", device)
    generator.compile()

    def draw(workers):
        return [data.draw(preset.batch // workers) for _ in range(workers)]

    loop.run(draw, Trainee.losses, lambda: preview.draw(generator, loop.step, STEPS, GUIDANCE))
    generator.save(args.work / "teacher", steps=STEPS, guidance=GUIDANCE, trained_steps=loop.step)


if __name__ == "__main__":
    main()
