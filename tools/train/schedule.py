"""Where sampling stands between noise and picture, and how it gets from one time to the next."""
from dataclasses import dataclass, fields

import torch


@dataclass(frozen=True)
class Schedule:
    """Falling times from 1 (noise) to 0, in the words of diffusers' flow-matching scheduler.

    `shift` moves the times between the ends, below 1 towards the picture. With `stochastic_sampling` a step goes all the way to the
    picture that the velocity leads to, and new noise covers it up to the next time; else it follows the velocity to there.
    """

    shift: float = 1.0
    stochastic_sampling: bool = False

    @classmethod
    def noted(cls, facts):
        """The schedule among other facts of a model."""
        return cls(**{field.name: facts[field.name] for field in fields(cls) if field.name in facts})

    def times(self, steps):
        """The times that so many steps stand at, and 0."""
        even = torch.linspace(1, 0, steps + 1)
        return self.shift * even / (1 + (self.shift - 1) * even)


FOLLOWS_VELOCITY = Schedule()
# Where captions leave nothing open there is one picture to get closer to, and what an earlier step did wrong is noised away.
NOISES_ANEW = Schedule(shift=0.5, stochastic_sampling=True)


def schedule_of(preset):
    """How models of a preset are sampled."""
    return NOISES_ANEW if preset.mix == "plain" else FOLLOWS_VELOCITY
