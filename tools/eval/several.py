"""Judges pictures of several things, as the program draws them.

    python -m tools.eval.several --preset wide --work .plantain-train/wide

Draws fixed prompts of two things beside or above each other, and of two to four of a kind, with `plantain generate`; cuts each thing out
where it is to be, and counts it if the drawing that it is most like, among all, is one of the thing that was asked for there. No
prompt of several things was ever trained. Writes WORK/several/report.json and sheets.
"""
import json
import random
from pathlib import Path

from tools.data.compose import Painter, Parts
from tools.data.scenes import Figure, is_seen
from tools.data.splits import LATER_STYLES
from tools.data.vocabulary import STYLES
from tools.data.words import NUMBERS, with_article
from tools.eval.contact_sheet import lay_out
from tools.eval.drawings import SIZE, Judge, Wish
from tools.eval.rows import Program
from tools.train.common import common_arguments, pack_folder, set_up
from tools.train.presets import PRESETS

PAIRS, GROUPS = 60, 24
# What stands between two things, and in which order they are then, from the left or from above.
BESIDE = {"and": (0, 1), "next to": (0, 1), "to the left of": (0, 1), "to the right of": (1, 0)}
STACKED = {"above": (0, 1), "below": (1, 0)}
# Upper left corners, in halves of the picture, of which each thing takes one in width and height.
PLACES = {
    "beside": ((0, 0.5), (1, 0.5)),
    "stacked": ((0.5, 0), (0.5, 1)),
    2: ((0, 0.5), (1, 0.5)),
    3: ((0, 0), (1, 0), (0.5, 1)),
    4: ((0, 0), (1, 0), (0, 1), (1, 1)),
}


def prompts(preset, available):
    """Captions, each with what is asked for at which place."""
    rng = random.Random("several")
    # A style that comes later would change all that follows.
    styles = [style for style in preset.styles if style not in LATER_STYLES]
    drawn = {style: [thing for thing in preset.things() if (thing.code, style) in available] for style in styles}

    def around(style, colour):
        return f", {STYLES[style][0]}, on {with_article(colour)} background"

    def ground(thing, style):
        figure = Figure(thing, style, 0.5, 0.5, SIZE)
        return rng.choice([colour for colour in preset.colours if is_seen(figure, (colour,))])

    def pair(number):
        style = rng.choice(styles)
        things = rng.sample(drawn[style], 2)
        colour = ground(things[0], style)
        relation = [*BESIDE, *STACKED][number % (len(BESIDE) + len(STACKED))]
        order = (BESIDE | STACKED)[relation]
        first, second = (with_article(thing.name, thing.article) for thing in things)
        places = PLACES["beside" if relation in BESIDE else "stacked"]
        asked = [Wish(things[which], style, colour) for which in order]
        return f"{first} {relation} {second}{around(style, colour)}", list(zip(places, asked))

    def group(number):
        style, count = rng.choice(styles), 2 + number % 3
        thing = rng.choice([thing for thing in drawn[style] if thing.plural])
        colour = ground(thing, style)
        return (f"{NUMBERS[count]} {thing.plural}{around(style, colour)}",
                [(place, Wish(thing, style, colour)) for place in PLACES[count]])

    return [pair(number) for number in range(PAIRS)], [group(number) for number in range(GROUPS)]


def cut_out(picture, place):
    """What is at a place of a picture [3, h, w]."""
    height, width = picture.shape[1] // 2, picture.shape[2] // 2
    x, y = int(place[0] * width), int(place[1] * height)
    return picture[:, y : y + height, x : x + width]


def counts(pictures, asked, drawings):
    """Of so many pictures, those in which all things are what was asked for there, and the things that are."""
    found = [[drawings.closest(cut_out(picture, place), wish.colour)[0] == wish.thing for place, wish in wishes]
             for picture, wishes in zip(pictures, asked)]
    return dict(pictures=len(found), all_right=sum(all(things) for things in found),
                things=sum(len(things) for things in found), things_right=sum(sum(things) for things in found))


def main():
    parser = common_arguments(__doc__)
    parser.add_argument("--program", type=Path, default=Path("target/release/plantain"))
    parser.add_argument("--model", type=Path, help="default: the built-in one")
    args = parser.parse_args()
    preset, device = PRESETS[args.preset], set_up(args.seed)
    painter = Painter(Parts(pack_folder(args), preset.things(), list(preset.styles)), device)
    drawings, generate = Judge(painter, preset).drawings, Program(args.program, args.model)
    folder = args.work / "several"
    folder.mkdir(exist_ok=True)
    results = {}
    for name, asked in zip(("pairs", "groups"), prompts(preset, painter.parts.available)):
        captions, wishes = zip(*asked)
        pictures = generate(captions, [args.seed] * len(captions))
        results[name] = counts(pictures, wishes, drawings)
        lay_out(pictures, captions).save(folder / f"{name}.webp", quality=80)
    (folder / "report.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1), flush=True)


if __name__ == "__main__":
    main()
