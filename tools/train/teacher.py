"""Trains the teacher: text encoder and large UNet together, by rectified flow on stored latents.

A latent x and noise e are mixed as (1 - t) x + t e, and the UNet predicts e - x (Liu et al., "Flow Straight and Fast",
2022). Times are logit-normal (Esser et al., 2024). The text encoder keeps on naming what captions state.
"""
from pathlib import Path

import torch
import torch.nn.functional as F

from tools.data.captions import typical
from tools.train.common import Loop, common_arguments, save_grid, set_up
from tools.train.dataset import LatentSet, planner_for
from tools.train.networks import Codec, Generator, adopt, noise_for
from tools.train.optimizers import adamw
from tools.train.presets import PRESETS
from tools.train.text_encoder import Sentences, TextTeacher
from tools.train.common import pack_folder
from tools.data.compose import Parts

NAMING_WEIGHT = 0.1
MEANING_WEIGHT = 0.1
# A share of uniform times, because sampling begins at exactly t = 1, which logit-normal times hardly reach.
UNIFORM_TIME_SHARE = 0.15
STEPS, GUIDANCE = 30, 1.8
PREVIEW_STEPS = 8


def spread_normal(count, device):
    """Normal numbers of which each falls into another of equally likely intervals, so that batches differ less."""
    places = (torch.arange(count, device=device) + torch.rand(count, device=device)) / count
    return torch.special.ndtri(places.clamp(1e-6, 1 - 1e-6))


def draw_times(count, device, shift=0.0, uniform_share=UNIFORM_TIME_SHARE):
    """Logit-normal times, moved towards noise by a positive shift, with a uniform share."""
    times = torch.sigmoid(spread_normal(count, device) + shift)
    uniform = torch.rand(count, device=device) < uniform_share
    return torch.where(uniform, torch.rand(count, device=device), times)


def mix(latents, noise, times):
    """The latents noised to the given times."""
    t = times.view(-1, 1, 1, 1)
    return (1 - t) * latents + t * noise


class Trainee(torch.nn.Module):
    """Everything that is trained together; `draw_times(count, device)` tells where."""

    def __init__(self, generator, draw_times=draw_times):
        super().__init__()
        self.generator, self.draw_times = generator, draw_times
        self.text_teacher = TextTeacher(generator.text_encoder.config.hidden_size).to(generator.device)

    def losses(self, batch):
        """Loss of one batch, and its velocity and naming parts to log."""
        drawn, (tokens, embeddings) = batch
        text = self.generator.read(drawn.tokens)
        times, noise = self.draw_times(len(drawn.latents), drawn.latents.device), torch.randn_like(drawn.latents)
        predicted = self.generator.velocity(mix(drawn.latents, noise, times), times, text)
        flow = F.mse_loss(predicted, noise - drawn.latents)
        naming = self.text_teacher.naming_loss(text[1], drawn.facts)
        meaning = self.text_teacher.meaning_loss(self.generator.read(tokens)[1], embeddings)
        loss = flow + NAMING_WEIGHT * naming + MEANING_WEIGHT * meaning
        return loss, (flow.detach(), naming.detach(), meaning.detach())


def preview_captions(preset, parts, each=24):
    """Typical captions of trained combinations, then of the first kind that is held out."""
    import random

    rng = random.Random(0)
    return [typical(planner_for(preset, parts, split).draw(rng, aspect=(1, 1)))
            for split in ("seen", preset.held_out[0]) for _ in range(each)]


class Preview:
    """A grid of samples for captions that stay the same: the upper half trained combinations, the lower held out."""

    def __init__(self, args, preset, stage, device):
        parts = Parts(pack_folder(args), preset.things(), list(preset.styles))
        self.captions = preview_captions(preset, parts)
        self.codec = Codec(args.work / "vae", device)
        side, seeds = preset.latent_side, range(len(self.captions))
        self.noise = noise_for(seeds, preset.latent_channels, side, side).to(device)
        self.folder, self.stage = args.work / "previews", stage

    def draw(self, generator, step, steps, guidance):
        tokens = generator.token_ids(self.captions)
        latents = torch.cat([
            generator.sample(t, n, steps, guidance) for t, n in zip(tokens.split(16), self.noise.split(16))])
        save_grid(self.codec.decode(latents), self.folder / f"{self.stage}_{step:06d}.png", 12)


def start(trainee, work, earlier=None):
    """Begins from the trained text encoder and, if given, from an earlier model of the same shape."""
    if earlier:
        weights = {}
        for part in ("unet", "text_encoder"):
            module = getattr(Generator.saved(earlier, torch.device("cpu")), part)
            weights |= {f"generator.{part}.{name}": value for name, value in module.state_dict().items()}
        print("taken from %s: %d of %d tensors" % (earlier, *adopt(trainee, weights)), flush=True)
    trained = torch.load(work / "text_encoder_trained.pt", map_location="cpu", weights_only=True)
    trainee.generator.text_encoder.load_state_dict(
        {name.removeprefix("text_encoder."): v for name, v in trained.items() if name.startswith("text_encoder.")})
    trainee.text_teacher.load_state_dict(
        {name.removeprefix("teacher."): v for name, v in trained.items() if name.startswith("teacher.")})


def learn(args, preset, trainee, stage, steps, guidance, decay_share=0.6, select=None, optimizer=adamw):
    """Trains everything and saves it as the teacher, to be sampled in so many steps with this guidance.

    `select(generator, data)` is called at first and at checkpoints to tell the data what to draw.
    """
    generator, device = trainee.generator, trainee.generator.device
    loop = Loop(args, stage, trainee, device, ["flow", "naming", "meaning"], preset.peak_rate, decay_share,
                optimizer=optimizer)
    torch.manual_seed(args.seed + loop.step)
    data = LatentSet(args.work / "latents.pt", device, args.seed + loop.step)
    if select:
        select(generator, data)
    sentences = Sentences(args.work / "sentences.pt", device, args.seed + loop.step)
    preview = Preview(args, preset, stage, device)
    generator.compile()

    def draw(workers):
        share = preset.batch // workers
        return [(data.draw(share), sentences.draw(share // 4)) for _ in range(workers)]

    def look():
        preview.draw(generator, loop.step, min(steps, PREVIEW_STEPS), guidance)
        if select and not loop.leaves():
            select(generator, data)

    loop.run(draw, Trainee.losses, look)
    generator.save(args.work / "teacher", steps=steps, guidance=guidance, trained_steps=loop.step)


def main(words=None):
    parser = common_arguments(__doc__)
    parser.add_argument("--start-from", type=Path, help="folder of an earlier model whose fitting weights are kept")
    args = parser.parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    trainee = Trainee(Generator.untrained(args.work / "tokenizer", preset, device))
    start(trainee, args.work, args.start_from)
    learn(args, preset, trainee, "teacher", STEPS, GUIDANCE)


if __name__ == "__main__":
    main()
