"""Trains the text encoder alone: to name what a caption states, and to mean what a language model says it means.

Without this start the UNet would have to teach it what nouns are, which takes many times longer.
"""
import torch
import torch.nn.functional as F

from tools.data.compose import Parts
from tools.data.vocabulary import COLOURS, STYLES, load_things
from tools.train.common import Loop, autocast, common_arguments, pack_folder, set_up
from tools.train.dataset import FACTS, MAX_COUNT, NOT_STATED, CaptionSet
from tools.train.networks import Generator
from tools.train.presets import PRESETS
from tools.train.sentences import EMBEDDING

PEAK_RATE = 1e-3
BATCH = 256
MEANING_WEIGHT = 2.0


class TextTeacher(torch.nn.Module):
    """What the text encoder is taught by: naming heads on its pooled state, and a map to sentence embeddings."""

    def __init__(self, width):
        super().__init__()
        things, colours = len(load_things()), len(COLOURS)
        sizes = dict(thing=things, style=len(STYLES), colour=colours, second=things, object_colour=colours,
                     count=MAX_COUNT)
        self.heads = torch.nn.ModuleList([torch.nn.Linear(width, sizes[fact]) for fact in FACTS])
        self.to_sentence = torch.nn.Linear(width, EMBEDDING)

    def naming_loss(self, pooled, facts):
        """Mean cross entropy over what the captions state."""
        total = 0.0
        for head, target in zip(self.heads, facts.unbind(1)):
            summed = F.cross_entropy(head(pooled.float()), target, ignore_index=NOT_STATED, reduction="sum")
            total = total + summed / (target != NOT_STATED).sum().clamp(min=1)
        return total

    def meaning_loss(self, pooled, embeddings):
        """One minus the cosine to the language model's vector."""
        return 1 - F.cosine_similarity(self.to_sentence(pooled.float()), embeddings, dim=-1).mean()


class Sentences:
    """Stored sentences with their embeddings."""

    def __init__(self, path, device, seed):
        stored = torch.load(path, weights_only=True)
        self.tokens, self.embeddings = stored["tokens"].to(device), stored["embeddings"].to(device)
        self.generator = torch.Generator(device).manual_seed(seed)

    def draw(self, count):
        rows = torch.randint(len(self.tokens), (count,), generator=self.generator, device=self.tokens.device)
        return self.tokens[rows].long(), self.embeddings[rows].float()


class Trainee(torch.nn.Module):
    """The text encoder with its teachers."""

    def __init__(self, generator):
        super().__init__()
        self.tokenizer, self.text_encoder = generator.tokenizer, generator.text_encoder
        self.teacher = TextTeacher(generator.text_encoder.config.hidden_size).to(generator.device)

    def pooled(self, tokens):
        with autocast(tokens.device):
            return self.text_encoder(tokens).pooler_output

    def losses(self, batch):
        """Loss of one batch, and its naming and meaning parts to log."""
        drawn, (tokens, embeddings) = batch
        naming = self.teacher.naming_loss(self.pooled(drawn.tokens), drawn.facts)
        meaning = self.teacher.meaning_loss(self.pooled(tokens), embeddings)
        return naming + MEANING_WEIGHT * meaning, (naming.detach(), meaning.detach())


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    trainee = Trainee(Generator.untrained(args.work / "tokenizer", preset, device))
    loop = Loop(args, "text_encoder", trainee, device, ["naming", "meaning"], PEAK_RATE, decay_share=0.5, warmup=30)
    torch.manual_seed(args.seed + loop.step)
    parts = Parts(pack_folder(args), preset.things(), list(preset.styles))
    data = CaptionSet(preset, parts, trainee.tokenizer, device, args.seed + loop.step)
    sentences = Sentences(args.work / "sentences.pt", device, args.seed + loop.step)

    def draw(workers):
        share = BATCH // workers
        return [(data.draw(share), sentences.draw(share)) for _ in range(workers)]

    loop.run(draw, Trainee.losses)
    torch.save(trainee.state_dict(), args.work / "text_encoder_trained.pt")


if __name__ == "__main__":
    main()
