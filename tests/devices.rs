//! Whole pictures on a graphics processor against those of the CPU.

#[path = "support/gpu.rs"]
mod gpu;

use plantain::{
    DeviceChoice, DeviceOptions, ModelSource, Picture, Pipeline, PrecisionChoice, Request,
    Unobserved,
};

fn draw(device: DeviceChoice, precision: PrecisionChoice) -> Picture {
    let options = DeviceOptions { device, precision };
    let pipeline = Pipeline::load(ModelSource::BuiltIn, options).unwrap();
    let request = Request {
        seed: 7,
        ..Request::new("a red fox, 3d render, on a teal background")
    };
    pipeline
        .generate(&request, &mut Unobserved)
        .unwrap()
        .remove(0)
}

/// Peak signal-to-noise ratio in dB.
fn psnr(a: &Picture, b: &Picture) -> f64 {
    let (a, b) = (a.image.as_raw(), b.image.as_raw());
    assert_eq!(a.len(), b.len());
    let squares = a
        .iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    let mean = squares.sum::<f64>() / a.len() as f64;
    10.0 * (255.0f64.powi(2) / mean.max(1e-9)).log10()
}

#[test]
fn both_cpu_devices_draw_the_same_picture() {
    let [flex, ndarray] = DeviceChoice::CPU.map(|device| draw(device, PrecisionChoice::F32));
    assert!(psnr(&flex, &ndarray) > 50.0);
}

#[test]
fn a_graphics_processor_draws_the_picture_of_the_cpu() {
    let Some(device) = gpu::device() else {
        return;
    };
    let expected = draw(DeviceChoice::Flex, PrecisionChoice::F32);
    for (precision, least) in [(PrecisionChoice::F32, 40.0), (PrecisionChoice::F16, 30.0)] {
        let psnr = psnr(&draw(device, precision), &expected);
        assert!(psnr > least, "{precision}: {psnr:.1} dB");
        println!("{precision}: {psnr:.1} dB");
    }
}

#[test]
fn pictures_drawn_together_on_a_graphics_processor_are_those_drawn_alone() {
    let Some(device) = gpu::device() else {
        return;
    };
    let precision = PrecisionChoice::F32;
    let options = DeviceOptions { device, precision };
    let pipeline = Pipeline::load(ModelSource::BuiltIn, options).unwrap();
    let request = Request::new("a red fox, cartoon").size([64, 64]).steps(1);
    let request = request.count(2);
    let batch = pipeline.batch_size(&request.settings(pipeline.manifest()).unwrap());
    assert_eq!(batch, 4);
    let draw = |batch| pipeline.generate(&request.clone().batch(batch), &mut Unobserved);
    assert!(draw(batch).unwrap() == draw(1).unwrap());
}
