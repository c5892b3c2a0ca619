"""Trains the autoencoder: pictures to latents sixteen times smaller each way, and back.

It starts as a thumbnail: the first three latent channels are the blurred colours and the decoder is a smooth
enlargement, so that training spends its time on detail instead of on finding out what a picture is. It learns on
windows of pictures, as it has no global operations. Towards the end the encoder stands still and only the decoder
learns, with noisier latents, because sampled latents are never exact.
"""
import random

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny

from tools.data.compose import Painter, Parts
from tools.data.scenes import MIXES, Planner
from tools.data.vocabulary import load_things
from tools.train.common import Loop, autocast, common_arguments, compiled, pack_folder, save_grid, set_up
from tools.train.presets import PRESETS

WIDTH = 40
ENCODER_BLOCKS = (0, 1, 2, 3, 3)
DECODER_BLOCKS = (3, 4, 1, 1, 0)
THUMBNAIL_GAIN = 4.0
LATENT_NOISE = 0.05
DECODER_NOISE = 0.1
DECODER_ONLY_SHARE = 0.3
PEAK_RATE = 1.5e-3
EVALUATED = 96
# The seed of what is judged: not a number, which may be that of a training (and -1 is that of 1).
JUDGED = "judged"
# Pictures painted once for a graphics card, and how many at a time.
BANK, BANK_BATCH = 16_384, 256


def build(latent_channels):
    """An untrained autoencoder."""
    return AutoencoderTiny(
        latent_channels=latent_channels,
        encoder_block_out_channels=(WIDTH,) * len(ENCODER_BLOCKS),
        decoder_block_out_channels=(WIDTH,) * len(DECODER_BLOCKS),
        num_encoder_blocks=ENCODER_BLOCKS,
        num_decoder_blocks=DECODER_BLOCKS,
    )


@torch.no_grad()
def pass_colours(conv, kernel, gain=1.0, bias=0.0):
    """Makes the first three outputs of a convolution the filtered first three inputs."""
    conv.weight[:3] *= 0.1
    conv.weight[:3, :3] = 0
    for channel in range(3):
        conv.weight[channel, channel] = gain * kernel
    if conv.bias is not None:
        conv.bias[:3] = bias


@torch.no_grad()
def start_as_thumbnail(model):
    """Sets the initial weights so that the model shrinks and enlarges pictures."""
    centre = torch.zeros(3, 3)
    centre[1, 1] = 1
    binomial = torch.tensor([1.0, 2.0, 1.0])
    smooth = torch.outer(binomial, binomial) / 16
    for name, parameter in model.named_parameters():
        if ".conv.4." in name:
            parameter.zero_()
    encoder = [m for m in model.encoder.layers if isinstance(m, torch.nn.Conv2d)]
    decoder = [m for m in model.decoder.layers if isinstance(m, torch.nn.Conv2d)]
    pass_colours(encoder[0], centre)
    for conv in encoder[1:-1]:
        pass_colours(conv, smooth)
    pass_colours(encoder[-1], centre, THUMBNAIL_GAIN, -THUMBNAIL_GAIN / 2)
    pass_colours(decoder[0], centre, 1 / THUMBNAIL_GAIN, 0.5)
    for conv in decoder[1:]:
        pass_colours(conv, smooth)


def structure_loss(a, b):
    """1 - SSIM over windows of 5 pixels."""
    def mean(t):
        return F.avg_pool2d(t, 5, 1)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    both = mean(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + 4e-4) / (mean_a**2 + mean_b**2 + 4e-4)
    contrast = (2 * both + 3.6e-3) / (var_a + var_b + 3.6e-3)
    return 1 - (luminance * contrast).mean()


def gradient_loss(error):
    """Mean size of the differences between neighbouring pixels of the error: punishes lost edges."""
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return across + down


def picture_loss(output, target):
    """Absolute and squared error, structure, and edges at two scales."""
    error = output - target
    loss = error.abs().mean() + 2 * error.pow(2).mean() + 0.3 * structure_loss(output, target)
    return loss + 0.5 * gradient_loss(error) + 0.5 * gradient_loss(F.avg_pool2d(error, 2))


def latent_regulariser(latents):
    """Keeps every channel near mean 0 and variance 1, inside the decoder's soft clamp at 3."""
    mean = latents.mean((0, 2, 3))
    variance = latents.var((0, 2, 3)) + 1e-6
    return mean.pow(2).mean() + variance.log().pow(2).mean()


def encode(model, pictures):
    return model.encoder(pictures.contiguous(memory_format=torch.channels_last))


def losses_of(model, pictures, decoder_only):
    """Loss of one batch, and the mean squared error to log."""
    with torch.set_grad_enabled(not decoder_only):
        latents = encode(model, pictures).float()
    noise = DECODER_NOISE if decoder_only else LATENT_NOISE
    noisy = latents + noise * torch.randn_like(latents)
    output = model.decoder(noisy.contiguous(memory_format=torch.channels_last))
    # Planar layout: pooling and slicing three channels is several times faster in it on a CPU.
    output = output.float().contiguous()
    loss = picture_loss(output, pictures) + 0.003 * latent_regulariser(latents)
    return loss, (loss.detach(), (output.detach() - pictures).pow(2).mean())


def psnr(squared_error):
    """Peak signal-to-noise ratio in dB for pictures in [-1, 1]."""
    return -10 * torch.log10(torch.as_tensor(squared_error) / 4)


class WindowSource:
    """Random windows of random pictures; the same picture size and things for all presets of a kind."""

    def __init__(self, planner, painter, preset, seed):
        self.planner, self.painter, self.preset = planner, painter, preset
        self.rng = random.Random(seed)

    def scenes(self, count):
        return [self.planner.draw(self.rng, aspect=(1, 1)) for _ in range(count)]

    def window(self):
        """A random window (x, y, side)."""
        free = self.preset.side - self.preset.ae_crop
        return self.rng.randint(0, free), self.rng.randint(0, free), self.preset.ae_crop

    def windows(self, workers):
        """One batch of windows per worker."""
        window, share = self.window(), self.preset.ae_batch // workers
        return [self.painter.paint(self.scenes(share), self.preset.side, window=window) for _ in range(workers)]


class PictureBank:
    """Whole pictures painted once and kept in a graphics card's memory: painting takes longer there than learning."""

    def __init__(self, source):
        painted = [source.painter.paint(source.scenes(BANK_BATCH), source.preset.side).add_(1).mul_(127.5).round_().byte()
                   for _ in range(BANK // BANK_BATCH)]
        self.source, self.pictures = source, torch.cat(painted)

    def windows(self, workers):
        """One batch of windows, the same part of different pictures."""
        x, y, side = self.source.window()
        rows = torch.randint(len(self.pictures), (self.source.preset.ae_batch,), device=self.pictures.device)
        return [self.pictures[rows, :, y : y + side, x : x + side].float().div_(127.5).sub_(1)]


@torch.no_grad()
def evaluate(model, source, device):
    """Whole pictures with their copies and latents."""
    sources, outputs, latents = [], [], []
    for _ in range(EVALUATED // 8):
        pictures = source.painter.paint(source.scenes(8), source.preset.side)
        with autocast(device):
            z = encode(model, pictures).float()
            output = model.decoder(z.contiguous(memory_format=torch.channels_last)).float().clamp(-1, 1)
        sources.append(pictures)
        outputs.append(output)
        latents.append(z)
    return torch.cat(sources), torch.cat(outputs), torch.cat(latents)


def report(model, source, device, work):
    """Prints the quality on pictures that are not trained on, and writes a sheet of originals beside copies."""
    sources, outputs, latents = evaluate(model, source, device)
    values = psnr((outputs - sources).pow(2).mean((1, 2, 3)))
    spread = [round(value, 2) for value in latents.std((0, 2, 3)).tolist()]
    print(f"psnr {values.mean():.2f} dB, worst {values.min():.2f}, channel spread {spread}", flush=True)
    save_grid(torch.stack([sources[:24], outputs[:24]], 1).flatten(0, 1), work / "autoencoder_pairs.png", 8)
    return latents


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset = PRESETS[args.preset]
    args.work.mkdir(parents=True, exist_ok=True)
    device = set_up(args.seed)
    # All things in all styles, whatever the preset: the decoder should not have to be trained again for more things.
    parts = Parts(pack_folder(args), load_things(), list(PRESETS["all"].styles))
    painter = Painter(parts, device)
    planner = Planner(load_things(), list(PRESETS["all"].styles), parts.available, MIXES["full"], "seen")
    model = build(preset.latent_channels)
    start_as_thumbnail(model)
    model.to(device, memory_format=torch.channels_last)
    bank = PictureBank(WindowSource(planner, painter, preset, args.seed)) if device.type == "cuda" else None
    loop = Loop(args, "autoencoder", model, device, ["loss", "error"], PEAK_RATE, decay_share=0.5, warmup=100,
                weight_decay=1e-4)
    torch.manual_seed(args.seed + loop.step)
    source = bank or WindowSource(planner, painter, preset, args.seed + loop.step)
    compiled_losses = compiled(losses_of, device)

    def loss_of(module, pictures):
        decoder_only = loop.clock.spent() > (1 - DECODER_ONLY_SHARE) * loop.clock.total
        with autocast(device):
            return compiled_losses(module, pictures, decoder_only)

    def show():
        report(model, WindowSource(planner, painter, preset, JUDGED), device, args.work)

    loop.run(source.windows, loss_of, show)
    latents = report(model, WindowSource(planner, painter, preset, JUDGED), device, args.work)
    model.register_to_config(scaling_factor=1 / latents.std().item(), shift_factor=latents.mean().item())
    model.to(memory_format=torch.contiguous_format).save_pretrained(args.work / "vae")


if __name__ == "__main__":
    main()
