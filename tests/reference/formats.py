#!/usr/bin/env python3
"""Writes crates/plantain-formats/tests/fixtures: small files of each format by those who define it, and what is in them.

    python tests/reference/formats.py

Needs torch, safetensors and gguf. For each NAME.EXT or NAME.VARIANT.EXT there is NAME.expected, a safetensors file: `raw/TENSOR` is
the tensor as it is stored but row-major, `f32/TENSOR`, for floats, what the reference makes of it in F32. Files in `refused` have
none.
"""
import os
import pickle
import shutil
import sys
import tarfile
import types
import typing
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gguf
import numpy
import torch
from safetensors.torch import save_file

OUT = Path(__file__).parents[2] / "crates" / "plantain-formats" / "tests" / "fixtures"
FLOATS = {torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2}


def expect(path, tensors):
    """Writes what is in the file at `path`."""
    expected = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        expected["raw/" + name] = tensor
        if tensor.dtype in FLOATS:
            expected["f32/" + name] = tensor.float()
    write_expected(path, expected)


def write_expected(path, expected):
    # Clones, because safetensors refuses tensors that share memory.
    expected = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in expected.items()}
    save_file(expected, path.with_name(path.name.split(".")[0] + ".expected"))


def numbers(*shape):
    return torch.randn(*shape)


def every_type():
    """A tensor of each type that safetensors and PyTorch share."""
    types = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]
    tensors = {str(t).removeprefix("torch."): (numbers(3, 5) * 20).to(t) for t in types}
    tensors["bool"] = numbers(7) > 0
    for t in torch.float8_e4m3fn, torch.float8_e5m2:
        # All bit patterns.
        tensors[str(t).removeprefix("torch.")] = torch.arange(256).to(torch.uint8).view(t)
    for t in torch.uint16, torch.uint32, torch.uint64:
        tensors[str(t).removeprefix("torch.")] = torch.arange(5).to(t)
    tensors["complex64"] = torch.randn(3, dtype=torch.complex64)
    # All halves whose low byte is one of a few: subnormal numbers, infinities and NaN among them.
    tensors["halves"] = torch.arange(-32768, 32767, 37).to(torch.int16).view(torch.float16)
    return tensors


def every_view():
    """Tensors that are not simply their storage."""
    base = torch.arange(24.0)
    image = numbers(2, 3, 4, 5)
    with_attribute = numbers(3)
    with_attribute.note = "kept by PyTorch, of no use here"
    parameter_with_attribute = torch.nn.Parameter(numbers(2))
    parameter_with_attribute.note = 1
    return {
        "scalar": torch.tensor(2.5), "empty": torch.empty(0, 3), "parameter": torch.nn.Parameter(numbers(2, 2)),
        "frozen": torch.nn.Parameter(numbers(2), requires_grad=False), "transposed": numbers(3, 4).t(),
        "channels_last": image.to(memory_format=torch.channels_last), "permuted": image.permute(3, 0, 2, 1),
        "whole": base, "part": base[5:11], "rows": base.view(4, 6)[1:3], "columns": base.view(4, 6)[:, 1:5:2],
        "expanded": torch.tensor([1.0, 2.0, 3.0]).expand(4, 3), "half_part": numbers(10).half()[3:8],
        "one_row": base.view(4, 6).t()[2:3], "with_attribute": with_attribute, "parameter_with_attribute": parameter_with_attribute,
        "diagonal": base[:16].view(4, 4).diagonal(),
    }


def save(path, obj, tensors, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(obj, path, **options)
    if tensors is not None:
        expect(path, tensors)


def module_class(path, *bases):
    """A class that pickles by `path`, which need not be installed."""
    module, name = path.rsplit(".", 1)
    parts = module.split(".")
    for i in range(len(parts)):
        sys.modules.setdefault(".".join(parts[:i + 1]), types.ModuleType(".".join(parts[:i + 1])))
    cls = type(name, bases, {"__module__": module, "__qualname__": name})
    setattr(sys.modules[module], name, cls)
    return cls


def instance(path, **attributes):
    obj = module_class(path)()
    obj.__dict__.update(attributes)
    return obj


class Called:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def checkpoint():
    """A checkpoint as Lightning writes it: tensors, and many objects beside them."""
    model = torch.nn.Sequential(OrderedDict(first=torch.nn.Linear(3, 4), norm=torch.nn.BatchNorm1d(4)))
    optimizer = torch.optim.AdamW(model.parameters())
    model(numbers(5, 3)).sum().backward()
    optimizer.step()
    config = instance("omegaconf.dictconfig.DictConfig", _content={"lr": instance("omegaconf.nodes.AnyNode", _val=1e-4)},
                      _metadata=instance("omegaconf.base.ContainerMetadata", key_type=typing.Any, element_type=dict))
    state = model.state_dict()
    return state, {
        "epoch": 3, "global_step": 470000, "pytorch-lightning_version": "1.4.2", "state_dict": state,
        "callbacks": {module_class("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"): {
            "monitor": "val/loss", "best_model_score": torch.tensor(0.25), "best_model_path": Path("a") / "b"}},
        "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [{"base_lrs": [0.1], "_step_count": 2, "verbose": False}],
        "hyper_parameters": config, "seen": {1, 2}, "frozen": frozenset([1]), "counts": defaultdict(list, a=[1]),
        "loops": instance("pytorch_lightning.loops.fit_loop.FitLoop", state={"n": numpy.float64(0.5), "m": numpy.arange(3)}),
        "device": torch.device("cpu"), "dtype": torch.float16, "shape": torch.Size([1, 2]), "big": 1 << 80, "bytes": b"\x00\xff",
        "rng": {"torch": torch.get_rng_state(), "numpy": numpy.random.RandomState(1).get_state()}, "none": None, "range": range(3),
        "loss": torch.tensor(0.5),
    }


def pytorch(folder):
    shared = every_type()
    save(folder / "types.pt", OrderedDict(shared), shared)
    views = every_view()
    for protocol in 2, 3, 4, 5:
        save(folder / f"views.protocol{protocol}.pt", views, views, pickle_protocol=protocol)
        save(folder / f"views.legacy{protocol}.pt", views, views, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    old_types = {name: t for name, t in every_type().items() if not name.startswith(("float8", "uint16", "uint32", "uint64"))}
    save(folder / "legacy_types.pt", old_types, old_types, _use_new_zipfile_serialization=False)

    state, lightning = checkpoint()
    save(folder / "lightning.ckpt", lightning, state)
    save(folder / "lightning.legacy.ckpt", lightning, state, _use_new_zipfile_serialization=False)
    plain = {"a.weight": numbers(2, 2), "b": numbers(3)}
    save(folder / "model.pt", {"model": plain, "epoch": 1, "optimizer": {"state": {0: numbers(2)}}, "loss": plain["b"][0]}, plain)
    weight, bias = plain.values()
    save(folder / "nested.pt", {"a": {"weight": weight}, "list": [weight, (bias,)], 7: bias, "x": 0.5},
         {"a.weight": weight, "list.0": weight, "list.1.0": bias, "7": bias})
    save(folder / "tensor.pt", plain["b"], {"tensor": plain["b"]})
    pairs = Called(OrderedDict, [[k, v] for k, v in plain.items()])
    save(folder / "python2.pt", pairs, plain, _use_new_zipfile_serialization=False)

    embedding = numbers(2, 8)
    inversion = {"string_to_token": {"*": torch.tensor(265)}, "name": "a-style", "step": 500, "sd_checkpoint": None}
    expected = {"string_to_param.*": embedding, "string_to_token.*": torch.tensor(265)}
    save(folder / "inversion.pt", inversion | {"string_to_param": {"*": embedding}}, expected)
    parameters = torch.nn.ParameterDict()
    parameters["*"] = torch.nn.Parameter(embedding)
    save(folder / "inversion_module.pt", inversion | {"string_to_param": parameters}, expected)
    save(folder / "embeds.bin", {"<a-style>": embedding}, {"<a-style>": embedding})


def gguf_file(path, tensors, kinds=True, **options):
    """`tensors` are arrays, or pairs of bytes and their type."""
    path.parent.mkdir(parents=True, exist_ok=True)
    alignment, shapes = options.pop("alignment", None), options.pop("shapes", {})
    writer = gguf.GGUFWriter(path, "sd1", **options)
    if alignment:
        writer.add_custom_alignment(alignment)
    if kinds:
        writer.add_string("text", "häuser")
        for name, value in dict(uint8=200, int8=-3, uint16=60000, int16=-300, uint32=1 << 31, int32=-70000, uint64=1 << 63, int64=-1 << 40,
                                float32=0.5, float64=0.1, bool=True).items():
            getattr(writer, "add_" + name)(name, value)
        writer.add_array("words", ["a", "bc", ""])
        writer.add_array("counts", [1, 2, 3])
        writer.add_array("flags", [True, False])
    for name, shape in shapes.items():
        writer.add_array(f"comfy.gguf.orig_shape.{name}", [int(d) for d in shape])
    for name, tensor in tensors.items():
        data, kind = tensor if isinstance(tensor, tuple) else (tensor, None)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def ggml(folder):
    kinds = gguf.GGMLQuantizationType
    blocks = [kinds.Q8_0, kinds.Q4_0, kinds.Q4_1, kinds.Q5_0, kinds.Q5_1]
    random = numpy.random.default_rng(1)
    tensors, expected = {}, {}

    def add(name, data, kind):
        tensors[name] = data, kind
        raw = torch.from_numpy(data.view(numpy.uint8).copy())
        expected["raw/" + name] = raw
        expected["f32/" + name] = torch.from_numpy(gguf.quants.dequantize(data, kind).astype(numpy.float32).copy())

    weights = random.standard_normal((3, 96)).astype(numpy.float32)
    for kind in blocks:
        add(kind.name, gguf.quants.quantize(weights, kind), kind)
        # Every nibble and bit at every place, with scales that are plain numbers.
        block, size = gguf.GGML_QUANT_SIZES[kind]
        data = random.integers(0, 256, (4, 8, size), dtype=numpy.uint8)
        scales = random.standard_normal((4, 8, 2)).astype(numpy.float16).view(numpy.uint8)
        head = 4 if kind in (kinds.Q4_1, kinds.Q5_1) else 2
        data[..., :head] = scales[..., :head]
        add(kind.name + ".random", data.reshape(4, -1), kind)
    add("BF16", gguf.quants.quantize(weights, kinds.BF16), kinds.BF16)
    for dtype in numpy.float32, numpy.float16, numpy.float64, numpy.int8, numpy.int16, numpy.int32, numpy.int64:
        array = (weights * 20).astype(dtype)[:, :7].copy()
        name = numpy.dtype(dtype).name
        tensors[name] = array
        expected["raw/" + name] = torch.from_numpy(array)
        if name.startswith("float"):
            expected["f32/" + name] = torch.from_numpy(array).float()
    tensors["four"] = random.standard_normal((2, 3, 4, 5)).astype(numpy.float32)
    expected["raw/four"] = expected["f32/four"] = torch.from_numpy(tensors["four"])
    gguf_file(folder / "every_type.gguf", tensors)
    write_expected(folder / "every_type.gguf", expected)

    # What ComfyUI's converter does to convolutions, whose rows are too short for blocks.
    convolution = random.standard_normal((4, 8, 3, 3)).astype(numpy.float32)
    flat = gguf.quants.quantize(convolution.reshape(-1, 32), kinds.Q8_0)
    gguf_file(folder / "reshaped.gguf", {"conv.weight": (flat, kinds.Q8_0), "bias": convolution[0, 0, 0]}, kinds=False,
              shapes={"conv.weight": convolution.shape}, alignment=64)
    bias, dequantised = torch.from_numpy(convolution[0, 0, 0]), gguf.quants.dequantize(flat, kinds.Q8_0)
    write_expected(folder / "reshaped.gguf", {
        "raw/conv.weight": torch.from_numpy(flat), "f32/conv.weight": torch.from_numpy(dequantised).reshape(convolution.shape),
        "raw/bias": bias, "f32/bias": bias})

    small = {"a": weights[0, :5].copy()}
    gguf_file(folder / "refused" / "big_endian.gguf", small, kinds=False, endianess=gguf.GGUFEndian.BIG)
    block, size = gguf.GGML_QUANT_SIZES[kinds.Q4_K]
    gguf_file(folder / "refused" / "q4_k.gguf", {"a.weight": (numpy.zeros((2, size), numpy.uint8), kinds.Q4_K)}, kinds=False)


def refused(folder):
    """What other parts of PyTorch write."""
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "module.pt", torch.nn.Linear(2, 2), None)
    save(folder / "module_legacy.pt", torch.nn.Linear(2, 2), None, _use_new_zipfile_serialization=False)
    save(folder / "own_module.pt", module_class("some.project.Network", torch.nn.Module)(), None)
    save(folder / "own_class.pt", {"a": numbers(2), "meter": instance("some.project.Meter", value=1)}, None)
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), folder / "script.pt")
    save(folder / "sparse.pt", {"a": torch.eye(3).to_sparse()}, None)
    save(folder / "negated.pt", {"a": torch._neg_view(numbers(2))}, None)
    save(folder / "complex128.pt", {"a": torch.randn(2, dtype=torch.complex128)}, None)
    save(folder / "meta.pt", {"a": torch.empty(2, device="meta")}, None)
    for protocol in 2, 4:
        save(folder / f"runs{protocol}.pt", {"a": numbers(2), "b": Called(os.system, "true")}, None, pickle_protocol=protocol)
        save(folder / f"runs_legacy{protocol}.pt", {"b": Called(os.system, "true")}, None, pickle_protocol=protocol,
             _use_new_zipfile_serialization=False)
    save(folder / "evaluates.pt", Called(eval, "1"), None)
    for protocol in 2, 4:
        (folder / f"plain{protocol}.pkl").write_bytes(pickle.dumps({"a": 1}, protocol=protocol))
    save(folder / "stored.pt", {"a": numbers(2)}, None)
    with zipfile.ZipFile(folder / "stored.pt") as stored, zipfile.ZipFile(folder / "deflated.pt", "w", zipfile.ZIP_DEFLATED) as deflated:
        for name in stored.namelist():
            deflated.writestr(name, stored.read(name))
    with zipfile.ZipFile(folder / "documents.zip", "w") as archive:
        archive.writestr("readme.txt", "no model")
    with tarfile.open(folder / "old.tar", "w") as archive:
        archive.add(folder / "stored.pt", "storages")
    (folder / "stored.pt").unlink()


def main():
    torch.manual_seed(1)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    everything = every_type()
    save_file(everything, OUT / "safe.safetensors", metadata={"format": "pt", "note": "größer"})
    expect(OUT / "safe.safetensors", everything)
    pytorch(OUT)
    ggml(OUT)
    refused(OUT / "refused")


if __name__ == "__main__":
    main()
