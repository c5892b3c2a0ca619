//! Draws one picture with the built-in model.
//!
//!     cargo run --release -p plantain --example minimal -- "a red fox, 3d render" fox.png

use std::path::PathBuf;

use plantain::{DeviceOptions, Format, ModelSource, Pipeline, Request, Unobserved};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let prompt = args.next().unwrap_or("a red fox, 3d render".into());
    let path = PathBuf::from(args.next().unwrap_or("minimal.png".into()));

    let pipeline = Pipeline::load(ModelSource::BuiltIn, DeviceOptions::default())?;
    let request = Request::new(prompt).seed(1);
    for picture in pipeline.generate(&request, &mut Unobserved)? {
        picture.save(&path, Format::Png)?;
        println!("{}: seed {}", path.display(), picture.parameters.seed);
    }
    Ok(())
}
