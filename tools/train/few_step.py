"""Makes the student need only a few steps and a single UNet call in each.

The teacher, guided where it can be and in many steps, draws a picture from each of many noises. The student then learns the
straight line between such a noise and its picture ("reflow", Liu et al., 2022; for text to image InstaFlow, Liu et al., 2023).
As the pairs come from the guided teacher, guidance is folded in; as the lines are straight, few steps suffice.

Where pictures are plain, a complete caption leaves hardly open what they show, and the student learns besides to reach the
training picture from wherever its own earlier steps have led it, wrong as they may be, as in DAgger (Ross et al., 2011):
on straight lines alone it never sees its own mistakes.
"""
import random

import torch
import torch.nn.functional as F

from tools.train.common import Loop, common_arguments, set_up
from tools.train.dataset import COMPLETE, LatentSet, evenly
from tools.train.networks import Generator, step_times
from tools.train.pairs import PairSet
from tools.train.presets import PRESETS
from tools.train.teacher import Preview, mix

PEAK_RATE_SHARE = 0.5
STEPS = 4
# Half of the training looks where sampling in four, two or one steps will stand; pure noise matters most.
STOPS = (1.0, 1.0, 0.75, 0.5, 0.25)
STOP_SHARE = 0.6
# In how many steps the student draws to where it learns to go on.
OWN_STEPS = (4, 4, 2)


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


def draw_way():
    """The times that the student's own steps go through, of which the last is where it learns to go on."""
    times = step_times(random.choice(OWN_STEPS))
    return times[: random.randint(1, len(times) - 1)]


def own_way_loss(generator, drawn, times):
    """How far the picture that one velocity leads to is from the wanted one, after the generator's own steps through these times."""
    with torch.no_grad():
        text = generator.read(drawn.tokens)
        latents = generator.walk(text, torch.randn_like(drawn.latents), times, 1)
    now = times[-1].to(latents.device)
    led_to = latents - now * generator.velocity(latents, now.expand(len(latents)), text)
    return F.mse_loss(led_to, drawn.latents)


class Trainee(torch.nn.Module):
    """The student; its text encoder stays as it is."""

    def __init__(self, student):
        super().__init__()
        student.text_encoder.requires_grad_(False)
        self.student = student

    def losses(self, batch):
        """Loss of pairs and, if there are any, of pictures with complete captions; the loss to log."""
        pairs, drawn, times = batch
        loss = straight_line_loss(self.student, pairs)
        if drawn:
            loss = (loss + own_way_loss(self.student, drawn, times)) / 2
        return loss, (loss.detach(),)


class Lessons:
    """What few-step models learn from: pairs and, where pictures are plain, as many of those with complete captions."""

    def __init__(self, args, preset, device, seed):
        random.seed(seed)
        self.pairs = PairSet(args.work / "pairs.pt", preset.pairs).to(device)
        self.data = None
        self.batch = preset.batch
        if preset.mix == "plain":
            self.data = LatentSet(args.work / "latents.pt", device, seed)
            self.data.weigh([evenly(bucket["facts"]) for bucket in self.data.buckets])
            self.data.leave_out_open(COMPLETE)

    def draw(self, workers):
        """A batch for each worker."""
        share = self.batch // workers
        if not self.data:
            return [(self.pairs.draw(share), None, None) for _ in range(workers)]
        half, times = max(1, share // 2), draw_way()
        return [(self.pairs.draw(half), self.data.draw(half), times) for _ in range(workers)]


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    before = args.work / preset.student_stage
    student = Generator.saved(before, device)
    loop = Loop(args, "few_step", Trainee(student), device, ["loss"], PEAK_RATE_SHARE * preset.peak_rate,
                decay_share=0.8, warmup=50, made_from=before)
    torch.manual_seed(args.seed + loop.step)
    lessons = Lessons(args, preset, device, args.seed + loop.step)
    preview = Preview(args, preset, "few_step", device)
    student.compile()
    loop.run(lessons.draw, Trainee.losses, lambda: preview.draw(student, loop.step, STEPS, 1))
    student.save(args.work / "few_step", steps=STEPS, guidance=1, trained_steps=loop.step)


if __name__ == "__main__":
    main()
