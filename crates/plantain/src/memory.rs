//! Whether a run fits the memory there is, and what to change where it does not.

use plantain_weights::{MemoryEstimate, Model};
use sysinfo::System;

use crate::device::PrecisionChoice;
use crate::layout::Layout;
use crate::request::{Request, embeds_guidance};
use crate::tiling::TILE;

/// What is left to other programs, of what is free.
const SPARED: f64 = 0.1;

/// Bytes that the program takes itself: what it runs, its threads, and the scratch space of single operations.
const PROGRAM: u64 = 40_000_000;

/// Bytes of a parameter as `f32`, and what the other ways of keeping it take of that. The ends of networks stay at 16 bits where
/// the rest is at 8.
const BF16: f64 = 0.5;
const INT8: f64 = 0.3;

/// How a run is fitted into the memory there is.
///
/// ```
/// use plantain::{MemoryPlan, PrecisionChoice, Request};
///
/// let model = plantain::default_model()?;
/// let request = Request::new("a red fox");
/// let plan = MemoryPlan::new(&model, &request, PrecisionChoice::Auto, 2 << 30)?;
/// assert!(!plan.tiled && plan.needed < 2 << 30);
/// assert!(MemoryPlan::new(&model, &request, PrecisionChoice::F32, 1 << 20).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// How weights are kept and multiplied; what was asked for, unless that was [`PrecisionChoice::Auto`] and did not fit.
    pub precision: PrecisionChoice,
    /// Whether pictures have to be decoded in tiles.
    pub tiled: bool,
    /// Bytes that the run takes, as far as they can be estimated.
    pub needed: u64,
}

/// A run that does not fit, whatever is done.
///
/// ```
/// # use plantain::{MemoryPlan, PrecisionChoice, Request};
/// # let model = plantain::default_model()?;
/// let request = Request::new("a red fox");
/// let error = MemoryPlan::new(&model, &request, PrecisionChoice::Auto, 1_000_000).unwrap_err();
/// assert!(error.needed > error.available);
/// println!("{error}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", message(self))]
pub struct OutOfMemory {
    /// Width of the picture in pixels.
    pub width: usize,
    /// Height of the picture in pixels.
    pub height: usize,
    /// Bytes needed at least.
    pub needed: u64,
    /// Bytes that may be used.
    pub available: u64,
}

fn message(error: &OutOfMemory) -> String {
    let megabytes = |bytes: u64| bytes / 1_000_000;
    format!(
        "{}x{} pixels with this model take about {} MB of memory at least, and {} MB may be used; ask for a smaller picture or fewer things, or close other programs",
        error.width,
        error.height,
        megabytes(error.needed),
        megabytes(error.available)
    )
}

impl MemoryPlan {
    /// The least change that lets the pictures of `request` be drawn on the CPU in `available` bytes: first tiles, then, where
    /// `precision` is [`PrecisionChoice::Auto`], smaller weights.
    ///
    /// # Errors
    /// When nothing helps.
    ///
    /// ```
    /// # use plantain::{MemoryPlan, PrecisionChoice, Request};
    /// # let model = plantain::default_model()?;
    /// let available = plantain::available_memory().unwrap_or(1 << 30);
    /// let request = Request::new("a red fox").size([256, 128]);
    /// let plan = MemoryPlan::new(&model, &request, PrecisionChoice::Auto, available)?;
    /// println!("about {} MB", plan.needed / 1_000_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        model: &Model,
        request: &Request,
        precision: PrecisionChoice,
        available: u64,
    ) -> Result<Self, OutOfMemory> {
        let manifest = model.manifest();
        let size = request.size_for(manifest);
        let guidance = request.guidance.unwrap_or(manifest.defaults.guidance);
        let together = request.batch.min(request.count).max(1) as u32;
        let twice = guidance > 1.0 && !embeds_guidance(manifest);
        let samples = together * if twice { 2 } else { 1 };
        let estimate = |[width, height]: [usize; 2]| {
            model.estimated_memory(width as u32, height as u32, samples)
        };
        let layout = Layout::new(request, size, manifest);
        let decoded = layout.decoded_size(!request.skip_refiner, manifest);
        let mut sampled = estimate(layout.sampled_size(manifest));
        if request.init_image.is_some() {
            sampled.weights += sampled.encoder;
            sampled.sampling = sampled.sampling.max(estimate(size).encoding);
        }
        let tile = TILE * manifest.components.decoder_scale();
        let decoding = |tiled: bool| {
            let most = if tiled { tile } else { usize::MAX };
            estimate(decoded.map(|side| side.min(most))).decoding
        };
        let precisions = match precision {
            PrecisionChoice::Auto => &[
                PrecisionChoice::Auto,
                PrecisionChoice::Bf16,
                PrecisionChoice::Int8,
            ][..],
            _ => &[precision],
        };
        let mut least = u64::MAX;
        for &precision in precisions {
            for tiled in [false, true] {
                let needed = needed(&sampled, decoding(tiled), precision);
                if needed <= available {
                    return Ok(Self {
                        precision,
                        tiled,
                        needed,
                    });
                }
                least = least.min(needed);
            }
        }
        let [width, height] = size;
        Err(OutOfMemory {
            width,
            height,
            needed: least,
            available,
        })
    }
}

/// Fewer convolutions are transformed in bf16, and few in int8, and what is counted here is more than what those take: for BK-SDM-Tiny
/// at 512x512 1.27 and 0.91 GB, where 1.13 and 0.66 were measured.
fn needed(estimate: &MemoryEstimate, decoding: u64, precision: PrecisionChoice) -> u64 {
    let share = |share: f64| (estimate.weights as f64 * share) as u64;
    let weights = match precision {
        PrecisionChoice::Auto if plantain_nn::multiplies_bf16() => share(BF16),
        PrecisionChoice::Auto | PrecisionChoice::F32 => estimate.weights + estimate.transformed,
        PrecisionChoice::F16 | PrecisionChoice::Bf16 => share(BF16),
        PrecisionChoice::Int8 => share(INT8),
    };
    PROGRAM
        .saturating_add(weights)
        .saturating_add(estimate.sampling.max(decoding))
}

/// Bytes of memory that this process may still take without others having to give theirs back; `None` where the system does
/// not tell.
///
/// ```
/// if let Some(bytes) = plantain::available_memory() {
///     println!("{} MB are free", bytes / 1_000_000);
/// }
/// ```
pub fn available_memory() -> Option<u64> {
    let mut system = System::new();
    system.refresh_memory();
    // What a container's cache of files takes is given back when it is needed.
    let limits = system.cgroup_limits();
    let limited = limits.map(|limits| limits.total_memory.saturating_sub(limits.rss));
    let free = limited.unwrap_or(u64::MAX).min(system.available_memory());
    (free > 0).then_some((free as f64 * (1.0 - SPARED)) as u64)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn model() -> Model {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
        Model::open(&fixtures.join("single_files/sd1.safetensors")).unwrap()
    }

    #[test]
    fn tiles_come_before_smaller_weights() {
        let model = model();
        let request = Request::new("a fox").size([1024, 1024]).guidance(2.0);
        let plan = |available| MemoryPlan::new(&model, &request, PrecisionChoice::Auto, available);
        let free = plan(u64::MAX).unwrap();
        assert_eq!((free.precision, free.tiled), (PrecisionChoice::Auto, false));
        let tight = plan(free.needed - 1).unwrap();
        assert_eq!(
            (tight.precision, tight.tiled),
            (PrecisionChoice::Auto, true)
        );
        let tighter = plan(tight.needed - 1).unwrap();
        assert!(tighter.precision != PrecisionChoice::Auto, "{tighter:?}");
        let none = plan(1000).unwrap_err();
        assert!(none.needed < tight.needed && none.available == 1000);
    }

    #[test]
    #[cfg(feature = "embedded-model")]
    fn several_things_may_be_decoded_larger_than_they_are() {
        let model = crate::default_model().unwrap();
        let needed = |prompt: &str, size: [usize; 2]| {
            let request = Request::new(prompt).size(size);
            let plan = MemoryPlan::new(&model, &request, PrecisionChoice::F32, u64::MAX);
            plan.unwrap().needed
        };
        let (one, two) = (needed("a fox", [512, 512]), needed("two foxes", [512, 512]));
        assert!(two > one + 100_000_000, "{one} {two}");
        // What has room for both is drawn as for one.
        assert_eq!(
            needed("a fox", [1024, 512]),
            needed("two foxes", [1024, 512])
        );
    }

    #[test]
    fn what_was_asked_for_stays() {
        let model = model();
        let asked = PrecisionChoice::F32;
        let request = Request::new("a fox").size([64, 64]);
        let plan = MemoryPlan::new(&model, &request, asked, u64::MAX).unwrap();
        assert_eq!(plan.precision, asked);
        assert!(MemoryPlan::new(&model, &request, asked, 1000).is_err());
    }

    #[test]
    #[cfg(feature = "embedded-model")]
    fn drawing_from_a_picture_takes_its_encoder_besides() {
        let model = crate::default_model().unwrap();
        let needed = |request: Request| {
            MemoryPlan::new(&model, &request, PrecisionChoice::F32, u64::MAX)
                .map(|plan| plan.needed)
        };
        let request = Request::new("a fox");
        let picture = request.clone().init_image(crate::RgbImage::new(512, 512));
        let encoder = model.estimated_memory(512, 512, 1).encoder;
        assert!(needed(picture).unwrap() >= needed(request).unwrap() + encoder && encoder > 0);
    }
}
