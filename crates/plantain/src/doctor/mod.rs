//! Where a device departs from the CPU: every block of a model, run on both with the same inputs.
//!
//! Each component gets fixed inputs of its own, so an error in one does not show in the next. Within a component a block
//! gets what the blocks before it computed on the same device, so the first block that departs is where to look, and
//! those after it carry its error along.
//!
//! ```
//! use plantain::doctor::{Examination, Side, Verdict, examine};
//! use plantain::{DeviceChoice, DeviceOptions, Model, PrecisionChoice};
//!
//! let model = Model::open("../../tests/fixtures/weights/turbo".as_ref())?;
//! let ndarray = DeviceOptions {
//!     device: DeviceChoice::NdArray,
//!     precision: PrecisionChoice::F32,
//! };
//! let side = Side { model: &model, options: ndarray };
//! let report = examine(side, Side::reference(&model), Examination::default())?;
//! assert_eq!(report.verdict, Verdict::Ok);
//! # Ok::<(), plantain::Error>(())
//! ```

mod network;
mod report;
mod watch;

use std::collections::VecDeque;
use std::time::Instant;

use plantain_weights::{Model, Target};

use crate::device::DeviceOptions;
use crate::error::{Error, RequestError};
use crate::pipeline::check_fit;
use crate::reference::{REFERENCE, latent_shape};
use crate::trace::TraceComponent;

use network::Network;
pub use report::{
    BlockName, BlockReport, ComponentReport, Report, UNDISTURBED, Verdict, tolerance,
};
use watch::{Seen, Watch, milliseconds_since};

/// A model on a device.
///
/// ```
/// use plantain::DeviceOptions;
/// use plantain::doctor::Side;
///
/// let model = plantain::default_model()?;
/// let side = Side { model: &model, options: DeviceOptions::default() };
/// # Ok::<(), plantain::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The model.
    pub model: &'a Model,
    /// Where and in what precision it runs.
    pub options: DeviceOptions,
}

impl<'a> Side<'a> {
    /// `model` where it is compared with: [`REFERENCE`].
    ///
    /// ```
    /// use plantain::REFERENCE;
    /// use plantain::doctor::Side;
    ///
    /// let model = plantain::default_model()?;
    /// assert_eq!(Side::reference(&model).options, REFERENCE);
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn reference(model: &'a Model) -> Self {
        Self {
            model,
            options: REFERENCE,
        }
    }
}

/// How to examine.
///
/// ```
/// use plantain::doctor::Examination;
///
/// let small = Examination { size: Some([64, 64]), tolerance: None };
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Examination {
    /// Width and height of the picture in pixels; the model's own where there are none.
    pub size: Option<[usize; 2]>,
    /// Largest relative error that is still agreement; [`tolerance`] of the precision where there is none.
    pub tolerance: Option<f64>,
}

/// What is examined, in the order in which a picture passes through it; last what only those drawn from a picture do.
const COMPONENTS: [TraceComponent; 5] = [
    TraceComponent::TextEncoder,
    TraceComponent::Unet,
    TraceComponent::Refiner,
    TraceComponent::Decoder,
    TraceComponent::Encoder,
];

/// Runs every component of a model on the device of `device` and on that of `reference`, and compares what their blocks
/// compute. The two models may differ in their numbers.
///
/// # Errors
/// When a model cannot be loaded, their blocks differ, the size does not fit, or a device fails.
///
/// ```
/// use plantain::doctor::{Examination, Side, examine};
///
/// # let model = plantain::Model::open("../../tests/fixtures/weights/turbo".as_ref())?;
/// let side = Side::reference(&model);
/// let report = examine(side, side, Examination::default())?;
/// assert_eq!(report.first_divergence, None);
/// # Ok::<(), plantain::Error>(())
/// ```
pub fn examine(
    device: Side<'_>,
    reference: Side<'_>,
    settings: Examination,
) -> Result<Report, Error> {
    let shape = latent_shape(reference.model, settings.size)?;
    check_fit(device.model)?;
    let target = device.options.target()?;
    let expected = (reference.model, &reference.options.target()?);
    let mut components = Vec::new();
    for component in COMPONENTS {
        let blocks = examine_component(component, shape, (device.model, &target), expected)?;
        if !blocks.is_empty() {
            components.push(ComponentReport {
                component: component.name(),
                blocks,
            });
        }
    }
    Ok(Report::new(device, &target, settings, components))
}

/// A model and where to load it.
type Opened<'a> = (&'a Model, &'a Target);

/// Compares the blocks of a component; there are none where the models have no such component.
fn examine_component(
    component: TraceComponent,
    shape: [usize; 4],
    device: Opened<'_>,
    reference: Opened<'_>,
) -> Result<Vec<BlockReport>, Error> {
    let mut expected = VecDeque::new();
    watch(component, shape, reference, &mut |seen| {
        expected.push_back(seen);
        Ok(())
    })?;
    let mut blocks = Vec::new();
    watch(component, shape, device, &mut |seen| {
        let same = |e: &Seen| e.name == seen.name && e.output.shape == seen.output.shape;
        let expected = expected.pop_front().filter(same);
        let expected = expected.ok_or_else(|| unlike(component, &seen))?;
        blocks.push(BlockReport::compare(seen, &expected));
        Ok(())
    })?;
    match expected.pop_front() {
        Some(seen) => Err(unlike(component, &seen)),
        None => Ok(blocks),
    }
}

/// Loads a component and runs it twice: undisturbed, when the device also compiles what it has to, then with a stop
/// after every block. The output of the undisturbed run is seen last.
fn watch(
    component: TraceComponent,
    shape: [usize; 4],
    (model, target): Opened<'_>,
    see: &mut dyn FnMut(Seen) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(network) = Network::load(component, shape, model, target)? else {
        return Ok(());
    };
    let began = Instant::now();
    let undisturbed = Seen {
        output: network.run(&mut ())?,
        name: UNDISTURBED.into(),
        milliseconds: milliseconds_since(began),
    };
    let mut watch = Watch::new(&target.device, see);
    network.run(&mut watch)?;
    watch.finish()?;
    see(undisturbed)
}

fn unlike(component: TraceComponent, block: &Seen) -> Error {
    let name = &block.name;
    let message =
        format!("the two models do not have the same blocks: see `{name}` of the {component}");
    RequestError::Input(message).into()
}
