//! `plantain doctor`: what it prints, and how it ends.

use serde_json::Value;

use crate::support::{Place, fixture};

#[test]
fn a_device_that_agrees_is_ok() {
    let place = Place::new();
    for (model, size) in [("turbo", "24x16"), ("deep", "128x128")] {
        let args = ["doctor", "--model", &fixture(model), "--size", size];
        let report = place.run(&[&args[..], &["--device", "ndarray"]].concat());
        let report = report.succeeded().stdout;
        for part in [
            "conv_in",
            "decoder",
            "verdict: ok",
            "first divergence: none",
        ] {
            assert!(report.contains(part), "{part}: {report}");
        }
    }
}

#[test]
fn the_built_in_model_is_ok() {
    let place = Place::new();
    // Of a latent of one position the denoiser normalises three numbers at a time, and rounding may decide what they become.
    let args = ["doctor", "--size", "64x64", "--json"];
    for device in ["flex", "ndarray"] {
        let report = place.run(&[&args[..], &["--device", device]].concat());
        let report: Value = serde_json::from_str(&report.succeeded().stdout).unwrap();
        assert_eq!(report["verdict"], "ok", "{report}");
        assert_eq!(report["device"], device);
        assert_eq!(report["first_divergence"], Value::Null);
        let components = report["components"].as_array().unwrap();
        let names: Vec<_> = components.iter().map(|c| &c["component"]).collect();
        let expected = ["text-encoder", "unet", "refiner", "decoder", "encoder"];
        assert_eq!(names, expected);
    }
}

/// bf16 is as far from f32 as it is: a tolerance below that finds the first rounding.
#[test]
fn a_divergence_is_told_by_the_exit_code() {
    let place = Place::new();
    let turbo = fixture("turbo");
    let args = ["doctor", "--model", &turbo, "--precision", "bf16"];
    let report = place.run(&[&args[..], &["--tolerance", "1e-7"]].concat());
    assert_eq!(report.code, Some(3), "{report:?}");
    assert_eq!(report.stderr, "");
    for part in ["! ", "verdict: differs", "of the text-encoder"] {
        assert!(report.stdout.contains(part), "{part}: {report:?}");
    }
    let report = place.run(&[&args[..], &["--tolerance", "1e-7", "--json"]].concat());
    assert_eq!(report.code, Some(3), "{report:?}");
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(report["verdict"], "differs");
    assert_eq!(report["first_divergence"]["component"], "text-encoder");
}

#[test]
fn what_cannot_be_examined_is_refused() {
    let place = Place::new();
    for bad in ["0", "-1", "nan", "inf", "much"] {
        let refused = place.run(&["doctor", "--tolerance", bad]);
        refused.refused(&[bad, "above 0"]);
    }
    place
        .run(&["doctor", "--size", "33x32"])
        .refused(&["33x32", "multiples of"]);
    place.run(&["doctor", "--model", "none"]).refused(&["none"]);
}
