//! Styles of prompts for models that know a few, and may not know each thing in all of them.

use std::ops::Range;

use plantain_weights::Manifest;

use super::plain::{inserted, main_subject};
use super::reader::with_article;

/// How many times a style that was not taught is mended in a prompt, each time in all its words. The new name may also make the other
/// one again with the words before it, as of a "soft soft cartoon".
const SAME_STYLE_TIMES: usize = 16;

/// A prompt with the style that it is drawn in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Styled {
    pub(crate) prompt: String,
    /// What the prompt asks for instead, and its subject was not taught.
    pub(crate) untaught: Option<Untaught>,
}

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

/// `drawn`, which is what is drawn of the `whole` prompt, in a style that its subject was taught in: one that it names, or else one that
/// the whole prompt names. Otherwise in the first: if it names another style, or if it names none and `any` style is to be added. A model
/// of single things is told of them and of styles by the names that training told most often.
pub(crate) fn styled(whole: &str, drawn: String, any: bool, manifest: &Manifest) -> Styled {
    let subject = main_subject(&drawn, manifest).unwrap_or_default();
    let mut styled = in_taught_style(whole, drawn, any, &subject, manifest);
    if !manifest.plain_ground {
        return styled;
    }
    let usual = manifest.usual_name(&subject);
    if usual != subject
        && let Some(place) = manifest.find_name(&styled.prompt, &subject)
    {
        styled.prompt = replaced(&styled.prompt, place, usual);
    }
    let style = manifest.find_style(&styled.prompt, usual, &manifest.styles_of(usual));
    if let Some((place, style)) = style
        && !styled.prompt[place.clone()].eq_ignore_ascii_case(style)
    {
        styled.prompt = replaced(&styled.prompt, place, style);
    }
    styled
}

fn in_taught_style(
    whole: &str,
    drawn: String,
    any: bool,
    subject: &str,
    manifest: &Manifest,
) -> Styled {
    let taught = manifest.styles_of(subject);
    let empty = !drawn.contains(char::is_alphanumeric);
    let Some(first) = taught.first().filter(|_| !empty) else {
        return Styled {
            prompt: drawn,
            untaught: None,
        };
    };
    let mut others = manifest.styles_of("");
    others.retain(|style| !taught.contains(style));
    let named = |text: &str| manifest.find_style(text, subject, &taught);
    let untaught = |asked: &str, style: &str| Untaught {
        subject: subject.to_string(),
        asked: asked.to_string(),
        taught: taught.iter().map(ToString::to_string).collect(),
        drawn: style.to_string(),
    };
    let shortened = |text: &str| shortened(text, subject, [&others, &taught], manifest);
    let (mut prompt, longer) = shortened(&drawn);
    if named(&prompt).is_some() {
        let untaught = longer.map(|(asked, style)| untaught(asked, style));
        return Styled { prompt, untaught };
    }
    let (whole, longer) = shortened(whole);
    let said = named(&whole).map(|(_, style)| style);
    let style = said.unwrap_or(first);
    let mut asked = longer.map(|(asked, _)| asked);
    let mut replaces = false;
    // Were the name of one a part of the new one, there would be no end.
    for _ in 0..=others.len() {
        let other = manifest.find_style(&prompt, subject, &others);
        let Some((place, other)) = other else { break };
        asked.get_or_insert(other);
        replaces = true;
        prompt = replaced(&prompt, place, style);
    }
    if !replaces && (any || said.is_some()) {
        prompt = inserted(&prompt, style);
    }
    Styled {
        prompt,
        untaught: asked.map(|asked| untaught(asked, style)),
    }
}

/// The text with the `taught` styles alone where a name of the `others` holds that of one, as "soft cartoon" does "cartoon"; and the
/// first of those others and what it came to.
fn shortened<'a>(
    text: &str,
    subject: &str,
    [others, taught]: [&[&'a str]; 2],
    manifest: &'a Manifest,
) -> (String, Option<(&'a str, &'a str)>) {
    let (mut text, mut first) = (text.to_string(), None);
    for other in others {
        for _ in 0..SAME_STYLE_TIMES {
            let found = manifest.find_style(&text, subject, &[other]);
            let Some((place, asked)) = found else { break };
            let inner = manifest.find_style(&text[place.clone()], "", taught);
            let Some((_, style)) = inner else { break };
            first.get_or_insert((asked, style));
            text = replaced(&text, place, style);
        }
    }
    (text, first)
}

/// `prompt` with another style, or name, at these bytes, and the words beside it that go with that.
fn replaced(prompt: &str, place: Range<usize>, style: &str) -> String {
    let (before, after) = (&prompt[..place.start], &prompt[place.end..]);
    let separates = |c: char| !c.is_alphanumeric();
    let noun = style.rsplit(separates).next().unwrap_or(style);
    let next = after.trim_start().split(separates).next();
    // A "flat icon" is no "app icon icon".
    let again = next.filter(|next| next.eq_ignore_ascii_case(noun));
    let after = again.map_or(after, |again| &after.trim_start()[again.len()..]);
    let words = before.trim_end();
    let last = words.rsplit(separates).next();
    let article = last.filter(|last| ["a", "an"].contains(&&*last.to_lowercase()));
    match article {
        Some(article) => {
            let before = &words[..words.len() - article.len()];
            format!("{before}{}{after}", with_article(style))
        }
        None => format!("{before}{style}{after}"),
    }
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
                "a safe on an orange background, app icon",
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
                "pie chart app icon, on a white background",
            ),
            ("a pie chart icon on teal", "a pie chart, app icon, on teal"),
            (
                "app icon, pie chart",
                "app icon, pie chart, on a white background",
            ),
            (
                "a app icon of a pie chart, flat design",
                "a app icon of a pie chart, flat design, on a white background",
            ),
            (
                "a Cartoon of a pie chart on teal",
                "an app icon of a pie chart on teal",
            ),
            (
                "a flat icon of a pie chart",
                "an app icon of a pie chart, on a white background",
            ),
            (
                "a cartoon pie chart, cartoon",
                "an app icon pie chart, app icon, on a white background",
            ),
            (
                "(cartoon) drawing of a pie chart",
                "(app icon) drawing of a pie chart, on a white background",
            ),
            (
                "a flat app icon of a fox",
                "a flat illustration app icon of a fox, on a white background",
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
                "a cartoon of a fox, on a white background",
            ),
            ("a blob cartoon fox", "a cartoon fox, on a white background"),
            (
                "a soft cartoon illustration of a fox",
                "a cartoon of a fox, on a white background",
            ),
            (
                "a soft cartoon fox, soft cartoon",
                "a cartoon fox, cartoon, on a white background",
            ),
            (
                "a soft cartoon fox, gradient app icon",
                "a cartoon fox, gradient app icon, on a white background",
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
            ("İ cartoon file", "İ ui icon file, on a white background"),
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
        assert!(
            prompts[1].starts_with("an app icon pie chart"),
            "{prompts:?}"
        );
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
