"""Trains the text encoder alone: to name what a caption states, and to mean what a language model says it means.

Without this start the UNet would have to teach it what nouns are, which takes many times longer. The text encoder of a
model that knows fewer things gets more words; what it makes of captions that the model knows is to stay, as the
denoiser has learned to follow that.
"""
import copy
import json

import torch
import torch.nn.functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tools.data.compose import Parts
from tools.data.vocabulary import COLOURS, STYLES, load_things
from tools.train.common import Loop, autocast, common_arguments, pack_folder, set_up
from tools.train.dataset import FACTS, MAX_COUNT, NOT_STATED, CaptionSet, fact_classes
from tools.train.networks import Generator, vocabulary_config
from tools.train.presets import PRESETS
from tools.train.removals import without
from tools.train.schedule import schedule_of
from tools.train.sentences import EMBEDDING

PEAK_RATE = 1e-3
BATCH = 256
MEANING_WEIGHT = 2.0
KEEPING_WEIGHT = 10.0


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


@torch.no_grad()
def with_more_words(encoder, known, tokenizer):
    """The text encoder for a vocabulary that begins with the one it knows.

    A new token begins in the middle between the two that it joins, a new position as the last one before.
    """
    grown = CLIPTextModel(CLIPTextConfig(**{**encoder.config.to_dict(), **vocabulary_config(tokenizer)}))
    weights = encoder.state_dict()
    tokens = next(name for name in weights if name.endswith("token_embedding.weight"))
    positions = next(name for name in weights if name.endswith("position_embedding.weight"))
    rows = {token: weights[tokens][number] for token, number in known.get_vocab().items()}
    for first, second in json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]:
        rows.setdefault(first + second, (rows[first] + rows[second]) / 2)
    weights[tokens] = torch.stack([rows[token] for token in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))])
    more = grown.config.max_position_embeddings - len(weights[positions])
    weights[positions] = torch.cat([weights[positions], weights[positions][-1:].expand(more, -1)])
    grown.load_state_dict({name: weights.get(name, value) for name, value in grown.state_dict().items()})
    return grown


def to_teach(work, preset, device):
    """The generator that is to learn, its text encoder first."""
    if not preset.goes_on_from:
        return Generator.untrained(work / "tokenizer", preset, device)
    first, tokenizer = Generator.saved(work / "first", device), CLIPTokenizer.from_pretrained(work / "tokenizer")
    encoder = with_more_words(first.text_encoder.cpu(), first.tokenizer, tokenizer)
    return Generator(tokenizer, encoder, without(first.unet, preset.without), device, schedule_of(preset))


class Trainee(torch.nn.Module):
    """The text encoder with its teachers, and as it was, if it already knows captions of some things."""

    def __init__(self, generator, known=()):
        super().__init__()
        self.tokenizer, self.text_encoder = generator.tokenizer, generator.text_encoder
        self.teacher = TextTeacher(generator.text_encoder.config.hidden_size).to(generator.device)
        self.before = copy.deepcopy(self.text_encoder).requires_grad_(False) if known else None
        self.known = torch.tensor([fact_classes()["thing"][code] for code in known], device=generator.device)

    def read(self, encoder, tokens):
        """States and pooled state, up to the end of the longest text."""
        longest = (tokens != self.tokenizer.eos_token_id).sum(1).max() + 1
        with autocast(tokens.device):
            output = encoder(tokens[:, :longest])
        return output.last_hidden_state.float(), output.pooler_output.float()

    def keeping_loss(self, drawn, states):
        """How far the states of captions of known things are from what they were, but where a colour of its own is new to them."""
        as_they_are = drawn.facts[:, FACTS.index("object_colour")] == NOT_STATED
        known = torch.isin(drawn.facts[:, FACTS.index("thing")], self.known) & as_they_are
        with torch.no_grad():
            before, _ = self.read(self.before, drawn.tokens)
        return F.mse_loss(states[known], before[known])

    def losses(self, batch):
        """Loss of one batch, and its naming, meaning and keeping parts to log."""
        drawn, (tokens, embeddings) = batch
        states, pooled = self.read(self.text_encoder, drawn.tokens)
        naming = self.teacher.naming_loss(pooled, drawn.facts)
        meaning = self.teacher.meaning_loss(self.read(self.text_encoder, tokens)[1], embeddings)
        keeping = self.keeping_loss(drawn, states) if self.before else torch.zeros(())
        loss = naming + MEANING_WEIGHT * meaning + KEEPING_WEIGHT * keeping
        return loss, (naming.detach(), meaning.detach(), keeping.detach())


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    trainee = Trainee(to_teach(args.work, preset, device), preset.known)
    parts = Parts(pack_folder(args), preset.things(), list(preset.styles))
    # Before the clock starts: writing captions takes a while.
    data = CaptionSet(preset, parts, trainee.tokenizer, device, args.seed)
    columns = ["naming", "meaning", "keeping"]
    loop = Loop(args, "text_encoder", trainee, device, columns, PEAK_RATE, decay_share=0.5, warmup=30, log_steps=20)
    torch.manual_seed(args.seed + loop.step)
    sentences = Sentences(args.work / "sentences.pt", device, args.seed + loop.step)

    def draw(workers):
        share = BATCH // workers
        return [(data.draw(share), sentences.draw(share)) for _ in range(workers)]

    loop.run(draw, Trainee.losses)
    trained = {name: value for name, value in trainee.state_dict().items() if not name.startswith("before.")}
    torch.save(trained, args.work / "text_encoder_trained.pt")


if __name__ == "__main__":
    main()
