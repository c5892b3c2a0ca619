//! What can be wrong with an overlay.

use std::path::PathBuf;

/// A drawing that cannot be drawn as it is meant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverlayError {
    /// The text is no SVG, or one that asks for too much.
    #[error("the overlay cannot be read as SVG: {reason}")]
    Svg {
        /// What the parser said.
        reason: String,
    },
    /// The picture has another shape.
    #[error(
        "the overlay is made for the shape {}x{}, the picture has {}x{} pixels",
        .overlay[0], .overlay[1], .picture[0], .picture[1]
    )]
    Shape {
        /// Width and height of the drawing, in its units.
        overlay: [f32; 2],
        /// Width and height of the picture, in pixels.
        picture: [u32; 2],
    },
    /// A text to be fitted lacks what fitting needs.
    #[error("the text `{text}` has data-max-width but {lacks}")]
    Unfittable {
        /// The text.
        text: String,
        /// What it lacks, starting with a verb.
        lacks: &'static str,
    },
    /// A text is too long.
    #[error(
        "the text `{text}` (id `{id}`) does not fit: at size {size} it is {width} wide, and {max_width} is the most"
    )]
    TextDoesNotFit {
        /// Its `id`.
        id: String,
        /// The text.
        text: String,
        /// Smallest size tried, in units of the drawing.
        size: f32,
        /// Width at that size, likewise.
        width: f32,
        /// The text's `data-max-width`, likewise.
        max_width: f32,
    },
    /// A text is not wholly inside the drawing.
    #[error("the text `{text}` (id `{id}`) leaves the picture")]
    TextLeaves {
        /// Its `id`, or empty.
        id: String,
        /// The text.
        text: String,
    },
    /// No font has a character.
    #[error("no font has the character `{character}` of the text `{text}`; add a font that has it")]
    NoGlyph {
        /// The character, or several that make one sign.
        character: String,
        /// The text.
        text: String,
    },
    /// None of the font families that a text asks for is there.
    #[error("there is no font {families}; add its files, or end the list with sans-serif")]
    NoFamily {
        /// The families, separated by commas.
        families: String,
    },
    /// A link that leads out of the folder.
    #[error("the overlay links to `{link}`, which is not a path below its folder")]
    LinkOutside {
        /// The link.
        link: String,
    },
    /// A linked picture cannot be read.
    #[error("the picture {path} of the overlay cannot be read: {reason}")]
    Picture {
        /// Where it should be.
        path: PathBuf,
        /// What the system or the decoder said.
        reason: String,
    },
}
