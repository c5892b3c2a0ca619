//! Results from the device, checked.

use burn::tensor::{Device, Tensor};

use crate::error::Error;

/// The values of a tensor on the host.
pub(crate) fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
    let device = format!("{:?}", tensor.device());
    let failed = |reason: String| Error::DeviceFailed { device, reason };
    let data = tensor.try_into_data();
    match data.map(|data| data.convert::<f32>().try_into_vec::<f32>()) {
        Ok(Ok(values)) => Ok(values),
        Ok(Err(error)) => Err(failed(format!("{error:?}"))),
        Err(error) => Err(failed(format!("{error:?}"))),
    }
}

/// Waits for `device` to do what it was told to.
pub(crate) fn synchronise(device: &Device) -> Result<(), Error> {
    device.sync().map_err(|error| Error::DeviceFailed {
        device: format!("{device:?}"),
        reason: format!("{error:?}"),
    })
}

/// [`read`], refusing values that are not finite.
pub(crate) fn read_finite<const D: usize>(
    tensor: Tensor<D>,
    component: &'static str,
    detail: &str,
) -> Result<Vec<f32>, Error> {
    let values = read(tensor)?;
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(Error::NonFinite {
            component,
            detail: detail.to_string(),
        })
    }
}
