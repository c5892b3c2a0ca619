"""Draws the training pictures once and stores their latents, several variants of every trained triple."""
import random

import torch

from tools.data.compose import Parts, compose
from tools.data.vocabulary import COLOURS, STYLES, load_things, triples
from tools.train.common import common_arguments, pack_folder, set_up
from tools.train.model import Codec

BATCH = 32


def class_numbers(chosen, things):
    """[n, 3] positions of thing, style and colour."""
    thing_at = {thing.code: i for i, thing in enumerate(things)}
    style_at = {style: i for i, style in enumerate(STYLES)}
    colour_at = {colour: i for i, colour in enumerate(COLOURS)}
    return torch.tensor([[thing_at[t.code], style_at[s], colour_at[c]] for t, s, c in chosen])


def main():
    parser = common_arguments(__doc__)
    parser.add_argument("--variants", type=int, default=6, help="differently placed pictures of each triple")
    args = parser.parse_args()
    device = set_up(args.seed)
    things = load_things()
    parts = Parts(pack_folder(args), things)
    codec = Codec(args.work / "vae", device)
    rng = random.Random(args.seed)
    plan = triples(things, held_out=False) * args.variants
    rng.shuffle(plan)
    latents = torch.cat([
        codec.encode(compose(parts, plan[k : k + BATCH], rng)).half().cpu() for k in range(0, len(plan), BATCH)
    ])
    torch.save(dict(latents=latents, classes=class_numbers(plan, things)), args.work / "latents.pt")
    print(f"{len(plan)} latents, mean {latents.float().mean():.4f}, spread {latents.float().std():.4f}")


if __name__ == "__main__":
    main()
