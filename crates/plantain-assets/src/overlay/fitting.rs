//! Setting texts smaller until they fit.

use std::collections::HashMap;
use std::ops::Range;

use resvg::usvg::roxmltree::{Document, Node};
use resvg::usvg::{Text, Tree};

use super::error::OverlayError;
use super::reading::document;
use super::texts::{content, drawn};

/// How much wider than it may be a text may turn out, as a part of that: rounding.
const SLACK: f32 = 1e-3;
/// A text is set smaller by this factor at least, so that trying ends.
const STEP: f32 = 0.97;

/// A text that has a greatest width.
struct Bounded<'a> {
    id: &'a str,
    /// Bytes of the SVG that say its size.
    size_at: Range<usize>,
    size: f32,
    least: f32,
    max_width: f32,
}

/// The drawing with all texts that are too wide set smaller, or nothing where all fit. `tree` is what
/// the drawing is now. Sizes and widths are in units of the drawing.
pub(super) fn shrunk(svg: &str, tree: &Tree) -> Result<Option<String>, OverlayError> {
    let texts = drawn(tree.root());
    let mut edits = Vec::new();
    let document = document(svg)?;
    let named = ids(&document);
    for node in document.descendants() {
        let Some(bounded) = bounded(node, &named)? else {
            continue;
        };
        // What has nothing to draw is not in the tree.
        let text = texts.iter().find(|text| text.id() == bounded.id);
        if let Some(size) = text.map_or(Ok(None), |text| smaller(&bounded, text))? {
            edits.push((bounded.size_at, size.to_string()));
        }
    }
    let mut smaller = svg.to_string();
    // From the end, so that what is before stays where it was.
    edits.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
    let changed = !edits.is_empty();
    for (at, size) in edits {
        smaller.replace_range(at, &size);
    }
    Ok(changed.then_some(smaller))
}

/// How many elements have each id.
fn ids<'a>(document: &'a Document<'_>) -> HashMap<&'a str, usize> {
    let elements = document.descendants();
    let mut ids = HashMap::new();
    for id in elements.filter_map(|node| node.attribute("id")) {
        *ids.entry(id).or_default() += 1;
    }
    ids
}

/// The size to try next for a text, or nothing where it fits.
fn smaller(bounded: &Bounded<'_>, text: &Text) -> Result<Option<f32>, OverlayError> {
    let width = text.flattened().stroke_bounding_box().width();
    if width <= bounded.max_width * (1.0 + SLACK) {
        return Ok(None);
    }
    if bounded.size <= bounded.least {
        return Err(OverlayError::TextDoesNotFit {
            id: bounded.id.to_string(),
            text: content(text),
            size: bounded.size,
            width,
            max_width: bounded.max_width,
        });
    }
    let factor = (bounded.max_width / width).min(STEP);
    Ok(Some((bounded.size * factor).max(bounded.least)))
}

/// Whether what is in an element is drawn elsewhere or not at all, so that nothing of the drawing has its ids.
fn is_apart(node: Node<'_, '_>) -> bool {
    let name = node.tag_name().name();
    matches!(
        name,
        "defs" | "symbol" | "mask" | "pattern" | "clipPath" | "marker"
    )
}

/// What an element says about its greatest width, if it says anything. `named` counts the elements of each id.
fn bounded<'a>(
    node: Node<'a, '_>,
    named: &HashMap<&str, usize>,
) -> Result<Option<Bounded<'a>>, OverlayError> {
    if !node.has_attribute("data-max-width") {
        return Ok(None);
    }
    let lacks = |lacks| OverlayError::Unfittable {
        text: node
            .descendants()
            .filter(Node::is_text)
            .filter_map(|node| node.text())
            .collect(),
        lacks,
    };
    if node.tag_name().name() != "text" {
        return Err(lacks("is no text element"));
    }
    if node.ancestors().any(is_apart) {
        return Err(lacks(
            "stands in defs or the like and not in the drawing, where it could be measured",
        ));
    }
    let max_width =
        positive(node, "data-max-width").ok_or_else(|| lacks("that is no positive number"))?;
    let id = node.attribute("id").ok_or_else(|| lacks("lacks an id"))?;
    if named.get(id).is_some_and(|count| *count > 1) {
        return Err(lacks("shares its id with another element"));
    }
    let size = positive(node, "font-size")
        .ok_or_else(|| lacks("lacks a font-size that is a plain number"))?;
    let least = match node.attribute("data-min-size") {
        None => size,
        Some(_) => positive(node, "data-min-size")
            .ok_or_else(|| lacks("has a data-min-size that is no positive number"))?,
    };
    let size_at = node
        .attribute_node("font-size")
        .map(|size| size.range_value());
    Ok(size_at.map(|size_at| Bounded {
        id,
        size_at,
        size,
        least,
        max_width,
    }))
}

/// The value of an attribute that is a positive number.
fn positive(node: Node<'_, '_>, name: &str) -> Option<f32> {
    let number: f32 = node.attribute(name)?.trim().parse().ok()?;
    (number.is_finite() && number > 0.0).then_some(number)
}
