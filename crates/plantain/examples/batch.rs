//! Draws several things, several pictures of each at a time, and stops when asked to from another thread.
//!
//!     cargo run --release -p plantain --example batch -- 10
//!
//! gives up after ten seconds. Each prompt is read once, however many pictures are drawn of it.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use plantain::{
    Cancellation, DeviceOptions, Error, Format, ModelSource, Pipeline, Request, Unobserved,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args()
        .nth(1)
        .map_or(Ok(60), |text| text.parse())?;
    let cancellation = Cancellation::new();
    let switch = cancellation.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(seconds));
        switch.cancel();
    });

    let pipeline = Pipeline::load(ModelSource::BuiltIn, DeviceOptions::default())?;
    for thing in ["fox", "cactus", "rocket"] {
        let prompt = format!("a {thing}, flat illustration, on a yellow background");
        let request = Request::new(prompt).seed(1).count(4).batch(2);
        let mut observer = Unobserved;
        let mut observer = cancellation.watch(&mut observer);
        let drawn = pipeline.generate_each(&request, &mut observer, |picture| {
            let path = PathBuf::from(format!("{thing}-{}.png", picture.parameters.seed));
            picture.save(&path, Format::Png)?;
            println!("{}", path.display());
            Ok(())
        });
        match drawn {
            Err(Error::Cancelled) => {
                println!("stopped after {seconds} s");
                break;
            }
            drawn => drawn?,
        }
    }
    Ok(())
}
