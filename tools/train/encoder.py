"""Gives a finished model an encoder again, for it to begin from pictures.

A package may keep the decoder of its autoencoder only. The decoder stands still here and an encoder learns to fit it, from
two sides. Pictures must come back when what is encoded is decoded: the drawings that the model knows, and others, so
that it also copes with what it was not made for. And what was decoded from latents that the model sampled (the stage
`pairs`) must give these latents again, for the UNet finds no others familiar.
"""
import json
import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny

from tools.data.compose import Painter, Parts
from tools.data.scenes import MIXES, Planner
from tools.data.vocabulary import load_things
from tools.train.autoencoder import picture_loss, psnr, start_as_thumbnail
from tools.train.common import Loop, autocast, common_arguments, on_all_cores, pack_folder, save_grid, set_up, worker_count
from tools.train.dataset import planner_for
from tools.train.export import forget_origin
from tools.train.networks import Codec
from tools.train.pairs import PairSet
from tools.train.presets import PRESETS

WIDTH = 40
# None at the pictures' own size: a block there costs as much as all the others together.
BLOCKS = (0, 1, 3, 4)
# In one batch of one worker. Decoding is most of the work, and what is decoded beforehand costs a third.
KNOWN, OTHER, SAMPLED = 3, 1, 8
# Other pictures may be windows of pictures up to so many times as large, and fade towards a colour by up to this share.
MOST_ENLARGED, MOST_FADED = 2.0, 0.5
LATENT_WEIGHT = 2.0
PEAK_RATE = 1e-3
KEPT_ASIDE = 20
JUDGED = 64
SHOWN = 20


def with_new_encoder(folder):
    """The autoencoder of a folder, with an encoder that so far only shrinks pictures."""
    old = AutoencoderTiny.from_pretrained(folder)
    config, stages = old.config, len(BLOCKS)
    if len(config.num_decoder_blocks) != stages:
        raise ValueError(f"the decoder enlarges {len(config.num_decoder_blocks) - 1} times, not {stages - 1} times")
    new = AutoencoderTiny(
        latent_channels=config.latent_channels, encoder_block_out_channels=(WIDTH,) * stages, num_encoder_blocks=BLOCKS,
        decoder_block_out_channels=config.decoder_block_out_channels, num_decoder_blocks=config.num_decoder_blocks,
        scaling_factor=config.scaling_factor, shift_factor=config.shift_factor,
    )
    start_as_thumbnail(new)
    new.decoder.load_state_dict(old.decoder.state_dict())
    return new


def encode(encoder, codec, pictures):
    """Latents of unit spread, by the encoder that is trained."""
    with autocast(codec.device):
        latents = encoder(pictures.contiguous(memory_format=torch.channels_last))
    return (latents.float() - codec.shift) * codec.scale


def decode(codec, latents):
    """Pictures in a layout in which the losses are fast."""
    return codec.decode_differentiably(latents).contiguous()


@dataclass
class Batch:
    """Pictures that must come back, and latents that must be found in what they were decoded to."""

    pictures: torch.Tensor
    latents: torch.Tensor
    decoded: torch.Tensor


def losses_of(encoder, batch, codec):
    """Loss of one batch; to log: that of the pictures, their squared error, and that of the latents."""
    output = decode(codec, encode(encoder, codec, batch.pictures))
    picture = picture_loss(output, batch.pictures)
    latent = F.mse_loss(encode(encoder, codec, batch.decoded), batch.latents)
    squared = (output.detach() - batch.pictures).pow(2).mean()
    return picture + LATENT_WEIGHT * latent, (picture.detach(), squared, latent.detach())


class Drawings:
    """Paints random pictures of one planner's."""

    def __init__(self, planner, painter, side, seed):
        self.planner, self.painter, self.side = planner, painter, side
        self.rng = random.Random(seed)

    def scenes(self, count):
        return [self.planner.draw(self.rng) for _ in range(count)]

    def pictures(self, count):
        return self.painter.paint(self.scenes(count), self.side)

    def windows(self, count):
        """Parts of larger pictures, all in the same place, paler or darker than they are drawn."""
        whole = int(self.side * self.rng.uniform(1, MOST_ENLARGED)) // 32 * 32
        x, y = (self.rng.randint(0, whole - self.side) for _ in range(2))
        pictures = self.painter.paint(self.scenes(count), whole, window=(x, y, self.side))
        colours = torch.tensor([[self.rng.uniform(-1, 1) for _ in range(3)] for _ in range(count)], device=pictures.device)
        shares = torch.tensor([self.rng.uniform(0, MOST_FADED) for _ in range(count)], device=pictures.device)
        return torch.lerp(pictures, colours[:, :, None, None], shares[:, None, None, None])


class World:
    """The painters and planners of what the model knows, and of everything in its styles."""

    def __init__(self, args, preset, device):
        things, styles = load_things(), list(preset.styles)
        known, other = Parts(pack_folder(args), preset.things(), styles), Parts(pack_folder(args), things, styles)
        self.painters = Painter(known, device), Painter(other, device)
        self.planner_of_known = lambda split: planner_for(preset, known, split)
        self.planner_of_other = lambda split: Planner(things, styles, other.available, MIXES["full"], split)
        self.side = preset.latent_side * 2 ** (len(BLOCKS) - 1)

    def known(self, seed, held_out=False):
        """Pictures that the model is to draw; held out are combinations that it never saw."""
        return Drawings(self.planner_of_known("triple" if held_out else "seen"), self.painters[0], self.side, seed)

    def other(self, seed, held_out=False):
        """All other pictures; held out are drawings that are in none of those trained on."""
        return Drawings(self.planner_of_other("style" if held_out else "seen"), self.painters[1], self.side, seed)


def sampled_latents(args, preset):
    """Latents that the model sampled, those to train on and those kept aside."""
    latents = torch.cat([pair["latents"] for pair in PairSet(args.work / "pairs.pt", preset.pairs).pairs]).float()
    kept = torch.arange(len(latents)) % KEPT_ASIDE == 0
    return latents[~kept], latents[kept]


def decoded(codec, latents):
    """What latents show, decoded once on all cores and kept in half precision."""
    parts = latents.split(-(-len(latents) // worker_count(codec.device)))
    return torch.cat(on_all_cores(lambda part: codec.decode(part.to(codec.device)).half(), parts))


class Source:
    """Batches of drawings, and of sampled latents with what they show."""

    def __init__(self, world, codec, latents, seed):
        self.drawings, self.others = world.known(seed), world.other(seed + 1)
        # Mirrored latents show about the mirrored drawing, and are as good an example of what the decoder does.
        self.latents = torch.cat([latents, latents.flip(3)])
        self.decoded = decoded(codec, self.latents)
        self.device = codec.device

    def batch(self):
        rows = torch.randint(len(self.latents), (SAMPLED,))
        pictures = torch.cat([self.drawings.pictures(KNOWN), self.others.windows(OTHER)])
        return Batch(pictures, self.latents[rows].to(self.device), self.decoded[rows.to(self.device)].float())

    def batches(self, workers):
        return [self.batch() for _ in range(workers)]


def relative_error(found, wanted):
    """Length of the difference over the length of what is wanted, of each latent."""
    return (found - wanted).flatten(1).norm(dim=1) / wanted.flatten(1).norm(dim=1)


@torch.no_grad()
def copies(encoder, codec, pictures):
    """What comes back of pictures, a few at a time."""
    return torch.cat([codec.decode(encode(encoder, codec, part)) for part in pictures.split(8)])


class Judge:
    """Pictures and latents that are never trained on, the same ones every time."""

    def __init__(self, world, codec, latents):
        self.codec, self.latents = codec, latents
        self.pictures = {
            "drawings": world.known(-1, held_out=True).pictures(JUDGED),
            "others": world.other(-1, held_out=True).pictures(JUDGED),
        }
        self.decoded = codec.decode(latents.to(codec.device))

    @torch.no_grad()
    def __call__(self, encoder, path):
        """Prints the quality, and writes sheets of originals beside copies."""
        words = []
        for name, pictures in self.pictures.items():
            back = copies(encoder, self.codec, pictures)
            values = psnr((back - pictures).pow(2).mean((1, 2, 3)))
            words.append(f"{name} {values.mean():.2f} dB, worst {values.min():.2f}")
            sheet = torch.stack([pictures[:SHOWN], back[:SHOWN]], 1).flatten(0, 1)
            save_grid(sheet, path.with_name(f"{path.stem}_{name}.png"), 10)
        found = torch.cat([encode(encoder, self.codec, part) for part in self.decoded.split(8)])
        errors = relative_error(found, self.latents.to(found.device))
        print("; ".join(words), f"; latents off by {errors.mean():.4f}, worst {errors.max():.4f}", flush=True)


def save(model, folder):
    """The whole autoencoder in f16, as it will be packed."""
    model.to(memory_format=torch.contiguous_format).half().save_pretrained(folder)
    forget_origin(folder / "config.json")


def main():
    args = common_arguments(__doc__).parse_args()
    preset, device = PRESETS[args.preset], set_up(args.seed)
    codec = Codec(args.work / "vae-small", device)
    model = with_new_encoder(args.work / "vae-small").to(device, memory_format=torch.channels_last)
    world = World(args, preset, device)
    trained, kept_aside = sampled_latents(args, preset)
    judge = Judge(world, codec, kept_aside)
    loop = Loop(args, "encoder", model.encoder, device, ["picture", "squared", "latent"], PEAK_RATE, decay_share=0.6,
                warmup=50, ema_decay=0.995, weight_decay=1e-4, log_steps=25)
    torch.manual_seed(args.seed + loop.step)
    source = Source(world, codec, trained, args.seed + loop.step)

    def show():
        judge(model.encoder, args.work / "previews" / f"encoder_{loop.step:06d}.png")

    show()
    loop.run(source.batches, lambda encoder, batch: losses_of(encoder, batch, codec), show)
    save(model, args.work / "encoder" / "vae")
    judge(model.float().encoder, args.work / "previews" / "encoder.png")
    (args.work / "encoder" / "trained.json").write_text(json.dumps(dict(trained_steps=loop.step)) + "\n")


if __name__ == "__main__":
    main()
