"""How large everything is: presets for two CPU cores and for a single large GPU, and one that only proves the stages run.

The method is the same in all of them. Pictures are sixteen times as wide as their latents, so the same autoencoder
serves all sizes. `warm` does not begin from nothing but from the first published model, whose pictures were half as
large; it keeps its vocabulary and what its networks know, and moves them to the latents of the new autoencoder. `wide`
goes on from a model published later, gives its text encoder more words and shows it more things; `further` trains on what
`wide` has made.
"""
from dataclasses import dataclass, field, replace
from pathlib import Path

from tools.data.splits import STANDARD_KINDS
from tools.data.vocabulary import COLOURS, load_things

DOWNSCALING = 16
# In what a published model that a training goes on from is behind.
SMALLER_PICTURES, FEWER_THINGS, LESS_TRAINING = "smaller pictures", "fewer things", "less training"
DATA = Path(__file__).parent.parent / "data"
# What a preset is to know: a file of codes, or everything in the tables.
CORE, EVERYDAY, ALL = DATA / "core_things.txt", DATA / "everyday_things.txt", None
# What the published model that `wide` goes on from knows, and what it is to know.
FEWER, WIDE = DATA / "fewer_things.txt", DATA / "wide_things.txt"
# What its UNet does without.
CHEAP_TO_LEAVE_OUT = "middle block", "attention of down block 2", "attention of down block 1"
# What the first published model knows, under the names that it was told.
FIRST_THINGS_FOLDER = DATA / "first_things"
FIRST_COLOURS = tuple(COLOURS)[:12]


@dataclass(frozen=True)
class UNetShape:
    """Size of a denoiser; one entry per level, finest first. `attention` tells where a level attends to the text."""

    channels: tuple
    heads: tuple
    layers: int
    attention: tuple


@dataclass(frozen=True)
class Preset:
    """One size of the whole training: the data, the networks, and the minutes each stage may take.

    `held_out` are the kinds of combinations that are never drawn. Without `student_parameters` the teacher is not
    pruned. `goes_on_from` tells in what the package WORK/first.safetensors is behind, to go on from it: it has
    `SMALLER_PICTURES`, half as large, or knows `FEWER_THINGS`, or has had `LESS_TRAINING`; `known` are the codes of the
    things that it knows. Otherwise training begins from nothing. `without` names what of that package's UNet is dropped, which `prune` found cheap to leave out, and
    `student_channels` how many channels at each level a student of what is then trained has. `loose` is
    the share of captions with words that drawings do not follow. With `doubled` the refiner makes latents twice as wide and
    high, and pictures with them. `recoloured` is how many more pictures of each drawing are in colours of their own, `batch` and
    `refiner_batch` how many latents the stages that draw and the refiner learn from in a step.
    """

    name: str
    codes: Path | None
    styles: tuple
    mix: str
    aspects: dict
    side: int
    latent_channels: int
    pictures: int
    captions_each: int
    vocabulary: int
    text_width: int
    text_layers: int
    teacher: UNetShape | None
    batch: int
    peak_rate: float
    ae_crop: int
    ae_batch: int
    pairs: int
    sentences: int
    student_parameters: int | None
    minutes: dict = field(default_factory=dict)
    held_out: tuple = STANDARD_KINDS
    colours: tuple = tuple(COLOURS)
    goes_on_from: str | None = None
    known: tuple = ()
    without: tuple = ()
    student_channels: tuple = ()
    loose: float = 0.0
    doubled: bool = False
    recoloured: int = 0
    refiner_batch: int = 64

    @property
    def latent_side(self):
        return self.side // DOWNSCALING

    def things(self):
        """The things to learn."""
        if self.goes_on_from == SMALLER_PICTURES:
            return load_things(folder=FIRST_THINGS_FOLDER)
        return load_things(self.codes.read_text().splitlines() if self.codes else None)

    @property
    def student_stage(self):
        """The stage whose network learns to draw in few steps."""
        return "student" if self.student_parameters or self.student_channels else "teacher"


SQUARE = {(1, 1): 1.0}
MOSTLY_SQUARE = {(1, 1): 0.84, (3, 2): 0.04, (2, 3): 0.04, (16, 9): 0.04, (9, 16): 0.04}
EMOJI_STYLES = ("3d", "flat", "gradient", "cartoon", "minimal", "soft")

WIDE_PRESET = Preset(
    name="wide", codes=WIDE, styles=("3d", "flat", "cartoon", "glyph", "ui", "flatui", "gradient", "soft"), mix="plain",
    aspects=SQUARE, side=256, latent_channels=12, pictures=24_000, captions_each=8, vocabulary=4200, text_width=192, text_layers=3,
    teacher=None, batch=96, peak_rate=6e-4,
    ae_crop=256, ae_batch=4, pairs=0, sentences=12_000, student_parameters=None,
    minutes=dict(text_encoder=7, widen=80, narrow=50, few_step=10, quantize=3, decoder=8, refiner=60),
    held_out=("triple", "own colour", "later style"), colours=FIRST_COLOURS, goes_on_from=FEWER_THINGS,
    known=tuple(FEWER.read_text().splitlines()), without=CHEAP_TO_LEAVE_OUT, student_channels=(48, 96, 192),
    loose=0.3, doubled=True, recoloured=3,
)
FURTHER_PRESET = replace(
    WIDE_PRESET, name="further", known=tuple(WIDE.read_text().splitlines()), goes_on_from=LESS_TRAINING, without=(),
    student_channels=(), minutes=dict(text_encoder=3, widen=60, few_step=8, quantize=3, refiner=104),
)

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="smoke", codes=CORE, styles=("3d", "flat"), mix="full", aspects={(1, 1): 0.7, (3, 2): 0.3},
            side=128, latent_channels=12, pictures=192, captions_each=2, vocabulary=700, text_width=64, text_layers=1,
            teacher=UNetShape((32, 48, 64), (2, 2, 2), 2, (False, True, True)), batch=8, peak_rate=1e-3,
            ae_crop=64, ae_batch=8, pairs=32, sentences=128, student_parameters=10_000_000,
            minutes=dict(autoencoder=0.3, text_encoder=0.1, teacher=0.3, student=0.2, few_step=0.3, refiner=0.2,
                         quantize=0.1),
        ),
        Preset(
            name="cpu", codes=CORE, styles=EMOJI_STYLES, mix="single", aspects=SQUARE,
            side=256, latent_channels=12, pictures=16_000, captions_each=6, vocabulary=3000, text_width=192, text_layers=3,
            teacher=UNetShape((64, 128, 240), (2, 4, 6), 1, (False, True, True)), batch=48, peak_rate=1e-3,
            ae_crop=128, ae_batch=32, pairs=2_000, sentences=12_000, student_parameters=30_000_000,
            minutes=dict(autoencoder=40, text_encoder=5, teacher=80, student=12, few_step=16, refiner=5, quantize=3),
        ),
        Preset(
            name="warm", codes=CORE, styles=("3d", "flat", "cartoon"), mix="plain", aspects=SQUARE,
            side=256, latent_channels=12, pictures=6_000, captions_each=8, vocabulary=0, text_width=192, text_layers=3,
            teacher=None, batch=48, peak_rate=6e-4,
            ae_crop=256, ae_batch=4, pairs=0, sentences=0, student_parameters=None,
            minutes=dict(transfer=204, few_step=30, refiner=4, quantize=4),
            held_out=("triple",), colours=FIRST_COLOURS, goes_on_from=SMALLER_PICTURES,
        ),
        WIDE_PRESET,
        FURTHER_PRESET,
        replace(
            FURTHER_PRESET, name="further-gpu", batch=384, refiner_batch=256,
            minutes=dict(text_encoder=0.3, widen=3, few_step=1.5, quantize=0.4, refiner=4.5),
        ),
        Preset(
            name="gpu", codes=EVERYDAY, styles=EMOJI_STYLES, mix="full", aspects=MOSTLY_SQUARE,
            side=512, latent_channels=12, pictures=60_000, captions_each=6, vocabulary=3000, text_width=256, text_layers=4,
            teacher=UNetShape((96, 192, 320), (3, 6, 10), 1, (False, True, True)), batch=192, peak_rate=8e-4,
            ae_crop=256, ae_batch=64, pairs=12_288, sentences=12_000, student_parameters=16_000_000,
            minutes=dict(autoencoder=2.4, text_encoder=0.4, teacher=5.3, student=1, few_step=1.3, refiner=0.3, quantize=0.3),
        ),
        Preset(
            name="all", codes=ALL, styles=EMOJI_STYLES + ("sticker", "ui", "flatui"), mix="full",
            aspects=MOSTLY_SQUARE,
            side=512, latent_channels=12, pictures=300_000, captions_each=8, vocabulary=4000, text_width=256, text_layers=4,
            teacher=UNetShape((96, 192, 320), (3, 6, 10), 2, (False, True, True)), batch=512, peak_rate=8e-4,
            ae_crop=256, ae_batch=64, pairs=60_000, sentences=120_000, student_parameters=16_000_000,
            minutes=dict(autoencoder=4, text_encoder=0.7, teacher=9, student=2.5, few_step=3.5, refiner=1,
                         quantize=0.5),
        ),
    )
}
