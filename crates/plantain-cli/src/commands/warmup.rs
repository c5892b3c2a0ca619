//! `plantain warmup`

use std::time::Instant;

use plantain::{DeviceChoice, DeviceOptions, Pipeline, Request, Unobserved};

use crate::args::WarmupArgs;
use crate::commands::{open_model, settle_device};
use crate::failure::Failure;
use crate::interrupt;
use crate::out;

pub(crate) fn run(args: &WarmupArgs) -> Result<(), Failure> {
    settle_device(&args.on, false);
    let device = args.on.device.resolve();
    if !matches!(device, DeviceChoice::Gpu(..)) {
        return out::line(format_args!("{device} has nothing to compile"));
    }
    let model = open_model(args.model.as_deref())?;
    let options = DeviceOptions {
        device,
        precision: args.precision,
    };
    interrupt::install();
    let pipeline = Pipeline::load(model, options)?;
    let request = Request {
        size: args.size.map(|size| [size.width, size.height]),
        steps: Some(1),
        ..Request::new("warm")
    };
    // The second run meets compiled kernels alone, so the difference is what compiling took.
    let [first, second] = [draw(&pipeline, &request)?, draw(&pipeline, &request)?];
    out::line(format_args!(
        "{device}: kernels compiled in {:.1} s; the driver keeps them for the next run",
        (first - second).max(0.0)
    ))
}

/// Seconds that a picture takes.
fn draw(pipeline: &Pipeline, request: &Request) -> Result<f64, Failure> {
    let began = Instant::now();
    pipeline.generate(request, &mut Unobserved)?;
    Ok(began.elapsed().as_secs_f64())
}
