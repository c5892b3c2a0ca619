"""Trains the pruned student to do what the teacher does: its output and the features after every block.

Loss and weights as in BK-SDM (Kim et al., 2023), with features compared relative to the spread of the teacher's.
"""
import json

import torch
import torch.nn.functional as F

from tools.train.common import Loop, common_arguments, set_up
from tools.train.dataset import LatentSet
from tools.train.networks import Generator
from tools.train.presets import PRESETS
from tools.train.removals import carry_over
from tools.train.teacher import GUIDANCE, PREVIEW_STEPS, STEPS, Preview, draw_times, mix

PEAK_RATE_SHARE = 0.5
OUTPUT_WEIGHT = 1.0
FEATURE_WEIGHT = 0.2


def keep_output(block, _, output):
    """Forward hook: remembers the block's features on the block itself."""
    block.features = output[0] if isinstance(output, tuple) else output


def watched_blocks(unet):
    """The blocks whose features are compared, by name."""
    blocks = {f"down {i}": block for i, block in enumerate(unet.down_blocks)}
    return blocks | {f"up {i}": block for i, block in enumerate(unet.up_blocks)}


class Trainee(torch.nn.Module):
    """The student beside its frozen teacher; both read the text through the teacher's text encoder.

    `draw_times(count, device)` tells where they are compared. Of a teacher with more channels `kept` are those that the student has
    of each block.
    """

    def __init__(self, teacher, student, draw_times=draw_times, kept=None):
        super().__init__()
        self.teacher, self.student = teacher, student
        self.draw_times, self.kept = draw_times, kept or {}
        for unet in (teacher.unet, student.unet):
            for block in watched_blocks(unet).values():
                block.register_forward_hook(keep_output)

    def feature_loss(self):
        """Mean squared difference of features in units of the teacher's variance."""
        theirs, mine = watched_blocks(self.teacher.unet), watched_blocks(self.student.unet)
        losses = []
        for name, block in mine.items():
            wanted = theirs[name].features.float()
            if name in self.kept:
                wanted = wanted[:, self.kept[name]]
            losses.append(F.mse_loss(block.features.float(), wanted) / (wanted.var() + 1e-6))
        return sum(losses) / len(losses)

    def losses(self, drawn):
        times, noise = self.draw_times(len(drawn.latents), drawn.latents.device), torch.randn_like(drawn.latents)
        noised = mix(drawn.latents, noise, times)
        with torch.no_grad():
            text = self.teacher.read(drawn.tokens)
            wanted = self.teacher.velocity(noised, times, text)
        predicted = self.student.velocity(noised, times, text)
        flow = F.mse_loss(predicted, noise - drawn.latents)
        output, feature = F.mse_loss(predicted, wanted), self.feature_loss()
        loss = flow + OUTPUT_WEIGHT * output + FEATURE_WEIGHT * feature
        return loss, (flow.detach(), output.detach(), feature.detach())


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    teacher = Generator.saved(args.work / "teacher", device).requires_grad_(False)
    config = json.loads((args.work / "student_config.json").read_text())
    student = Generator(teacher.tokenizer, teacher.text_encoder, carry_over(teacher.unet, config), device,
                        teacher.schedule)
    trainee = Trainee(teacher, student)
    loop = Loop(args, "student", trainee, device, ["flow", "output", "feature"],
                PEAK_RATE_SHARE * preset.peak_rate, decay_share=0.8, warmup=50)
    torch.manual_seed(args.seed + loop.step)
    data = LatentSet(args.work / "latents.pt", device, args.seed + loop.step)
    preview = Preview(args, preset, "student", device)

    def draw(workers):
        return [data.draw(preset.batch // workers) for _ in range(workers)]

    loop.run(draw, Trainee.losses, lambda: preview.draw(student, loop.step, PREVIEW_STEPS, GUIDANCE))
    student.save(args.work / "student", steps=STEPS, guidance=GUIDANCE, trained_steps=loop.step)


if __name__ == "__main__":
    main()
