"""Trains the refiner on what the few-step student really draws.

Where pictures are plain, a complete caption leaves hardly open what they show. The student, with rounded weights, draws of such
captions from noise, and the refiner learns to turn its latents into those of the pictures that the captions are of, at twice the
size (`doubled`). It is a denoiser of its own that reads the text too, as the refiner of SDXL is (Podell et al., 2023), so it knows
what is meant where the student drew it badly; it begins as a copy of the student's, or of the teacher's where that has more channels,
for which what the student draws is a latent that hardly any noise is left in, and a small network on top makes it larger. Where a
package is trained on, or with `--start-from`, it goes on from an earlier one.

Elsewhere the teacher's many-step picture is known of each noise (the pairs of `few_step.py`), and the refiner learns to turn the
student's latent into that, at its own size.

At first squares of latent errors count. Then a part of each picture is decoded, and what counts is the absolute error of its pixels
and of their differences: squares are least where all that is still unsure is blurred. Half of each batch shows the things of the other
half in the styles that are nearest to theirs, and where the errors of the two differ, they count more: what lies between two drawings
is little off either, and is neither.
"""
import json
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import parametrize

from tools.eval.distances import edge_sharpness
from tools.train.autoencoder import gradient_loss, psnr
from tools.train.common import Checkpoint, Loop, autocast, common_arguments, save_grid, set_up
from tools.train.dataset import DRAWING, FACTS, are_complete, drawings
from tools.train.few_step import STEPS
from tools.train.networks import Codec, Generator, adopt, autoencoder_of
from tools.train.optimizers import muon_where_fast
from tools.train.pairs import PairSet
from tools.train.parallel import in_parts
from tools.train.presets import LESS_TRAINING, PRESETS
from tools.train.quantize import Rounding, quantized_layers

BLOCKS = 3
PEAK_RATE = 7e-4
# For this share of the time, the last, decoded pictures count.
DECODING_SHARE = 0.3
# Of each batch so many are decoded, in windows of so many positions, of whose rim the decoder's reach is left out.
DECODED, WINDOW, RIM = 8, 14, 2
PICTURE_WEIGHT, EDGE_WEIGHT = 0.5, 0.5
# How much it counts that the errors of two pictures of a thing differ, and how many others are known of each picture.
APART_WEIGHT, OTHERS = 1.0, 4
# One picture in so many is kept aside; its drawing is seen on other grounds.
KEPT_ASIDE = 61
JUDGED = 96
SAMPLE_BATCH = {"cpu": 32, "cuda": 256}
# In how many steps the student draws what the refiner learns from; every picture is drawn in each way.
WAYS = ((STEPS,), (1, 2, STEPS))
# How much latents at both sizes have to be alike, in so many pictures.
ALIKE, ALIKE_COUNT = 0.5, 256
# How seldom and how often a drawing may come up, beside one of which the student's latents are off by the mean.
LEAST, MOST = 0.5, 3.0


class LatentRefiner(nn.Module):
    """A denoiser whose output goes on, enlarged or not, through a few blocks to the refined latent."""

    def __init__(self, unet_config, scale, num_blocks=BLOCKS):
        super().__init__()
        width, groups = unet_config["block_out_channels"][0], unet_config["norm_num_groups"]
        epsilon = unet_config.get("norm_eps", 1e-5)
        self.config = dict(scale=scale, num_blocks=num_blocks)
        self.unet = UNet2DConditionModel(**{**unet_config, "out_channels": width})
        self.upsamplers = nn.ModuleList([Upsample2D(width, use_conv=True)] if scale == 2 else [])
        self.blocks = nn.ModuleList(
            [ResnetBlock2D(in_channels=width, temb_channels=None, groups=groups, eps=epsilon) for _ in range(num_blocks)])
        self.conv_norm_out = nn.GroupNorm(groups, width, epsilon)
        self.conv_out = nn.Conv2d(width, unet_config["in_channels"], 3, padding=1)
        self.to(memory_format=torch.channels_last)
        self.unet.set_attn_processor(AttnProcessor())

    def forward(self, latents, text):
        states, pooled = text
        latents = latents.contiguous(memory_format=torch.channels_last)
        x = self.unet(latents, 0, states, class_labels=pooled).sample
        for upsampler in self.upsamplers:
            x = upsampler(x)
        for block in self.blocks:
            x = block(x, None)
        return self.conv_out(F.silu(self.conv_norm_out(x)))

    def begin_as(self, unet):
        """Takes over what a denoiser knows; the first channels that go on are the velocity that it predicts."""
        weights, mine = unet.state_dict(), self.unet.state_dict()
        for name in ("conv_out.weight", "conv_out.bias"):
            mine[name][: len(weights[name])] = weights[name]
            weights[name] = mine[name]
        adopt(self.unet, weights)


def save_refiner(refiner, folder):
    """config.json and f16 weights."""
    folder.mkdir(parents=True, exist_ok=True)
    unet = {name: value for name, value in refiner.unet.config.items() if not name.startswith("_")}
    config = {"_class_name": "LatentRefiner", **refiner.config, "unet": unet}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {name: value.half().contiguous() for name, value in refiner.state_dict().items()}
    save_file(weights, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def load_refiner(folder):
    """The refiner of a model folder."""
    config = json.loads((Path(folder) / "config.json").read_text())
    refiner = LatentRefiner(config["unet"], config["scale"], config["num_blocks"])
    weights = load_file(Path(folder) / "diffusion_pytorch_model.safetensors")
    refiner.load_state_dict({name: value.float() for name, value in weights.items()})
    return refiner.eval()


def sampled(student, tokens, noise, steps=STEPS):
    """What the student draws from noises."""
    work, device = partial(student.sample, steps=steps, guidance=1), student.device
    return in_parts(work, SAMPLE_BATCH[device.type], device, tokens.long().to(device), noise.float().to(device))


def beside_teacher(student, pairs):
    """What the student draws from the noises of the pairs, beside what the teacher drew: a dict for each shape."""
    return [dict(made=sampled(student, bucket["tokens"], bucket["noise"]).half().cpu()[:, None],
                 tokens=bucket["tokens"].cpu()[:, None], wanted=bucket["latents"].cpu()) for bucket in pairs.buckets]


def draw_pictures(student, bucket):
    """What the student draws of complete captions of pictures, in all `WAYS`."""
    complete, made, told = are_complete(bucket["facts"]).float() + 1e-6, [], []
    for way, choices in enumerate(WAYS):
        # The first caption is the usual one.
        which = complete.multinomial(1).squeeze(1) if way else torch.zeros(len(complete), dtype=torch.long)
        tokens = bucket["tokens"][torch.arange(len(which)), which]
        drawn = torch.empty_like(bucket["latents"])
        for number, steps in enumerate(choices):
            rows = torch.arange(number, len(drawn), len(choices))
            drawn[rows] = sampled(student, tokens[rows], torch.randn_like(drawn[rows].float()), steps).half().cpu()
        made.append(drawn)
        told.append(tokens)
    return dict(made=torch.stack(made, 1), tokens=torch.stack(told, 1), weights=favour(bucket, made[0]),
                wanted=bucket["latents"])


def favour(bucket, made):
    """How often each picture is to come up [n]: the more the further off the student's latents of its drawing are."""
    which = drawings(bucket["facts"])
    errors = (made.float() - bucket["latents"].float()).square().mean((1, 2, 3))
    count = which.bincount()
    errors = torch.zeros(len(count)).index_add_(0, which, errors) / count
    print(f"drawn latents are off by {errors.mean():.4f}, the worst tenth by {errors.quantile(0.9):.4f} or more", flush=True)
    return (errors / errors.mean()).clamp(LEAST, MOST)[which] / count[which]


def drawn_by(student, args, preset):
    """What this preset's model draws and was told, beside what is wanted at the same size."""
    if not student.schedule.stochastic_sampling:
        return beside_teacher(student, PairSet(args.work / "pairs.pt", preset.pairs).to(student.device))
    return [draw_pictures(student, bucket) for bucket in torch.load(args.work / "latents.pt", weights_only=True)]


def buckets_of(student, args, preset):
    """What this preset's model draws, with what it was told, beside what is wanted. Drawing takes a while, so it is stored."""
    stored = Checkpoint(args.work / "drawn.pt", args.work / "quantize")
    buckets = stored.load()
    if not buckets:
        buckets = drawn_by(student, args, preset)
        stored.save(buckets)
    if preset.doubled:
        doubled = torch.load(args.work / "doubled.pt", weights_only=True)
        check_order(doubled, buckets[0]["wanted"])
        buckets[0]["wanted"] = doubled
        facts = torch.load(args.work / "latents.pt", weights_only=True)[0]["facts"]
        buckets[0]["others"] = others_of(facts, doubled)
    return buckets


def others_of(facts, wanted):
    """For each picture some, by number, of the same thing and colour in the style that is nearest to its own [n, OTHERS]: itself where
    there is none."""
    drawn = facts[..., [FACTS.index(fact) for fact in (*DRAWING, "object_colour")]].amax(1)
    rows = torch.arange(len(drawn))
    trained, others = rows % KEPT_ASIDE != 0, rows[:, None].repeat(1, OTHERS)
    for thing in drawn[:, [0, 2]].unique(dim=0):
        own = rows[(drawn[:, [0, 2]] == thing).all(1)]
        styles = {style: own[drawn[own, 1] == style] for style in drawn[own, 1].unique().tolist()}
        means = {style: wanted[members].float().mean(0) for style, members in styles.items()}
        for style, members in styles.items():
            candidates = {other: F.mse_loss(means[other], means[style]).item()
                          for other in styles if other != style and trained[styles[other]].any()}
            if candidates:
                nearest = styles[min(candidates, key=candidates.get)]
                nearest = nearest[trained[nearest]]
                others[members] = nearest[torch.randint(len(nearest), (len(members), OTHERS))]
    return others


def check_order(doubled, latents):
    """Leaves where latents at twice the size are not those of the same pictures: `dataset` and `doubled` need one seed and one pack."""
    if len(doubled) == len(latents):
        few = slice(None, None, max(1, len(latents) // ALIKE_COUNT))
        small = F.avg_pool2d(doubled[few].float(), 2)
        pairs = torch.stack([small.flatten(), latents[few].float().flatten()])
        if pairs.corrcoef()[0, 1] > ALIKE:
            return
    raise SystemExit("doubled.pt is of other pictures than latents.pt: remove it, and run `doubled` with the same seed and pack")


class Examples:
    """Latents as the student draws them, what it was told, and what is wanted; some are kept aside."""

    def __init__(self, buckets, device):
        self.buckets, self.device = [{name: value.to(device) for name, value in bucket.items()} for bucket in buckets], device
        self.rows, self.weights = [], []
        for bucket in self.buckets:
            rows = torch.arange(len(bucket["wanted"]), device=device)
            rows = rows[rows % KEPT_ASIDE != 0]
            self.rows.append(rows)
            self.weights.append(bucket.get("weights", torch.ones(len(bucket["wanted"]), device=device))[rows])
        self.sizes = torch.tensor([float(len(rows)) for rows in self.rows])

    @property
    def paired(self):
        """Whether a batch has the same things in each half."""
        return "others" in self.buckets[0]

    @property
    def scale(self):
        """How many times as large what is wanted is."""
        return self.buckets[0]["wanted"].shape[-1] // self.buckets[0]["made"].shape[-1]

    def take(self, bucket, rows, ways):
        """The examples of these rows, drawn in these ways."""
        return bucket["made"][rows, ways].float(), bucket["tokens"][rows, ways].long(), bucket["wanted"][rows].float()

    def draw(self, count):
        """Random ones of one shape to train on; where others are known of them, the second half is of the things of the first."""
        number = torch.multinomial(self.sizes, 1).item()
        bucket = self.buckets[number]
        others = bucket.get("others")
        alone = count if others is None else count // 2
        rows = self.rows[number][torch.multinomial(self.weights[number], alone, replacement=True)]
        if others is not None:
            rows = torch.cat([rows, others[rows, torch.randint(OTHERS, (alone,), device=self.device)]])
        return self.take(bucket, rows, torch.randint(bucket["made"].shape[1], (len(rows),), device=self.device))

    def kept_aside(self):
        """Examples that are never trained on."""
        bucket = self.buckets[0]
        rows = torch.arange(0, len(bucket["wanted"]), KEPT_ASIDE, device=self.device)
        rows = rows[:: max(1, len(rows) // JUDGED)][:JUDGED]
        return self.take(bucket, rows, torch.zeros_like(rows))


class Trainee(nn.Module):
    """The refiner, and the student, whose text encoder is read and which stays as it is."""

    def __init__(self, refiner, student):
        super().__init__()
        self.refiner = refiner
        self.text_encoder = student.text_encoder.requires_grad_(False)
        self.device = student.device

    def refine(self, made, tokens):
        """Refined latents."""
        with autocast(self.device):
            with torch.no_grad():
                text = self.text_encoder(tokens)
            return self.refiner(made, (text.last_hidden_state, text.pooler_output)).float()


def window(latents, top, left):
    return latents[:DECODED, :, top : top + WINDOW, left : left + WINDOW]


def apart(errors):
    """How much the errors of two halves of a batch differ: as much as they are large where they have nothing to do with each other."""
    here, there = errors.chunk(2)
    return (here - there).square().mean() / 2


def losses_of(trainee, batch, codec, decoding, paired):
    """The squared error of latents, if the batch is `paired` how much it differs between its halves, and, if `decoding()`, the absolute
    error of decoded windows of some of them."""
    made, tokens, wanted = batch
    refined = trainee.refine(made, tokens)
    latent, differs = F.mse_loss(refined, wanted), torch.zeros(())
    if paired:
        differs = apart(refined - wanted)
    loss, pixels, edges = latent + APART_WEIGHT * differs, torch.zeros(()), torch.zeros(())
    if decoding():
        side = min(wanted.shape[2:])
        top, left = torch.randint(max(1, side - WINDOW + 1), (2,)).tolist()
        rim = RIM * 16
        error = codec.decode_differentiably(window(refined, top, left)) - codec.decode(window(wanted, top, left))
        error = error[..., rim:-rim, rim:-rim]
        pixels, edges = error.abs().mean(), gradient_loss(error)
        loss = loss + PICTURE_WEIGHT * (pixels + EDGE_WEIGHT * edges)
    return loss, tuple(value.detach() for value in (latent, differs, pixels, edges))


@torch.no_grad()
def judge(trainee, examples, codec, folder):
    """Prints latent error and picture agreement on those kept aside, and writes a sheet."""
    made, tokens, wanted = examples.kept_aside()
    # Gradients are switched off in each thread anew.
    refined = in_parts(torch.no_grad()(trainee.refine), SAMPLE_BATCH[trainee.device.type], trainee.device, made, tokens)
    aims, pictures = codec.decode(wanted), codec.decode(refined)
    agreement, side = psnr((pictures - aims).square().mean((1, 2, 3))).mean(), aims.shape[-1]
    sharp, wanted_sharp = (edge_sharpness(shown, side).mean() for shown in (pictures, aims))
    print(f"refined latents are off by {F.mse_loss(refined, wanted):.4f}, {agreement:.2f} dB to what is wanted, "
          f"edges {sharp:.4f} (of what is wanted {wanted_sharp:.4f})", flush=True)
    before = codec.decode(made[:8])
    before = F.interpolate(before, aims.shape[2:], mode="bicubic", align_corners=False)
    save_grid(torch.cat([before, pictures[:8], aims[:8]]), folder / "refiner.png", 8)


def sizes(unet, scale):
    """What a refiner is for, in words."""
    return (f"latents of {unet.config['in_channels']} channels made {scale} times as large by texts of width "
            f"{unet.config['cross_attention_dim']}")


def begun(student, args, preset, scale):
    """The refiner to go on from, or one that knows what the student does, or the teacher where that has more channels."""
    earlier = args.start_from or (args.work / "first" / "refiner" if preset.goes_on_from == LESS_TRAINING else None)
    if earlier:
        refiner = load_refiner(earlier)
        made, wanted = sizes(refiner.unet, refiner.config["scale"]), sizes(student.unet, scale)
        if made != wanted:
            raise SystemExit(f"the refiner in {earlier} is for {made}, not for {wanted}")
        return refiner.train()
    unet = Generator.saved(args.work / "teacher", student.device).unet if preset.student_channels else student.unet
    refiner = LatentRefiner(dict(unet.config), scale)
    refiner.begin_as(unet)
    return refiner


def main(words=None):
    parser = common_arguments(__doc__)
    parser.add_argument("--start-from", type=Path, help="folder of an earlier refiner to go on from")
    args = parser.parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    student = Generator.saved(args.work / "quantize", device).requires_grad_(False)
    examples = Examples(buckets_of(student, args, preset), device)
    codec = Codec(autoencoder_of(args.work), device)
    refiner = begun(student, args, preset, examples.scale)
    for layer in quantized_layers(refiner.unet):
        parametrize.register_parametrization(layer, "weight", Rounding())
    trainee = Trainee(refiner, student).to(device)
    loop = Loop(args, "refiner", trainee, device, ["latent", "apart", "pixels", "edges"], PEAK_RATE, decay_share=0.9, warmup=100,
                made_from=args.work / "quantize", optimizer=muon_where_fast)
    torch.manual_seed(args.seed + loop.step)

    def decoding():
        return loop.clock.spent() > (1 - DECODING_SHARE) * loop.clock.total

    show = partial(judge, trainee, examples, codec, args.work / "previews")
    loop.run(lambda workers: [examples.draw(preset.refiner_batch // workers) for _ in range(workers)],
             lambda module, batch: losses_of(module, batch, codec, decoding, examples.paired), show)
    show()
    for layer in quantized_layers(refiner.unet):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    save_refiner(refiner, args.work / "refiner")


if __name__ == "__main__":
    main()
