//! Many pictures from one file.
//!
//! A [`CampaignFile`] says what to draw, in which variations and formats; a [`Plan`] works out every picture and asset
//! before anything is drawn; [`run()`] draws what is missing, judges it and makes the assets; [`merge`] joins what shards
//! have drawn. A [`Painter`] draws: [`ModelPainter`] with a model.
//!
//! Everything that is finished is in a ledger as soon as it is, so a run may be stopped or killed at any moment and goes
//! on from there; the result is the same.

mod checks;
mod error;
mod file;
mod identity;
mod judge;
mod locate;
mod manifest;
mod painter;
mod plan;
mod report;
mod rows;
mod run;
mod schema;
mod shard;
mod size;
mod store;
mod template;

pub use checks::{Checks, Duplicates, Score};
pub use error::{CampaignError, Place};
pub use file::{Campaign, CampaignFile, Covered, Format};
pub use painter::{CampaignEvent, CampaignObserver, Easel, ModelPainter, Painted, Painter};
pub use plan::{Asset, ModelIdentity, Plan, Recipe, Shot};
pub use report::{MANIFEST, REPORT};
pub use run::{Outcome, Run, merge, run};
pub use schema::schema;
pub use shard::{Shard, ShardChoice};
pub use size::Pixels;
