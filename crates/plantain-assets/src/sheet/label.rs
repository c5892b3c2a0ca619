//! Labels of a contact sheet.

use std::path::Path;

use image::{DynamicImage, RgbImage, Rgba, RgbaImage};
use resvg::usvg::{Node, Tree};

use super::PAPER;
use crate::fonts::Fonts;
use crate::overlay::{self, Pictures};

/// Stands for the rest of a label that is too long.
const ELLIPSIS: char = '…';

/// Draws labels of one size.
pub(super) struct Labels {
    fonts: Fonts,
    width: u32,
    /// Of the letters, in pixels.
    size: u32,
}

impl Labels {
    /// For tiles `width` pixels wide.
    pub(super) fn new(width: u32) -> Self {
        Self {
            fonts: Fonts::bundled(),
            width,
            size: (width / 14).clamp(9, 22),
        }
    }

    /// Height of a label in pixels.
    pub(super) fn height(&self) -> u32 {
        self.size * 7 / 4
    }

    /// A label on paper.
    pub(super) fn draw(&self, label: &str, dimmed: bool) -> RgbImage {
        let [r, g, b] = PAPER;
        let paper = Rgba([r, g, b, 255]);
        let mut image = RgbaImage::from_pixel(self.width, self.height(), paper);
        if let Some(tree) = self.fitted(label, dimmed) {
            overlay::over(&mut image, &tree, [1.0; 2]);
        }
        DynamicImage::ImageRgba8(image).into_rgb8()
    }

    /// A label, or as much of it as fits; nothing where nothing does.
    fn fitted(&self, label: &str, dimmed: bool) -> Option<Tree> {
        let mut tree = self.tree(label, dimmed)?;
        let mut kept = label.chars().count();
        while width(&tree)? > self.width as f32 {
            let share = f64::from(self.width) / f64::from(width(&tree)?);
            kept = ((kept as f64 * share) as usize).min(kept.checked_sub(1)?);
            let beginning: String = label.chars().take(kept).collect();
            tree = self.tree(&format!("{}{ELLIPSIS}", beginning.trim_end()), dimmed)?;
        }
        Some(tree)
    }

    fn tree(&self, label: &str, dimmed: bool) -> Option<Tree> {
        let (width, height, size) = (self.width, self.height(), self.size);
        let ink = if dimmed { "#a0a0a0" } else { "#303030" };
        let baseline = size * 5 / 4;
        let svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><text y="{baseline}" font-size="{size}" fill="{ink}">{}</text></svg>"#,
            escaped(label)
        );
        overlay::read(&svg, Path::new(""), &self.fonts, &Pictures::default()).ok()
    }
}

/// How far the only text of a tree reaches; nothing where there is no text.
fn width(tree: &Tree) -> Option<f32> {
    match tree.root().children().first()? {
        Node::Text(text) => Some(text.abs_bounding_box().right()),
        _ => None,
    }
}

/// A label as the text of an XML element, on one line.
fn escaped(label: &str) -> String {
    let mut out = String::new();
    for c in label.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Not allowed in XML in any form.
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push(' '),
            _ => out.push(c),
        }
    }
    out
}
