//! `plantain styles`

use plantain::style;

use crate::failure::Failure;

pub(crate) fn run() -> Result<(), Failure> {
    let presets = style::presets().map_err(|e| Failure::new(e.to_string()))?;
    for (name, style) in presets {
        println!("{name:12} {}", style.description);
    }
    Ok(())
}
