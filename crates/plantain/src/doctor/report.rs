//! What an examination found.

use plantain_weights::Target;
use serde::Serialize;

use super::watch::Seen;
use super::{Examination, Side};
use crate::device::precision_name;
use crate::difference::{max_abs, relative};
use crate::reference::picture_size;

/// Name under which the output of an undisturbed run is reported, beside those of the blocks. Where a device joins
/// operations across blocks, only this run does so.
pub const UNDISTURBED: &str = "(undisturbed)";

/// What an examination found.
///
/// ```
/// # use plantain::doctor::{Examination, Side, examine};
/// # let model = plantain::Model::open("../../tests/fixtures/weights/turbo".as_ref())?;
/// # let side = Side::reference(&model);
/// let report = examine(side, side, Examination::default())?;
/// println!("{} in {}: {}", report.device, report.precision, report.advice);
/// # Ok::<(), plantain::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Name of the model.
    pub model: String,
    /// Width and height of the picture in pixels.
    pub size: [usize; 2],
    /// Name of the device.
    pub device: String,
    /// What the device is.
    pub description: String,
    /// What the device computed in.
    pub precision: &'static str,
    /// Largest relative error that is agreement.
    pub tolerance: f64,
    /// The examined components.
    pub components: Vec<ComponentReport>,
    /// First block in the order of execution that does not agree.
    pub first_divergence: Option<BlockName>,
    /// What that means.
    pub verdict: Verdict,
    /// What to do about it, a sentence.
    pub advice: String,
}

/// Blocks of a component.
///
/// ```
/// # use plantain::doctor::{Examination, Side, examine};
/// # let model = plantain::Model::open("../../tests/fixtures/weights/turbo".as_ref())?;
/// # let side = Side::reference(&model);
/// let report = examine(side, side, Examination::default())?;
/// for component in &report.components {
///     println!("{}: {} blocks", component.component, component.blocks.len());
/// }
/// # Ok::<(), plantain::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComponentReport {
    /// Name, as that of [`TraceComponent`](crate::trace::TraceComponent).
    pub component: &'static str,
    /// In the order of execution, then the [`UNDISTURBED`] run.
    pub blocks: Vec<BlockReport>,
}

/// Errors and times of a block.
///
/// ```
/// # use plantain::doctor::{Examination, Side, examine};
/// # let model = plantain::Model::open("../../tests/fixtures/weights/turbo".as_ref())?;
/// # let side = Side::reference(&model);
/// let report = examine(side, side, Examination::default())?;
/// let blocks = report.components.iter().flat_map(|component| &component.blocks);
/// let slowest = blocks.max_by(|a, b| a.device_ms.total_cmp(&b.device_ms));
/// println!("{:?}", slowest.map(|block| &block.name));
/// # Ok::<(), plantain::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BlockReport {
    /// Path of the module in its network, or [`UNDISTURBED`].
    pub name: String,
    /// Shape of the output.
    pub shape: Vec<usize>,
    /// Largest difference to the reference; `None` where not all values are finite.
    pub max_abs: Option<f64>,
    /// L2 norm of the difference over that of the reference; `None` where not all values are finite.
    pub relative: Option<f64>,
    /// How many values of the device are NaN or infinite.
    pub non_finite: usize,
    /// How many values of the reference are.
    pub reference_non_finite: usize,
    /// Time on the device. That of the undisturbed run has in it what the device compiled.
    pub device_ms: f64,
    /// Time on the reference.
    pub reference_ms: f64,
}

/// A block by its place.
///
/// ```
/// use plantain::doctor::BlockName;
///
/// let name = BlockName { component: "unet", block: "mid_block".into() };
/// assert_eq!(format!("{}.{}", name.component, name.block), "unet.mid_block");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockName {
    /// The component.
    pub component: &'static str,
    /// The block.
    pub block: String,
}

/// The finding in a word.
///
/// ```
/// use plantain::doctor::Verdict;
///
/// assert_ne!(Verdict::Differs, Verdict::Ok);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every block agrees.
    Ok,
    /// A block differs by more than the tolerance.
    Differs,
    /// A block computes values that are not finite.
    Broken,
}

impl Verdict {
    /// As it is printed.
    ///
    /// ```
    /// assert_eq!(plantain::doctor::Verdict::Ok.name(), "ok");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Differs => "differs",
            Self::Broken => "broken",
        }
    }
}

/// Largest relative error that is agreement in a precision of that name, through all blocks of a network.
///
/// ```
/// use plantain::doctor::tolerance;
///
/// assert!(tolerance("f32") < tolerance("bf16"));
/// ```
pub fn tolerance(precision: &str) -> f64 {
    match precision {
        "int8" => 1.5e-1,
        "bf16" => 5e-2,
        "f16" => 2e-2,
        _ => 1e-3,
    }
}

impl Report {
    pub(super) fn new(
        side: Side<'_>,
        target: &Target,
        settings: Examination,
        components: Vec<ComponentReport>,
    ) -> Self {
        let device = side.options.device.resolve();
        let precision = precision_name(target);
        let tolerance = settings.tolerance.unwrap_or_else(|| tolerance(precision));
        let first = first_divergence(&components, tolerance);
        let mut blocks = components.iter().flat_map(|c| &c.blocks);
        let verdict = match &first {
            None => Verdict::Ok,
            Some(_) if blocks.any(BlockReport::is_broken) => Verdict::Broken,
            Some(_) => Verdict::Differs,
        };
        let advice = match &first {
            None => "this device computes what the CPU computes".to_string(),
            Some((component, block)) => advice(component, block, precision, tolerance),
        };
        Self {
            model: side.model.manifest().name.clone(),
            size: picture_size(side.model, settings.size),
            device: device.to_string(),
            description: device.description(),
            precision,
            tolerance,
            first_divergence: first.map(|(component, block)| BlockName {
                component: component.component,
                block: block.name.clone(),
            }),
            verdict,
            advice,
            components,
        }
    }
}

fn first_divergence(
    components: &[ComponentReport],
    tolerance: f64,
) -> Option<(&ComponentReport, &BlockReport)> {
    components.iter().find_map(|component| {
        let mut blocks = component.blocks.iter();
        let block = blocks.find(|block| !block.agrees(tolerance))?;
        Some((component, block))
    })
}

/// What to do about the first block that does not agree.
fn advice(
    component: &ComponentReport,
    block: &BlockReport,
    precision: &str,
    tolerance: f64,
) -> String {
    if block.reference_non_finite > 0 {
        return "the CPU computes values that are not finite too: the weights are damaged, so convert the model again"
            .into();
    }
    if block.name == UNDISTURBED {
        return "only the undisturbed run departs: suspect what the device joins across blocks"
            .into();
    }
    let rounding = block.relative.is_some_and(|error| error <= 4.0 * tolerance);
    if precision != "f32" && (rounding || block.is_broken()) {
        return "run it in f32 to tell the precision from the device".into();
    }
    let grown = component.blocks.iter().take_while(|b| b.name != block.name);
    if rounding && grown.last().and_then(|b| b.relative) > Some(tolerance / 4.0) {
        return "the error grows from block to block: suspect how the device rounds rather than one operation".into();
    }
    format!("suspect {} on this device", suspects(&block.name))
}

/// The operations of a block that others do not have.
fn suspects(block: &str) -> &'static str {
    let kinds = [
        (
            "attentions",
            "attention, layer normalisation or a linear layer",
        ),
        (
            "encoder.layers",
            "attention, layer normalisation or a linear layer",
        ),
        ("norm", "layer normalisation"),
        ("embedding", "a linear layer or the lookup of embeddings"),
        ("downsamplers", "the convolution of stride 2"),
        ("upsamplers", "the doubling before a convolution"),
        (
            "resnets",
            "group normalisation, the convolutions or the joining of tensors",
        ),
    ];
    let found = kinds.iter().find(|(part, _)| block.contains(part));
    found.map_or("the convolutions", |(_, operations)| operations)
}

impl BlockReport {
    pub(super) fn compare(seen: Seen, expected: &Seen) -> Self {
        let (values, reference) = (&seen.output.values, &expected.output.values);
        let non_finite = |values: &[f32]| values.iter().filter(|v| !v.is_finite()).count();
        let (bad, bad_reference) = (non_finite(values), non_finite(reference));
        let finite = bad + bad_reference == 0;
        Self {
            max_abs: finite.then(|| max_abs(values, reference)),
            relative: finite.then(|| relative(values, reference)),
            non_finite: bad,
            reference_non_finite: bad_reference,
            device_ms: seen.milliseconds,
            reference_ms: expected.milliseconds,
            name: seen.name,
            shape: seen.output.shape,
        }
    }

    /// Whether all values are finite and close enough.
    ///
    /// ```
    /// use plantain::doctor::BlockReport;
    ///
    /// let block = BlockReport {
    ///     name: "conv_in".into(),
    ///     shape: vec![1, 64, 16, 16],
    ///     max_abs: Some(1e-5),
    ///     relative: Some(1e-6),
    ///     non_finite: 0,
    ///     reference_non_finite: 0,
    ///     device_ms: 0.2,
    ///     reference_ms: 0.3,
    /// };
    /// assert!(block.agrees(1e-3));
    /// ```
    pub fn agrees(&self, tolerance: f64) -> bool {
        self.relative.is_some_and(|error| error <= tolerance)
    }

    fn is_broken(&self) -> bool {
        self.non_finite + self.reference_non_finite > 0
    }
}
