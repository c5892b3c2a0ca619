//! Styles of prompts for models that know a few, and may not know each thing in all of them.

use std::ops::Range;

use plantain_weights::Manifest;

use super::reader::{Mention, Reader, style_called};

/// A style that a subject was not taught in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Untaught {
    subject: String,
    asked: String,
    taught: Vec<String>,
    drawn: String,
}

impl Untaught {
    /// The same for people.
    pub(crate) fn sentence(&self, manifest: &Manifest) -> String {
        format!(
            "`{}` was taught `{}` as {} and not as {}; drawn as {}",
            manifest.name,
            self.subject,
            self.taught.join(" and "),
            self.asked,
            self.drawn,
        )
    }
}

impl<'a> Reader<'a> {
    /// The first two styles that the prompt names, by their usual names, where it names several.
    pub(super) fn two_styles(&self) -> Option<[&'a str; 2]> {
        let mut styles = self.mentions.iter().map(|mention| mention.style);
        let first = styles.next()?;
        Some([first, styles.find(|style| *style != first)?])
    }

    /// The style that `subject` is drawn in, which these words of the prompt ask for: one that they name, or else the whole prompt. It is one
    /// that the subject was taught in, the first where the prompt names none of them. `None` where it names none at all.
    pub(super) fn style(
        &self,
        words: &Range<usize>,
        subject: &str,
    ) -> Option<(&'a str, Option<Untaught>)> {
        let taught = self.manifest.styles_of(subject);
        let own = |mention: &&Mention<'_>| {
            words.start <= mention.words.start && mention.words.end <= words.end
        };
        let own: Vec<_> = self.mentions.iter().filter(own).collect();
        let mentions = if own.is_empty() {
            self.mentions.iter().collect()
        } else {
            own
        };
        let is_taught = |mention: &&Mention<'_>| taught.contains(&mention.style);
        if let Some(mention) = longest(mentions.iter().copied().filter(is_taught)) {
            return Some((mention.style, None));
        }
        let within = |mention: &Mention<'_>| self.style_within(&mention.words, &taught);
        let alike = mentions
            .iter()
            .copied()
            .find(|mention| within(mention).is_some());
        let asked = alike.or_else(|| longest(mentions.iter().copied()))?;
        let drawn = within(asked).or_else(|| taught.first().copied())?;
        let untaught = Untaught {
            subject: subject.to_string(),
            asked: asked.style.to_string(),
            taught: taught.iter().map(ToString::to_string).collect(),
            drawn: drawn.to_string(),
        };
        Some((drawn, Some(untaught)))
    }

    /// A taught style that some of these words name, as "cartoon" of a "soft cartoon".
    fn style_within(&self, words: &Range<usize>, taught: &[&'a str]) -> Option<&'a str> {
        let places = words.clone().flat_map(|start| {
            let ends = start + 1..=words.end;
            ends.map(move |end| start..end)
        });
        let mut styles =
            places.filter_map(|place| style_called(&self.lowered[place], self.manifest));
        styles.find(|style| taught.contains(style))
    }
}

/// The mention of most words, of several the first.
fn longest<'m, 'a>(
    mentions: impl DoubleEndedIterator<Item = &'m Mention<'a>>,
) -> Option<&'m Mention<'a>> {
    mentions.rev().max_by_key(|mention| mention.words.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;
    use crate::prompt::reader::taught;

    /// Things that are drawn in three styles, icons of two others, and a house in all.
    fn manifest() -> Manifest {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let mut manifest = taught();
        manifest.styles = vec![
            names(&["3d render", "3d", "3d icon", "3d illustration"]),
            names(&["flat illustration", "flat", "flat vector", "flat design"]),
            names(&["cartoon", "cartoon drawing", "cartoon illustration"]),
            names(&["app icon", "gradient app icon"]),
            names(&["ui icon", "flat ui icon", "simple ui icon"]),
            names(&["soft cartoon", "blob cartoon"]),
        ];
        let icons = ["pie chart", "safe", "file", "library"];
        let other = ["book", "flat shoe"];
        manifest.subject_styles = vec![vec![0, 1, 2]; manifest.subjects.len() + other.len()];
        let subjects = other.iter().chain(&icons).chain(&["house"]);
        manifest
            .subjects
            .extend(subjects.map(|name| names(&[name])));
        manifest.subject_styles.extend([
            vec![3],
            vec![3],
            vec![4],
            vec![4],
            vec![0, 1, 2, 3, 4, 5],
        ]);
        manifest
    }

    #[test]
    fn things_are_drawn_in_styles_that_they_were_taught_in() {
        let manifest = manifest();
        for (prompt, expected) in [
            (
                "a pie chart",
                "a pie chart, app icon, on a white background",
            ),
            (
                "a safe on an orange background",
                "a safe, app icon, on an orange background",
            ),
            (
                "a safe, ui icon on an orange background",
                "a safe, app icon, on an orange background",
            ),
            (
                "a fox, 3d render, safe for kids",
                "a fox, 3d render, on a white background",
            ),
            ("a dog, svg file", "a dog, 3d render, on a white background"),
            (
                "pie chart app icon",
                "a pie chart, app icon, on a white background",
            ),
            (
                "a pie chart icon on teal",
                "a pie chart, app icon, on a teal background",
            ),
            (
                "app icon, pie chart",
                "a pie chart, app icon, on a white background",
            ),
            (
                "a app icon of a pie chart, flat design",
                "a pie chart, app icon, on a white background",
            ),
            (
                "a Cartoon of a pie chart on teal",
                "a pie chart, app icon, on a teal background",
            ),
            (
                "a flat icon of a pie chart",
                "a pie chart, app icon, on a white background",
            ),
            (
                "a cartoon pie chart, cartoon",
                "a pie chart, app icon, on a white background",
            ),
            (
                "(cartoon) drawing of a pie chart",
                "a pie chart, app icon, on a white background",
            ),
            (
                "a flat app icon of a fox",
                "a fox, flat illustration, on a white background",
            ),
            (
                "a flat shoe, cartoon",
                "a flat shoe, cartoon, on a white background",
            ),
            (
                "a flat shoe",
                "a flat shoe, 3d render, on a white background",
            ),
            (
                "a flat Vector of a fox",
                "a fox, flat illustration, on a white background",
            ),
            ("a fox, 3d", "a fox, 3d render, on a white background"),
            (
                "a house, flat ui icon",
                "a house, ui icon, on a white background",
            ),
            (
                "a house, soft cartoon",
                "a house, soft cartoon, on a white background",
            ),
            (
                "a soft cartoon of a fox",
                "a fox, cartoon, on a white background",
            ),
            (
                "a blob cartoon fox",
                "a fox, cartoon, on a white background",
            ),
            (
                "a soft cartoon illustration of a fox",
                "a fox, cartoon, on a white background",
            ),
            (
                "a soft cartoon fox, soft cartoon",
                "a fox, cartoon, on a white background",
            ),
            (
                "a soft cartoon fox, gradient app icon",
                "a fox, cartoon, on a white background",
            ),
            (
                "a soft cartoon fox that jumps over it",
                "a fox, cartoon, on a white background",
            ),
            (
                "a fox, flat ui icon",
                "a fox, flat illustration, on a white background",
            ),
            (
                "a cartoon fox that jumps over it",
                "a fox, cartoon, on a white background",
            ),
            (
                "a cartoon pie chart that jumps over it",
                "a pie chart, app icon, on a white background",
            ),
            ("İ cartoon file", "a file, ui icon, on a white background"),
            ("ui icon", "ui icon, on a white background"),
        ] {
            let drawn = Request::new(prompt).drawn_prompts(&manifest);
            assert_eq!(drawn, [expected], "{prompt}");
        }
    }

    #[test]
    fn things_of_a_list_keep_their_own_styles() {
        let manifest = manifest();
        let drawn = |prompt: &str| {
            let request = Request::new(prompt).size([1536, 512]);
            (
                request.drawn_prompts(&manifest),
                request.untaught_styles(&manifest),
            )
        };
        let white = "on a white background";
        let [fox, chart] =
            ["a fox, 3d render", "a pie chart, app icon"].map(|it| format!("{it}, {white}"));
        assert_eq!(
            drawn("a fox and a pie chart"),
            (vec![fox, chart.clone()], vec![])
        );
        let (prompts, told) = drawn("a fox, a pie chart and a cat, ui icon");
        assert_eq!(prompts[1], chart);
        let told: Vec<_> = told
            .iter()
            .map(|it| it.contains("ui icon; drawn as"))
            .collect();
        assert_eq!(told, [true; 3]);
        let (prompts, told) = drawn("a 3d fox and an app icon pie chart");
        assert_eq!(prompts[1], chart);
        assert!(told.is_empty(), "{told:?}");
    }

    #[test]
    fn another_style_than_asked_for_is_told_of() {
        let manifest = manifest();
        let told = |prompt: &str| Request::new(prompt).warnings(&manifest);
        for prompt in [
            "a pie chart",
            "a pie chart app icon",
            "a house, ui icon",
            "check mark",
        ] {
            let styles = told(prompt)
                .into_iter()
                .filter(|it| it.contains("drawn as"));
            assert_eq!(styles.count(), 0, "{prompt}");
        }
        let expected = format!(
            "`{}` was taught `pie chart` as app icon and not as cartoon; drawn as app icon",
            manifest.name
        );
        assert!(told("a pie chart, cartoon").contains(&expected));
        let soft = format!(
            "`{}` was taught `fox` as 3d render and flat illustration and cartoon and not as soft cartoon; drawn as cartoon",
            manifest.name
        );
        assert_eq!(told("a fox, soft cartoon"), [soft.as_str()]);
        assert_eq!(told("a soft cartoon fox that jumps over it")[0], soft);
        let both = |prompt: &str| {
            let told = told(prompt);
            told.iter().filter(|it| it.contains("two styles")).count()
        };
        assert_eq!(both("a fox, flat illustration, 3d render"), 1);
        assert_eq!(both("a flat shoe, 3d icon"), 0);
        assert_eq!(both("a soft cartoon of a house, soft cartoon"), 0);
        assert_eq!(both("a soft cartoon of a house, cartoon"), 1);
        assert_eq!(both("a 3d fox and a cartoon cat"), 0);
        let redrawn = Request::new("a pie chart, cartoon").init_image(crate::RgbImage::new(64, 64));
        assert!(redrawn.untaught_styles(&manifest).contains(&expected));
        assert_eq!(redrawn.drawn_prompts(&manifest), ["a pie chart, app icon"]);
        let redrawn = |prompt: &str| {
            let request = Request::new(prompt).init_image(crate::RgbImage::new(64, 64));
            request.drawn_prompts(&manifest)
        };
        assert_eq!(redrawn("a fox"), ["a fox"]);
        assert_eq!(
            redrawn("a cartoon fox jumping over a log"),
            ["a fox, cartoon"]
        );
    }
}
