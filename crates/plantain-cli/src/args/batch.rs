//! What `batch` may be told.

use std::path::PathBuf;

use clap::Subcommand;
use plantain::PrecisionChoice;
use plantain_campaign::ShardChoice;

use super::DeviceArgs;

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Stopped or killed, the same command goes on where it was; rows that have changed are drawn again, and \
                  nothing else.\n\n\
                  Ends with 0 where the campaign is complete, with 3 where it is rendered but pictures or files are \
                  lacking, and with 1 or 2 where it cannot be rendered."
)]
pub(crate) struct BatchArgs {
    #[command(subcommand)]
    pub(crate) action: Option<BatchAction>,

    /// The campaign, a TOML file
    #[arg(required = true)]
    pub(crate) campaign: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) render: RenderArgs,

    /// Render one shard: I of N, counted from 1; auto/N or auto: the one that Slurm, AWS Batch or Kubernetes gives this process
    /// [default: all, in an array of Slurm or AWS Batch its own]
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<ShardChoice>,

    /// Print what would be rendered, how long it takes and how much memory, after drawing two of each size to see
    #[arg(long, conflicts_with = "json")]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BatchAction {
    /// Join what shards have drawn, judge it and finish the campaign
    Merge(MergeArgs),
    /// Print the JSON Schema of campaign files
    Schema,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MergeArgs {
    /// The campaign, a TOML file
    pub(crate) campaign: PathBuf,

    /// Output folders of the shards, where they did not share that of --out
    pub(crate) shards: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) render: RenderArgs,
}

/// How and where a campaign is rendered.
#[derive(Debug, clap::Args)]
pub(crate) struct RenderArgs {
    /// Folder for everything that is made
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    pub(crate) out: PathBuf,

    /// Model file, checkpoint or diffusers folder [default: the campaign's, or the built-in model]
    #[arg(long, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) on: DeviceArgs,

    /// What to compute in: auto, f32 (anywhere), bf16 or int8 (on the CPU), f16 (on graphics processors)
    #[arg(long, value_name = "NAME", default_value_t = PrecisionChoice::Auto)]
    pub(crate) precision: PrecisionChoice,

    /// Threads of the CPU for drawing [default: one for each core]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,

    /// Most memory to plan for, in megabytes [default: what is free]
    #[arg(long, value_name = "MB")]
    pub(crate) memory: Option<u64>,

    /// Threads that measure and write beside drawing
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) jobs: u32,

    /// Print the outcome as one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
