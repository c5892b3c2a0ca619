//! From a picture to an asset.
//!
//! [`measure`] looks at a picture; [`fit()`] brings it to a size without losing its subject;
//! [`cut_out()`] takes a plain background away; an [`Overlay`] draws an SVG over it; [`encode()`] makes
//! the bytes of a file; a [`contact_sheet`] shows many at once.
//!
//! Everything here is a function of its arguments: the same picture gives the same numbers and the
//! same pixels. Pictures are sRGB with eight bits a channel, alpha is straight, and colours are
//! mixed in linear light, except by an [`Overlay`], which mixes as SVG says.

mod colour;
mod cut_out;
mod encode;
mod fit;
mod fonts;
mod ground;
mod light;
mod measure;
mod oklab;
mod overlay;
mod reduced;
mod sheet;
mod shrink;

pub use colour::{Rgb, RgbError};
pub use cut_out::{CutOutError, SIDE_TO_CUT, cut_out};
pub use encode::{AssetFormat, EncodeError, Pixels, UnknownAssetFormat, encode};
pub use fit::{Fit, Insets, UnknownFit, contained, fit, fit_beside};
pub use fonts::{FontError, Fonts, font_files};
pub use measure::{HashError, Measures, PerceptualHash, Subject, Swatch, measure};
pub use overlay::{Overlay, OverlayError};
pub use sheet::{TILES_PER_PAGE, Tile, contact_sheet};
pub use shrink::shrink;
