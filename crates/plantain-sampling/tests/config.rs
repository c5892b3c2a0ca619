//! Reading scheduler configs, and refusing what would be computed wrongly.

use plantain_sampling::{
    BetaSchedule, FinalSigmas, NoiseSchedule, PredictionType, Sampler, SamplerKind, SamplerOptions,
    SamplingError, ScheduleConfig, TimestepSpacing,
};

fn parse(json: &str) -> ScheduleConfig {
    serde_json::from_str(json).unwrap()
}

fn plan(kind: SamplerKind, json: &str, steps: usize) -> Result<Sampler, SamplingError> {
    Sampler::new(kind, &parse(json), steps, SamplerOptions::default())
}

fn message(kind: SamplerKind, json: &str, steps: usize) -> String {
    plan(kind, json, steps).unwrap_err().to_string()
}

#[test]
fn an_empty_config_is_stable_diffusions_with_trailing_steps() {
    let config = parse("{}");
    assert_eq!(config, ScheduleConfig::default());
    assert_eq!(config.beta_schedule, BetaSchedule::ScaledLinear);
    assert_eq!((config.beta_start, config.beta_end), (0.00085, 0.012));
    assert_eq!(config.timestep_spacing, TimestepSpacing::Trailing);
    assert_eq!(config.prediction(), PredictionType::Epsilon);
    assert_eq!(config.validate(), Ok(()));
}

#[test]
fn reads_the_config_of_stable_diffusion_1_5() {
    let config = parse(
        r#"{
            "_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0",
            "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
            "num_train_timesteps": 1000, "set_alpha_to_one": false, "skip_prk_steps": true,
            "steps_offset": 1, "trained_betas": null, "clip_sample": false
        }"#,
    );
    assert_eq!(config.validate(), Ok(()));
    assert_eq!((config.set_alpha_to_one, config.steps_offset), (false, 1));
}

#[test]
fn reads_the_config_of_sd_turbo() {
    let config = parse(
        r#"{
            "_class_name": "EulerDiscreteScheduler", "beta_end": 0.012,
            "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false,
            "interpolation_type": "linear", "num_train_timesteps": 1000,
            "prediction_type": "epsilon", "rescale_betas_zero_snr": false,
            "sample_max_value": 1.0, "set_alpha_to_one": false, "sigma_max": null,
            "sigma_min": null, "skip_prk_steps": true, "steps_offset": 1,
            "timestep_spacing": "trailing", "timestep_type": "discrete",
            "trained_betas": null, "use_karras_sigmas": false, "final_sigmas_type": "zero"
        }"#,
    );
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(config.final_sigmas_type, FinalSigmas::Zero);
    let sampler = Sampler::new(SamplerKind::Euler, &config, 1, SamplerOptions::default()).unwrap();
    assert_eq!(sampler.timesteps(), [999.0]);
}

#[test]
fn flow_matching_configs_name_their_prediction_by_their_class() {
    let config = parse(r#"{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}"#);
    assert_eq!(config.prediction(), PredictionType::FlowPrediction);
    let explicit = parse(r#"{"prediction_type": "flow_prediction"}"#);
    assert_eq!(explicit.prediction(), PredictionType::FlowPrediction);
}

#[test]
fn configs_survive_serialization() {
    let json = r#"{"prediction_type": "v_prediction", "beta_schedule": "squaredcos_cap_v2",
        "timestep_spacing": "leading", "solver_order": 2, "trained_betas": null}"#;
    let config = parse(json);
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(parse(&text), config);
}

#[test]
fn names_are_the_same_everywhere() {
    let names = [
        "lcm",
        "tcd",
        "euler",
        "euler-a",
        "ddim",
        "dpmpp-2m",
        "flow-euler",
    ];
    assert_eq!(SamplerKind::ALL.map(SamplerKind::name), names);
    for kind in SamplerKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        assert!(!kind.description().contains('\n'));
    }
    let error = "dpm".parse::<SamplerKind>().unwrap_err().to_string();
    assert!(
        error.contains("`dpm`") && error.contains("dpmpp-2m"),
        "{error}"
    );
}

#[test]
fn refuses_options_that_would_change_the_mathematics() {
    let refused = [
        r#"{"use_karras_sigmas": true, "prediction_type": "flow_prediction"}"#,
        r#"{"sigma_min": 0.002, "use_karras_sigmas": true}"#,
        r#"{"sigma_max": 80.0, "use_karras_sigmas": true}"#,
        r#"{"use_exponential_sigmas": true}"#,
        r#"{"use_beta_sigmas": true}"#,
        r#"{"use_lu_lambdas": true}"#,
        r#"{"use_flow_sigmas": true}"#,
        r#"{"use_dynamic_shifting": true}"#,
        r#"{"thresholding": true}"#,
        r#"{"invert_sigmas": true}"#,
        r#"{"shift_terminal": 0.1}"#,
        r#"{"lambda_min_clipped": -5.1}"#,
        r#"{"solver_order": 3}"#,
        r#"{"algorithm_type": "sde-dpmsolver++"}"#,
        r#"{"solver_type": "heun"}"#,
        r#"{"variance_type": "learned_range"}"#,
        r#"{"interpolation_type": "log_linear"}"#,
        r#"{"timestep_type": "continuous"}"#,
    ];
    for json in refused {
        let key = json.split('"').nth(1).unwrap();
        let error = parse(json).validate().unwrap_err();
        assert!(
            matches!(error, SamplingError::UnsupportedOption { .. }),
            "{json}"
        );
        assert!(error.to_string().contains(key), "{error}");
    }
}

#[test]
fn accepts_those_options_where_they_change_nothing() {
    let harmless = r#"{"use_karras_sigmas": null, "sigma_min": 0.002, "thresholding": false, "solver_order": 2,
        "algorithm_type": "dpmsolver++", "solver_type": "midpoint", "shift_terminal": null,
        "variance_type": "fixed_small", "interpolation_type": "linear"}"#;
    assert_eq!(parse(harmless).validate(), Ok(()));
}

#[test]
fn refuses_values_outside_their_domain() {
    let invalid = [
        r#"{"num_train_timesteps": 0}"#,
        r#"{"num_train_timesteps": 1000000000000}"#,
        r#"{"steps_offset": 1000}"#,
        r#"{"beta_start": -0.1}"#,
        r#"{"beta_end": 1.0}"#,
        r#"{"trained_betas": [0.1]}"#,
        r#"{"clip_sample_range": 0.0}"#,
        r#"{"timestep_scaling": -1.0}"#,
        r#"{"shift": 0.0}"#,
    ];
    for json in invalid {
        let key = json.split('"').nth(1).unwrap();
        let error = parse(json).validate().unwrap_err();
        assert!(
            matches!(error, SamplingError::InvalidOption { .. }),
            "{json}"
        );
        assert!(error.to_string().contains(key), "{error}");
    }
}

#[test]
fn refuses_betas_that_leave_no_signal_or_no_noise() {
    let degenerate = [
        r#"{"beta_schedule": "linear", "beta_start": 0.9, "beta_end": 0.9}"#,
        r#"{"beta_schedule": "linear", "beta_start": 1e-12, "beta_end": 1e-12}"#,
        r#"{"num_train_timesteps": 1, "rescale_betas_zero_snr": true}"#,
    ];
    for json in degenerate {
        let error = NoiseSchedule::new(&parse(json)).unwrap_err();
        assert!(
            matches!(error, SamplingError::DegenerateBetas { .. }),
            "{json}: {error}"
        );
    }
}

#[test]
fn refuses_predictions_a_sampler_cannot_serve() {
    let flow = r#"{"prediction_type": "flow_prediction"}"#;
    let sample = r#"{"prediction_type": "sample"}"#;
    for kind in SamplerKind::ALL {
        assert_eq!(
            plan(kind, flow, 4).is_ok(),
            kind == SamplerKind::FlowEuler,
            "{kind}"
        );
        let serves_sample = !matches!(kind, SamplerKind::EulerA | SamplerKind::FlowEuler);
        assert_eq!(plan(kind, sample, 4).is_ok(), serves_sample, "{kind}");
    }
    assert_eq!(
        message(SamplerKind::FlowEuler, "{}", 4),
        "sampler `flow-euler` cannot serve a model of prediction type `epsilon` \
         (it serves: flow_prediction)"
    );
}

#[test]
fn refuses_step_counts_the_schedule_does_not_have() {
    for kind in SamplerKind::ALL {
        let json = format!(r#"{{"prediction_type": "{}"}}"#, kind.prediction_types()[0]);
        for steps in [0, 1001, usize::MAX] {
            let error = plan(kind, &json, steps).unwrap_err();
            assert!(
                matches!(error, SamplingError::StepCount { .. }),
                "{kind}: {error}"
            );
        }
    }
    let error = message(SamplerKind::Lcm, "{}", 51);
    assert_eq!(
        error,
        "sampler `lcm` takes 1 to 50 steps with this config, not 51"
    );
    let original = r#"{"original_inference_steps": 0}"#;
    assert!(message(SamplerKind::Tcd, original, 1).contains("original_inference_steps"));
    // The key is read by two samplers only.
    assert!(plan(SamplerKind::Ddim, original, 1).is_ok());
}

#[test]
fn refuses_timesteps_outside_the_schedule_and_repeated_ones() {
    let offset = r#"{"timestep_spacing": "leading", "steps_offset": 1}"#;
    for kind in [SamplerKind::Ddim, SamplerKind::Euler, SamplerKind::EulerA] {
        let error = plan(kind, offset, 1000).unwrap_err();
        let expected = SamplingError::TimestepRange {
            timestep: 1000,
            num_train_timesteps: 1000,
        };
        assert_eq!(error, expected, "{kind}");
    }
    let linspace = r#"{"timestep_spacing": "linspace"}"#;
    let error = plan(SamplerKind::Dpmpp2m, linspace, 1000).unwrap_err();
    assert!(
        matches!(error, SamplingError::RepeatedTimestep { .. }),
        "{error}"
    );
}

#[test]
fn refuses_noise_prediction_at_zero_signal() {
    let zero_snr = r#"{"rescale_betas_zero_snr": true}"#;
    for kind in [SamplerKind::Ddim, SamplerKind::Lcm, SamplerKind::Tcd] {
        let error = plan(kind, zero_snr, 2).unwrap_err();
        assert_eq!(error, SamplingError::ZeroTerminalSnr { sampler: kind });
    }
    // Leading steps never visit the last timestep.
    let leading = r#"{"rescale_betas_zero_snr": true, "timestep_spacing": "leading"}"#;
    assert!(plan(SamplerKind::Ddim, leading, 2).is_ok());
}

#[test]
fn refuses_gamma_outside_its_range() {
    for gamma in [-0.1, 1.1, f64::NAN] {
        let options = SamplerOptions { gamma };
        let result = Sampler::new(SamplerKind::Tcd, &ScheduleConfig::default(), 4, options);
        assert!(
            matches!(result, Err(SamplingError::Gamma { .. })),
            "{gamma}"
        );
    }
}
