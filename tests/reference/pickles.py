"""Checkpoints as PyTorch pickles them, with what trainers leave in them."""

import sys
import types
from collections import OrderedDict

import torch

CALLBACKS = "pytorch_lightning.callbacks.model_checkpoint"


def lightning_callback():
    """A class of Lightning's, by which its trainer keyed the states of its callbacks: readers cannot import it."""
    callback = type("ModelCheckpoint", (), {"__module__": CALLBACKS})
    parts = CALLBACKS.split(".")
    names = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    modules = {name: types.ModuleType(name) for name in names}
    modules[CALLBACKS].ModelCheckpoint = callback
    return modules, callback


def with_views(tensors):
    """Stores some tensors as other programs leave them: transposed, channels last, or as parts of one storage."""
    tensors = OrderedDict(tensors)
    convolutions = [name for name, tensor in tensors.items() if tensor.dim() == 4 and tensor.shape[2] > 1]
    name = convolutions[0]
    tensors[name] = tensors[name].contiguous(memory_format=torch.channels_last)
    name = next(name for name in tensors if name.endswith("attn1.to_q.weight"))
    tensors[name] = tensors[name].T.contiguous().T
    pair = [name.replace("to_q", part) for part in ("to_k", "to_v")]
    both = torch.cat([tensors[name] for name in pair])
    tensors.update(zip(pair, both.chunk(2)))
    return tensors


def write_lightning(path, tensors):
    """A zip archive with the state of a training run around the weights."""
    state = with_views(tensors)
    state["alphas_cumprod"] = torch.linspace(0.9991, 0.0047, 1000)
    state["model_ema.decay"] = torch.tensor(0.9999)
    state["model_ema.num_updates"] = torch.tensor(470000, dtype=torch.int32)
    modules, callback = lightning_callback()
    checkpoint = {
        "epoch": 4,
        "global_step": 470000,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": state,
        "callbacks": {callback: {"monitor": None, "best_model_score": None, "best_model_path": "", "dirpath": "logs"}},
        "optimizer_states": [{"state": {0: {"step": 9, "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4}]}],
        "lr_schedulers": [{"base_lrs": [1e-4], "last_epoch": 470000}],
    }
    # Pickling a class imports its module.
    sys.modules.update(modules)
    torch.save(checkpoint, path)
    for name in modules:
        del sys.modules[name]


def write_legacy(path, tensors):
    """Five pickles and raw storages in a row, as PyTorch wrote files before version 1.6.

    Storages are called by their addresses there, so the file is another one each time it is written.
    """
    checkpoint = {"state_dict": OrderedDict(tensors), "global_step": 100}
    torch.save(checkpoint, path, _use_new_zipfile_serialization=False)
