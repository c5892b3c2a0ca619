//! Shows the picture in the terminal while it is being drawn.
//!
//!     cargo run --release -p plantain --example custom_observer -- "a blue teapot, cartoon"

use std::ops::ControlFlow;
use std::path::Path;

use plantain::{
    DeviceOptions, Event, Format, ModelSource, Observer, Pipeline, Preview, Request, RgbImage,
};

/// Prints what happens, and previews as blocks of colour.
struct Terminal;

impl Observer for Terminal {
    fn event(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Encoding => println!("reading the prompt"),
            Event::Refining { .. } => println!("refining"),
            Event::Decoding { .. } => println!("decoding"),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn wants_previews(&self) -> bool {
        true
    }

    fn preview(&mut self, preview: &Preview) {
        println!("step {} of {}", preview.step + 1, preview.steps);
        show(&preview.image);
    }
}

/// Two rows of pixels in one row of characters: the upper half block has one colour, its ground the other.
fn show(image: &RgbImage) {
    for y in (0..image.height()).step_by(2) {
        for x in 0..image.width() {
            let [r, g, b] = image.get_pixel(x, y).0;
            let below = (y + 1).min(image.height() - 1);
            let [r2, g2, b2] = image.get_pixel(x, below).0;
            print!("\x1b[38;2;{r};{g};{b}m\x1b[48;2;{r2};{g2};{b2}m▀");
        }
        println!("\x1b[0m");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prompt = std::env::args()
        .nth(1)
        .unwrap_or("a blue teapot, cartoon".into());
    let pipeline = Pipeline::load(ModelSource::BuiltIn, DeviceOptions::default())?;
    let pictures = pipeline.generate(&Request::new(prompt).seed(1), &mut Terminal)?;
    let path = Path::new("observed.png");
    pictures[0].save(path, Format::Png)?;
    println!("{}", path.display());
    Ok(())
}
