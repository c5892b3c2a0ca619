//! Every timestep, sigma and step against diffusers' schedulers.

mod support;

use std::collections::BTreeMap;
use std::convert::Infallible;

use plantain_sampling::{
    NoiseSchedule, Sampler, SamplerKind, SamplerOptions, ScheduleConfig, StepInfo, sample,
};
use serde::Deserialize;
use support::{Fixture, config, relative_l2};

#[derive(Deserialize)]
struct Run {
    name: String,
    steps: usize,
    gamma: Option<f64>,
    init_noise_sigma: f64,
    config: serde_json::Value,
}

/// What `tables.safetensors` holds, by tensor name.
#[derive(Deserialize)]
struct Tables {
    tables: BTreeMap<String, serde_json::Value>,
    checksums: BTreeMap<String, Checksum>,
}

#[derive(Deserialize)]
struct Checksum {
    sampler: SamplerKind,
    config: serde_json::Value,
}

impl Run {
    fn sampler(&self, kind: SamplerKind) -> Sampler {
        let mut options = SamplerOptions::default();
        if let Some(gamma) = self.gamma {
            options.gamma = gamma;
        }
        Sampler::new(kind, &config(&self.config), self.steps, options).unwrap()
    }
}

/// The same rational function as `network` in `schedulers.py`.
fn network(info: StepInfo<'_>, input: &[f32]) -> Vec<f32> {
    let slope = 0.9 - info.timestep * 0.0004;
    input
        .iter()
        .map(|&x| (slope * x + 0.1) / (x * x * 0.1 + 1.0))
        .collect()
}

/// Runs one case and returns the latent after every step.
fn trajectory(fixture: &Fixture, run: &Run, sampler: &mut Sampler) -> Vec<Vec<f32>> {
    let noise = fixture.floats("noise");
    let step_noise = fixture.floats("step_noise");
    let row = |step: usize| step_noise[step * noise.len()..][..noise.len()].to_vec();
    let mut latents = Vec::new();
    let last = sample(sampler, noise.clone(), row, |info, input| {
        if info.index > 0 {
            latents.push(info.sample.to_vec());
        }
        Ok::<_, Infallible>(network(info, input))
    });
    latents.push(last.unwrap_or_else(|error| panic!("{}: {error}", run.name)));
    latents
}

/// Compares every run of a sampler; `tolerance` bounds the relative L2 error of
/// each latent, given the first sigma of the run.
fn compare(kind: SamplerKind, tolerance: impl Fn(f64) -> f64) {
    let fixture = Fixture::open(kind.name());
    let runs: Vec<Run> = fixture.metadata("runs");
    assert!(runs.len() > 10);
    for run in &runs {
        let mut sampler = run.sampler(kind);
        check_schedule(&fixture, run, &sampler);
        let tolerance = tolerance(f64::from(sampler.sigmas()[0]));
        let latents = trajectory(&fixture, run, &mut sampler);
        let expected = fixture.values(&format!("{}.trajectory", run.name));
        let rows: Vec<&[f64]> = expected.chunks_exact(latents[0].len()).collect();
        assert_eq!(rows.len(), latents.len());
        for (step, (found, expected)) in latents.iter().zip(rows).enumerate() {
            let error = relative_l2(found, expected);
            assert!(
                error < tolerance,
                "{kind} {} step {step}: {error:e}",
                run.name
            );
        }
    }
}

fn check_schedule(fixture: &Fixture, run: &Run, sampler: &Sampler) {
    let (kind, name) = (sampler.kind(), &run.name);
    let expected = fixture.values(&format!("{name}.timesteps"));
    let found: Vec<f64> = sampler.timesteps().iter().map(|&t| f64::from(t)).collect();
    if run.config["use_karras_sigmas"] == true && kind == SamplerKind::Euler {
        // Between whole timesteps, from logarithms in float32.
        let pairs = found.iter().zip(&expected);
        let error = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert_eq!(found.len(), expected.len());
        assert!(
            error < 1e-3,
            "{kind} {name}: a timestep differs by {error:e}"
        );
    } else {
        assert_eq!(found, expected, "{kind} {name}: timesteps");
    }
    if let Some(expected) = fixture.find(&format!("{name}.sigmas")) {
        let error = relative_each(sampler.sigmas(), &expected);
        assert!(error < 2e-6, "{kind} {name}: a sigma differs by {error:e}");
    }
    let error = relative_each(&[sampler.init_noise_sigma()], &[run.init_noise_sigma]);
    assert!(
        error < 1e-6,
        "{kind} {name}: init_noise_sigma differs by {error:e}"
    );
}

/// The largest relative difference of any element; zeros have to be equal.
fn relative_each(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    let errors = pairs.map(|(&a, &b)| (f64::from(a) - b).abs() / b.abs().max(f64::MIN_POSITIVE));
    errors.fold(0.0, f64::max)
}

/// Room for float32 rounding: `tcd` has 1.02e-6 at worst, `flow-euler` none.
const TOLERANCE: f64 = 5e-6;

/// At zero terminal SNR the first sigma is 4096, and diffusers subtracts float32
/// numbers of that size to get a latent of size 1. Here the subtraction is one of
/// `f64` coefficients, so the difference is diffusers' rounding.
fn euler_tolerance(first_sigma: f64) -> f64 {
    TOLERANCE.max(first_sigma * f64::from(f32::EPSILON))
}

#[test]
fn lcm_matches() {
    compare(SamplerKind::Lcm, |_| TOLERANCE);
}

#[test]
fn tcd_matches() {
    compare(SamplerKind::Tcd, |_| TOLERANCE);
}

#[test]
fn euler_matches() {
    compare(SamplerKind::Euler, euler_tolerance);
}

#[test]
fn euler_ancestral_matches() {
    compare(SamplerKind::EulerA, euler_tolerance);
}

#[test]
fn ddim_matches() {
    compare(SamplerKind::Ddim, |_| TOLERANCE);
}

#[test]
fn dpmpp_2m_matches() {
    compare(SamplerKind::Dpmpp2m, |_| TOLERANCE);
}

#[test]
fn flow_euler_matches() {
    compare(SamplerKind::FlowEuler, |_| TOLERANCE);
}

/// Near the end of a zero-SNR table the values are squares of differences of
/// float32 numbers, of which only an absolute error is meaningful: the floor.
#[test]
fn alphas_cumprod_match() {
    let fixture = Fixture::open("tables");
    let Tables { tables, .. } = fixture.metadata("index");
    assert_eq!(tables.len(), 6);
    for (name, value) in &tables {
        let expected = fixture.values(&format!("alphas_cumprod.{name}"));
        let schedule = NoiseSchedule::new(&config(value)).unwrap();
        assert_eq!(schedule.alphas_cumprod().len(), expected.len());
        for (&found, &expected) in schedule.alphas_cumprod().iter().zip(&expected) {
            let error = (f64::from(found) - expected).abs();
            assert!(
                error <= 1e-6 * expected + 1e-10,
                "{name}: {found} is not {expected}"
            );
        }
    }
}

/// Every step count there is, by a position-weighted sum of its timesteps.
#[test]
fn timesteps_of_every_step_count_match() {
    let fixture = Fixture::open("tables");
    let Tables { checksums, .. } = fixture.metadata("index");
    assert_eq!(checksums.len(), 11);
    for (
        name,
        Checksum {
            sampler,
            config: value,
        },
    ) in &checksums
    {
        let expected = fixture.values(&format!("checksums.{name}"));
        let config = config(value);
        let failures = expected.iter().enumerate().filter(|&(i, &expected)| {
            let found = weighted_sum(*sampler, &config, i + 1);
            // NaN: diffusers does not return the number of timesteps it was asked for.
            !(expected.is_nan() || found.is_none_or(|sum| (sum - expected).abs() < 1e-3))
        });
        let counts: Vec<usize> = failures.map(|(i, _)| i + 1).collect();
        assert!(counts.is_empty(), "{name}: step counts {counts:?} differ");
    }
}

/// `None` for the one case that is refused because diffusers repeats timesteps.
fn weighted_sum(kind: SamplerKind, config: &ScheduleConfig, steps: usize) -> Option<f64> {
    let sampler = match Sampler::new(kind, config, steps, SamplerOptions::default()) {
        Ok(sampler) => sampler,
        Err(_) if kind == SamplerKind::Dpmpp2m && steps == 1000 => return None,
        Err(error) => panic!("{kind} with {steps} steps: {error}"),
    };
    let timesteps = sampler.timesteps().iter().enumerate();
    Some(
        timesteps
            .map(|(i, &timestep)| (i + 1) as f64 * f64::from(timestep))
            .sum(),
    )
}
