"""Times the UNet step and the whole picture on one graphics processor, beside PyTorch on the same card.

    cargo build --release --features wgpu
    python benches/gpu_peers.py --plantain target/release/plantain --work DIR

The model is BK-SDM-Tiny in its full size with random weights (`tests/reference/full_size.py`), at 512x512; then the
built-in model, which PyTorch does not have. Rows are JSON lines with the keys of `plantain bench --json`; PyTorch's are
`torch` (eager) and `torch-compiled`, in f16. `other` processes on the card make the numbers worthless.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "reference"))
import full_size  # noqa: E402

RUNS = 10
SIZE = "512x512"


def plantain_rows(program, model, part, size):
    """What `plantain bench` measures, in both precisions."""
    command = [program, "bench", "--device", "wgpu", "--precision", "f32,f16", "--part", part, "--runs", str(RUNS), "--json"]
    if model:
        command += ["--model", model, "--size", size, "--steps", "4"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def timed(run):
    """Seconds of the first call and of each of the calls after it."""
    seconds = []
    for _ in range(RUNS + 1):
        torch.cuda.synchronize()
        started = time.perf_counter()
        run()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return seconds[0], seconds[1:]


@torch.inference_mode()
def torch_row(parts, compiled):
    """The UNet step in f16 on the card."""
    unet = parts["unet"].half().cuda()
    if compiled:
        unet.compile(mode="max-autotune")
    latent = torch.randn(1, 4, 64, 64, device="cuda", dtype=torch.float16)
    text = torch.randn(1, 77, unet.config.cross_attention_dim, device="cuda", dtype=torch.float16)
    step = torch.tensor([499], device="cuda")
    first, runs = timed(lambda: unet(latent, step, text).sample)
    device = "torch-compiled" if compiled else "torch"
    return dict(device=device, precision="f16", part="unet", first_s=first, median_s=statistics.median(runs),
                min_s=min(runs), runs=len(runs), peak_mb=round(torch.cuda.max_memory_allocated() / 2**20))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plantain", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    folder, model = args.work / "bk-sdm-tiny", args.work / "bk-sdm-tiny.safetensors"
    parts = full_size.build("bk-sdm-tiny")
    if not model.exists():
        full_size.save(parts, folder)
        subprocess.run([args.plantain, "convert", folder, model, "--dtype", "f16"], check=True)
    rows = plantain_rows(args.plantain, model, "unet,pipeline", SIZE) + plantain_rows(args.plantain, None, "unet,pipeline", "")
    if torch.cuda.is_available():
        rows += [torch_row(parts, compiled) for compiled in (False, True)]
    for row in rows:
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
