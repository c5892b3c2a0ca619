//! From the text of an SVG to what can be drawn.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use resvg::usvg::fontdb::{Database, Family, ID, Query, Weight};
use resvg::usvg::roxmltree::{Document, Node, ParsingOptions};
use resvg::usvg::{Font, FontFamily, FontResolver, ImageHrefResolver, Options, Tree};

use super::error::OverlayError;
use super::links;
use super::pictures::Pictures;
use crate::fonts::{BUNDLED_FAMILY, Fonts};

/// Most elements that a drawing may come to where each `use` counts as what it repeats.
const ELEMENTS: usize = 100_000;
/// Deepest nesting of elements, through `use` as well: reading them takes a stack as deep.
const DEPTH: usize = 100;

/// Reads a drawing, its pictures and its fonts.
pub(crate) fn read(
    svg: &str,
    folder: &Path,
    fonts: &Fonts,
    pictures: &Pictures,
) -> Result<Tree, OverlayError> {
    let document = document(svg)?;
    let failure = Failure::default();
    let options = Options {
        font_family: BUNDLED_FAMILY.to_string(),
        fontdb: Arc::clone(&fonts.database),
        font_resolver: FontResolver {
            select_font: Box::new(|font, database| failure.keep(face(font, database))),
            select_fallback: FontResolver::default_fallback_selector(),
        },
        image_href_resolver: ImageHrefResolver {
            resolve_data: Box::new(|_, data, _| failure.keep(links::embedded(&data, pictures))),
            resolve_string: Box::new(|link, _| failure.keep(links::linked(link, folder, pictures))),
        },
        ..Options::default()
    };
    let tree = Tree::from_xmltree(&document, &options).map_err(|error| unreadable(&error));
    drop(options);
    failure.into_result().and(tree)
}

/// The elements of a drawing. A document type is refused: its entities can grow without bound.
pub(super) fn document(svg: &str) -> Result<Document<'_>, OverlayError> {
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: ELEMENTS as u32,
        ..ParsingOptions::default()
    };
    let document =
        Document::parse_with_options(svg, options).map_err(|error| unreadable(&error))?;
    if document.root_element().tag_name().name() != "svg" {
        return Err(unreadable(&"its outermost element is not svg"));
    }
    bounded(&document)?;
    if document.descendants().any(loses_content) {
        return Err(unreadable(
            &"what is in its foreignObject would not be drawn; texts and shapes of SVG would",
        ));
    }
    Ok(document)
}

/// Whether an element holds another language than SVG, or only that to choose from.
fn loses_content(node: Node<'_, '_>) -> bool {
    let is = |node: Node<'_, '_>, name| node.tag_name().name() == name;
    let mut choices = node.children().filter(Node::is_element).peekable();
    if is(node, "switch") {
        return choices.peek().is_some() && choices.all(|choice| is(choice, "foreignObject"));
    }
    is(node, "foreignObject") && !node.parent().is_some_and(|parent| is(parent, "switch"))
}

/// Refuses drawings that repeat themselves without bound.
fn bounded(document: &Document<'_>) -> Result<(), OverlayError> {
    let named = document
        .descendants()
        .filter_map(|node| Some((node.attribute("id")?, node)));
    let named: HashMap<&str, Node<'_, '_>> = named.collect();
    let repeated = |node: Node<'_, '_>| {
        let mut attributes = node.attributes();
        let link = attributes.find(|attribute| attribute.name() == "href")?;
        named.get(link.value().strip_prefix('#')?).copied()
    };
    let mut open = vec![(document.root_element(), 1)];
    let mut elements = 0;
    while let Some((node, depth)) = open.pop() {
        elements += 1;
        if depth > DEPTH {
            return Err(unreadable(&format!(
                "its elements are nested deeper than {DEPTH}"
            )));
        }
        if elements > ELEMENTS {
            return Err(unreadable(&format!(
                "it comes to more than {ELEMENTS} elements"
            )));
        }
        let inner = node.children().filter(Node::is_element);
        let uses = node.tag_name().name() == "use";
        let repeated = uses.then(|| repeated(node)).flatten();
        open.extend(inner.chain(repeated).map(|node| (node, depth + 1)));
    }
    Ok(())
}

fn unreadable(reason: &dyn fmt::Display) -> OverlayError {
    OverlayError::Svg {
        reason: reason.to_string(),
    }
}

/// The face that suits a text best.
fn face(font: &Font, database: &Database) -> Result<ID, OverlayError> {
    let families: Vec<Family<'_>> = font.families().iter().map(family).collect();
    let query = Query {
        families: &families,
        weight: Weight(font.weight()),
        stretch: font.stretch().into(),
        style: font.style().into(),
    };
    database.query(&query).ok_or_else(|| {
        let names: Vec<String> = font.families().iter().map(ToString::to_string).collect();
        OverlayError::NoFamily {
            families: names.join(", "),
        }
    })
}

fn family(family: &FontFamily) -> Family<'_> {
    match family {
        FontFamily::Serif => Family::Serif,
        FontFamily::SansSerif => Family::SansSerif,
        FontFamily::Cursive => Family::Cursive,
        FontFamily::Fantasy => Family::Fantasy,
        FontFamily::Monospace => Family::Monospace,
        FontFamily::Named(name) => Family::Name(name),
    }
}

/// The first thing that went wrong while a drawing was read. The parser leaves out what it cannot get,
/// and says so to nobody.
#[derive(Default)]
struct Failure(Mutex<Option<OverlayError>>);

impl Failure {
    fn keep<T>(&self, outcome: Result<T, OverlayError>) -> Option<T> {
        outcome
            .map_err(|error| {
                let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(error);
            })
            .ok()
    }

    fn into_result(self) -> Result<(), OverlayError> {
        let first = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        first.map_or(Ok(()), Err)
    }
}
