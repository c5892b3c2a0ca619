//! `plantain devices`

use plantain::DeviceChoice;

use crate::failure::Failure;

pub(crate) fn run() -> Result<(), Failure> {
    for device in DeviceChoice::ALL {
        let now = match device {
            DeviceChoice::Auto => format!(" (now {})", device.resolve()),
            _ => String::new(),
        };
        println!("{:8} {}{now}", device.name(), device.description());
    }
    Ok(())
}
