//! The graphics processor that tests run on.

use plantain::DeviceChoice;

/// Names the way to run: `plain`, or `fusion` to let Burn fuse operations. Where it is set, a machine without a
/// graphics processor, or without a program that stands in for one such as lavapipe, fails the tests.
const VARIABLE: &str = "PLANTAIN_TEST_GPU";

/// The first graphics processor, where one is to be tested.
#[cfg(feature = "wgpu")]
pub(crate) fn device() -> Option<DeviceChoice> {
    let way = std::env::var(VARIABLE).ok()?;
    assert!(
        ["plain", "fusion"].contains(&way.as_str()),
        "{VARIABLE} is `plain` or `fusion`, not `{way}`"
    );
    let fusion = way == "fusion";
    plantain::RuntimeSettings { fusion }.apply();
    Some(DeviceChoice::Gpu(plantain::GraphicsApi::Any, 0))
}

#[cfg(not(feature = "wgpu"))]
pub(crate) fn device() -> Option<DeviceChoice> {
    let wanted = std::env::var_os(VARIABLE).is_some();
    assert!(
        !wanted,
        "{VARIABLE} is set, but this build lacks the feature `wgpu`"
    );
    None
}
