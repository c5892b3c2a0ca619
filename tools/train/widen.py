"""Teaches a finished model more things.

Its denoiser learns on, together with its text encoder, to which `text_encoder` has already given more words; most of the time
from the drawings that it draws worst, which at first are those of the things that are new to it. Captions that name no style or no
ground are left out, and empty ones with them: what they leave open cannot be learned, and the program adds what is not named, but
where it draws from a picture.
"""
from functools import partial

import torch

from tools.train.common import common_arguments, set_up
from tools.train.dataset import are_complete, drawings, evenly
from tools.train.optimizers import muon_where_fast
from tools.train.parallel import in_parts
from tools.train.presets import PRESETS
from tools.train.teacher import Trainee, draw_times, learn, start
from tools.train.text_encoder import to_teach

# Without empty captions there is nothing to guide away from.
STEPS, GUIDANCE = 6, 1
# How seldom and how often a drawing may come up, beside one that is off by the mean.
LEAST, MOST = 0.4, 5.0
BATCH = 16
# How often a caption is the one that the program brings prompts to.
USUAL_SHARE = 0.4
# What is new is what to draw, which noisy times decide; how drawings look in detail is known.
TIME_SHIFT = 0.6
UNIFORM_TIME_SHARE = 0.2


@torch.no_grad()
def one_step_errors(generator, tokens, latents):
    """Mean square [n] of what latents drawn in one step are off by."""
    noise, times = torch.randn_like(latents), torch.ones(len(latents), device=latents.device)
    drawn = noise - generator.velocity(noise, times, generator.read(tokens))
    return (drawn - latents).square().mean((1, 2, 3))


def examples(bucket):
    """Tokens of a complete caption, and latents, of a random picture of each drawing."""
    which, complete = drawings(bucket["facts"]), are_complete(bucket["facts"])
    rows = torch.randperm(len(which), device=which.device)
    chosen = rows.new_empty(which.max() + 1).index_copy_(0, which[rows], rows)
    # Few pictures have no such caption.
    rows = rows[complete[rows].any(1)]
    chosen.index_copy_(0, which[rows], rows)
    captions = complete[chosen].int().argmax(1)
    return bucket["tokens"][chosen, captions].long(), bucket["latents"][chosen].float()


def favour_badly_drawn(generator, data):
    """Lets drawings come up the more often the further off they are, by the square of their error and within limits."""
    weights = []
    for bucket in data.buckets:
        errors = in_parts(partial(one_step_errors, generator), BATCH, data.device, *examples(bucket))
        print(f"off by {errors.mean():.4f} in one step, the worst tenth by {errors.quantile(0.9):.4f} or more", flush=True)
        shares = (errors / errors.mean()).square().clamp(LEAST, MOST)
        weights.append(evenly(bucket["facts"]) * shares[drawings(bucket["facts"])])
    data.weigh(weights)


def select(generator, data):
    """What the data is to show from now on."""
    data.leave_out_open(USUAL_SHARE)
    favour_badly_drawn(generator, data)


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    times = partial(draw_times, shift=TIME_SHIFT, uniform_share=UNIFORM_TIME_SHARE)
    trainee = Trainee(to_teach(args.work, preset, device), times)
    start(trainee, args.work)
    learn(args, preset, trainee, "widen", STEPS, GUIDANCE, decay_share=0.95, select=select, optimizer=muon_where_fast)


if __name__ == "__main__":
    main()
