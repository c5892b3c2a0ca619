"""Trains a student with fewer channels than the teacher to do what it does.

It begins with the most important channels of the teacher's, and learns from its output, its features and the drawings alike, as
students with fewer blocks do, most of the time from those drawings that it draws worst.
"""
from functools import partial

import torch

from tools.train.common import Loop, common_arguments, set_up
from tools.train.dataset import LatentSet
from tools.train.narrowing import narrowed
from tools.train.networks import Generator
from tools.train.presets import PRESETS
from tools.train.student import Trainee
from tools.train.teacher import Preview, draw_times
from tools.train.widen import GUIDANCE, STEPS, TIME_SHIFT, UNIFORM_TIME_SHARE, select


def of_blocks(kept, levels, device):
    """Which channels the student has of what each watched block gives, which is the stream of its level."""
    streams = [kept[f"level {level}"].to(device) for level in range(levels)]
    down = {f"down {number}": stream for number, stream in enumerate(streams)}
    return down | {f"up {number}": stream for number, stream in enumerate(reversed(streams))}


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    before = args.work / "teacher"
    teacher = Generator.saved(before, device).requires_grad_(False)
    unet, kept = narrowed(teacher.unet, preset.student_channels)
    student = Generator(teacher.tokenizer, teacher.text_encoder, unet, device, teacher.schedule)
    times = partial(draw_times, shift=TIME_SHIFT, uniform_share=UNIFORM_TIME_SHARE)
    kept = of_blocks(kept, len(preset.student_channels), device)
    loop = Loop(args, "narrow", Trainee(teacher, student, times, kept), device, ["flow", "output", "feature"],
                preset.peak_rate, decay_share=0.9, made_from=before)
    torch.manual_seed(args.seed + loop.step)
    data = LatentSet(args.work / "latents.pt", device, args.seed + loop.step)
    select(student, data)
    preview = Preview(args, preset, "narrow", device)

    def look():
        preview.draw(student, loop.step, STEPS, GUIDANCE)
        if not loop.leaves():
            select(student, data)

    loop.run(lambda workers: [data.draw(preset.batch // workers) for _ in range(workers)], Trainee.losses, look)
    student.save(args.work / "student", steps=STEPS, guidance=GUIDANCE, trained_steps=loop.step)


if __name__ == "__main__":
    main()
