"""Finishes the few-step student so that its weights may be stored as eight-bit integers.

Weights of linear and convolution layers are rounded in every forward pass as they will be stored (symmetric, one scale
for each output channel), while gradients pass through the rounding unchanged (straight-through estimator, Bengio et
al., 2013). First and last convolution and the time embedding stay as they are: small, and sensitive. The text encoder's
linear layers are rounded once before, so that the student learns from the states that it will be given.
"""
import torch
from torch.nn.utils import parametrize

from tools.train.common import Loop, common_arguments, set_up
from tools.train.few_step import STEPS, Trainee, learn_in_few_steps
from tools.train.networks import Generator
from tools.train.presets import PRESETS

PEAK_RATE_SHARE = 0.05
KEPT = ("conv_in", "conv_out", "time_embedding", "class_embedding")


def rounded(weight):
    """The weight as int8 would give it back."""
    scale = weight.abs().amax(tuple(range(1, weight.dim())), keepdim=True).clamp(min=1e-12) / 127
    return (weight / scale).round() * scale


class Rounding(torch.nn.Module):
    """Rounds forward, passes gradients straight through."""

    def forward(self, weight):
        return weight + (rounded(weight) - weight).detach()


def quantized_layers(unet):
    """The layers whose weights are stored as integers."""
    return [module for name, module in unet.named_modules()
            if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)) and not name.startswith(KEPT)]


@torch.no_grad()
def round_linear_layers(text_encoder):
    """Rounds what is stored as integers of a text encoder."""
    for layer in text_encoder.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.weight.copy_(rounded(layer.weight))


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    before = args.work / "few_step"
    student = Generator.saved(before, device)
    round_linear_layers(student.text_encoder)
    layers = quantized_layers(student.unet)
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", Rounding())
    loop = Loop(args, "quantize", Trainee(student), device, ["loss"], PEAK_RATE_SHARE * preset.peak_rate,
                decay_share=0.9, warmup=20, made_from=before)
    learn_in_few_steps(loop, student, args, preset, "quantize")
    for layer in layers:
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    student.save(args.work / "quantize", steps=STEPS, guidance=1, trained_steps=loop.step)


if __name__ == "__main__":
    main()
