//! Times of whole components and pictures, for comparing devices, precisions and other programs.
//!
//! ```
//! use plantain::DeviceOptions;
//! use plantain::bench::{Bench, BenchSettings, Part};
//!
//! let model = plantain::default_model()?;
//! let size = Some([64, 64]);
//! let settings = BenchSettings { part: Part::Decoder, size, steps: None };
//! let mut bench = Bench::load(&model, DeviceOptions::default(), &settings)?;
//! bench.warm_up()?;
//! for _ in 0..3 {
//!     bench.run()?;
//! }
//! println!("{:?} s", bench.timing().median());
//! # Ok::<(), plantain::Error>(())
//! ```

mod runs;

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use burn::tensor::Device;
use plantain_weights::Model;

use crate::device::{DeviceOptions, precision_name};
use crate::difference::{max_abs, psnr};
use crate::error::Error;
use crate::pipeline::check_fit;
use crate::reference::{REFERENCE, picture_size};
use runs::RunOnce;

/// What is timed.
///
/// ```
/// use plantain::bench::Part;
///
/// assert_eq!("unet".parse::<Part>()?, Part::Unet);
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// One pass of the text encoder over a full prompt.
    TextEncoder,
    /// One pass of the UNet, without guidance.
    Unet,
    /// One pass of the refiner.
    Refiner,
    /// One pass of the decoder.
    Decoder,
    /// Text encoder, the steps of the UNet without guidance, refiner where there is one, decoder.
    Pipeline,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::TextEncoder,
        Self::Unet,
        Self::Refiner,
        Self::Decoder,
        Self::Pipeline,
    ];

    /// Name on the command line.
    ///
    /// ```
    /// assert_eq!(plantain::bench::Part::TextEncoder.name(), "text-encoder");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::TextEncoder => "text-encoder",
            Self::Unet => "unet",
            Self::Refiner => "refiner",
            Self::Decoder => "decoder",
            Self::Pipeline => "pipeline",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|part| part.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no part `{name}`; choose one of {names}")
        })
    }
}

/// What to time.
///
/// ```
/// use plantain::bench::{BenchSettings, Part};
///
/// let part = Part::Pipeline;
/// let short = BenchSettings { part, size: None, steps: Some(1) };
/// ```
#[derive(Debug, Clone, Copy)]
pub struct BenchSettings {
    /// What is timed.
    pub part: Part,
    /// Width and height of the picture in pixels; the model's own where there are none.
    pub size: Option<[usize; 2]>,
    /// Steps of [`Part::Pipeline`]; the model's own where there are none.
    pub steps: Option<usize>,
}

impl BenchSettings {
    /// Width and height of the picture of `model` in pixels.
    ///
    /// ```
    /// # use plantain::bench::{BenchSettings, Part};
    /// let settings = BenchSettings { part: Part::Unet, size: None, steps: None };
    /// assert_eq!(settings.size_of(&plantain::default_model()?), [512, 512]);
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn size_of(&self, model: &Model) -> [usize; 2] {
        picture_size(model, self.size)
    }

    /// Steps to a picture of `model`.
    ///
    /// ```
    /// # use plantain::bench::{BenchSettings, Part};
    /// let settings = BenchSettings { part: Part::Pipeline, size: None, steps: None };
    /// assert_eq!(settings.steps_of(&plantain::default_model()?), 4);
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn steps_of(&self, model: &Model) -> usize {
        let own = model.manifest().defaults.steps as usize;
        self.steps.unwrap_or(own)
    }
}

/// Seconds that something took.
///
/// ```
/// use plantain::bench::Timing;
///
/// let runs = vec![0.2, 0.3, 0.1];
/// let timing = Timing { load: 0.5, first: 0.4, runs, steps: Vec::new() };
/// assert_eq!(timing.median(), Some(0.2));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// Opening the networks.
    pub load: f64,
    /// The first run, in which a device compiles and allocates.
    pub first: f64,
    /// The runs after it.
    pub runs: Vec<f64>,
    /// An evaluation of the UNet in each of `runs`, for parts that have any.
    pub steps: Vec<f64>,
}

impl Timing {
    /// Middle of the runs.
    ///
    /// ```
    /// # use plantain::bench::Timing;
    /// let runs = vec![0.2, 0.4];
    /// let timing = Timing { load: 0.5, first: 0.4, runs, steps: Vec::new() };
    /// assert!((timing.median().unwrap() - 0.3).abs() < 1e-9);
    /// ```
    pub fn median(&self) -> Option<f64> {
        median(&self.runs)
    }

    /// Middle of the runs' evaluations of the UNet.
    ///
    /// ```
    /// # use plantain::bench::Timing;
    /// let (runs, steps) = (vec![0.2, 0.4, 0.3], vec![0.02, 0.04, 0.03]);
    /// let timing = Timing { load: 0.5, first: 0.4, runs, steps };
    /// assert_eq!(timing.median_step(), Some(0.03));
    /// ```
    pub fn median_step(&self) -> Option<f64> {
        median(&self.steps)
    }

    /// Fastest of the runs.
    ///
    /// ```
    /// # use plantain::bench::Timing;
    /// let runs = vec![0.2, 0.3, 0.1];
    /// let timing = Timing { load: 0.5, first: 0.4, runs, steps: Vec::new() };
    /// assert_eq!(timing.min(), Some(0.1));
    /// ```
    pub fn min(&self) -> Option<f64> {
        self.runs.iter().copied().min_by(f64::total_cmp)
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        Some(sorted[middle])
    } else {
        (middle > 0).then(|| f64::midpoint(sorted[middle - 1], sorted[middle]))
    }
}

/// How far an output is from that of [`REFERENCE`] for the same inputs.
///
/// ```
/// use plantain::bench::Difference;
///
/// let same = Difference { psnr: None, max_abs: 0.0 };
/// let close = Difference { psnr: Some(61.0), max_abs: 0.004 };
/// assert!(same.max_abs < close.max_abs);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Peak signal to noise ratio in dB, over the range of pictures, or of the reference's own output for other parts;
    /// `None` where nothing differs.
    pub psnr: Option<f64>,
    /// Largest difference of a value.
    pub max_abs: f64,
}

/// A part of a model, loaded and ready to be timed. What is computed comes from fixed noise and token ids, so a model
/// needs no tokenizer.
///
/// ```
/// # use plantain::DeviceOptions;
/// # use plantain::bench::{Bench, BenchSettings, Part};
/// let model = plantain::default_model()?;
/// let settings = BenchSettings { part: Part::TextEncoder, size: None, steps: None };
/// let mut bench = Bench::load(&model, DeviceOptions::default(), &settings)?;
/// bench.warm_up()?;
/// bench.run()?;
/// assert_eq!(bench.timing().runs.len(), 1);
/// # Ok::<(), plantain::Error>(())
/// ```
pub struct Bench {
    settings: BenchSettings,
    device: Device,
    precision: &'static str,
    run: RunOnce,
    timing: Timing,
    output: Vec<f32>,
}

impl Bench {
    /// Loads the networks.
    ///
    /// # Errors
    /// When the model has no such component, its tensors do not fit, or the size does not.
    ///
    /// ```
    /// # use plantain::DeviceOptions;
    /// # use plantain::bench::{Bench, BenchSettings, Part};
    /// let model = plantain::default_model()?;
    /// let settings = BenchSettings { part: Part::TextEncoder, size: None, steps: None };
    /// let bench = Bench::load(&model, DeviceOptions::default(), &settings)?;
    /// assert!(bench.timing().load > 0.0);
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn load(
        model: &Model,
        options: DeviceOptions,
        settings: &BenchSettings,
    ) -> Result<Self, Error> {
        check_fit(model)?;
        let target = options.target()?;
        let began = Instant::now();
        let run = match settings.part {
            Part::TextEncoder => runs::text_encoder(model, &target)?,
            Part::Unet => runs::unet(model, &target, settings)?,
            Part::Refiner => runs::refiner(model, &target, settings)?,
            Part::Decoder => runs::decoder(model, &target, settings)?,
            Part::Pipeline => runs::pipeline(model, &target, settings)?,
        };
        Ok(Self {
            settings: *settings,
            run,
            timing: Timing {
                load: began.elapsed().as_secs_f64(),
                first: 0.0,
                runs: Vec::new(),
                steps: Vec::new(),
            },
            precision: precision_name(&target),
            device: target.device,
            output: Vec::new(),
        })
    }

    /// The first run.
    ///
    /// # Errors
    /// When the device fails or computes values that are not finite.
    ///
    /// ```
    /// # use plantain::bench::{Bench, BenchSettings, Part};
    /// # let settings = BenchSettings { part: Part::TextEncoder, size: None, steps: None };
    /// # let mut bench = Bench::load(&plantain::default_model()?, Default::default(), &settings)?;
    /// bench.warm_up()?;
    /// assert!(bench.timing().first > 0.0);
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn warm_up(&mut self) -> Result<(), Error> {
        (self.timing.first, _) = self.timed()?;
        Ok(())
    }

    /// A run that counts.
    ///
    /// # Errors
    /// As [`Self::warm_up`].
    ///
    /// ```
    /// # use plantain::bench::{Bench, BenchSettings, Part};
    /// # let settings = BenchSettings { part: Part::TextEncoder, size: None, steps: None };
    /// # let mut bench = Bench::load(&plantain::default_model()?, Default::default(), &settings)?;
    /// bench.run()?;
    /// bench.run()?;
    /// assert_eq!(bench.timing().runs.len(), 2);
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn run(&mut self) -> Result<(), Error> {
        let (seconds, step) = self.timed()?;
        self.timing.runs.push(seconds);
        self.timing.steps.extend(step);
        Ok(())
    }

    fn timed(&mut self) -> Result<(f64, Option<f64>), Error> {
        let began = Instant::now();
        let output = (self.run)()?;
        let seconds = began.elapsed().as_secs_f64();
        self.output = output.values;
        let step = match self.settings.part {
            Part::Unet => Some(seconds),
            _ => output.step,
        };
        Ok((seconds, step))
    }

    /// What products are computed in, as on the command line.
    ///
    /// ```
    /// # use plantain::REFERENCE;
    /// # use plantain::bench::{Bench, BenchSettings, Part};
    /// # let settings = BenchSettings { part: Part::TextEncoder, size: None, steps: None };
    /// let bench = Bench::load(&plantain::default_model()?, REFERENCE, &settings)?;
    /// assert_eq!(bench.precision(), "f32");
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn precision(&self) -> &'static str {
        self.precision
    }

    /// The times so far.
    ///
    /// ```
    /// # use plantain::bench::{Bench, BenchSettings, Part};
    /// # let settings = BenchSettings { part: Part::TextEncoder, size: None, steps: None };
    /// # let mut bench = Bench::load(&plantain::default_model()?, Default::default(), &settings)?;
    /// bench.run()?;
    /// println!("{:?} s", bench.timing().min());
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Bytes that the device holds for this process, where it tells.
    ///
    /// ```
    /// # use plantain::bench::{Bench, BenchSettings, Part};
    /// # let settings = BenchSettings { part: Part::TextEncoder, size: None, steps: None };
    /// # let mut bench = Bench::load(&plantain::default_model()?, Default::default(), &settings)?;
    /// if let Some(bytes) = bench.device_memory() {
    ///     println!("{} MiB", bytes >> 20);
    /// }
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn device_memory(&self) -> Option<u64> {
        let usage = self.device.memory_pool_usage()?;
        Some(usage.bytes_reserved)
    }

    /// Compares the output of the last run with that of [`REFERENCE`], which is computed here from the same `model`.
    ///
    /// # Errors
    /// As [`Self::load`] and [`Self::run`].
    ///
    /// ```
    /// # use plantain::REFERENCE;
    /// # use plantain::bench::{Bench, BenchSettings, Part};
    /// # let settings = BenchSettings { part: Part::TextEncoder, size: None, steps: None };
    /// let model = plantain::default_model()?;
    /// let mut bench = Bench::load(&model, REFERENCE, &settings)?;
    /// bench.run()?;
    /// assert_eq!(bench.difference(&model)?.max_abs, 0.0);
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn difference(&self, model: &Model) -> Result<Difference, Error> {
        let mut reference = Self::load(model, REFERENCE, &self.settings)?;
        reference.warm_up()?;
        let (values, reference) = (&self.output, &reference.output);
        let range = match self.settings.part {
            Part::Decoder | Part::Pipeline => PICTURE_RANGE,
            Part::TextEncoder | Part::Unet | Part::Refiner => range(reference),
        };
        Ok(Difference {
            psnr: psnr(values, reference, range),
            max_abs: max_abs(values, reference),
        })
    }
}

/// Decoders give pictures from -1 to 1.
const PICTURE_RANGE: f64 = 2.0;

fn range(values: &[f32]) -> f64 {
    let (min, max) = values
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(min, max), v| {
            (min.min(*v), max.max(*v))
        });
    f64::from(max - min)
}
