"""Small models of Stable Diffusion's kinds with random weights, and what diffusers makes of them.

Single files hold no configuration, so what a reader cannot see in them is as it is in Stable Diffusion: 32 groups in each
normalisation; 8 heads where a transformer's `proj_in` is a 1x1 convolution, heads 64 channels wide (one at least) where it is
a linear layer and in text encoders; QuickGELU in CLIP, GELU in OpenCLIP.
"""

import json

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from few_values import fill, pick
from packages import MERGES

PROMPT = "a photo of the red circle and cats"
NEGATIVE = "the cat"
TOKENS = 16
STEPS = 4
GUIDANCE = 3.0
SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "timestep_spacing": "trailing",
    "steps_offset": 1,
    "clip_sample": False,
    "set_alpha_to_one": False,
}
# Of these only DDIM knows.
OF_DDIM = ("clip_sample", "set_alpha_to_one")
SCHEDULERS = {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler}


def unet(channels, layers, attends, **options):
    """`attends`: whether each level, from the finest, attends to the text."""
    kinds = ["CrossAttn" if level else "" for level in attends]
    return UNet2DConditionModel(
        block_out_channels=channels,
        layers_per_block=layers,
        down_block_types=[f"{kind}DownBlock2D" for kind in kinds],
        up_block_types=[f"{kind}UpBlock2D" for kind in reversed(kinds)],
        cross_attention_dim=32,
        norm_num_groups=32,
        **options,
    )


def text_encoder(vocabulary, **options):
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            intermediate_size=128,
            num_attention_heads=1,
            max_position_embeddings=TOKENS,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            **options,
        )
    )


def autoencoder():
    return AutoencoderKL(
        block_out_channels=(32,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
    )


def clip(vocabulary):
    return text_encoder(vocabulary, num_hidden_layers=2, hidden_act="quick_gelu")


# Each: text encoder of a vocabulary, UNet, what it predicts, size of the latents it is tried on. The first alone has an
# autoencoder.
MODELS = {
    # The blocks of SD 1.x.
    "sd1": {
        "text_encoder": clip,
        "unet": lambda: unet((32,) * 4, 2, (True, True, True, False), attention_head_dim=8),
        "vae": autoencoder,
        "prediction": "epsilon",
        "size": (16, 8),
    },
    # SD 2.x: linear projections; the text encoder is OpenCLIP's without its last layer.
    "sd2": {
        "text_encoder": lambda vocabulary: text_encoder(vocabulary, num_hidden_layers=3, hidden_act="gelu"),
        "unet": lambda: unet((32,) * 2, 2, (True, False), attention_head_dim=[1, 1], use_linear_projection=True),
        "prediction": "v_prediction",
        "size": (8, 12),
    },
    # BK-SDM-Tiny.
    "tiny": {
        "text_encoder": clip,
        "unet": lambda: unet((32,) * 3, 1, (True,) * 3, attention_head_dim=8, mid_block_type=None),
        "prediction": "epsilon",
        "size": (8, 12),
    },
    # The same with two levels.
    "pruned": {
        "text_encoder": clip,
        "unet": lambda: unet((32,) * 2, 1, (True,) * 2, attention_head_dim=8, mid_block_type=None),
        "prediction": "epsilon",
        "size": (8, 8),
    },
    # The least that has blocks of every kind but samplers: for file formats, not for names.
    "micro": {
        "text_encoder": clip,
        "unet": lambda: unet((32,), 1, (True,), attention_head_dim=8, mid_block_type=None),
        "prediction": "epsilon",
        "size": (6, 8),
    },
}


def build(name, vocabulary, generator):
    """The parts of a model, in float32 with weights that float16 holds."""
    model = MODELS[name]
    parts = {"text_encoder": model["text_encoder"](vocabulary), "unet": model["unet"]()}
    if "vae" in model:
        parts["vae"] = model["vae"]()
    return {part: fill(module, generator) for part, module in parts.items()}


def tokenizer(folder):
    vocabulary = json.loads((folder / "vocab.json").read_text())
    merges = [tuple(merge.split()) for merge in MERGES]
    return CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token="<|endoftext|>", model_max_length=TOKENS)


def token_ids(tokens, text):
    return tokens(text, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt").input_ids


def run(name, parts, tokens, sampler, noise, output):
    """What diffusers' pipeline draws from `noise`, as it leaves the sampler or (`output="np"`) the decoder."""
    scheduler = SCHEDULERS[sampler](
        **{key: value for key, value in SCHEDULE.items() if key not in OF_DDIM or sampler == "ddim"},
        prediction_type=MODELS[name]["prediction"],
    )
    pipeline = StableDiffusionPipeline(
        vae=parts.get("vae"), unet=parts["unet"], scheduler=scheduler, text_encoder=parts["text_encoder"],
        tokenizer=tokens, safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    height, width = (side * pipeline.vae_scale_factor for side in noise.shape[2:])
    images = pipeline(
        PROMPT, negative_prompt=NEGATIVE, latents=noise, num_inference_steps=STEPS, guidance_scale=GUIDANCE,
        height=height, width=width, output_type=output,
    ).images
    return images if output == "latent" else torch.from_numpy(images).permute(0, 3, 1, 2)


@torch.no_grad()
def reference(name, parts, tokens, seed):
    """Inputs and outputs of the parts as `<component>.<in|out>.<name>`, and of whole runs as `pipeline.*`."""
    generator = torch.Generator().manual_seed(seed)
    size = MODELS[name]["size"]
    ids = torch.cat([token_ids(tokens, text) for text in (PROMPT, NEGATIVE)])
    states = parts["text_encoder"](ids).last_hidden_state
    sample = torch.randn(2, 4, *size, generator=generator)
    timestep = torch.tensor([981.0, 12.0])
    noise = torch.randn(1, 4, *size, generator=generator)
    tensors = {
        "text-encoder.in.input_ids": ids,
        "text-encoder.out.last_hidden_state": states,
        "unet.in.sample": sample,
        "unet.in.timestep": timestep,
        "unet.in.encoder_hidden_states": states,
        "unet.out.sample": parts["unet"](sample, timestep, states).sample,
        "pipeline.in.noise": noise,
    }
    for sampler in SCHEDULERS:
        tensors[f"pipeline.{sampler}.latent"] = run(name, parts, tokens, sampler, noise, "latent")
    if "vae" in parts:
        vae = parts["vae"]
        latent = torch.randn(1, 4, 6, 8, generator=generator)
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        image = pick(torch.linspace(-1, 1, 9), (1, 3, 6 * factor, 8 * factor), generator)
        tensors |= {
            "decoder.in.latent": latent,
            "decoder.out.image": vae.decode(latent).sample,
            "encoder.in.image": image,
            "encoder.out.latent": vae.encode(image).latent_dist.mean,
            "pipeline.ddim.image": run(name, parts, tokens, "ddim", noise, "np"),
        }
    return {key: tensor.float().contiguous().clone() for key, tensor in tensors.items()}


def facts(name):
    """What a test needs to repeat the runs, as safetensors metadata: one entry, so that files are written alike."""
    what = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "steps": STEPS,
        "guidance_scale": GUIDANCE,
        "schedule": {**SCHEDULE, "prediction_type": MODELS[name]["prediction"]},
    }
    return {"run": json.dumps(what)}
