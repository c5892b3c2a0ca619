//! Properties of every sampler, the denoising loop and the noise.

use std::convert::Infallible;

use plantain_sampling::{
    Noise, PredictionType, SampleError, Sampler, SamplerKind, SamplerOptions, SamplingError,
    ScheduleConfig, StepInfo, TimestepSpacing, sample, sample_from,
};

const SPACINGS: [TimestepSpacing; 3] = [
    TimestepSpacing::Trailing,
    TimestepSpacing::Leading,
    TimestepSpacing::Linspace,
];

fn config(prediction: PredictionType) -> ScheduleConfig {
    ScheduleConfig {
        prediction_type: Some(prediction),
        ..ScheduleConfig::default()
    }
}

fn sampler(kind: SamplerKind, steps: usize) -> Sampler {
    let config = config(kind.prediction_types()[0]);
    Sampler::new(kind, &config, steps, SamplerOptions::default()).unwrap()
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("cancelled")]
struct Cancelled;

#[test]
fn every_step_count_has_falling_timesteps_and_ends_clean() {
    for kind in SamplerKind::ALL {
        for spacing in SPACINGS {
            let config = ScheduleConfig {
                timestep_spacing: spacing,
                original_inference_steps: 1000,
                ..config(kind.prediction_types()[0])
            };
            for steps in 1..=1000 {
                match Sampler::new(kind, &config, steps, SamplerOptions::default()) {
                    Ok(sampler) => check_run(&sampler, steps),
                    Err(SamplingError::RepeatedTimestep { .. }) => {
                        // The solver's own end leaves room for 999 steps only.
                        assert_eq!((kind, steps), (SamplerKind::Dpmpp2m, 1000));
                    }
                    Err(error) => panic!("{kind}, {spacing:?}, {steps} steps: {error}"),
                }
            }
        }
    }
}

fn check_run(sampler: &Sampler, steps: usize) {
    let (timesteps, sigmas) = (sampler.timesteps(), sampler.sigmas());
    assert_eq!(
        (sampler.steps(), timesteps.len(), sigmas.len()),
        (steps, steps, steps + 1)
    );
    assert!(timesteps.windows(2).all(|pair| pair[1] < pair[0]));
    assert!(sigmas.windows(2).all(|pair| pair[1] <= pair[0]));
    assert!(
        sigmas[..steps]
            .iter()
            .all(|&sigma| sigma > 0.0 && sigma.is_finite())
    );
    assert!(sampler.init_noise_sigma() > 0.0);
    assert!(!sampler.adds_noise(steps - 1) && !sampler.adds_noise(steps));
    // Timestep 0 is the end of a trajectory consistency function.
    assert!(sigmas[steps] == 0.0 || sampler.kind() == SamplerKind::Tcd);
}

#[test]
fn karras_sigmas_fall_for_every_step_count() {
    for kind in [SamplerKind::Euler, SamplerKind::Dpmpp2m] {
        for (timesteps, counts) in [(1000, 1..=1000), (2, 1..=2), (1, 1..=1)] {
            let config = ScheduleConfig {
                use_karras_sigmas: true,
                num_train_timesteps: timesteps,
                ..config(PredictionType::Epsilon)
            };
            for steps in counts {
                let sampler = Sampler::new(kind, &config, steps, SamplerOptions::default())
                    .unwrap_or_else(|error| panic!("{kind}, {steps} of {timesteps}: {error}"));
                let sigmas = sampler.sigmas();
                assert!(sigmas.is_sorted_by(|a, b| a > b), "{kind}, {steps}");
                let mut visited = sampler.timesteps().iter();
                assert!(visited.all(|&t| (0.0..timesteps as f32).contains(&t)));
                assert!(sampler.timesteps().is_sorted_by(|a, b| a >= b));
            }
        }
    }
}

/// A model that knows the image reaches it with every sampler and step count.
#[test]
fn a_perfect_model_is_sampled_exactly() {
    let image: Vec<f32> = (0..16).map(|i| (i as f32 - 7.5) / 5.0).collect();
    for kind in SamplerKind::ALL
        .into_iter()
        .filter(|&kind| kind != SamplerKind::FlowEuler)
    {
        for steps in [1, 2, 5, 20, 50] {
            let mut sampler = sampler(kind, steps);
            let denoise = |info: StepInfo<'_>, input: &[f32]| {
                let ratio = f64::from(info.sigma);
                let alpha = 1.0 / (ratio * ratio + 1.0).sqrt();
                let noise = input.iter().zip(&image).map(|(&input, &clean)| {
                    ((f64::from(input) - alpha * f64::from(clean)) / (ratio * alpha)) as f32
                });
                Ok::<_, Infallible>(noise.collect())
            };
            let noise = Noise::new(3);
            let draw = |step| noise.step_normal(step, 16);
            let found = sample(&mut sampler, noise.normal(16), draw, denoise).unwrap();
            // tcd ends at timestep 0, lcm with c_out; both leave a trace of noise.
            let tolerance = if kind == SamplerKind::Tcd { 0.1 } else { 1e-3 };
            for (found, clean) in found.iter().zip(&image) {
                assert!(
                    (found - clean).abs() < tolerance,
                    "{kind} {steps}: {found} {clean}"
                );
            }
        }
    }
}

#[test]
fn a_perfect_flow_is_sampled_exactly() {
    let (image, noise) = ([0.5_f32, -1.0, 2.0], [1.0_f32, 0.25, -0.5]);
    for steps in [1, 4, 37] {
        let mut sampler = sampler(SamplerKind::FlowEuler, steps);
        let flow = noise
            .iter()
            .zip(&image)
            .map(|(e, x)| e - x)
            .collect::<Vec<f32>>();
        let denoise = |_: StepInfo<'_>, _: &[f32]| Ok::<_, Infallible>(flow.clone());
        let found = sample(&mut sampler, noise.to_vec(), |_| Vec::new(), denoise).unwrap();
        for (found, clean) in found.iter().zip(&image) {
            assert!((found - clean).abs() < 1e-5, "{steps}: {found} {clean}");
        }
    }
}

#[test]
fn noise_is_drawn_for_every_step_but_the_last_of_stochastic_samplers() {
    for kind in SamplerKind::ALL {
        let mut sampler = sampler(kind, 4);
        let mut drawn = Vec::new();
        let draw = |step| {
            drawn.push(step);
            vec![0.5; 2]
        };
        sample(&mut sampler, vec![1.0, -1.0], draw, |_, input| {
            Ok::<_, Infallible>(input.to_vec())
        })
        .unwrap();
        let stochastic = matches!(
            kind,
            SamplerKind::Lcm | SamplerKind::Tcd | SamplerKind::EulerA
        );
        assert_eq!(sampler.is_stochastic(), stochastic, "{kind}");
        assert_eq!(
            drawn,
            if stochastic { vec![0, 1, 2] } else { vec![] },
            "{kind}"
        );
    }
    let anew = ScheduleConfig {
        class_name: Some("FlowMatchEulerDiscreteScheduler".into()),
        stochastic_sampling: true,
        ..ScheduleConfig::default()
    };
    let anew = Sampler::new(SamplerKind::FlowEuler, &anew, 4, SamplerOptions::default()).unwrap();
    let adds: Vec<_> = (0..4).map(|step| anew.adds_noise(step)).collect();
    assert_eq!(adds, [true, true, true, false]);
    let options = SamplerOptions { gamma: 0.0 };
    let deterministic = Sampler::new(SamplerKind::Tcd, &ScheduleConfig::default(), 4, options);
    assert!(!deterministic.unwrap().is_stochastic());
}

#[test]
fn a_sampler_can_be_used_again() {
    for kind in SamplerKind::ALL {
        let mut sampler = sampler(kind, 6);
        let mut run = || {
            let noise = Noise::new(1);
            let draw = |step| noise.step_normal(step, 8);
            let half = |input: &[f32]| input.iter().map(|x| x * 0.5).collect();
            sample(&mut sampler, noise.normal(8), draw, |_, input| {
                Ok::<_, Infallible>(half(input))
            })
            .unwrap()
        };
        assert_eq!(run(), run(), "{kind}");
    }
}

/// The output of a network that knows the image, for the prediction of noise or flow.
fn perfect<'a>(
    kind: SamplerKind,
    image: &'a [f32],
) -> impl FnMut(StepInfo<'_>, &[f32]) -> Result<Vec<f32>, Infallible> + 'a {
    move |info, input| {
        let sigma = f64::from(info.sigma);
        let (signal, divisor) = match kind {
            // The flow is the noise less the image: (x - (1 - sigma) image) / sigma - image.
            SamplerKind::FlowEuler => (1.0, sigma),
            _ => {
                let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
                (alpha, sigma * alpha)
            }
        };
        let output = input.iter().zip(image).map(|(&input, &clean)| {
            ((f64::from(input) - signal * f64::from(clean)) / divisor) as f32
        });
        Ok(output.collect())
    }
}

/// Noise that is added is noise to a model that knows the image, at every step; what it predicts without noise is the
/// image; and a run from there ends at the image.
#[test]
fn a_run_may_start_from_an_image_at_any_step() {
    // A divisor of 1000, so that the steps of ddim end where the next ones begin.
    const STEPS: usize = 5;
    let image: Vec<f32> = (0..16).map(|i| (i as f32 - 7.5) / 5.0).collect();
    let noise = Noise::new(3);
    let added = noise.normal(16);
    for kind in SamplerKind::ALL {
        let whole = sampler(kind, STEPS);
        for start in 0..STEPS {
            let mut rest = whole.clone().starting_at(start).unwrap();
            assert_eq!(rest.timesteps(), &whole.timesteps()[start..], "{kind}");
            assert_eq!(rest.sigmas(), &whole.sigmas()[start..], "{kind}");
            let noised = rest.add_noise(0, &image, &added).unwrap();
            assert_eq!(noised, whole.add_noise(start, &image, &added).unwrap());
            let mut predicted = 0;
            let found = sample_from(
                &mut rest,
                noised,
                |step| noise.step_normal(step, 16),
                perfect(kind, &image),
                |done| {
                    predicted += 1;
                    assert_eq!((done.index + 1, done.steps), (predicted, STEPS - start));
                    for (denoised, clean) in done.denoised.iter().zip(&image) {
                        assert!((denoised - clean).abs() < 1e-3, "{kind} {start}");
                    }
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!(predicted, STEPS - start);
            let tolerance = if kind == SamplerKind::Tcd { 0.1 } else { 1e-3 };
            for (found, clean) in found.iter().zip(&image) {
                assert!((found - clean).abs() < tolerance, "{kind} from {start}");
            }
        }
        let none = whole.starting_at(STEPS).unwrap_err();
        let past = SamplingError::StepIndex {
            step: STEPS,
            steps: STEPS,
        };
        assert_eq!(none, past);
    }
}

#[test]
fn added_noise_has_the_share_that_the_step_expects() {
    let (clean, noise) = ([2.0], [-3.0]);
    for kind in SamplerKind::ALL {
        let sampler = sampler(kind, 4);
        for step in 0..4 {
            let sigma = sampler.sigmas()[step];
            let expected = match kind {
                SamplerKind::FlowEuler => (1.0 - sigma) * 2.0 - sigma * 3.0,
                SamplerKind::Euler | SamplerKind::EulerA => 2.0 - sigma * 3.0,
                _ => (2.0 - sigma * 3.0) / (sigma * sigma + 1.0).sqrt(),
            };
            let found = sampler.add_noise(step, &clean, &noise).unwrap()[0];
            assert!((found - expected).abs() < 1e-5, "{kind} {step}: {found}");
        }
        assert!(sampler.add_noise(4, &clean, &noise).is_err());
        assert!(sampler.add_noise(0, &clean, &[]).is_err());
    }
    let config = ScheduleConfig {
        rescale_betas_zero_snr: true,
        ..config(PredictionType::VPrediction)
    };
    let sampler = Sampler::new(SamplerKind::Ddim, &config, 4, SamplerOptions::default()).unwrap();
    assert_eq!(sampler.add_noise(0, &clean, &noise), Ok(noise.to_vec()));
}

#[test]
fn what_is_called_after_a_step_may_change_the_latent_and_stop_the_run() {
    let mut sampler = sampler(SamplerKind::Euler, 4);
    let ok = |_: StepInfo<'_>, input: &[f32]| Ok::<_, Cancelled>(input.to_vec());
    let no_noise = |_| Vec::new();
    let zeroed = sample_from(&mut sampler, vec![0.1; 4], no_noise, ok, |done| {
        done.latents.fill(0.0);
        Ok(())
    });
    assert_eq!(zeroed.unwrap(), vec![0.0; 4]);
    let mut steps = 0;
    let stopped = sample_from(&mut sampler, vec![0.1; 4], no_noise, ok, |_| {
        steps += 1;
        if steps == 2 { Err(Cancelled) } else { Ok(()) }
    });
    assert!(matches!(stopped, Err(SampleError::Denoise(Cancelled))));
    let broken = sample_from(&mut sampler, vec![0.1; 4], no_noise, ok, |done| {
        done.latents[1] = f32::NAN;
        Ok(())
    });
    let error = broken.unwrap_err().to_string();
    assert_eq!(error, "the latent after step 0 is not finite at element 1");
}

#[test]
fn the_denoisers_error_stops_the_run_at_once() {
    let mut sampler = sampler(SamplerKind::Dpmpp2m, 8);
    let mut calls = 0;
    let result = sample(
        &mut sampler,
        vec![0.1; 4],
        |_| Vec::new(),
        |info, input| {
            calls += 1;
            if info.index == 2 {
                Err(Cancelled)
            } else {
                Ok(input.to_vec())
            }
        },
    );
    assert!(matches!(result, Err(SampleError::Denoise(Cancelled))));
    assert_eq!(calls, 3);
}

#[test]
fn the_step_of_a_value_that_is_not_finite_is_named() {
    let run = |bad: f32, at: usize| {
        let mut sampler = sampler(SamplerKind::Ddim, 4);
        let result = sample(
            &mut sampler,
            vec![0.1; 4],
            |_| Vec::new(),
            |info, input| {
                let mut output = input.to_vec();
                if info.index == at {
                    output[3] = bad;
                }
                Ok::<_, Cancelled>(output)
            },
        );
        result.unwrap_err().to_string()
    };
    assert_eq!(
        run(f32::NAN, 2),
        "the model output of step 2 is not finite at element 3"
    );
    assert_eq!(
        run(f32::INFINITY, 0),
        "the model output of step 0 is not finite at element 3"
    );
    // Finite, but not after it is divided by the signal's share.
    assert_eq!(
        run(f32::MAX, 0),
        "the latent after step 0 is not finite at element 3"
    );

    let mut sampler = sampler(SamplerKind::Ddim, 1);
    let ok = |_: StepInfo<'_>, input: &[f32]| Ok::<_, Cancelled>(input.to_vec());
    let result = sample(&mut sampler, vec![f32::NAN], |_| Vec::new(), ok);
    let error = result.unwrap_err().to_string();
    assert_eq!(
        error,
        "the latent before the first step is not finite at element 0"
    );
}

#[test]
fn steps_are_refused_out_of_range_out_of_order_or_of_other_lengths() {
    let x = [0.1_f32, 0.2];
    let mut solver = sampler(SamplerKind::Dpmpp2m, 4);
    assert_eq!(
        solver.step(1, &x, &x, None),
        Err(SamplingError::StepOrder { step: 1 })
    );
    let past = SamplingError::StepIndex { step: 4, steps: 4 };
    assert_eq!(solver.step(4, &x, &x, None), Err(past.clone()));
    assert_eq!(solver.scale_model_input(4, &x), Err(past));
    assert!(solver.step(0, &x, &x, None).is_ok());
    let length = solver.step(1, &x[..1], &x[..1], None).unwrap_err();
    assert_eq!(length.to_string(), "the latent has 1 elements, not 2");
    let length = solver.step(1, &x[..1], &x, None).unwrap_err();
    assert_eq!(length.to_string(), "the model output has 1 elements, not 2");

    let mut lcm = sampler(SamplerKind::Lcm, 4);
    assert_eq!(
        lcm.step(0, &x, &x, None),
        Err(SamplingError::MissingNoise { step: 0 })
    );
    let length = lcm.step(0, &x, &x, Some(&x[..1])).unwrap_err();
    assert_eq!(length.to_string(), "the step noise has 1 elements, not 2");
    assert!(lcm.step(3, &x, &x, None).is_ok());
}

/// From an independent implementation of the documented algorithm.
#[test]
fn noise_keeps_its_first_values() {
    assert_eq!(Noise::NAME, "chacha12-box-muller");
    assert_eq!(
        Noise::new(0).normal(4),
        [0.75222164, -1.289769, -1.5535055, 1.6249213]
    );
    assert_eq!(
        Noise::new(42).normal(4),
        [0.6867795, 1.0985695, -0.34855893, -0.8203877]
    );
    // Past the first keystream block of eight words.
    assert_eq!(
        Noise::new(42).normal(17)[14..],
        [0.026252877, 0.40010825, -0.54908746]
    );
    assert_eq!(
        Noise::new(42).step_normal(0, 3),
        [-0.46226713, 1.419749, 0.38943383]
    );
    assert_eq!(
        Noise::new(u64::MAX).step_normal(2, 3),
        [-0.5370929, 1.5097796, -0.9063022]
    );
}

#[test]
fn noise_depends_on_seed_and_stream_but_not_on_the_count() {
    let noise = Noise::new(9);
    assert_eq!(noise.normal(7), noise.normal(1000)[..7]);
    assert_ne!(noise.normal(8), Noise::new(10).normal(8));
    assert_ne!(noise.normal(8), noise.step_normal(0, 8));
    assert_ne!(noise.step_normal(0, 8), noise.step_normal(1, 8));
    assert!(noise.normal(0).is_empty());
}

#[test]
fn noise_is_standard_normal_and_uncorrelated() {
    const N: usize = 200_000;
    let (first, second) = (Noise::new(5).normal(N), Noise::new(5).step_normal(0, N));
    let mean = |power: i32| {
        first
            .iter()
            .map(|&value| f64::from(value).powi(power))
            .sum::<f64>()
            / N as f64
    };
    // Five standard errors of each moment of N standard normal values.
    let bound = |variance: f64| 5.0 * (variance / N as f64).sqrt();
    assert!(mean(1).abs() < bound(1.0));
    assert!((mean(2) - 1.0).abs() < bound(2.0));
    assert!(mean(3).abs() < bound(15.0));
    assert!((mean(4) - 3.0).abs() < bound(96.0));
    let product = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum::<f64>()
            / N as f64
    };
    assert!(product(&first, &second).abs() < bound(1.0));
    assert!(product(&first, &first[1..]).abs() < bound(1.0));
    assert!(first.iter().all(|value| value.abs() < 8.6));
}
