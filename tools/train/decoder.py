"""Trains the decoder on for what it has to decode: single things on plain grounds, as the few-step model draws them.

The autoencoder learned on windows of large scenes, in which things are larger, and of pictures that it had encoded itself. Here
half of the latents are encoded pictures, and half what the model draws when it is asked for them. Encoder and latents stay as they
are. Of drawn latents absolute errors alone are counted: edges that the model is unsure of would be blurred away by more.
"""
import random

import torch

from tools.data.compose import Painter, Parts
from tools.eval.distances import edge_sharpness
from tools.train.autoencoder import gradient_loss, psnr
from tools.train.common import Loop, autocast, common_arguments, pack_folder, save_grid, set_up
from tools.train.dataset import DRAWING, FACTS, jobs_for, planner_for
from tools.train.networks import Codec, Generator
from tools.train.parallel import in_parts
from tools.train.presets import PRESETS
from tools.train.refiner import sampled

PEAK_RATE = 3e-4
# Of each kind, for each worker.
BATCH = 4
EDGE_WEIGHT = 0.5
PICTURES = 2_048
PAINTED = 32
KEPT_ASIDE = 10
JUDGED = 64


def bytes_of(pictures):
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte()


def floats_of(pictures):
    return pictures.float() / 127.5 - 1


class Bank:
    """Pictures with their latents as encoded and as the model draws them; drawings are kept aside whole."""

    def __init__(self, args, preset, student):
        bucket, = torch.load(args.work / "latents.pt", weights_only=True)
        painter = Painter(Parts(pack_folder(args), preset.things(), list(preset.styles)), student.device)
        jobs = jobs_for(planner_for(preset, painter.parts), preset, preset.pictures, args.seed)
        scenes = [scene for job in jobs for scene in job.scenes]
        rows = random.Random(args.seed).sample(range(len(scenes)), min(PICTURES, len(scenes)))

        def paint(rows):
            return bytes_of(painter.paint([scenes[row] for row in rows.tolist()], preset.side)).cpu()

        rows = torch.tensor(rows)
        self.pictures = in_parts(paint, PAINTED, student.device, rows)
        self.encoded = bucket["latents"][rows].float().to(student.device)
        self.drawn = sampled(student, bucket["tokens"][rows, 0].to(student.device), torch.randn_like(self.encoded))
        thing, style = (bucket["facts"][rows, 0, FACTS.index(fact)] for fact in DRAWING)
        self.aside = (thing + style) % KEPT_ASIDE == 0
        self.seen = torch.where(~self.aside)[0]

    def draw(self, count):
        """Latents, encoded ones first, and the pictures that they are of."""
        rows = self.seen[torch.randint(len(self.seen), (2, count))]
        latents = torch.cat([self.encoded[rows[0]], self.drawn[rows[1]]])
        return latents, floats_of(self.pictures[rows.flatten()]).to(latents.device)

    def kept_aside(self):
        """Encoded and drawn latents, and pictures, of drawings that are not trained on."""
        rows = torch.where(self.aside)[0][:JUDGED]
        return self.encoded[rows], self.drawn[rows], floats_of(self.pictures[rows]).to(self.encoded.device)


def losses_of(decoder, batch, codec):
    latents, wanted = batch
    unscaled = (latents / codec.scale + codec.shift).contiguous(memory_format=torch.channels_last)
    with autocast(codec.device):
        decoded = decoder(unscaled)
    error = decoded.float() - wanted
    encoded, drawn = error.chunk(2)
    edges = gradient_loss(encoded)
    loss = encoded.abs().mean() + EDGE_WEIGHT * edges + drawn.abs().mean()
    return loss, (encoded.abs().mean().detach(), edges.detach(), drawn.abs().mean().detach())


@torch.no_grad()
def judge(codec, bank, when, folder):
    """Prints agreement and sharpness on drawings kept aside, and writes a sheet."""
    *kinds, wanted = bank.kept_aside()
    sheet = [wanted[:8]]
    for name, latents in zip(("encoded", "drawn"), kinds):
        made = codec.decode(latents)
        agreement, side = psnr((made - wanted).square().mean((1, 2, 3))).mean(), made.shape[-1]
        print(f"{when}, {name}: {agreement:.2f} dB, off by {(made - wanted).abs().mean():.4f}, "
              f"edges {edge_sharpness(made, side).mean():.4f} (drawings {edge_sharpness(wanted, side).mean():.4f})", flush=True)
        sheet.append(made[:8])
    save_grid(torch.cat(sheet), folder / f"decoder_{when}.png", 8)


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    bank = Bank(args, preset, Generator.saved(args.work / "quantize", device).requires_grad_(False))
    codec, previews = Codec(args.work / "vae", device), args.work / "previews"
    judge(codec, bank, "before", previews)
    decoder = codec.model.decoder.requires_grad_(True)
    loop = Loop(args, "decoder", decoder, device, ["encoded", "edges", "drawn"], PEAK_RATE, decay_share=0.8, warmup=30,
                ema_decay=0.99, made_from=args.work / "quantize")
    torch.manual_seed(args.seed + loop.step)
    loop.run(lambda workers: [bank.draw(BATCH) for _ in range(workers)], lambda module, batch: losses_of(module, batch, codec))
    judge(codec, bank, "after", previews)
    codec.model.to(memory_format=torch.contiguous_format).save_pretrained(args.work / "decoder")


if __name__ == "__main__":
    main()
