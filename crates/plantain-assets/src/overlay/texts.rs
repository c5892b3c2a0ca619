//! The texts of a drawing.

use resvg::usvg::{Group, Node, Text, TextChunk, Tree};

use super::error::OverlayError;

/// How far a text may be beyond a side, in units of the drawing: rounding.
const SLACK: f32 = 0.01;

/// The texts that are drawn directly, not within patterns or masks.
pub(super) fn drawn(group: &Group) -> Vec<&Text> {
    let texts = group.children().iter().flat_map(|node| match node {
        Node::Text(text) => vec![&**text],
        Node::Group(group) => drawn(group),
        Node::Path(_) | Node::Image(_) => Vec::new(),
    });
    texts.collect()
}

/// What a text says.
pub(super) fn content(text: &Text) -> String {
    text.chunks().iter().map(TextChunk::text).collect()
}

/// Whether all characters have been found in fonts, and all texts are inside the drawing.
pub(super) fn check(tree: &Tree) -> Result<(), OverlayError> {
    glyphs(tree.root())?;
    let (width, height) = (tree.size().width(), tree.size().height());
    for text in drawn(tree.root()) {
        let ink = text.flattened().abs_stroke_bounding_box();
        let inside = ink.left() >= -SLACK
            && ink.top() >= -SLACK
            && ink.right() <= width + SLACK
            && ink.bottom() <= height + SLACK;
        if !inside {
            return Err(OverlayError::TextLeaves {
                id: text.id().to_string(),
                text: content(text),
            });
        }
    }
    Ok(())
}

/// Whether every glyph of the texts of a group, and of patterns and masks in it, is one.
fn glyphs(group: &Group) -> Result<(), OverlayError> {
    for node in group.children() {
        match node {
            Node::Group(group) => glyphs(group)?,
            Node::Text(text) => glyphs_of(text)?,
            Node::Path(_) | Node::Image(_) => {}
        }
        let mut outcome = Ok(());
        node.subroots(|root| {
            if outcome.is_ok() {
                outcome = glyphs(root);
            }
        });
        outcome?;
    }
    Ok(())
}

fn glyphs_of(text: &Text) -> Result<(), OverlayError> {
    let glyphs = text
        .layouted()
        .iter()
        .flat_map(|span| &span.positioned_glyphs);
    // Glyph 0 is the box that a font draws for what it lacks.
    let missing = glyphs.into_iter().find(|glyph| glyph.id.0 == 0);
    missing.map_or(Ok(()), |glyph| {
        Err(OverlayError::NoGlyph {
            character: glyph.text.clone(),
            text: content(text),
        })
    })
}
