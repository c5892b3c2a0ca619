"""Makes the student need only a few steps and a single UNet call in each.

The teacher, guided and in many steps, draws a picture from each of many noises. The student then learns the straight
line between such a noise and its picture ("reflow", Liu et al., 2022; for text to image InstaFlow, Liu et al., 2023).
As the pairs come from the guided teacher, guidance is folded in; as the lines are straight, few steps suffice.
"""
import torch
import torch.nn.functional as F

from tools.train.common import Loop, common_arguments, set_up
from tools.train.networks import Generator
from tools.train.pairs import PairSet
from tools.train.presets import PRESETS
from tools.train.teacher import Preview, mix

PEAK_RATE_SHARE = 0.5
STEPS = 4
# Half of the training looks where sampling in four, two or one steps will stand; pure noise matters most.
STOPS = (1.0, 1.0, 0.75, 0.5, 0.25)
STOP_SHARE = 0.6


def draw_stops(count, device):
    """Times where few-step sampling stands, and uniform ones."""
    stops = torch.tensor(STOPS, device=device)[torch.randint(len(STOPS), (count,), device=device)]
    return torch.where(torch.rand(count, device=device) < STOP_SHARE, stops, torch.rand(count, device=device))


def straight_line_loss(generator, pairs):
    """How far the velocity is from the straight way between noise and picture."""
    tokens, noise, latents = pairs
    with torch.no_grad():
        text = generator.read(tokens)
    times = draw_stops(len(tokens), latents.device)
    return F.mse_loss(generator.velocity(mix(latents, noise, times), times, text), noise - latents)


class Trainee(torch.nn.Module):
    """The student; its text encoder stays as it is."""

    def __init__(self, student):
        super().__init__()
        student.text_encoder.requires_grad_(False)
        self.student = student

    def losses(self, pairs):
        loss = straight_line_loss(self.student, pairs)
        return loss, (loss.detach(),)


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    pairs = PairSet(args.work / "pairs.pt", preset.pairs).to(device)
    student = Generator.saved(args.work / preset.student_stage, device)
    loop = Loop(args, "few_step", Trainee(student), device, ["loss"], PEAK_RATE_SHARE * preset.peak_rate,
                decay_share=0.8, warmup=50)
    torch.manual_seed(args.seed + loop.step)
    preview = Preview(args, preset, "few_step", device)
    student.compile()

    def draw(workers):
        return [pairs.draw(preset.batch // workers) for _ in range(workers)]

    loop.run(draw, Trainee.losses, lambda: preview.draw(student, loop.step, STEPS, 1))
    student.save(args.work / "few_step", steps=STEPS, guidance=1, trained_steps=loop.step)


if __name__ == "__main__":
    main()
