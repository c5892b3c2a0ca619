//! Filters that would take for ever.

use resvg::usvg::filter::Kind;
use resvg::usvg::{Group, Node, Tree};

use super::error::OverlayError;

/// Most layers of noise of one filter: further ones are finer than any pixel.
const OCTAVES: u32 = 16;
/// Widest thickening or thinning, as a part of the drawing's longer side: its time grows with the square.
const THICKEST: f32 = 0.02;
/// Largest matrix of a convolution, in elements.
const ELEMENTS: usize = 400;

/// Refuses filters that take more time or memory than any look needs.
pub(super) fn check(tree: &Tree) -> Result<(), OverlayError> {
    let longer = tree.size().width().max(tree.size().height());
    let mut excess = None;
    each_filter(tree.root(), &mut |kind| {
        excess = excess.or_else(|| excessive(kind, longer));
    });
    excess.map_or(Ok(()), |what| {
        Err(OverlayError::Svg {
            reason: format!("a filter has {what}"),
        })
    })
}

/// Calls `look` with every step of the filters of a group, and of patterns and masks in it.
fn each_filter(group: &Group, look: &mut dyn FnMut(&Kind)) {
    for filter in group.filters() {
        filter
            .primitives()
            .iter()
            .for_each(|step| look(step.kind()));
    }
    for node in group.children() {
        if let Node::Group(group) = node {
            each_filter(group, look);
        }
        node.subroots(|root| each_filter(root, look));
    }
}

/// What of a step of a filter is too much, if anything; lengths are in units of the drawing, whose longer
/// side is given.
fn excessive(kind: &Kind, longer: f32) -> Option<&'static str> {
    let wide = |across: f32, down: f32, most: f32| across.max(down) > most;
    match kind {
        Kind::GaussianBlur(blur) => wide(blur.std_dev_x().get(), blur.std_dev_y().get(), longer)
            .then_some("too wide a blur"),
        Kind::DropShadow(shadow) => {
            wide(shadow.std_dev_x().get(), shadow.std_dev_y().get(), longer)
                .then_some("too wide a shadow")
        }
        Kind::Morphology(change) => {
            let most = longer * THICKEST;
            wide(change.radius_x().get(), change.radius_y().get(), most)
                .then_some("too large a radius")
        }
        Kind::Turbulence(noise) => (noise.num_octaves() > OCTAVES).then_some("too many octaves"),
        Kind::ConvolveMatrix(convolution) => {
            (convolution.matrix().data().len() > ELEMENTS).then_some("too large a matrix")
        }
        _ => None,
    }
}
