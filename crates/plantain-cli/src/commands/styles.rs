//! `plantain styles`

use plantain::style;

use crate::failure::Failure;
use crate::out;

pub(crate) fn run() -> Result<(), Failure> {
    let presets = style::presets().map_err(|e| Failure::new(e.to_string()))?;
    for (name, style) in presets {
        out::line(format_args!("{name:12} {}", style.description))?;
    }
    Ok(())
}
