//! One picture with the built-in model, by way of what is public.

use std::path::Path;

use plantain::{Format, ModelSource, DeviceOptions, Pipeline, Request, Unobserved};

fn main() -> Result<(), plantain::Error> {
    let pipeline = Pipeline::load(ModelSource::BuiltIn, DeviceOptions::default())?;
    let request = Request::new("a red fox, 3d render").seed(7).steps(1);
    let pictures = pipeline.generate(&request, &mut Unobserved)?;
    pictures[0].save(Path::new("stranger.png"), Format::Png)
}
