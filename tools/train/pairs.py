"""Draws pairs for `few_step`: noises, and the pictures (latents) that the guided teacher makes of them in its own steps."""
import json
import time

import torch

from tools.train.common import Checkpoint, common_arguments, set_up
from tools.train.dataset import LatentSet, evenly
from tools.train.networks import Generator
from tools.train.parallel import on_all_cores, worker_count
from tools.train.presets import PRESETS

# What fits the caches of a processor, or keeps a graphics card busy.
BATCH = {"cpu": 16, "cuda": 256}
SAVE_EVERY = 8
# More than these add nothing that can be seen.
MOST_STEPS = 10


class PairSet:
    """Noises with what the teacher makes of them, and what the captions state; kept on disk and continued."""

    def __init__(self, path, wanted):
        self.checkpoint = Checkpoint(path, path.parent / "teacher")
        self.pairs = self.checkpoint.load() or []
        self.wanted = wanted

    def count(self):
        return sum(len(pair["tokens"]) for pair in self.pairs)

    def fill(self, teacher, data, sampling, leave_at=float("inf")):
        """Draws pairs until there are enough, or until it is time to leave."""
        steps = min(sampling["steps"], MOST_STEPS)

        def work(job):
            tokens, facts, noise = job
            latents = teacher.sample(tokens, noise, steps, sampling["guidance"])
            return dict(tokens=tokens.short().cpu(), facts=facts.short().cpu(), noise=noise.half().cpu(),
                        latents=latents.half().cpu())

        while self.count() < self.wanted and time.monotonic() < leave_at:
            jobs = []
            for _ in range(worker_count(teacher.device)):
                drawn = data.draw(BATCH[teacher.device.type])
                jobs.append((drawn.tokens, drawn.facts, torch.randn_like(drawn.latents)))
            self.pairs += on_all_cores(work, jobs)
            if len(self.pairs) % SAVE_EVERY == 0:
                self.checkpoint.save(self.pairs)
                print(f"{self.count()} of {self.wanted} pairs", flush=True)
        self.checkpoint.save(self.pairs)

    def to(self, device):
        """Gathers the pairs by shape on the device, for drawing."""
        if not self.pairs:
            raise SystemExit(f"no pairs of this teacher in {self.checkpoint.path}: remove pairs.done and run the stage pairs")
        shapes = {}
        for pair in self.pairs:
            shapes.setdefault(pair["noise"].shape[2:], []).append(pair)
        self.buckets = [
            {name: torch.cat([pair[name] for pair in pairs]).to(device) for name in ("tokens", "noise", "latents")}
            for pairs in shapes.values()
        ]
        self.sizes = torch.tensor([float(len(bucket["tokens"])) for bucket in self.buckets])
        return self

    def draw(self, count):
        """Tokens, noises and latents of random pairs of one shape."""
        bucket = self.buckets[torch.multinomial(self.sizes, 1).item()]
        rows = torch.randint(len(bucket["tokens"]), (count,), device=bucket["tokens"].device)
        return bucket["tokens"][rows].long(), bucket["noise"][rows].float(), bucket["latents"][rows].float()


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    leave_at = time.monotonic() + 60 * args.leave_after if args.leave_after else float("inf")
    pairs = PairSet(args.work / "pairs.pt", preset.pairs)
    seed = args.seed + 7 + pairs.count()
    torch.manual_seed(seed)
    folder = args.work / "teacher"
    teacher = Generator.saved(folder, device).requires_grad_(False)
    sampling = json.loads((folder / "sampling.json").read_text())
    data = LatentSet(args.work / "latents.pt", device, seed)
    data.weigh([evenly(bucket["facts"]) for bucket in data.buckets])
    # Empty ones serve guidance, which the student does without.
    data.leave_out_empty(teacher.tokenizer.eos_token_id)
    pairs.fill(teacher, data, sampling, leave_at)
    if pairs.count() >= preset.pairs:
        (args.work / "pairs.done").touch()


if __name__ == "__main__":
    main()
