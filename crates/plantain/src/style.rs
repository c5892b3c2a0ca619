//! Named style presets: a template around the prompt, and what to keep out.
//!
//! ```
//! let style = plantain::style::find("flat")?;
//! assert_eq!(style.prompt("a red fox"), "a red fox, flat illustration");
//! # Ok::<(), plantain::style::StyleError>(())
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

const PRESETS: &str = include_str!("styles.toml");

/// A way of drawing.
///
/// ```
/// use plantain::style::Style;
///
/// let ink = Style {
///     description: "black ink".into(),
///     template: "{prompt}, ink drawing".into(),
///     negative: "colour".into(),
/// };
/// assert_eq!(ink.prompt("a heron"), "a heron, ink drawing");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Style {
    /// What it looks like, in a line.
    pub description: String,
    /// The prompt goes where `{prompt}` stands.
    pub template: String,
    /// Added to the negative prompt.
    #[serde(default)]
    pub negative: String,
}

/// The presets could not be read, or hold no style of this name.
///
/// ```
/// let error = plantain::style::find("baroque").unwrap_err();
/// assert!(error.to_string().starts_with("there is no style `baroque`"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StyleError {
    /// No style has this name.
    #[error("there is no style `{name}`; choose one of {known}")]
    Unknown {
        /// Name asked for.
        name: String,
        /// Names that exist.
        known: String,
    },
    /// The presets are damaged.
    #[error("the style presets cannot be read: {0}")]
    Damaged(String),
}

/// All presets by name.
///
/// # Errors
/// When the presets are damaged.
///
/// ```
/// for (name, style) in plantain::style::presets()? {
///     println!("{name}: {}", style.description);
/// }
/// # Ok::<(), plantain::style::StyleError>(())
/// ```
pub fn presets() -> Result<BTreeMap<String, Style>, StyleError> {
    toml::from_str(PRESETS).map_err(|e| StyleError::Damaged(e.to_string()))
}

/// The preset called `name`.
///
/// # Errors
/// When there is none.
///
/// ```
/// let style = plantain::style::find("3d")?;
/// assert_eq!(style.template, "{prompt}, 3d render");
/// # Ok::<(), plantain::style::StyleError>(())
/// ```
pub fn find(name: &str) -> Result<Style, StyleError> {
    let mut presets = presets()?;
    presets.remove(name).ok_or_else(|| StyleError::Unknown {
        name: name.to_string(),
        known: presets.into_keys().collect::<Vec<_>>().join(", "),
    })
}

impl Style {
    /// The prompt in this style.
    ///
    /// ```
    /// let style = plantain::style::find("cartoon")?;
    /// assert_eq!(style.prompt("a red fox"), "a red fox, cartoon");
    /// # Ok::<(), plantain::style::StyleError>(())
    /// ```
    pub fn prompt(&self, prompt: &str) -> String {
        self.template.replace("{prompt}", prompt)
    }

    /// The negative prompt in this style.
    ///
    /// ```
    /// let style = plantain::style::find("photo")?;
    /// assert!(style.negative_prompt("boats").starts_with("boats, drawing"));
    /// # Ok::<(), plantain::style::StyleError>(())
    /// ```
    pub fn negative_prompt(&self, negative: &str) -> String {
        match (negative, self.negative.as_str()) {
            ("", style) => style.to_string(),
            (negative, "") => negative.to_string(),
            (negative, style) => format!("{negative}, {style}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_places_the_prompt() {
        let presets = presets().unwrap();
        assert!(presets.len() >= 3);
        for (name, style) in presets {
            assert!(style.template.contains("{prompt}"), "{name}");
        }
    }

    #[test]
    fn an_unknown_style_names_the_known_ones() {
        let message = find("baroque").unwrap_err().to_string();
        assert!(
            message.contains("baroque") && message.contains("flat"),
            "{message}"
        );
        assert_eq!(find("3d").unwrap().prompt("a fox"), "a fox, 3d render");
    }
}
