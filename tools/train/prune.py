"""Chooses what the student does without: measures what each removal costs in loss and saves in operations.

They are taken greedily, the cheapest loss per operation saved first, until a step of the student needs few enough of the
teacher's operations and the weights fit. Operations are counted, not timed, so that the choice is the same on every machine,
however busy.
"""
import copy
import csv
import json
import math

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from tools.train.common import autocast, common_arguments, set_up
from tools.train.dataset import LatentSet
from tools.train.networks import Generator, noise_for
from tools.train.presets import PRESETS
from tools.train.removals import carry_over, plain_config, removals
from tools.train.teacher import draw_times, mix

OPERATION_SHARE = 0.5
JUDGED = 256
BATCH = 64


class Judge:
    """Loss on fixed noised latents, and operations for one step of one picture."""

    def __init__(self, generator, data, preset):
        drawn = data.draw(JUDGED)
        torch.manual_seed(0)
        self.times, self.noise = draw_times(JUDGED, drawn.latents.device), torch.randn_like(drawn.latents)
        self.latents, self.generator = drawn.latents, copy.copy(generator)
        with torch.no_grad():
            self.text = generator.read(drawn.tokens)
        self.shape = preset.latent_channels, preset.latent_side, preset.latent_side

    @torch.no_grad()
    def loss(self, unet):
        total = 0.0
        for k in range(0, JUDGED, BATCH):
            part = slice(k, k + BATCH)
            noised = mix(self.latents[part], self.noise[part], self.times[part])
            states, pooled = self.text[0][part], self.text[1][part]
            with autocast(noised.device):
                predicted = unet(noised, self.times[part] * 1000, states, class_labels=pooled).sample
            total += F.mse_loss(predicted.float(), (self.noise - self.latents)[part]).item()
        return total / (JUDGED / BATCH)

    @torch.no_grad()
    def operations(self, unet):
        """Floating-point operations of one step for one picture; a multiplication and an addition count as two."""
        unet = copy.deepcopy(unet).cpu().float()
        states, pooled = self.text[0][:1].cpu().float(), self.text[1][:1].cpu().float()
        with FlopCounterMode(display=False) as counter:
            unet(noise_for([0], *self.shape), torch.tensor([500.0]), states, class_labels=pooled)
        return counter.get_total_flops()


def parameters(unet):
    return sum(p.numel() for p in unet.parameters())


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    generator = Generator.saved(args.work / "teacher", device).requires_grad_(False)
    judge = Judge(generator, LatentSet(args.work / "latents.pt", device, seed=0), preset)
    teacher = generator.unet
    teacher_loss, teacher_operations = judge.loss(teacher), judge.operations(teacher)
    rows = [("", "nothing", teacher_loss, 1.0, parameters(teacher), "")]
    config, share, count = plain_config(teacher), 1.0, parameters(teacher)
    loss = teacher_loss
    # What is not to be pruned may be measured all the same.
    most = preset.student_parameters or math.inf
    round_number = 0
    while share > OPERATION_SHARE or count > most:
        round_number += 1
        tried = []
        for name, smaller in removals(config).items():
            unet = carry_over(teacher, smaller).to(device, memory_format=torch.channels_last)
            new_loss, new_share = judge.loss(unet), judge.operations(unet) / teacher_operations
            price = (new_loss - loss) / max(share - new_share, 1e-4)
            tried.append((price, name, smaller, new_loss, new_share, parameters(unet)))
        if not tried:
            break
        chosen = min(tried, key=lambda row: row[0])
        rows += [(round_number, name, new_loss, new_share, size, "taken" if name == chosen[1] else "")
                 for _, name, _, new_loss, new_share, size in tried]
        _, name, config, loss, share, count = chosen
        print(f"without {name}: loss {loss:.4f} (teacher {teacher_loss:.4f}), {share:.2f} of the operations, "
              f"{count / 1e6:.2f} M parameters", flush=True)
    with open(args.work / "prune.csv", "w", newline="") as file:
        csv.writer(file).writerows([("round", "without", "loss", "share of operations", "parameters", ""), *rows])
    (args.work / "student_config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
