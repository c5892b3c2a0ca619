"""What every training stage shares: the wall clock, checkpoints, averaged weights, logs and picture grids."""
import argparse
import copy
import csv
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

CHECKPOINT_SECONDS = 600


def common_arguments(description):
    """Argument parser with the options of every stage."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path, default=Path(".plantain-train"), help="folder for all results")
    parser.add_argument("--pack", type=Path, help="folder of parts.bin and parts.json (default: WORK/pack)")
    parser.add_argument("--minutes", type=float, default=20, help="wall-clock time of this stage, over all runs")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def pack_folder(args):
    """Where the drawings are."""
    return args.pack or args.work / "pack"


def set_up(seed):
    """Seeds torch and chooses the device."""
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device):
    """bf16 for the heavy operations, on either kind of device."""
    return torch.autocast(device.type, torch.bfloat16)


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


class Replicas:
    """Runs a batch on all cores as one single-threaded worker per core, each with its own gradients.

    Splitting every operation over threads instead collapses when other programs use the cores, because some
    convolution kernels wait for each other in busy loops. The replicas share the trained parameters in memory.
    """

    def __init__(self, module, device):
        count = os.cpu_count() if device.type == "cpu" else 1
        self.modules = [module] + [self._alias(module) for _ in range(count - 1)]
        self.pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))

    @staticmethod
    def _alias(module):
        replica = copy.deepcopy(module)
        for mine, shared in zip(replica.parameters(), module.parameters()):
            mine.data = shared.data
        return replica

    def backward(self, loss_of, batches):
        """Gradients of the mean loss into the first module; `loss_of(module, batch)` gives a loss and numbers to log."""
        def work(module, batch):
            loss, numbers = loss_of(module, batch)
            module.zero_grad(set_to_none=True)
            (loss / len(self.modules)).backward()
            return numbers

        results = list(self.pool.map(work, self.modules, batches))
        first, *others = [[p.grad for p in module.parameters()] for module in self.modules]
        for gradients in others:
            torch._foreach_add_(first, gradients)
        return [sum(values) / len(values) for values in zip(*results)]

    def __len__(self):
        return len(self.modules)


class StopRequest:
    """Becomes true at SIGTERM or Ctrl-C, so that the loop can write its checkpoint and leave."""

    def __init__(self):
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, *_):
        self.asked = True

    def __bool__(self):
        return self.asked


class Checkpoint:
    """One checkpoint file, written beside itself and renamed so that it is never half written."""

    def __init__(self, path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.saved_at = time.monotonic()

    def load(self):
        if not self.path.exists():
            return None
        return torch.load(self.path, map_location="cpu", weights_only=True)

    def due(self):
        return time.monotonic() - self.saved_at > CHECKPOINT_SECONDS

    def save(self, state):
        temporary = self.path.with_suffix(".tmp")
        torch.save(state, temporary)
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
        figure, axes = pyplot.subplots(figsize=(7, 4))
        axes.plot([int(r["step"]) for r in rows], [float(r[column]) for r in rows])
        axes.set_xlabel("step")
        axes.set_ylabel(column)
        axes.grid(alpha=0.3)
        figure.savefig(self.path.with_suffix(".png"), dpi=110)
        pyplot.close(figure)


def set_learning_rate(optimizer, value):
    for group in optimizer.param_groups:
        group["lr"] = value


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
    Image.fromarray(sheet).save(path)
