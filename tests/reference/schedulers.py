"""Writes the sampler fixtures that `plantain-sampling` is tested against.

Every run drives a diffusers scheduler with a closed-form "network" and stored
noise, so that the Rust tests can repeat it exactly:

    python tests/reference/schedulers.py --out tests/fixtures/sampling

One `<sampler>.safetensors` per sampler holds, per run, the timesteps, the
sigmas (where the scheduler has them) and the latent after every step; its
`runs` metadata entry lists the runs with their scheduler_config. `tables`
holds alphas_cumprod tables and checksums of the timesteps of every step count.

Written with diffusers 0.42.1 and torch 2.15.0.
"""

import argparse
import inspect
import json
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers.schedulers import (
    scheduling_ddim,
    scheduling_dpmsolver_multistep,
    scheduling_euler_ancestral_discrete,
    scheduling_euler_discrete,
    scheduling_flow_match_euler_discrete,
    scheduling_lcm,
    scheduling_tcd,
)
from safetensors.torch import save_file

ELEMENTS = 24
MAX_STEPS = 20

SCHEDULERS = {
    "lcm": (scheduling_lcm, "LCMScheduler"),
    "tcd": (scheduling_tcd, "TCDScheduler"),
    "euler": (scheduling_euler_discrete, "EulerDiscreteScheduler"),
    "euler-a": (scheduling_euler_ancestral_discrete, "EulerAncestralDiscreteScheduler"),
    "ddim": (scheduling_ddim, "DDIMScheduler"),
    "dpmpp-2m": (scheduling_dpmsolver_multistep, "DPMSolverMultistepScheduler"),
    "flow-euler": (scheduling_flow_match_euler_discrete, "FlowMatchEulerDiscreteScheduler"),
}

# Every key is written out because plantain's defaults are not each scheduler's.
SD15 = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "clip_sample": False,
    "rescale_betas_zero_snr": False,
}
TRAILING = {**SD15, "timestep_spacing": "trailing", "set_alpha_to_one": True}
ZERO_SNR = {**TRAILING, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
LCM50 = {**SD15, "original_inference_steps": 50, "timestep_scaling": 10.0}


def denoiser_configs(predictions):
    """The configs shared by the samplers that space their own timesteps."""
    configs = {"linspace": {**SD15, "timestep_spacing": "linspace"}, "zero-snr": ZERO_SNR}
    for prediction in predictions:
        configs[f"sd15-{prediction}"] = {**SD15, "prediction_type": prediction}
        configs[f"trailing-{prediction}"] = {**TRAILING, "prediction_type": prediction}
    configs["linear"] = {**TRAILING, "beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
    configs["cosine"] = {**TRAILING, "beta_schedule": "squaredcos_cap_v2"}
    return configs


def consistency_configs():
    """The configs of the consistency samplers, which ignore timestep_spacing."""
    configs = {
        f"original-50-{prediction}": {**LCM50, "prediction_type": prediction}
        for prediction in ("epsilon", "v_prediction", "sample")
    }
    configs["original-100"] = {**LCM50, "original_inference_steps": 100}
    configs["zero-snr"] = {**ZERO_SNR, "original_inference_steps": 50, "timestep_scaling": 10.0}
    return configs


def cases():
    """Yields (sampler, config name, config, step counts, step() arguments)."""
    few, many, every = (1, 2, 4, 8), (1, 2, 3, 4, 7, 8), (1, 2, 3, 4, 7, 8, 20)

    for name, config in consistency_configs().items():
        yield "lcm", name, config, few, {}
        for eta in (0.0, 0.3, 1.0) if name == "original-50-epsilon" else (0.3,):
            yield "tcd", f"{name}-gamma-{eta}", config, few, {"eta": eta}
    yield "lcm", "clip", {**LCM50, "clip_sample": True, "clip_sample_range": 1.5}, few, {}

    all_three = ("epsilon", "v_prediction", "sample")
    for name, config in denoiser_configs(all_three).items():
        yield "euler", name, config, many, {}
        yield "ddim", name, config, many, {}
        yield "dpmpp-2m", name, config, every, {}
    for name, config in denoiser_configs(all_three[:2]).items():
        # diffusers takes the root of a rounded-negative sigma_down**2 with cosine betas.
        if name != "cosine":
            yield "euler-a", name, config, many, {}

    yield "ddim", "clip", {**TRAILING, "clip_sample": True, "clip_sample_range": 1.0}, many, {}
    karras = {"use_karras_sigmas": True}
    for name, config in {"leading": SD15, "trailing": TRAILING, "zero-snr": ZERO_SNR}.items():
        yield "euler", f"karras-{name}", {**config, **karras}, many, {}
        yield "dpmpp-2m", f"karras-{name}", {**config, **karras}, every, {}
    sigma_min = {**TRAILING, "final_sigmas_type": "sigma_min"}
    yield "euler", "sigma-min", sigma_min, few, {}
    yield "dpmpp-2m", "sigma-min", sigma_min, every, {}
    yield "euler", "karras-sigma-min", {**sigma_min, **karras}, few, {}
    yield "dpmpp-2m", "karras-sigma-min", {**sigma_min, **karras}, every, {}
    yield "dpmpp-2m", "sigma-min-full-order", {**sigma_min, "lower_order_final": False}, every, {}
    yield "dpmpp-2m", "euler-at-final", {**sigma_min, "euler_at_final": True}, every, {}
    for shift in (1.0, 3.0):
        flow = {"num_train_timesteps": 1000, "prediction_type": "flow_prediction", "shift": shift}
        yield "flow-euler", f"shift-{shift}", flow, every, {}
        yield "flow-euler", f"even-shift-{shift}", {**flow, "flow_spacing": "even"}, every, {}
    noised_anew = {**flow, "shift": 0.5, "flow_spacing": "even", "stochastic_sampling": True}
    yield "flow-euler", "stochastic-even-shift-0.5", noised_anew, every, {}


def network(sample, timestep):
    """A bounded rational function: the same in any IEEE float32 arithmetic."""
    slope = torch.tensor(0.9, dtype=torch.float32) - timestep.float() * 0.0004
    return (slope * sample + 0.1) / (sample * sample * 0.1 + 1.0)


def make_scheduler(sampler, config):
    module, name = SCHEDULERS[sampler]
    cls = getattr(module, name)
    known = inspect.signature(cls.__init__).parameters
    return cls(**{key: value for key, value in config.items() if key in known})


def run(sampler, config, steps, step_arguments, noise, step_noise):
    """Returns the timesteps, the sigmas, init_noise_sigma and every latent."""
    scheduler = make_scheduler(sampler, config)
    if config.get("flow_spacing") == "even":
        # As diffusers' FLUX pipelines call it.
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps))
    else:
        scheduler.set_timesteps(steps)
    if config.get("use_karras_sigmas"):
        # Several sigmas may stand at the first timestep: by itself it would begin at the second.
        scheduler.set_begin_index(0)
    init_noise_sigma = float(getattr(scheduler, "init_noise_sigma", 1.0))
    sample = noise * init_noise_sigma
    module = SCHEDULERS[sampler][0]
    trajectory = []
    for index, timestep in enumerate(scheduler.timesteps):
        # Schedulers draw inside step(): hand them the stored noise of this step.
        module.randn_tensor = lambda shape, i=index, **_: step_noise[i].reshape(shape)
        scaled = sample
        if hasattr(scheduler, "scale_model_input"):
            scaled = scheduler.scale_model_input(sample, timestep)
        output = network(scaled, timestep)
        sample = scheduler.step(output, timestep, sample, return_dict=False, **step_arguments)[0]
        trajectory.append(sample)
    trajectory = torch.stack(trajectory)
    assert trajectory.shape[0] == steps and trajectory.dtype == torch.float32
    assert torch.isfinite(trajectory).all(), (sampler, config, steps)
    return scheduler, init_noise_sigma, trajectory


def write_runs(out, noise, step_noise):
    tensors = {sampler: {"noise": noise, "step_noise": step_noise} for sampler in SCHEDULERS}
    runs = {sampler: [] for sampler in SCHEDULERS}
    for sampler, name, config, counts, arguments in cases():
        for steps in counts:
            scheduler, init_noise_sigma, trajectory = run(
                sampler, config, steps, arguments, noise, step_noise
            )
            key = f"{name}.{steps}"
            tensors[sampler][f"{key}.timesteps"] = scheduler.timesteps.float()
            if hasattr(scheduler, "sigmas"):
                tensors[sampler][f"{key}.sigmas"] = scheduler.sigmas.float()
            tensors[sampler][f"{key}.trajectory"] = trajectory
            runs[sampler].append(
                {
                    "name": key,
                    "steps": steps,
                    "gamma": arguments.get("eta"),
                    "init_noise_sigma": init_noise_sigma,
                    "config": config,
                }
            )
    for sampler in SCHEDULERS:
        metadata = {"runs": json.dumps(runs[sampler], separators=(",", ":"))}
        save_file(tensors[sampler], out / f"{sampler}.safetensors", metadata=metadata)


def table_configs():
    """Beta schedules whose alphas_cumprod is stored whole."""
    return {
        "scaled_linear": TRAILING,
        "linear": {**TRAILING, "beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
        "squaredcos_cap_v2": {**TRAILING, "beta_schedule": "squaredcos_cap_v2"},
        "zero_snr": ZERO_SNR,
        "short": {**TRAILING, "num_train_timesteps": 77},
        "trained_betas": {
            **TRAILING,
            "num_train_timesteps": 5,
            "trained_betas": [0.01, 0.05, 0.1, 0.2, 0.4],
        },
    }


def timestep_checksums(sampler, config, limit):
    """sum((i + 1) * timesteps[i]) for every step count, NaN where diffusers
    fails or returns another number of timesteps than it was asked for."""
    scheduler = make_scheduler(sampler, config)
    sums = []
    for steps in range(1, limit + 1):
        scheduler.set_timesteps(steps)
        timesteps = scheduler.timesteps.double().numpy()
        whole = len(timesteps) == steps and timesteps[-1] >= 0
        sums.append(float(np.arange(1, steps + 1) @ timesteps) if whole else float("nan"))
    return torch.tensor(sums, dtype=torch.float64)


def write_tables(out):
    tensors, tables, checksums = {}, {}, {}
    for name, config in table_configs().items():
        tensors[f"alphas_cumprod.{name}"] = make_scheduler("ddim", config).alphas_cumprod
        tables[name] = config
    for sampler in ("euler", "ddim", "dpmpp-2m"):
        for spacing in ("trailing", "leading", "linspace"):
            config = {**TRAILING, "timestep_spacing": spacing, "steps_offset": 0}
            key = f"{sampler}.{spacing}"
            tensors[f"checksums.{key}"] = timestep_checksums(sampler, config, 1000)
            checksums[key] = {"sampler": sampler, "config": config}
    for sampler in ("lcm", "tcd"):
        tensors[f"checksums.{sampler}"] = timestep_checksums(sampler, LCM50, 50)
        checksums[sampler] = {"sampler": sampler, "config": LCM50}
    # One entry: the order of several is not the same in every file written.
    metadata = {"index": json.dumps({"tables": tables, "checksums": checksums})}
    save_file(tensors, out / "tables.safetensors", metadata=metadata)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write the fixtures into")
    parser.add_argument("--seed", type=int, default=20240229, help="seed of the stored noise")
    arguments = parser.parse_args()

    arguments.out.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(arguments.seed)
    noise = torch.randn(ELEMENTS, generator=generator)
    step_noise = torch.randn(MAX_STEPS, ELEMENTS, generator=generator)
    write_runs(arguments.out, noise, step_noise)
    write_tables(arguments.out)
    total = sum(path.stat().st_size for path in arguments.out.glob("*.safetensors"))
    print(f"diffusers {diffusers.__version__}, torch {torch.__version__}: {total} bytes")


if __name__ == "__main__":
    main()
