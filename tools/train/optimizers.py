"""How gradients change weights: by AdamW, or, where a network has mostly large matrices, by Muon.

Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024) moves all directions of a matrix by as much,
those too that gradients seldom point to. Here its steps are as large as those of AdamW usually are (Liu et al., "Muon is scalable for
LLM training", 2025), so the same rates do for both. It multiplies matrices in bf16, and where a device has none it would cost more
than it wins.
"""
import torch
from torch import nn

from tools.train.parallel import multiplies_bf16, on_all_cores, worker_count

MOMENTA = (0.9, 0.99)
# Under what name torch's Muon keeps it.
MOMENTUM = "momentum_buffer"
# The first and the last layers of a network, or of one within it: mostly columns or rows of these stand for channels of pictures,
# words, places or facts, not for features.
OUTER = ("conv_in", "conv_out", "token_embedding", "position_embedding", "heads", "to_sentence")


def muon_where_fast(module, rate, weight_decay):
    """Muon where the device multiplies bf16, else AdamW."""
    kind = next(module.parameters()).device.type
    return (Muon if multiplies_bf16(kind) else adamw)(module, rate, weight_decay)


def adamw(module, rate, weight_decay):
    """AdamW for all that is trained."""
    return _adamw([p for p in module.parameters() if p.requires_grad], rate, weight_decay)


def _adamw(parameters, rate, weight_decay):
    return torch.optim.AdamW(parameters, rate, betas=MOMENTA, weight_decay=weight_decay, fused=True)


class Muon:
    """Muon for the matrices within a module, of convolutions too, and AdamW for what is left."""

    def __init__(self, module, rate, weight_decay):
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        inner = {name: p for name, p in trained.items() if p.ndim > 1 and not is_outer(name)}
        self.matrices = [(p, nn.Parameter(as_matrix(p, p).view(len(p), -1))) for p in inner.values()]
        if any(matrix.data_ptr() != p.data_ptr() for p, matrix in self.matrices):
            raise ValueError("weights have to lie by channels or by pixels: others would be copied, and the copies trained")
        shares = dealt([matrix for _, matrix in self.matrices], worker_count(next(module.parameters()).device))
        self.muons = [torch.optim.Muon(share, rate, weight_decay, adjust_lr_fn="match_rms_adamw") for share in shares]
        self.adamw = _adamw([p for name, p in trained.items() if name not in inner], rate, weight_decay)
        self.optimizers = [*self.muons, self.adamw]

    @property
    def param_groups(self):
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def step(self):
        """Changes all weights by the gradients that they have."""
        for weights, matrix in self.matrices:
            matrix.grad = None if weights.grad is None else as_matrix(weights.grad, weights)
        on_all_cores(lambda optimizer: optimizer.step(), self.optimizers)

    def state_dict(self):
        """What is needed to go on, on however many cores."""
        owners = {matrix: muon for muon in self.muons for group in muon.param_groups for matrix in group["params"]}
        momenta = [owners[matrix].state[matrix].get(MOMENTUM) for _, matrix in self.matrices]
        return dict(momenta=momenta, adamw=self.adamw.state_dict())

    def load_state_dict(self, saved):
        momenta = {matrix: momentum for (_, matrix), momentum in zip(self.matrices, saved["momenta"], strict=True)}
        for muon in self.muons:
            for matrix in muon.param_groups[0]["params"]:
                if momenta[matrix] is not None:
                    muon.state[matrix][MOMENTUM] = momenta[matrix].to(matrix.device, copy=True)
        self.adamw.load_state_dict(saved["adamw"])


def is_outer(name):
    """Whether weights of this name are those of a network's first or last layer."""
    return any(part in OUTER for part in name.split("."))


def as_matrix(values, weights):
    """Values [out, in, ...] of the shape of weights as [out, rest], in the order in which the weights lie in memory."""
    values = values.detach()
    if weights.ndim == 4 and not weights.is_contiguous():
        values = values.permute(0, 2, 3, 1)
    return values.flatten(1)


def dealt(matrices, count):
    """The matrices in at most so many shares that take about as long."""
    shares = [[] for _ in range(min(count, len(matrices)))]
    for matrix in sorted(matrices, key=cost, reverse=True):
        min(shares, key=lambda share: sum(map(cost, share))).append(matrix)
    return shares


def cost(matrix):
    """About how long making a matrix orthogonal takes."""
    return min(matrix.shape) * matrix.numel()
