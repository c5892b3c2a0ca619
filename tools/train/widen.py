"""Teaches a finished model more things.

Its denoiser learns on, together with its text encoder, to which `text_encoder` has already given more words; most of the time
from the things that are new to it.
"""
from functools import partial

import torch

from tools.train.common import common_arguments, set_up
from tools.train.dataset import FACTS, evenly, fact_classes
from tools.train.presets import PRESETS
from tools.train.teacher import Trainee, draw_times, learn, start
from tools.train.text_encoder import to_teach

STEPS, GUIDANCE = 6, 1.5
# How much more often a drawing comes up whose thing is new.
FAVOUR = 2.5
# What is new is what to draw, which noisy times decide; how drawings look in detail is known.
TIME_SHIFT = 0.6
UNIFORM_TIME_SHARE = 0.2


def favour(facts, known):
    """How often each picture is to come up [n], by what its captions state [n, captions, facts]: each drawing alike, new ones more."""
    classes = fact_classes()["thing"]
    known = torch.tensor([classes[code] for code in known], device=facts.device)
    things = facts[..., FACTS.index("thing")].amax(1)
    return torch.where(torch.isin(things, known), 1.0, FAVOUR) * evenly(facts)


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    times = partial(draw_times, shift=TIME_SHIFT, uniform_share=UNIFORM_TIME_SHARE)
    trainee = Trainee(to_teach(args.work, preset, device), times)
    start(trainee, args.work)
    learn(args, preset, trainee, "widen", STEPS, GUIDANCE, decay_share=0.5, weigh=partial(favour, known=preset.known))


if __name__ == "__main__":
    main()
