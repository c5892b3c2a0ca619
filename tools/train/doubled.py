"""Encodes the training pictures at twice the size, in the order of `dataset`: what the refiner is to make of drawn latents.

The drawings in the pack have to be large enough (`build_pack --side 448`); others would teach it to blur.
"""
import torch

from tools.data.compose import Painter, Parts
from tools.train.common import common_arguments, pack_folder, set_up
from tools.train.dataset import jobs_for, planner_for
from tools.train.networks import Codec
from tools.train.parallel import on_all_cores, worker_count
from tools.train.presets import PRESETS

# Pictures painted and encoded at once by one worker.
BATCH = {"cpu": 8, "cuda": 64}


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    painter = Painter(Parts(pack_folder(args), preset.things(), list(preset.styles)), device)
    codec = Codec(args.work / "vae", device)
    jobs = jobs_for(planner_for(preset, painter.parts), preset, preset.pictures, args.seed)
    scenes = [scene for job in jobs for scene in job.scenes]

    batch = BATCH[device.type]

    def draw(start):
        return codec.encode(painter.paint(scenes[start : start + batch], 2 * preset.side)).half().cpu()

    latents, starts, width = [], list(range(0, len(scenes), batch)), worker_count(device)
    for at in range(0, len(starts), width):
        latents += on_all_cores(draw, starts[at : at + width])
    latents = torch.cat(latents)
    print(f"{list(latents.shape)}, spread {latents[::16].float().std():.3f}", flush=True)
    torch.save(latents, args.work / "doubled.tmp")
    (args.work / "doubled.tmp").replace(args.work / "doubled.pt")


if __name__ == "__main__":
    main()
