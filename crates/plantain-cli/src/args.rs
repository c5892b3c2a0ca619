//! What is typed on the command line, and its checks that need no model.

mod batch;
mod convert;

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use plantain::bench::Part;
use plantain::trace::TraceComponent;
use plantain::{Aspect, DeviceChoice, Format, PrecisionChoice, SamplerKind};

use crate::version;
pub(crate) use batch::{BatchAction, BatchArgs, MergeArgs, RenderArgs};
#[cfg(feature = "pull")]
pub(crate) use convert::PullArgs;
pub(crate) use convert::{AdaptArgs, ConvertArgs, PruneArgs};

/// Text in, picture out: offline, private, on the CPU or any graphics processor.
#[derive(Debug, Parser)]
#[command(
    name = "plantain",
    version,
    long_version = version::long(),
    arg_required_else_help = true,
    after_help = "Example: plantain generate \"a fox, 3d render, on a teal background\" -o fox.png"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Draw pictures from a text
    Generate(Box<GenerateArgs>),
    /// Render every picture of a campaign file
    Batch(Box<BatchArgs>),
    /// Show how a picture was made, as the command that makes it again
    Info(InfoArgs),
    /// Make one model file of a checkpoint or a diffusers folder
    Convert(Box<ConvertArgs>),
    /// Download a model from a hub, and make one model file of it
    #[cfg(feature = "pull")]
    Pull(Box<PullArgs>),
    /// Say how to get a program that can download
    #[cfg(not(feature = "pull"))]
    #[command(hide = true)]
    Pull {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Show what a model is made of
    Inspect(InspectArgs),
    /// Remove blocks of a model's UNet, to be trained again
    Prune(PruneArgs),
    /// Run one component of a model on given tensors, to check it against a reference
    Trace(TraceArgs),
    /// Time the parts of a model on this machine
    Bench(BenchArgs),
    /// Find the block of a model where a device departs from the CPU
    Doctor(DoctorArgs),
    /// List the devices that models can run on
    Devices,
    /// Compile the kernels of a model for a graphics processor, so that its next picture starts sooner
    Warmup(WarmupArgs),
    /// List the named styles
    Styles,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// A device, and how it is used.
#[derive(Debug, clap::Args)]
pub(crate) struct DeviceArgs {
    /// Where to run: auto, flex, ndarray, or a graphics processor: wgpu (or webgpu), vulkan, metal,
    /// dx12, with `:N`, from 0, for one of those that `plantain devices` lists
    #[arg(long, value_name = "NAME", default_value_t = DeviceChoice::Auto)]
    pub(crate) device: DeviceChoice,

    /// Let Burn fuse operations on graphics processors: at times faster, less tried
    #[arg(long)]
    pub(crate) fusion: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    /// What the picture shows; `-` reads it from standard input
    pub(crate) prompt: String,

    /// Where to write [default: plantain-SEED.png]; with several pictures, the seed is added to the
    /// name
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Number of pictures; picture k uses seed + k
    #[arg(short = 'n', long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) count: u32,

    /// Pictures that are drawn together, which takes more memory and on some devices less time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) batch: u32,

    /// Seed of the first picture; the same seed gives the same picture [default: random]
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub(crate) seed: Option<u64>,

    /// Sampling steps [default: what the model was trained for]
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) steps: Option<usize>,

    /// How strictly to follow the prompt; 1 means no guidance [default: the model's]
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) guidance: Option<f64>,

    /// What the picture should not show
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) negative: String,

    /// Width and height in pixels, such as 512x512; the built-in model draws at its own size, and resizes [default: the model's]
    #[arg(long, value_name = "WxH", conflicts_with = "aspect")]
    pub(crate) size: Option<Size>,

    /// Shape of the picture, such as 3:2, 16:9, 1:1, 9:16 or 2:3; the built-in model keeps its shorter side (half of it
    /// beyond 4:1), others about their number of pixels
    #[arg(long, value_name = "W:H")]
    pub(crate) aspect: Option<Aspect>,

    /// Sampler [default: the model's]: lcm, tcd, euler, euler-a, ddim, dpmpp-2m, flow-euler
    #[arg(long, value_name = "NAME")]
    pub(crate) sampler: Option<SamplerKind>,

    /// A picture to start from (PNG, JPEG or WebP), cropped around its centre to the shape of the result
    #[arg(long, value_name = "FILE")]
    pub(crate) init: Option<PathBuf>,

    /// How much of the picture to start from is lost, above 0 and up to 1: this share of the steps is
    /// run [default: 0.8, with a mask 1]
    #[arg(
        long,
        value_name = "S",
        requires = "init",
        allow_negative_numbers = true
    )]
    pub(crate) strength: Option<f64>,

    /// Which part of the picture to start from is drawn anew: a picture that is white there and black
    /// elsewhere
    #[arg(long, value_name = "FILE", requires = "init")]
    pub(crate) mask: Option<PathBuf>,

    /// Named style, see `plantain styles`
    #[arg(long, value_name = "NAME")]
    pub(crate) style: Option<String>,

    /// Model file, checkpoint or diffusers folder [default: the built-in model]
    #[arg(long, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) adapt: AdaptArgs,

    #[command(flatten)]
    pub(crate) on: DeviceArgs,

    /// What to compute in: auto, f32 (anywhere), bf16 or int8 (on the CPU), f16 (on graphics processors)
    #[arg(long, value_name = "NAME", default_value_t = PrecisionChoice::Auto)]
    pub(crate) precision: PrecisionChoice,

    /// Threads of the CPU [default: one for each core]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,

    /// Leave out the latent refiner
    #[arg(long)]
    pub(crate) no_refine: bool,

    /// Take a plain background away, for PNG and WebP; where neither a prompt nor a picture to start from has one, the built-in model
    /// draws on teal for that, and what is teal on pink
    #[arg(long)]
    pub(crate) transparent: bool,

    /// Decode in overlapping tiles, which takes less memory [default: where the picture would not fit otherwise]
    #[arg(long)]
    pub(crate) tiled: bool,

    /// Most memory to plan for, in megabytes [default: what is free]
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) memory: Option<u64>,

    /// File format: png, jpeg, webp [default: by the extension of the output, else png]
    #[arg(long, value_name = "NAME")]
    pub(crate) format: Option<Format>,

    /// Print one JSON object per picture instead of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InfoArgs {
    /// A PNG made by this program
    pub(crate) file: PathBuf,

    /// Print the text as stored in the file instead of a command
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// Model file, checkpoint or diffusers folder [default: the built-in model]
    pub(crate) model: Option<PathBuf>,

    /// Picture size to estimate the memory for [default: the model's]
    #[arg(long, value_name = "WxH")]
    pub(crate) size: Option<Size>,

    /// Print the manifest as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TraceArgs {
    /// Model file, checkpoint or diffusers folder [default: the built-in model]
    #[arg(long, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,

    /// text-encoder, unet, refiner, decoder, encoder or sampler
    #[arg(long, value_name = "NAME")]
    pub(crate) component: TraceComponent,

    /// Safetensors file with the inputs
    #[arg(long, value_name = "FILE")]
    pub(crate) inputs: PathBuf,

    /// Safetensors file to write
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) on: DeviceArgs,

    /// What to compute in: auto, f32 (anywhere), bf16 or int8 (on the CPU), f16 (on graphics processors)
    #[arg(long, value_name = "NAME", default_value_t = PrecisionChoice::F32)]
    pub(crate) precision: PrecisionChoice,

    /// Sampler, for the component `sampler` [default: the model's]
    #[arg(long, value_name = "NAME")]
    pub(crate) sampler: Option<SamplerKind>,

    /// Steps, for the component `sampler` [default: the model's]
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) steps: Option<usize>,

    /// Guidance scale, for the component `sampler` [default: 1, or the model's where negative
    /// states are given]
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) guidance: Option<f64>,

    /// Share of the steps that is run from `init_latent`, for the component `sampler` [default: 1]
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub(crate) strength: Option<f64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// Model file, checkpoint or diffusers folder [default: the built-in model]
    #[arg(long, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,

    /// Where to run, one or several: flex, ndarray, wgpu, vulkan, metal, dx12
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "flex"
    )]
    pub(crate) device: Vec<DeviceChoice>,

    /// What to compute in, one or several: auto, f32, f16, bf16, int8
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "auto"
    )]
    pub(crate) precision: Vec<PrecisionChoice>,

    /// Let Burn fuse operations on graphics processors: at times faster, less tried
    #[arg(long)]
    pub(crate) fusion: bool,

    /// What to time, one or several: text-encoder, unet, refiner, decoder, pipeline
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "unet,pipeline"
    )]
    pub(crate) part: Vec<Part>,

    /// Width and height in pixels, such as 512x512 [default: the model's]
    #[arg(long, value_name = "WxH")]
    pub(crate) size: Option<Size>,

    /// Sampling steps of a pipeline [default: the model's]
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<usize>)]
    pub(crate) steps: Option<usize>,

    /// Runs that count, after a first one
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,

    /// Threads [default: one for each core]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,

    /// Print one JSON object per row instead of tables
    #[arg(long)]
    pub(crate) json: bool,

    /// Also write a Markdown table
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,

    /// Also write a chart, as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) chart: Option<PathBuf>,

    /// Also write the rows and the machine as one JSON document
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Also print the ratios to an earlier report
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(crate) compare: Option<PathBuf>,

    /// Measure one combination as told on standard input
    #[arg(long, hide = true)]
    pub(crate) worker: bool,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "`(undisturbed)` is one run of the whole network without a look at each block, the first of its kind, so \
                  that what the device compiles counts in its time.\n\n\
                  Ends with 0 where every block agrees, with 3 where one differs or is not finite, and with 1 or 2 where \
                  the examination fails."
)]
pub(crate) struct DoctorArgs {
    /// Model file, checkpoint or diffusers folder [default: the built-in model]
    #[arg(long, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) on: DeviceArgs,

    /// What it computes in: auto, f32 (anywhere), bf16 or int8 (on the CPU), f16 (on graphics processors)
    #[arg(long, value_name = "NAME", default_value_t = PrecisionChoice::Auto)]
    pub(crate) precision: PrecisionChoice,

    /// Width and height in pixels, such as 512x512 [default: the model's]
    #[arg(long, value_name = "WxH")]
    pub(crate) size: Option<Size>,

    /// Largest relative error of a block that is agreement [default: by precision: f32 1e-3, f16 2e-2,
    /// bf16 5e-2, int8 1.5e-1]
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = tolerance)]
    pub(crate) tolerance: Option<f64>,

    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// A relative error.
fn tolerance(text: &str) -> Result<f64, String> {
    let value = text.parse().ok();
    let positive = value.filter(|value: &f64| value.is_finite() && *value > 0.0);
    positive.ok_or_else(|| format!("`{text}` is not a number above 0 such as 1e-3"))
}

#[derive(Debug, clap::Args)]
pub(crate) struct WarmupArgs {
    /// Model file, checkpoint or diffusers folder [default: the built-in model]
    #[arg(long, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) on: DeviceArgs,

    /// What to compute in: auto, f32, f16
    #[arg(long, value_name = "NAME", default_value_t = PrecisionChoice::Auto)]
    pub(crate) precision: PrecisionChoice,

    /// Width and height in pixels, such as 512x512 [default: the model's]
    #[arg(long, value_name = "WxH")]
    pub(crate) size: Option<Size>,
}

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sides = text.split_once('x').and_then(|(width, height)| {
            let side = |text: &str| text.trim().parse::<u32>().ok().filter(|side| *side > 0);
            Some((side(width)? as usize, side(height)? as usize))
        });
        let (width, height) =
            sides.ok_or_else(|| format!("`{text}` is not a size such as 512x512"))?;
        Ok(Self { width, height })
    }
}

/// A number that counts, or that pictures are drawn by.
fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    let refused = |_| format!("it is no whole number from 0 to {}", u64::MAX);
    text.parse().map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn what_is_no_whole_number_is_told_so() {
        for bad in ["-1", "2.5", "", "99999999999999999999"] {
            let error = whole::<u64>(bad).unwrap_err();
            assert!(error.starts_with("it is no whole number from 0 to 18446744073709551615"));
        }
        assert_eq!(whole("7"), Ok(7u64));
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn sizes() {
        assert_eq!(
            "64x32".parse(),
            Ok(Size {
                width: 64,
                height: 32
            })
        );
        for bad in ["64", "64x", "0x8", "-8x8", "axb", "99999999999x8"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }
}
