//! `plantain devices`

use plantain::DeviceChoice;

use crate::failure::Failure;
use crate::out;

pub(crate) fn run() -> Result<(), Failure> {
    for device in DeviceChoice::ALL {
        let now = match device {
            DeviceChoice::Auto => format!(" (now {})", device.resolve()),
            _ => String::new(),
        };
        out::line(format_args!(
            "{:8} {}{now}",
            device.name(),
            device.description()
        ))?;
    }
    Ok(())
}
