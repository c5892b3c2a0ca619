"""What can be left out of a UNet, and the smaller UNet with the weights of the larger one.

Removals are those of BK-SDM (Kim et al., 2023): the middle block, the attention of a level's down or up blocks, one
residual layer of a level.
"""
from tools.train.networks import build_unet


def plain_config(unet):
    """The configuration with one number of layers per level, without diffusers' own notes."""
    config = {name: value for name, value in unet.config.items() if not name.startswith("_")}
    if isinstance(config["layers_per_block"], int):
        config["layers_per_block"] = [config["layers_per_block"]] * len(config["block_out_channels"])
    return config


def removals(config):
    """Everything that could still be left out, by name, with the configuration that results."""
    levels = len(config["block_out_channels"])
    found = {}
    if config["mid_block_type"]:
        found["middle block"] = {**config, "mid_block_type": None}
    for side, kind in (("down", "Down"), ("up", "Up")):
        types = config[f"{side}_block_types"]
        for block in range(levels):
            if types[block].startswith("CrossAttn"):
                changed = [*types[:block], f"{kind}Block2D", *types[block + 1 :]]
                found[f"attention of {side} block {block}"] = {**config, f"{side}_block_types": changed}
    for level in range(levels):
        layers = list(config["layers_per_block"])
        if layers[level] > 1:
            layers[level] -= 1
            found[f"a layer of level {level}"] = {**config, "layers_per_block": layers}
    return found


def source_name(name, large, small):
    """The large network's name for a tensor of the small one: of an up block's layers the first and the last remain."""
    side, *rest = name.split(".")
    if side != "up_blocks" or rest[1] not in ("resnets", "attentions"):
        return name
    level = len(large["block_out_channels"]) - 1 - int(rest[0])
    kept, layer = small["layers_per_block"][level] + 1, int(rest[2])
    if layer == kept - 1:
        rest[2] = str(large["layers_per_block"][level])
    return ".".join([side, *rest])


def carry_over(unet, config):
    """A smaller UNet with the weights of the larger one."""
    large, small = plain_config(unet), build_unet(config)
    weights = unet.state_dict()
    small.load_state_dict({name: weights[source_name(name, large, config)] for name in small.state_dict()})
    return small


def without(unet, names):
    """The UNet without those of the named parts that it still has."""
    config = plain_config(unet)
    for name in names:
        config = removals(config).get(name, config)
    return carry_over(unet, config)
