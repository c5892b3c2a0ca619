"""What every training stage shares: the wall clock, checkpoints, averaged weights, logs and picture grids."""
import argparse
import csv
import hashlib
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tools.train.optimizers import adamw
from tools.train.parallel import Replicas, multiplies_bf16
from tools.train.presets import PRESETS

CHECKPOINT_SECONDS = 600


def common_arguments(description):
    """Argument parser with the options of every stage."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path, default=Path(".plantain-train"), help="folder for all results")
    parser.add_argument("--pack", type=Path, help="folder of parts.bin and parts.json (default: WORK/pack)")
    parser.add_argument("--preset", choices=PRESETS, default="cpu", help="size of everything")
    parser.add_argument("--minutes", type=float, help="wall-clock time of this stage, over all runs (default: preset)")
    parser.add_argument("--leave-after", type=float, help="minutes after which this run stops, to be continued later")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def pack_folder(args):
    """Where the drawings are."""
    return args.pack or args.work / "pack"


def set_up(seed):
    """Seeds torch and chooses the device."""
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    if not torch.cuda.is_available():
        return torch.device("cpu")
    # What cannot be compiled runs as it is: slower, but the minutes of a rented card are not lost.
    torch._dynamo.config.suppress_errors = True
    return torch.device("cuda")


def compiled(function, device):
    """The function compiled for the one shape that it will be called with; on a CPU compiling costs more than it gains."""
    return torch.compile(function, dynamic=False) if device.type == "cuda" else function


def autocast(device):
    """bf16 for the heavy operations where the device has it, else f32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bf16(device.type))


class Clock:
    """Wall-clock budget of a stage. The schedule follows the clock because other programs may slow the run down."""

    def __init__(self, minutes, spent=0.0):
        self.total = minutes * 60
        self.started = time.monotonic() - spent

    def spent(self):
        return time.monotonic() - self.started

    def over(self):
        return self.spent() >= self.total

    def learning_rate(self, peak, step, warmup, decay_share):
        """Warm-up by steps, then flat, then linear to zero over the last `decay_share` of the time."""
        left = max(0.0, 1 - self.spent() / self.total)
        return peak * min(1.0, (step + 1) / warmup) * max(0.005, min(1.0, left / decay_share))


class Ema:
    """Exponential moving average of parameters; what is exported and sampled from."""

    def __init__(self, parameters, decay):
        self.parameters = list(parameters)
        self.decay = decay
        self.average = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self, step):
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], weight)

    @torch.no_grad()
    def swap(self):
        """Exchanges the trained and the averaged values."""
        for parameter, average in zip(self.parameters, self.average):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)

    def load(self, average):
        for mine, theirs in zip(self.average, average):
            mine.copy_(theirs)


class StopRequest:
    """Becomes true at SIGTERM or Ctrl-C, so that the loop can write its checkpoint and leave."""

    def __init__(self):
        self.asked = False
        self.before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}

    def _ask(self, *_):
        self.asked = True

    def close(self):
        """Gives the signals back to whoever had them."""
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def __bool__(self):
        return self.asked


def fingerprint(folder):
    """What tells a saved generator from others; `None` where it is not at hand."""
    weights = Path(folder) / "unet" / "diffusion_pytorch_model.safetensors"
    return hashlib.blake2b(weights.read_bytes()).hexdigest() if weights.exists() else None


class Checkpoint:
    """One checkpoint file, written beside itself and renamed so that it is never half written.

    `made_from` is the folder of the model that training began with: where it was made anew since, the checkpoint counts for nothing.
    """

    def __init__(self, path, made_from=None):
        self.path, self.made_from = Path(path), fingerprint(made_from) if made_from else None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.saved_at = time.monotonic()

    def load(self):
        if not self.path.exists():
            return None
        saved = torch.load(self.path, map_location="cpu", weights_only=True)
        if self.made_from and saved["made_from"] != self.made_from:
            print(f"{self.path} is of another model than this one, so it is left aside", flush=True)
            self.path.replace(self.path.with_suffix(".old"))
            return None
        return saved["state"]

    def due(self):
        return time.monotonic() - self.saved_at > CHECKPOINT_SECONDS

    def save(self, state):
        temporary = self.path.with_suffix(".tmp")
        torch.save(dict(made_from=self.made_from, state=state), temporary)
        os.replace(temporary, self.path)
        self.saved_at = time.monotonic()


class CsvLog:
    """A CSV file that grows over resumed runs, echoed to the terminal."""

    def __init__(self, path, columns):
        self.path = Path(path)
        self.columns = columns
        if not self.path.exists():
            self.path.write_text(",".join(columns) + "\n")

    def write(self, **values):
        row = [f"{values[c]:.5g}" if isinstance(values[c], float) else values[c] for c in self.columns]
        with open(self.path, "a", newline="") as file:
            csv.writer(file).writerow(row)
        print(" ".join(f"{c}={v}" for c, v in zip(self.columns, row)), flush=True)

    def plot(self, column):
        """PNG curve of one column over the steps, beside the CSV."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        with open(self.path) as file:
            rows = list(csv.DictReader(file))
        if not rows:
            return
        figure, axes = pyplot.subplots(figsize=(7, 4))
        axes.plot([int(r["step"]) for r in rows], [float(r[column]) for r in rows])
        axes.set_xlabel("step")
        axes.set_ylabel(column)
        axes.grid(alpha=0.3)
        figure.savefig(self.path.with_suffix(".png"), dpi=110)
        pyplot.close(figure)


class Loop:
    """One stage: batches in, gradients, averaged weights, logs and checkpoints. Continues where an earlier run stopped."""

    def __init__(self, args, stage, module, device, columns, peak_rate, decay_share=0.6, warmup=200,
                 ema_decay=0.998, weight_decay=0.01, log_steps=50, made_from=None, optimizer=adamw):
        self.module, self.device = module, device
        self.peak_rate, self.decay_share, self.warmup, self.log_steps = peak_rate, decay_share, warmup, log_steps
        self.trained = [p for p in module.parameters() if p.requires_grad]
        self.optimizer = optimizer(module, peak_rate, weight_decay)
        self.ema = Ema(self.trained, ema_decay)
        self.checkpoint = Checkpoint(args.work / f"{stage}.pt", made_from)
        minutes = args.minutes or PRESETS[args.preset].minutes[stage]
        self.step, spent = self._resume()
        self.clock = Clock(minutes, spent)
        self.leave_at = time.monotonic() + 60 * args.leave_after if args.leave_after else float("inf")
        self.log = CsvLog(args.work / f"{stage}.csv", ["step", "minutes", *columns, "rate"])
        self.columns = columns
        self.stop = StopRequest()

    def _resume(self):
        saved = self.checkpoint.load()
        if not saved:
            return 0, 0.0
        self.module.load_state_dict(saved["module"], strict=False)
        self.optimizer.load_state_dict(saved["optimizer"])
        self.ema.load(saved["ema"])
        return saved["step"], saved["spent"]

    def save(self):
        """Writes what is needed to continue. Frozen parts are not trained here and so are left out."""
        frozen = {name for name, p in self.module.named_parameters() if not p.requires_grad}
        state = {name: value for name, value in self.module.state_dict().items() if name not in frozen}
        self.checkpoint.save(dict(module=state, optimizer=self.optimizer.state_dict(), ema=self.ema.average,
                                  step=self.step, spent=self.clock.spent()))

    def finished(self):
        return self.clock.over()

    def leaves(self):
        """Whether this run trains no more."""
        return self.finished() or bool(self.stop) or time.monotonic() >= self.leave_at

    def run(self, draw, loss_of, show=None):
        """Trains until the time is over; afterwards the module holds the averaged weights.

        `draw(worker_count)` gives one batch for each worker, `loss_of(module, batch)` a loss and the numbers of the
        log's columns; `show()` is called with the averaged weights in place at each checkpoint.
        """
        replicas = Replicas(self.module, self.device)
        sums, count = [0.0] * len(self.columns), 0
        while not self.leaves():
            rate = self.clock.learning_rate(self.peak_rate, self.step, self.warmup, self.decay_share)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            numbers = replicas.backward(loss_of, draw(len(replicas)))
            torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
            self.optimizer.step()
            self.step += 1
            self.ema.update(self.step)
            sums, count = [a + b for a, b in zip(sums, numbers)], count + 1
            if self.step % self.log_steps == 0:
                means = dict(zip(self.columns, (float(value) / count for value in sums)))
                self.log.write(step=self.step, minutes=self.clock.spent() / 60, **means, rate=rate)
                sums, count = [0.0] * len(self.columns), 0
            if self.checkpoint.due():
                self._checkpoint(show)
        self._checkpoint(show)
        self.ema.swap()
        self.stop.close()
        if not self.finished():
            raise SystemExit(0)

    def _checkpoint(self, show):
        self.save()
        self.log.plot(self.columns[0])
        if show:
            self.ema.swap()
            show()
            self.ema.swap()


def save_grid(pictures, path, columns):
    """Pictures [n, 3, h, w] in [-1, 1] as one PNG."""
    pixels = ((pictures.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    count, height, width, _ = pixels.shape
    rows = -(-count // columns)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for i, picture in enumerate(pixels):
        y, x = i // columns * height, i % columns * width
        sheet[y : y + height, x : x + width] = picture
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path, compress_level=1)
