"""Trains only the decoder further, on the latents of the finished encoder, so that a trained UNet stays valid.

The latents get a little noise, as sampled latents are never exact. The result replaces the decoder in `vae/`.
"""
import torch
from diffusers import AutoencoderTiny

from tools.data.compose import Parts, endless_batches
from tools.data.vocabulary import load_things, triples
from tools.train.autoencoder import evaluate, picture_loss, psnr
from tools.train.common import (
    Checkpoint, Clock, CsvLog, Ema, Replicas, StopRequest, autocast, common_arguments, pack_folder, save_grid,
    set_learning_rate, set_up,
)

BATCH = 16
PEAK_RATE = 7e-4
LATENT_NOISE = 0.1
LOG_STEPS = 50


def losses_of(decoder, batch):
    """Loss of one batch of (latents, pictures), and its squared error to log."""
    latents, pictures = batch
    noisy = latents + LATENT_NOISE * torch.randn_like(latents)
    with autocast(latents.device):
        output = decoder(noisy.contiguous(memory_format=torch.channels_last))
    output = output.float().contiguous()
    return picture_loss(output, pictures), ((output.detach() - pictures).pow(2).mean().item(),)


def encoded_batches(model, batches, device):
    """Endless (latents, pictures) of drawn pictures."""
    for pictures, _ in batches:
        pictures = pictures.to(device)
        with torch.no_grad(), autocast(device):
            latents = model.encoder(pictures.contiguous(memory_format=torch.channels_last))
        yield latents.float(), pictures


def main():
    args = common_arguments(__doc__).parse_args()
    stop = StopRequest()
    checkpoint = Checkpoint(args.work / "decoder.pt")
    saved = checkpoint.load()
    step = saved["step"] if saved else 0
    device = set_up(args.seed + step)
    things = load_things()
    parts = Parts(pack_folder(args), things)
    model = AutoencoderTiny.from_pretrained(args.work / "vae").to(device, memory_format=torch.channels_last)
    decoder = model.decoder
    optimizer = torch.optim.AdamW(decoder.parameters(), PEAK_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    ema = Ema(decoder.parameters(), 0.998)
    if saved:
        decoder.load_state_dict(saved["decoder"])
        optimizer.load_state_dict(saved["optimizer"])
        ema.load(saved["ema"])
    clock = Clock(args.minutes, saved["spent"] if saved else 0.0)
    log = CsvLog(args.work / "decoder.csv", ["step", "minutes", "psnr", "rate"])
    replicas = Replicas(decoder, device)
    drawn = endless_batches(parts, triples(things, False), BATCH // len(replicas), args.seed + 1000 + step)
    batches = encoded_batches(model, drawn, device)

    def save():
        checkpoint.save(dict(decoder=decoder.state_dict(), optimizer=optimizer.state_dict(), ema=ema.average,
                             step=step, spent=clock.spent()))

    errors = []
    while not clock.over() and not stop:
        rate = clock.learning_rate(PEAK_RATE, step, warmup=50, decay_share=0.8)
        set_learning_rate(optimizer, rate)
        (error,) = replicas.backward(losses_of, [next(batches) for _ in range(len(replicas))])
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        step += 1
        ema.update(step)
        errors.append(error)
        if step % LOG_STEPS == 0:
            log.write(step=step, minutes=clock.spent() / 60, psnr=psnr(sum(errors) / len(errors)).item(), rate=rate)
            errors = []
        if checkpoint.due():
            save()
    save()
    ema.swap()
    _, sources, outputs, values = evaluate(model, parts, triples(things, True), device)
    save_grid(torch.stack([sources[:32], outputs[:32]], 1).flatten(0, 1), args.work / "decoder_pairs.png", 8)
    model.to(memory_format=torch.contiguous_format).save_pretrained(args.work / "vae")
    print(f"held-out psnr {values.mean():.2f} dB, worst {values.min():.2f}", flush=True)


if __name__ == "__main__":
    main()
