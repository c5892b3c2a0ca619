"""Compiles what training will call on a graphics card, while another process still reads and paints.

The compiler keeps its results on disk, so that the stages, which compile the same functions for the same shapes, find
them there. Without this a rented card would stand still for a minute before it first learns.
"""
import torch

from tools.train import autoencoder, teacher
from tools.train.common import autocast, common_arguments, compiled, set_up
from tools.train.dataset import FACTS, NOT_STATED, Batch
from tools.train.networks import MAX_TOKENS, Generator
from tools.train.presets import PRESETS
from tools.train.sentences import EMBEDDING


def autoencoder_step(preset, device):
    """One step of both phases of the autoencoder."""
    model = autoencoder.build(preset.latent_channels).to(device, memory_format=torch.channels_last)
    losses_of = compiled(autoencoder.losses_of, device)
    pictures = torch.rand(preset.ae_batch, 3, preset.ae_crop, preset.ae_crop, device=device) * 2 - 1
    for decoder_only in (False, True):
        with autocast(device):
            loss, _ = losses_of(model, pictures, decoder_only)
        loss.backward()


def teacher_step(preset, work, device):
    """One step of the teacher."""
    generator = Generator.untrained(work / "tokenizer", preset, device)
    trainee = teacher.Trainee(generator)
    generator.compile()
    shape = preset.latent_channels, preset.latent_side, preset.latent_side
    tokens = torch.zeros(preset.batch, MAX_TOKENS, dtype=torch.long, device=device)
    facts = torch.full((preset.batch, len(FACTS)), NOT_STATED, device=device)
    drawn = Batch(torch.randn(preset.batch, *shape, device=device), tokens, facts)
    share = preset.batch // 4
    sentences = tokens[:share], torch.randn(share, EMBEDDING, device=device)
    loss, _ = trainee.losses((drawn, sentences))
    loss.backward()


def main():
    args = common_arguments(__doc__).parse_args()
    preset, device = PRESETS[args.preset], set_up(args.seed)
    autoencoder_step(preset, device)
    teacher_step(preset, args.work, device)


if __name__ == "__main__":
    main()
