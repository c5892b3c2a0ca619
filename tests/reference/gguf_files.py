"""GGUF files as stable-diffusion.cpp's `--mode convert` writes them, and their tensors as the gguf package reads them."""

import gguf
import torch
from gguf import GGMLQuantizationType

KINDS = {
    "f16": GGMLQuantizationType.F16,
    "q8_0": GGMLQuantizationType.Q8_0,
    "q4_0": GGMLQuantizationType.Q4_0,
}
# Parts of names whose tensors keep the type that they had. Normalisations are not among them.
KEPT = ("time_embed.", "embedding")
# Neither does stable-diffusion.cpp write them.
UNUSED = ("position_ids", "logit_scale")


class Writer(gguf.GGUFWriter):
    """Without metadata: stable-diffusion.cpp writes none, not even the architecture."""

    def __init__(self, path):
        super().__init__(path, arch="")

    def add_architecture(self):
        pass


def converted(name, tensor, kind):
    """What becomes of a tensor: rows that do not consist of whole blocks stay as they are, so convolutions do."""
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    if name.endswith(".bias") or any(part in name for part in KEPT) or tensor.shape[-1] % block:
        return tensor.numpy(), None
    return gguf.quants.quantize(tensor.float().numpy(), kind), kind


def write(path, checkpoint, kind):
    """Writes `checkpoint`, whose type is what tensors that are not converted keep."""
    writer = Writer(path)
    for name, tensor in checkpoint.items():
        if not name.endswith(UNUSED):
            array, dtype = converted(name, tensor, KINDS[kind])
            writer.add_tensor(name, array, raw_dtype=dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read(path):
    """The tensors of a file in float32, dequantised by the gguf package."""
    tensors = {}
    for tensor in gguf.GGUFReader(path).tensors:
        array = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        tensors[tensor.name] = torch.from_numpy(array.copy()).float()
    return tensors
