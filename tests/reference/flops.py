"""Counts the operations of one evaluation of two UNets with torch, for crates/plantain-nn/src/config/cost.rs.

    python tests/reference/flops.py
"""
import torch
from diffusers import UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

SD1 = {"cross_attention_dim": 768}
TINY = {
    **SD1,
    "block_out_channels": (320, 640, 1280),
    "layers_per_block": 1,
    "mid_block_type": None,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3,
    "up_block_types": ("CrossAttnUpBlock2D",) * 3,
}

for name, config in ("SD 1.5", SD1), ("BK-SDM-Tiny", TINY):
    with torch.device("meta"), torch.no_grad():
        unet = UNet2DConditionModel(**config)
        with FlopCounterMode(display=False) as counter:
            unet(torch.zeros(1, 4, 64, 64), torch.zeros(1), torch.zeros(1, 77, 768))
    print(name, counter.get_total_flops())
