"""Makes the student need only a few steps and a single UNet call in each.

Where pictures are plain, a complete caption leaves hardly open what they show, and a step may go all the way to the picture
and be noised anew. The student learns to reach the training picture from wherever its own earlier steps have led it, wrong as
they may be, as in DAgger (Ross et al., 2011): of noised training pictures alone it never sees its own mistakes.

Elsewhere the teacher, guided and in many steps, draws a picture from each of many noises, and the student learns the straight
line between such a noise and its picture ("reflow", Liu et al., 2022; for text to image InstaFlow, Liu et al., 2023). As the
pairs come from the guided teacher, guidance is folded in; as the lines are straight, few steps suffice.
"""
import random

import torch
import torch.nn.functional as F

from tools.train.common import Loop, common_arguments, set_up
from tools.train.dataset import LatentSet, evenly
from tools.train.networks import Generator
from tools.train.pairs import PairSet
from tools.train.presets import PRESETS
from tools.train.schedule import schedule_of
from tools.train.teacher import Preview, mix

PEAK_RATE_SHARE = 0.2
STEPS = 4
# Half of the training looks where sampling in four, two or one steps will stand; pure noise matters most.
STOPS = (1.0, 1.0, 0.75, 0.5, 0.25)
STOP_SHARE = 0.6
# In how many steps the student draws to where it learns to go on.
OWN_STEPS = (4, 4, 2)
# How often a caption is the one that the program brings prompts to.
USUAL_SHARE = 0.7


def draw_stops(count, device):
    """Times where few-step sampling stands, and uniform ones."""
    stops = torch.tensor(STOPS, device=device)[torch.randint(len(STOPS), (count,), device=device)]
    return torch.where(torch.rand(count, device=device) < STOP_SHARE, stops, torch.rand(count, device=device))


def straight_line_loss(generator, tokens, noise, latents):
    """How far the velocity is from the straight way between noise and picture."""
    with torch.no_grad():
        text = generator.read(tokens)
    times = draw_stops(len(tokens), latents.device)
    return F.mse_loss(generator.velocity(mix(latents, noise, times), times, text), noise - latents)


def draw_way(schedule):
    """The times that the student's own steps go through, of which the last is where it learns to go on."""
    times = schedule.times(random.choice(OWN_STEPS))
    return times[: random.randint(1, len(times) - 1)]


def own_way_loss(generator, drawn, times):
    """How far the picture that one velocity leads to is from the wanted one, after the generator's own steps through these times.

    It is divided by the time, which the velocity is multiplied by: else the last steps, which finish the picture, would hardly count.
    """
    with torch.no_grad():
        text = generator.read(drawn.tokens)
        latents = generator.walk(text, torch.randn_like(drawn.latents), times, 1)
    now = times[-1].to(latents.device)
    led_to = latents - now * generator.velocity(latents, now.expand(len(latents)), text)
    return F.mse_loss(led_to, drawn.latents) / now


class StraightLines:
    """Lessons from pairs of noises and the teacher's pictures."""

    def __init__(self, args, preset, device):
        self.pairs = PairSet(args.work / "pairs.pt", preset.pairs).to(device)
        self.batch = preset.batch

    def draw(self, workers):
        """A batch for each worker."""
        return [self.pairs.draw(self.batch // workers) for _ in range(workers)]

    loss = staticmethod(straight_line_loss)


class OwnWays:
    """Lessons from training pictures, at the end of the student's own way to them."""

    def __init__(self, args, preset, device, seed, schedule):
        random.seed(seed)
        self.data = LatentSet(args.work / "latents.pt", device, seed)
        self.data.weigh([evenly(bucket["facts"]) for bucket in self.data.buckets])
        self.data.leave_out_open(USUAL_SHARE)
        self.batch, self.schedule = preset.batch, schedule

    def draw(self, workers):
        """A batch for each worker, with a way of its own."""
        return [(self.data.draw(self.batch // workers), draw_way(self.schedule)) for _ in range(workers)]

    loss = staticmethod(own_way_loss)


def lessons_for(student, args, preset, seed):
    """What a model learns from to draw in few steps."""
    if student.schedule != schedule_of(preset):
        raise SystemExit(f"the teacher is sampled by {student.schedule}, models of {preset.name} by {schedule_of(preset)}: train it anew")
    if student.schedule.stochastic_sampling:
        return OwnWays(args, preset, student.device, seed, student.schedule)
    return StraightLines(args, preset, student.device)


class Trainee(torch.nn.Module):
    """The student; its text encoder stays as it is."""

    def __init__(self, student):
        super().__init__()
        student.text_encoder.requires_grad_(False)
        self.student = student

    def losses(self, lesson, batch):
        """Loss of one batch, which is also what the log shows."""
        loss = lesson(self.student, *batch)
        return loss, (loss.detach(),)


def learn_in_few_steps(loop, student, args, preset, stage):
    """Trains the student in a loop of its trainee."""
    seed = args.seed + loop.step
    torch.manual_seed(seed)
    lessons, preview = lessons_for(student, args, preset, seed), Preview(args, preset, stage, student.device)
    loop.run(lessons.draw, lambda trainee, batch: trainee.losses(lessons.loss, batch),
             lambda: preview.draw(student, loop.step, STEPS, 1))


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    before = args.work / preset.student_stage
    student = Generator.saved(before, device)
    loop = Loop(args, "few_step", Trainee(student), device, ["loss"], PEAK_RATE_SHARE * preset.peak_rate,
                decay_share=0.8, warmup=50, made_from=before)
    student.compile()
    learn_in_few_steps(loop, student, args, preset, "few_step")
    student.save(args.work / "few_step", steps=STEPS, guidance=1, trained_steps=loop.step)


if __name__ == "__main__":
    main()
