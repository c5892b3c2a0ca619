"""Gives a finished model a decoder that draws twice as large.

The stage `pairs` keeps latents that the model drew, and what they show. To each its drawing is fitted: where it
stands, how large and which way round. Painted there once more, in twice the size, it tells what the latent stands for.
So the decoder learns from latents as sampling leaves them, with their faults, and no encoder is needed. It begins as
the old decoder with one more stage that only enlarges.
"""
import json
import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny

from tools.data.compose import Painter, Parts, resampling
from tools.data.scenes import Backdrop, Figure, Scene
from tools.data.shapes import rgb
from tools.data.vocabulary import COLOURS, STYLES, load_things
from tools.train.autoencoder import picture_loss, psnr
from tools.train.common import Loop, autocast, common_arguments, on_all_cores, pack_folder, save_grid, set_up, worker_count
from tools.train.dataset import FACTS
from tools.train.networks import Codec, adopt
from tools.train.pairs import PairSet
from tools.train.presets import PRESETS

STATED = [FACTS.index(fact) for fact in ("thing", "style", "colour")]
FIT_SIDE = 64
FIT_TEXELS = 144
FIT_STEPS = 40
FIT_RATE = 0.004
FIT_BATCH = 64
FIRST_SIZE = 0.83
# Worse fits are other things than were asked for, or have changed their shape.
LEAST_AGREEMENT = 22.0
LATENT_NOISE = 0.03
PEAK_RATE = 1e-3
KEPT_ASIDE = 20
JUDGED = 64


def enlarged(folder):
    """The autoencoder of a folder, its decoder with one more stage that at first only enlarges."""
    old = AutoencoderTiny.from_pretrained(folder)
    config, blocks = old.config, (*old.config.num_decoder_blocks, 0)
    new = AutoencoderTiny(
        latent_channels=config.latent_channels, encoder_block_out_channels=config.encoder_block_out_channels,
        num_encoder_blocks=config.num_encoder_blocks, num_decoder_blocks=blocks,
        decoder_block_out_channels=(config.decoder_block_out_channels[0],) * len(blocks),
        scaling_factor=config.scaling_factor, shift_factor=config.shift_factor,
    )
    adopt(new, old.state_dict())
    *_, added, last = (layer for layer in new.decoder.layers if isinstance(layer, torch.nn.Conv2d))
    torch.nn.init.dirac_(added.weight)
    last.load_state_dict(old.decoder.layers[-1].state_dict())
    return new


def stated_scenes(facts):
    """For each row of facts the thing, the style and the colour, or None where the caption did not state all three."""
    things, styles, colours = load_things(), list(STYLES), list(COLOURS)
    rows = facts[:, STATED].tolist()
    return [None if min(row) < 0 else (things[row[0]], styles[row[1]], colours[row[2]]) for row in rows]


def laid(drawings, grounds, places, mirror):
    """Premultiplied drawings [n, 4, ...] on plain grounds [n, 3], at places (x, y, size) [n, 3]."""
    texels = drawings.shape[-1]
    x, y, size = (places * FIT_SIDE).unbind(1)
    never = torch.zeros_like(x)
    across = resampling(0, FIT_SIDE, x, texels / size, mirror, never, texels)
    down = resampling(0, FIT_SIDE, y, texels / size, torch.ones_like(x), never, texels)
    wide = torch.bmm(drawings.flatten(1, 2), across.mT).unflatten(1, (4, texels))
    drawn = torch.matmul(down[:, None], wide)
    return drawn[:, :3] + grounds[:, :, None, None] * (1 - drawn[:, 3:])


def errors(drawings, grounds, places, mirror, targets):
    return (laid(drawings, grounds, places, mirror) - targets).pow(2).mean((1, 2, 3))


def fit(drawings, grounds, targets):
    """Places (x, y, size) [n, 3], which way round (1 or -1) and squared errors, in pictures of 0..1."""
    places = torch.tensor([0.5, 0.5, FIRST_SIZE]).repeat(len(targets), 1)
    ahead = torch.ones(len(targets))
    with torch.no_grad():
        mirror = torch.where(errors(drawings, grounds, places, ahead, targets)
                             <= errors(drawings, grounds, places, -ahead, targets), ahead, -ahead)
    places.requires_grad_(True)
    optimizer = torch.optim.Adam([places], FIT_RATE)
    for step in range(FIT_STEPS):
        optimizer.param_groups[0]["lr"] = FIT_RATE * (1 - 0.9 * step / FIT_STEPS)
        optimizer.zero_grad()
        errors(drawings, grounds, places, mirror, targets).sum().backward()
        optimizer.step()
    with torch.no_grad():
        return places.detach(), mirror, errors(drawings, grounds, places, mirror, targets)


@dataclass
class Fitted:
    """A latent, the scene that it shows, and how well the drawing agrees with what the old decoder makes of it, in dB."""

    latent: torch.Tensor
    scene: Scene
    agreement: float


class Fitter:
    """Fits drawings to the pictures of pairs."""

    def __init__(self, parts, codec):
        self.parts, self.codec = parts, codec

    def __call__(self, job):
        latents, stated = job
        targets = F.interpolate((self.codec.decode(latents.float()) + 1) / 2, size=FIT_SIDE, mode="area")
        positions = [self.parts.drawings[thing.code, style][0] for thing, style, _ in stated]
        drawings = F.interpolate(self.parts.pictures[positions].float() / 255, size=FIT_TEXELS, mode="area")
        grounds = rgb([colour for _, _, colour in stated], "cpu").view(-1, 3)
        places, mirror, error = fit(drawings, grounds, targets)
        # Colours here span 1, not 2 as in `psnr`.
        agreement = psnr(4 * error)
        return [Fitted(*row) for row in zip(latents, map(scene_of, stated, places.tolist(), mirror.tolist()),
                                            agreement.tolist())]


def scene_of(stated, place, mirror):
    thing, style, colour = stated
    figure = Figure(thing, style, *place, flip=mirror < 0)
    return Scene("single", style, (figure,), Backdrop("plain", (colour,)))


def fit_all(pairs, parts, codec):
    """All pairs whose captions state what is to be seen, with their drawings fitted."""
    jobs = []
    for pair in pairs:
        stated = stated_scenes(pair["facts"])
        rows = [row for row, known in enumerate(stated) if known]
        jobs += [(pair["latents"][rows[k : k + FIT_BATCH]], [stated[row] for row in rows[k : k + FIT_BATCH]])
                 for k in range(0, len(rows), FIT_BATCH)]
    width = worker_count(codec.device)
    fitter = Fitter(parts, codec)
    return [one for k in range(0, len(jobs), width)
            for some in on_all_cores(fitter, jobs[k : k + width]) for one in some]


def decode(decoder, codec, latents):
    """Pictures by the decoder that is trained."""
    latents = latents / codec.scale + codec.shift
    with autocast(codec.device):
        return decoder(latents.contiguous(memory_format=torch.channels_last)).float().contiguous()


class Source:
    """Batches of latents and the pictures that they stand for."""

    def __init__(self, fitted, painter, preset, seed):
        self.fitted, self.painter, self.preset = fitted, painter, preset
        self.rng = random.Random(seed)

    def pictures(self, chosen):
        latents = torch.stack([one.latent for one in chosen]).float().to(self.painter.device)
        return latents, self.painter.paint([one.scene for one in chosen], self.preset.side)

    def batches(self, workers):
        share = self.preset.ae_batch // workers
        return [self.pictures(self.rng.choices(self.fitted, k=share)) for _ in range(workers)]


def losses_of(decoder, batch, codec):
    latents, pictures = batch
    output = decode(decoder, codec, latents + LATENT_NOISE * torch.randn_like(latents))
    loss = picture_loss(output, pictures)
    return loss, (loss.detach(), (output.detach() - pictures).pow(2).mean())


@torch.no_grad()
def report(decoder, codec, source, kept_aside, path):
    """Prints the quality on latents that are not trained on, and writes a sheet of drawings beside what is decoded."""
    latents, pictures = source.pictures(kept_aside[:JUDGED])
    outputs = torch.cat([decode(decoder, codec, part).clamp(-1, 1) for part in latents.split(8)])
    values = psnr((outputs - pictures).pow(2).mean((1, 2, 3)))
    print(f"{len(values)} kept aside: {values.mean():.2f} dB, worst {values.min():.2f}", flush=True)
    save_grid(torch.stack([pictures[:20], outputs[:20]], 1).flatten(0, 1), path, 10)


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    parts = Parts(pack_folder(args), preset.things(), list(preset.styles))
    fitted = fit_all(PairSet(args.work / "pairs.pt", preset.pairs).pairs, parts, Codec(args.work / "vae-small", device))
    good = [one for one in fitted if one.agreement >= LEAST_AGREEMENT]
    mean = sum(one.agreement for one in fitted) / len(fitted)
    print(f"{len(good)} of {len(fitted)} drawings fit; {mean:.2f} dB over all", flush=True)
    model = enlarged(args.work / "vae-small").to(device, memory_format=torch.channels_last)
    codec = Codec(args.work / "vae-small", device)
    loop = Loop(args, "enlarge", model.decoder, device, ["loss", "error"], PEAK_RATE, decay_share=0.6, warmup=20,
                ema_decay=0.99, weight_decay=1e-4, log_steps=20)
    torch.manual_seed(args.seed + loop.step)
    kept_aside, trained = good[::KEPT_ASIDE], [one for i, one in enumerate(good) if i % KEPT_ASIDE]
    source = Source(trained, Painter(parts, device), preset, args.seed + loop.step)

    def show():
        report(model.decoder, codec, source, kept_aside, args.work / "previews" / f"enlarge_{loop.step:06d}.png")

    show()
    loop.run(source.batches, lambda decoder, batch: losses_of(decoder, batch, codec), show)
    show()
    model.to(memory_format=torch.contiguous_format).save_pretrained(args.work / "vae")
    (args.work / "enlarge.json").write_text(json.dumps(dict(trained_steps=loop.step)) + "\n")


if __name__ == "__main__":
    main()
