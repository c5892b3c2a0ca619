"""Writes tests/fixtures/prompts: weighted prompts, prompts longer than the text encoder, and textual inversions.

    python tests/reference/prompts.py --webui stable-diffusion-webui-forge --lpw lpw_stable_diffusion.py

`--webui` is a folder with `backend/text_processing` of lllyasviel/stable-diffusion-webui-forge, where AUTOMATIC1111's code
for prompts stands by itself; `--lpw` is `examples/community/lpw_stable_diffusion.py` of huggingface/diffusers. They agree
where a prompt fits into one chunk without BREAK. Where it does not, the webui keeps the mean of each chunk, moves up to 20
tokens after the last comma of a full chunk to the next, and ends a chunk at BREAK, but for one within brackets, which it
takes for words of negative weight; lpw keeps the mean of all chunks together, and knows neither.

    parsed.json          texts and weights that each of the two finds in a prompt
    model/               the text encoder and tokenizer that are asked
    states.safetensors   for prompt i of `states.json`:
      webui.<i>.*          token ids and weights of each chunk, and states
      webui-pad-0.<i>.*    the same where 0 pads after the end of the text, as in SD 2.x
      lpw.<i>.states       diffusers' states
      lpw-joined.<i>.states  without start and end between chunks (`no_boseos_middle`)
    embeddings/          the same two vectors as four kinds of files, and one vector
    embeddings.safetensors  states of `embeddings.json`'s prompts, in which the webui's code and diffusers agree

Written with diffusers 0.42.1, transformers 5.23.0 and torch 2.15.0.
"""

import argparse
import copy
import importlib.util
import json
import shutil
import sys
import types
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

import few_values
import small_models
from packages import tokenizer_files

OUT = Path(__file__).parents[1] / "fixtures/prompts"
TOKENS = small_models.TOKENS
WIDTH = 16

PARSED = [
    # Plain.
    "", " ", "a cat", "a cat, sitting", "3:4", "a:b", ":", "::", "ratio 16:9 photo",
    # Round brackets.
    "(cat)", "a (cat)", "a ((cat))", "(((cat)))", "(a (big) cat)", "()", "(())", "( )", "(a)(b)", "(a) (b)",
    "(unnecessary)(parens)",
    # Square brackets.
    "[cat]", "a [[cat]]", "[]", "[a (b) c]", "(a [b] c)", "([a])", "[(a)]", "[a:1.5]", "[a:b:0.5]",
    # Numbers.
    "(cat:1.3)", "(cat:.5)", "(cat:1.)", "(cat:2)", "(cat:0)", "(cat:-1)", "(cat:+1.2)", "(cat: 1.3)", "(cat:1.3 )",
    "(cat :1.3)", "(cat:1,3)", "(cat:1e1)", "(a:b:1.2)", "(a:1.2:b)", "cat:1.3)", "(cat:1.3", "(cat:)", "(cat:big)",
    "(:1.3)", "((cat:1.3))", "((cat:1.3):0.5)", "(a (b:1.2) c:0.5)", "[(cat:2)]",
    # Unbalanced.
    "(", ")", "[", "]", "(cat", "cat)", "[cat", "cat]", "((cat)", "(cat))", "(a [b) c]", "(a [b", ")(", "][",
    # Escapes.
    "\\(cat\\)", "(\\(cat\\):1.5)", "\\[cat\\]", "a \\ b", "\\\\", "\\", "\\:", "a\\)b)", "(a\\:1.2)",
    "\\\\(cat\\\\)",
    # Chunks.
    "a BREAK b", "a\nBREAK\nb", "aBREAK b", "BREAK", "BREAK BREAK", "a BREAK", "(a BREAK b)", "(a:1.2) BREAK [b]", "break",
    "a, BREAK, b", "(a:1.2)BREAK(b:1.2)",
    # Together.
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).", "Å (naïve:1.1) 日本 [🐈]", "a  (b)\t(c)",
]
# What neither of the two reads: the number of the weight is none.
UNREADABLE = ["(cat:1.2.3)", "(cat:.)", "(cat:..5)"]

STATES = [
    "", "a photo of a red circle", "a (red) circle", "a (red:1.5) circle and [cats]", "(red circle:0.5)", "(cat:0)",
    # As many tokens as one chunk holds, and one more.
    "a a a a a a a a a a a a a a", "a a a a a a a a a a a a a a a",
    "(the red circle:1.3) and the cats and the circle and the red cats to the circle of [the] cats",
    # A text that moves to the next chunk as a whole, after its comma.
    "the red circle and the cats and, to the circle of the red cats",
    "a red circle BREAK (cats:1.4)", "BREAK", "a BREAK", "(a red BREAK circle:1.2)",
    "a a a a a a a a a a a a a a BREAK (red:1.2) cats and a (circle:0.8) and the red circle, the cats of the circle",
]
MULTIPLES = 4

EMBEDDED = [
    "a photo of {}", "{}", "the ({}:1.5) cats", "a a a a a a a a a a a a a {} a", "{} and {}",
]
FILES = {
    "two-vectors.pt": "two-vectors",
    "emb-params.safetensors": "emb-params",
    "learned_embeds.safetensors": "<two>",
    "learned_embeds.bin": "<one>",
}


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_webui(folder):
    """The engine with stand-ins for the two modules that it takes settings from."""
    sys.path.insert(0, str(folder))
    settings = {"modules": {}, "modules.shared": {"opts": types.SimpleNamespace(emphasis="Original")}}
    settings["backend.memory_management"] = {"text_encoder_device": lambda: torch.device("cpu")}
    for name, values in settings.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(values)
    from backend.text_processing import classic_engine, parsing, textual_inversion

    return classic_engine.ClassicTextProcessingEngine, parsing.parse_prompt_attention, textual_inversion


class Wrapped:
    """A text encoder with the inner model in an attribute, as it was before transformers 5.6."""

    def __init__(self, model):
        self.text_model = model

    def __call__(self, *inputs, **options):
        return self.text_model(*inputs, **options)


def write_parsed(webui_parse, lpw):
    entries = []
    for prompt in PARSED:
        entry = {"prompt": prompt, "parsed": webui_parse(prompt, "Original")}
        theirs = lpw.parse_prompt_attention(prompt)
        if theirs != entry["parsed"]:
            entry["lpw"] = theirs
        entries.append(entry)
    for prompt in UNREADABLE:
        for parse in (lambda text: webui_parse(text, "Original"), lpw.parse_prompt_attention):
            try:
                parse(prompt)
                raise SystemExit(f"{prompt} is read")
            except ValueError:
                pass
    document = {"prompts": entries, "unreadable": UNREADABLE}
    (OUT / "parsed.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def text_encoder(vocabulary, generator):
    model = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=TOKENS, bos_token_id=vocabulary - 2, eos_token_id=vocabulary - 1,
            hidden_act="quick_gelu",
        )
    )
    few_values.fill(model, generator)
    # Means are restored by dividing by them, so they should not be nearly zero.
    model.final_layer_norm.bias += 0.25
    return model


def webui_engine(engine_class, model, tokens, pad):
    encoder = types.SimpleNamespace(transformer=Wrapped(model))
    engine = engine_class(encoder, tokens, chunk_length=TOKENS - 2, embedding_expected_shape=WIDTH)
    engine.id_pad = tokens.eos_token_id if pad is None else pad
    return engine


def webui_tensors(engine, prompt):
    chunks, _ = engine.tokenize_line(prompt)
    ids = torch.tensor([chunk.tokens for chunk in chunks])
    for row in ids:
        end = row.tolist().index(engine.id_end)
        row[end + 1 :] = engine.id_pad
    return {
        "input_ids": ids,
        "weights": torch.tensor([chunk.multipliers for chunk in chunks]),
        "states": engine([prompt])[0],
    }


def lpw_states(lpw, model, tokens, prompt, joined):
    pipeline = types.SimpleNamespace(tokenizer=tokens, text_encoder=Wrapped(model), device="cpu")
    states, _ = lpw.get_weighted_text_embeddings(
        pipeline, prompt, max_embeddings_multiples=MULTIPLES, no_boseos_middle=joined
    )
    return states[0]


def write_states(engine_class, lpw, model, tokens):
    tensors = {}
    embeddings = model.embeddings.token_embedding
    for pad in (None, 0):
        engine = webui_engine(engine_class, model, tokens, pad)
        name = "webui" if pad is None else "webui-pad-0"
        for index, prompt in enumerate(STATES):
            for key, tensor in webui_tensors(engine, prompt).items():
                tensors[f"{name}.{index}.{key}"] = tensor
        model.embeddings.token_embedding = embeddings
    for index, prompt in enumerate(STATES):
        tensors[f"lpw.{index}.states"] = lpw_states(lpw, model, tokens, prompt, False)
        tensors[f"lpw-joined.{index}.states"] = lpw_states(lpw, model, tokens, prompt, True)
    save_file({key: tensor.float().contiguous() for key, tensor in tensors.items()}, OUT / "states.safetensors")
    (OUT / "states.json").write_text(json.dumps(STATES, indent=1) + "\n")


def write_embedding_files(vectors):
    """The last file has the first vector alone."""
    folder = OUT / "embeddings"
    folder.mkdir()
    parameter = torch.nn.Parameter(vectors.clone())
    webui = {
        "string_to_token": {"*": 265}, "string_to_param": {"*": parameter}, "name": "two-vectors", "step": 499,
        "sd_checkpoint": None, "sd_checkpoint_name": None,
    }
    torch.save(webui, folder / "two-vectors.pt")
    save_file({"emb_params": vectors}, folder / "emb-params.safetensors")
    save_file({"<two>": vectors}, folder / "learned_embeds.safetensors", metadata={"format": "pt"})
    torch.save({"<one>": vectors[0].clone()}, folder / "learned_embeds.bin")


def diffusers_states(model, tokens, file, token, prompt):
    pipeline = StableDiffusionPipeline(
        vae=None, unet=None, text_encoder=model, tokenizer=tokens, scheduler=None, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )
    pipeline.load_textual_inversion(str(file.parent), weight_name=file.name, token=token)
    return pipeline.encode_prompt(prompt, "cpu", 1, False)[0][0]


def write_embeddings(webui, vocabulary, model):
    engine_class, _, textual_inversion = webui
    vectors = few_values.pick(few_values.LEVELS, (2, WIDTH), torch.Generator().manual_seed(3)) * 0.75
    write_embedding_files(vectors)
    embeddings = model.embeddings.token_embedding
    tensors, listed = {}, []
    for name, token in FILES.items():
        file = OUT / "embeddings" / name
        engine = webui_engine(engine_class, model, vocabulary(), None)
        data = {"*": vectors[:1] if token == "<one>" else vectors}
        engine.embeddings.register_embedding(textual_inversion.create_embedding_from_data(data, token))
        for prompt in (prompt.replace("{}", token) for prompt in EMBEDDED):
            states = engine([prompt])[0]
            tensors[f"{len(listed)}.states"] = states
            listed.append({"file": name, "prompt": prompt})
        model.embeddings.token_embedding = embeddings
        for index, entry in enumerate(listed):
            if entry["file"] == name and index % len(EMBEDDED) < 2:
                theirs = diffusers_states(copy.deepcopy(model), vocabulary(), file, token, entry["prompt"])
                if not torch.allclose(theirs, tensors[f"{index}.states"], atol=1e-5):
                    raise SystemExit(f"diffusers and the webui differ in {entry}")
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, OUT / "embeddings.safetensors")
    (OUT / "embeddings.json").write_text(json.dumps(listed, indent=1) + "\n")


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--webui", type=Path, required=True)
    parser.add_argument("--lpw", type=Path, required=True)
    options = parser.parse_args()
    webui = load_webui(options.webui)
    lpw = load(options.lpw, "lpw")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    count = tokenizer_files(OUT / "model/tokenizer", "<|endoftext|>")
    vocabulary = lambda: small_models.tokenizer(OUT / "model/tokenizer")
    model = text_encoder(count, torch.Generator().manual_seed(2))
    model.half().save_pretrained(OUT / "model/text_encoder")
    model.float()
    write_parsed(webui[1], lpw)
    write_states(webui[0], lpw, model, vocabulary())
    write_embeddings(webui, vocabulary, model)


if __name__ == "__main__":
    main()
