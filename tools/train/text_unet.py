"""Trains the text encoder and the UNet together by rectified flow on stored latents.

A latent x and noise e are mixed as (1 - t) x + t e, and the UNet predicts e - x. The text encoder also has to name the
thing, the style and the colour from its pooled state, which makes it useful long before the UNet could teach it that;
it practises this alone for the first minute.
"""
import random

import torch
import torch.nn.functional as F

from tools.data.captions import NOT_STATED, typical, write
from tools.data.vocabulary import COLOURS, STYLES, load_things, triples, order_key
from tools.train.common import (
    Checkpoint, Clock, CsvLog, Ema, Replicas, StopRequest, common_arguments, save_grid, set_learning_rate, set_up,
)
from tools.train.model import TEXT_WIDTH, Codec, Generator, noise_for, step_times

BATCH = 48
PEAK_RATE = 1e-3
DECAY_SHARE = 0.6
NAMING_WEIGHT = 0.1
# A share of uniform times, because sampling in few steps begins at exactly t = 1, which the other times hardly reach.
UNIFORM_TIME_SHARE = 0.15
EMA_EVERY = 4
LOG_STEPS = 100
PRACTICE_BATCH = 256
PRACTICE_RATE = 1e-3


class NamingHeads(torch.nn.Module):
    """Names thing, style and colour from the pooled text; used in training only."""

    def __init__(self, things):
        super().__init__()
        sizes = (len(things), len(STYLES), len(COLOURS))
        self.heads = torch.nn.ModuleList([torch.nn.Linear(TEXT_WIDTH, size) for size in sizes])

    def loss(self, pooled, classes):
        """Mean cross entropy over what the captions state."""
        total = 0.0
        for head, target in zip(self.heads, classes.unbind(1)):
            summed = F.cross_entropy(head(pooled.float()), target, ignore_index=NOT_STATED, reduction="sum")
            total = total + summed / (target != NOT_STATED).sum().clamp(min=1)
        return total


class TrainingSet:
    """Stored latents; every use of one gets a newly written caption."""

    def __init__(self, path, things, seed):
        stored = torch.load(path, weights_only=True)
        self.latents, self.classes = stored["latents"], stored["classes"]
        self.things, self.styles, self.colours = things, list(STYLES), list(COLOURS)
        self.rng = random.Random(seed)

    def draw(self, count):
        """Latents, captions, and class numbers with what the caption leaves out marked."""
        rows = torch.tensor([self.rng.randrange(len(self.latents)) for _ in range(count)])
        classes = self.classes[rows].clone()
        captions = []
        for i, (thing, style, colour) in enumerate(classes.tolist()):
            caption = write(self.things[thing], self.styles[style], self.colours[colour], self.rng)
            stated = torch.tensor([caption.states_thing, caption.states_style, caption.states_colour])
            classes[i][~stated] = NOT_STATED
            captions.append(caption.text)
        return self.latents[rows].float(), captions, classes


def draw_times(count, device):
    """Logit-normal times with a uniform share."""
    times = torch.sigmoid(torch.randn(count))
    uniform = torch.rand(count) < UNIFORM_TIME_SHARE
    return torch.where(uniform, torch.rand(count), times).to(device)


class Trainee(torch.nn.Module):
    """Everything that is trained together."""

    def __init__(self, generator, things):
        super().__init__()
        self.generator = generator
        self.heads = NamingHeads(things).to(generator.device)

    def losses(self, batch):
        """Loss of one batch, and its velocity and naming parts to log."""
        latents, captions, classes = batch
        device = self.generator.device
        latents = latents.to(device)
        text = self.generator.read(captions)
        times = draw_times(len(latents), device)
        noise = torch.randn_like(latents)
        t = times.view(-1, 1, 1, 1)
        predicted = self.generator.velocity((1 - t) * latents + t * noise, times, text)
        flow = F.mse_loss(predicted, noise - latents)
        naming = self.heads.loss(text[1], classes.to(device))
        return flow + NAMING_WEIGHT * naming, (flow.item(), naming.item())


def practise_reading(trainee, data, seconds, stop):
    """Trains only the text encoder, to name what captions state."""
    generator, heads = trainee.generator, trainee.heads
    optimizer = torch.optim.AdamW([*generator.text_encoder.parameters(), *heads.parameters()], PRACTICE_RATE)
    clock, step, loss = Clock(seconds / 60), 0, None
    while not clock.over() and not stop:
        set_learning_rate(optimizer, clock.learning_rate(PRACTICE_RATE, step, warmup=30, decay_share=0.5))
        _, captions, classes = data.draw(PRACTICE_BATCH)
        loss = heads.loss(generator.read(captions)[1], classes.to(generator.device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
    if loss is not None:
        print(f"reading practice: {step} steps, loss {loss.item():.4f}", flush=True)


def preview_captions(things, each=24):
    """Typical captions of trained, then of held-out triples, chosen by their fixed order."""
    chosen = []
    for held_out in (False, True):
        chosen += sorted(triples(things, held_out), key=lambda triple: order_key(*triple))[:each]
    return [typical(*triple) for triple in chosen]


def preview(generator, codec, captions, path):
    """Sample grid of the averaged weights: the upper half trained triples, the lower half held out."""
    latents = generator.sample(captions, noise_for(len(captions), 0, generator.device), step_times())
    save_grid(codec.decode(latents), path, 12)


def main():
    parser = common_arguments(__doc__)
    parser.add_argument("--preview-minutes", type=float, default=8)
    parser.add_argument("--practice-seconds", type=float, default=60, help="text encoder alone, at the start")
    args = parser.parse_args()
    stop = StopRequest()
    checkpoint = Checkpoint(args.work / "text_unet.pt")
    saved = checkpoint.load()
    step = saved["step"] if saved else 0
    device = set_up(args.seed + step)
    things = load_things()
    data = TrainingSet(args.work / "latents.pt", things, args.seed + step)
    codec = Codec(args.work / "vae", device)
    generator = Generator.untrained(args.work / "tokenizer", device)
    trainee = Trainee(generator, things)
    if not saved:
        practise_reading(trainee, data, args.practice_seconds, stop)
    trained = list(trainee.parameters())
    optimizer = torch.optim.AdamW(trained, PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    ema = Ema(generator.parameters(), 0.998)
    if saved:
        trainee.load_state_dict(saved["trainee"])
        optimizer.load_state_dict(saved["optimizer"])
        ema.load(saved["ema"])
    clock = Clock(args.minutes, saved["spent"] if saved else 0.0)
    log = CsvLog(args.work / "text_unet.csv", ["step", "minutes", "loss", "naming", "rate"])
    replicas = Replicas(trainee, device)
    captions = preview_captions(things)
    next_preview = clock.spent() + 60 * args.preview_minutes

    def save():
        checkpoint.save(dict(
            trainee=trainee.state_dict(), optimizer=optimizer.state_dict(), ema=ema.average, step=step,
            spent=clock.spent(),
        ))
        ema.swap()
        preview(generator, codec, captions, args.work / "previews" / f"{step:06d}.png")
        ema.swap()
        log.plot("loss")

    flow_sum = naming_sum = 0.0
    while not clock.over() and not stop:
        rate = clock.learning_rate(PEAK_RATE, step, warmup=200, decay_share=DECAY_SHARE)
        set_learning_rate(optimizer, rate)
        share = BATCH // len(replicas)
        flow, naming = replicas.backward(Trainee.losses, [data.draw(share) for _ in range(len(replicas))])
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        step += 1
        if step % EMA_EVERY == 0:
            ema.update(step // EMA_EVERY)
        flow_sum, naming_sum = flow_sum + flow, naming_sum + naming
        if step % LOG_STEPS == 0:
            log.write(step=step, minutes=clock.spent() / 60, loss=flow_sum / LOG_STEPS,
                      naming=naming_sum / LOG_STEPS, rate=rate)
            flow_sum = naming_sum = 0.0
        if checkpoint.due() or clock.spent() > next_preview:
            next_preview = clock.spent() + 60 * args.preview_minutes
            save()
    save()


if __name__ == "__main__":
    main()
