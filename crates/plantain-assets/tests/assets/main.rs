//! From drawn pictures whose every property is known to assets.

mod cutting_out;
mod encoding;
mod fitting;
mod measuring;
mod overlay_hostility;
mod overlay_links;
mod overlays;
mod properties;
mod scenes;
mod sheets;
