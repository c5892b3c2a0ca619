"""Trains the autoencoder: 128x128 pictures to latents of 6x16x16 and back.

It starts as a thumbnail: the first three latent channels are the blurred colours and the decoder is a smooth
enlargement, so that training spends its time on detail instead of on finding out what a picture is.
"""
import random

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny

from tools.data.compose import Parts, compose, endless_batches
from tools.data.vocabulary import load_things, triples
from tools.train.common import (
    Checkpoint, Clock, CsvLog, Ema, Replicas, StopRequest, autocast, common_arguments, pack_folder, save_grid,
    set_learning_rate, set_up,
)

LATENT_CHANNELS = 6
WIDTH = 40
THUMBNAIL_GAIN = 4.0
LATENT_NOISE = 0.05
PEAK_RATE = 1.5e-3
BATCH = 16
LOG_STEPS = 50


def build():
    """An untrained autoencoder."""
    return AutoencoderTiny(
        latent_channels=LATENT_CHANNELS,
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=(1, 1, 2, 2),
        num_decoder_blocks=(3, 3, 2, 1),
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


def losses_of(model, pictures):
    """Loss of one batch, and the loss and mean squared error to log."""
    device = next(model.parameters()).device
    pictures = pictures.to(device, memory_format=torch.channels_last)
    with autocast(device):
        latents = model.encoder(pictures).float()
        noisy = latents + LATENT_NOISE * torch.randn_like(latents)
        output = model.decoder(noisy.contiguous(memory_format=torch.channels_last))
    # Planar layout: pooling and slicing three channels is several times faster in it on a CPU.
    output, pictures = output.float().contiguous(), pictures.contiguous()
    loss = picture_loss(output, pictures) + 0.003 * latent_regulariser(latents)
    return loss, (loss.item(), (output.detach() - pictures).pow(2).mean().item())


def psnr(squared_error):
    """Peak signal-to-noise ratio in dB for pictures in [-1, 1]."""
    return -10 * torch.log10(torch.as_tensor(squared_error) / 4)


@torch.no_grad()
def evaluate(model, parts, held_out, device, count=256):
    """Latents, reconstructions and PSNR per picture of held-out pictures."""
    rng = random.Random(0)
    latents, outputs, values, sources = [], [], [], []
    for _ in range(count // 32):
        pictures = compose(parts, rng.choices(held_out, k=32), rng).to(device)
        with autocast(device):
            z = model.encoder(pictures.contiguous(memory_format=torch.channels_last)).float()
            output = model.decoder(z.contiguous(memory_format=torch.channels_last)).float().clamp(-1, 1)
        latents.append(z)
        outputs.append(output)
        sources.append(pictures)
        values.append(psnr((output - pictures).pow(2).mean((1, 2, 3))))
    return torch.cat(latents), torch.cat(sources), torch.cat(outputs), torch.cat(values)


def finish(model, parts, things, device, work):
    """Measures the latents, writes their scale into the config and saves the model."""
    latents, sources, outputs, values = evaluate(model, parts, triples(things, True), device)
    model.register_to_config(scaling_factor=1 / latents.std().item(), shift_factor=latents.mean().item())
    pairs = torch.stack([sources[:32], outputs[:32]], 1).flatten(0, 1)
    save_grid(pairs, work / "autoencoder_pairs.png", 8)
    model.to(memory_format=torch.contiguous_format).save_pretrained(work / "vae")
    spread = [round(v, 3) for v in latents.std((0, 2, 3)).tolist()]
    print(f"held-out psnr {values.mean():.2f} dB, worst {values.min():.2f}, channel spread {spread}", flush=True)


def main():
    args = common_arguments(__doc__).parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    stop = StopRequest()
    checkpoint = Checkpoint(args.work / "autoencoder.pt")
    saved = checkpoint.load()
    step = saved["step"] if saved else 0
    device = set_up(args.seed + step)
    things = load_things()
    parts = Parts(pack_folder(args), things)
    model = build()
    start_as_thumbnail(model)
    model.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), PEAK_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    ema = Ema(model.parameters(), 0.998)
    if saved:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        ema.load(saved["ema"])
    clock = Clock(args.minutes, saved["spent"] if saved else 0.0)
    log = CsvLog(args.work / "autoencoder.csv", ["step", "minutes", "loss", "psnr", "rate"])

    def save():
        checkpoint.save(dict(model=model.state_dict(), optimizer=optimizer.state_dict(), ema=ema.average,
                             step=step, spent=clock.spent()))

    replicas = Replicas(model, device)
    batches = endless_batches(parts, triples(things, False), BATCH // len(replicas), args.seed + step)
    losses, errors = [], []
    while not clock.over() and not stop:
        rate = clock.learning_rate(PEAK_RATE, step, warmup=100, decay_share=0.5)
        set_learning_rate(optimizer, rate)
        loss, error = replicas.backward(losses_of, [next(batches)[0] for _ in range(len(replicas))])
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        ema.update(step)
        losses.append(loss)
        errors.append(error)
        if step % LOG_STEPS == 0:
            log.write(step=step, minutes=clock.spent() / 60, loss=sum(losses) / len(losses),
                      psnr=psnr(sum(errors) / len(errors)).item(), rate=rate)
            losses, errors = [], []
        if checkpoint.due():
            save()
    save()
    ema.swap()
    log.plot("psnr")
    finish(model, parts, things, device, args.work)


if __name__ == "__main__":
    main()
