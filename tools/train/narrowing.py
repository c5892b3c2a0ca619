"""A UNet with fewer channels, made of a wider one's: structured pruning by magnitude (Li et al., 2017).

Channels that are added to each other have to go together, so every axis of every weight belongs to a named set: the stream of a
level, which all its blocks add to, what a block keeps to itself, the time embedding. A channel counts as much as the weights that
write it and read it together. What a normalisation or an attention takes as one group loses the same number in every group, so that groups
and heads remain what they were, save where a normalisation's groups reach over streams that lie behind each other.
"""
import math

import torch
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel

from tools.train.networks import build_unet
from tools.train.removals import plain_config

TIME = "time"
TIMES = torch.arange(0, 1001, 2.0)


def dense(name, writes, reads, bias=True):
    """The axes of a linear or convolution layer."""
    return {f"{name}.weight": (writes, reads)} | ({f"{name}.bias": (writes,)} if bias else {})


def norm(name, on):
    return {f"{name}.weight": (on,), f"{name}.bias": (on,)}


def residual_layer(name, layer, reads, writes):
    """The axes of a `ResnetBlock2D`."""
    inner = (f"{name} inner",)
    axes = norm(f"{name}.norm1", reads) | dense(f"{name}.conv1", inner, reads) | dense(f"{name}.time_emb_proj", inner, (TIME,))
    axes |= norm(f"{name}.norm2", inner) | dense(f"{name}.conv2", writes, inner)
    return axes | (dense(f"{name}.conv_shortcut", writes, reads) if layer.conv_shortcut is not None else {})


def attention(name, on, states):
    """The axes of an `Attention`: queries and keys on one side, values and output on the other, share the channels of heads."""
    heads = (f"{name} heads",)
    axes = {f"{name}.to_{which}.weight": (heads, states if which in "kv" else on) for which in "qkv"}
    return axes | dense(f"{name}.to_out.0", on, heads)


def transformer(name, on):
    """The axes of a `Transformer2DModel` of one block."""
    block, inner, hidden = f"{name}.transformer_blocks.0", (f"{name} inner",), f"{name} hidden"
    axes = norm(f"{name}.norm", on) | dense(f"{name}.proj_in", inner, on) | dense(f"{name}.proj_out", on, inner)
    for number, states in enumerate((inner, None), 1):
        axes |= norm(f"{block}.norm{number}", inner) | attention(f"{block}.attn{number}", inner, states)
    # What is gated lies before the gates.
    axes |= norm(f"{block}.norm3", inner) | dense(f"{block}.ff.net.0.proj", (hidden, hidden), inner)
    return axes | dense(f"{block}.ff.net.2", inner, (hidden,))


def block_axes(name, block, inputs, stream):
    """The axes of a block whose residual layers read these sets."""
    axes = {}
    for number, (layer, reads) in enumerate(zip(block.resnets, inputs)):
        axes |= residual_layer(f"{name}.resnets.{number}", layer, reads, stream)
    for number, _ in enumerate(getattr(block, "attentions", ())):
        axes |= transformer(f"{name}.attentions.{number}", stream)
    for sampler in ("downsamplers", "upsamplers"):
        if getattr(block, sampler, None):
            axes |= dense(f"{name}.{sampler}.0.conv", stream, stream)
    return axes


def axes_of(unet):
    """The sets that the first two axes of each weight belong to, by its name; `None` for what stays."""
    levels = len(unet.config.block_out_channels)
    streams = [(f"level {level}",) for level in range(levels)]
    axes = dense("conv_in", streams[0], None) | norm("conv_norm_out", streams[0]) | dense("conv_out", None, streams[0])
    for embedding in ("time_embedding", "class_embedding"):
        inner = (f"{embedding} inner",)
        axes |= dense(f"{embedding}.linear_1", inner, None) | dense(f"{embedding}.linear_2", (TIME,), inner)
    # What the way up takes up again, last first.
    kept, before = [streams[0]], streams[0]
    for level, block in enumerate(unet.down_blocks):
        inputs = [before] + [streams[level]] * (len(block.resnets) - 1)
        axes |= block_axes(f"down_blocks.{level}", block, inputs, streams[level])
        kept += [streams[level]] * (len(block.resnets) + (level < levels - 1))
        before = streams[level]
    if unet.mid_block is not None:
        axes |= block_axes("mid_block", unet.mid_block, [before] * len(unet.mid_block.resnets), before)
    for number, block in enumerate(unet.up_blocks):
        stream = streams[levels - 1 - number]
        inputs = []
        for _ in block.resnets:
            inputs.append(before + kept.pop())
            before = stream
        axes |= block_axes(f"up_blocks.{number}", block, inputs, stream)
    return axes


def importance(weights, axes):
    """How much the weights on each channel of each set amount to, relative to the mean of their layer."""
    found = {}
    for name, sets in axes.items():
        weight = weights[name]
        if weight.dim() < 2:
            continue
        for axis, members in enumerate(sets):
            if not members:
                continue
            strength = weight.square().sum([other for other in range(weight.dim()) if other != axis])
            for member, part in zip(members, (strength / strength.mean()).split(lengths(members, axes, weights))):
                found[member] = found.get(member, 0) + part
    return found


def lengths(members, axes, weights):
    """How many channels each of these sets has."""
    return [next(size for name, sets in axes.items() for size in sizes_on(weights[name], sets, member)) for member in members]


def sizes_on(weight, sets, member):
    """The number of channels of a set, for each axis of a weight that is of this set alone."""
    for size, members in zip(weight.shape, sets):
        if members and set(members) == {member}:
            yield size // len(members)


def groups_of(unet):
    """In how many groups the channels of a set are taken together; a set that is not here is one group."""
    norms = unet.config.norm_num_groups
    groups = {f"level {level}": norms for level in range(len(unet.config.block_out_channels))}
    for name, module in unet.named_modules():
        if isinstance(module, ResnetBlock2D):
            groups[f"{name} inner"] = norms
        elif isinstance(module, Transformer2DModel):
            block = module.transformer_blocks[0]
            for number, attention in enumerate((block.attn1, block.attn2), 1):
                groups[f"{name}.transformer_blocks.0.attn{number} heads"] = attention.heads
    return groups


def strongest(importance, count, groups):
    """The places [count] of the most important channels in order, as many of every group."""
    grouped = importance.view(groups, -1)
    best = grouped.topk(count // groups, dim=1).indices.sort(1).values
    return (best + torch.arange(groups)[:, None] * grouped.shape[1]).flatten()


def waves(channels):
    """What the time embedding reads [times, channels]."""
    return get_timestep_embedding(TIMES, channels, flip_sin_to_cos=True, downscale_freq_shift=0)


def fitted(weight, channels):
    """The layer that makes of so many waves what this one makes of its own."""
    wanted = waves(weight.shape[1]) @ weight.T
    # Waves that hardly differ from each other would otherwise cancel out in huge numbers.
    known, penalty = waves(channels), 1e-2 * math.sqrt(len(TIMES)) * torch.eye(channels)
    return torch.linalg.lstsq(torch.cat([known, penalty]), torch.cat([wanted, wanted.new_zeros(channels, wanted.shape[1])])).solution.T


def narrowed(unet, channels):
    """A UNet with so many channels at each level, of the wider one's most important, and which those are in each set."""
    small, axes = build_unet({**plain_config(unet), "block_out_channels": channels}), axes_of(unet)
    weights = {name: weight.cpu() for name, weight in unet.state_dict().items()}
    found, groups, sizes = importance(weights, axes), groups_of(unet), small.state_dict()
    kept = {member: strongest(values, *lengths([member], axes, sizes), groups.get(member, 1)) for member, values in found.items()}
    first = "time_embedding.linear_1.weight"
    weights[first] = fitted(weights[first], channels[0])
    places = {members: joined(members, kept, found) for sets in axes.values() for members in sets if members}
    for name, sets in axes.items():
        for axis, members in enumerate(sets):
            if members:
                weights[name] = weights[name].index_select(axis, places[members])
    small.load_state_dict(weights)
    return small, kept


def joined(members, kept, found):
    """Where what is kept of sets that lie behind each other is."""
    starts = torch.tensor([0] + [len(found[member]) for member in members]).cumsum(0)
    return torch.cat([kept[member] + start for member, start in zip(members, starts)])
