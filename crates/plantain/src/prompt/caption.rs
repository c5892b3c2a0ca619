//! What a model of single things is asked for: the caption that it was taught most often.
//!
//! Of words that it was not taught such a model makes lumps, and those that captions hold besides a thing, its colour, a style and a ground
//! change nothing. So these are read out of a prompt, and put into the words and the order that training used.

use std::ops::Range;

use super::colours::{is_colour_word, one_colour};
use super::grounds::{Ground, is_ground, told_ground};
use super::reader::Reader;
use super::styles::Untaught;
use super::subject::Subject;
use super::words::{
    ARTICLES, ASKING, ASKING_FIRST, FIRST, JOINTS, QUALITY, begins, calls_picture, is_weighted,
    with_article,
};

/// The ground where a prompt names none.
const ANY_GROUND: &str = "white";

/// What pictures are called that look otherwise than those that a model of illustrations draws.
const OTHER_PICTURES: [&str; 6] = [
    "photo",
    "photograph",
    "painting",
    "sketch",
    "portrait",
    "sticker",
];

/// What is drawn of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caption {
    pub(crate) prompt: String,
    /// Whether the prompt says more than that.
    pub(crate) reduced: bool,
    /// The style that the prompt asks for, where its subject was not taught in that.
    pub(crate) untaught: Option<Untaught>,
}

/// A thing as a prompt tells of it.
pub(super) struct Thing<'a> {
    /// The words that tell of it, among them those of its name.
    pub(super) words: Range<usize>,
    pub(super) named: Range<usize>,
    /// What the list of subjects calls it.
    pub(super) name: &'a str,
    pub(super) colour: Option<(Range<usize>, &'static str)>,
}

impl Reader<'_> {
    /// What is drawn where the prompt is taken for one thing, this subject. A style and a ground are added where it names none and the picture is drawn
    /// `from_nothing`. A prompt that names no subject stays as it is but for these, as any does for a model that draws more than single
    /// things on plain grounds.
    pub(super) fn caption(&self, subject: Option<Subject<'_>>, from_nothing: bool) -> Caption {
        let subject = subject.filter(|_| self.manifest.plain_ground);
        subject.map_or_else(
            || Caption {
                prompt: self.completed(from_nothing),
                reduced: false,
                untaught: None,
            },
            |subject| self.caption_of(subject, from_nothing),
        )
    }

    fn caption_of(&self, subject: Subject<'_>, from_nothing: bool) -> Caption {
        let colour = self.colour_before(subject.named.start);
        let colour = colour.or_else(|| self.colour_of_picture(subject.named.start));
        let colour = colour.or_else(|| self.colour_behind_name(subject.named.end));
        let thing = Thing {
            words: 0..self.words.len(),
            colour: colour.or_else(|| self.colour_apart(&subject.named)),
            named: subject.named,
            name: subject.name,
        };
        let ground = self.coloured_ground();
        let (prompt, untaught) = self.told(&thing, ground.as_ref(), from_nothing);
        let mut told = self.told_of_all(ground.as_ref());
        self.mark(&thing, &mut told);
        Caption {
            prompt,
            reduced: told.contains(&false) || is_weighted(self.prompt),
            untaught,
        }
    }

    /// The caption of a thing.
    pub(super) fn told(
        &self,
        thing: &Thing<'_>,
        ground: Option<&Ground>,
        from_nothing: bool,
    ) -> (String, Option<Untaught>) {
        let name = self.manifest.usual_name(thing.name);
        let noun = match &thing.colour {
            Some((_, colour)) => format!("{colour} {name}"),
            None => name.to_string(),
        };
        let (style, untaught) = self.style(&thing.words, thing.name).unzip();
        let any = || self.manifest.styles_of(thing.name).first().copied();
        let style = style.or_else(|| from_nothing.then(any)?);
        let ground = ground.map(|ground| ground.told.colour);
        let ground = ground.or_else(|| from_nothing.then_some(ANY_GROUND));
        let said = style
            .map(str::to_string)
            .into_iter()
            .chain(ground.map(told_ground));
        let said: Vec<_> = std::iter::once(with_article(&noun)).chain(said).collect();
        (said.join(", "), untaught.flatten())
    }

    /// Which words are no more than what is told of a whole picture: those of styles and of the ground, and such as say nothing.
    pub(super) fn told_of_all(&self, ground: Option<&Ground>) -> Vec<bool> {
        let says_nothing = |at: usize| {
            let word = self.lowered[at].as_str();
            let one = word.strip_suffix('s').unwrap_or(word);
            let picture = calls_picture(word) && !OTHER_PICTURES.contains(&one);
            // Not so the letter that is asked for in "the letter A".
            let behind = self.lowered.get(at + 1).map_or(",", String::as_str);
            let article = ARTICLES.contains(&word) && behind != "," && !JOINTS.contains(&behind);
            let asks = ASKING.contains(&word) || at < FIRST && ASKING_FIRST.contains(&word);
            let asks = asks || JOINTS.contains(&word);
            let good = |from: usize| {
                let rest = self.lowered.get(from..).unwrap_or_default();
                QUALITY.iter().any(|words| begins(rest, words))
            };
            let asks = asks || good(at) || at > 0 && good(at - 1);
            word == "," || picture || article || asks
        };
        let mut told: Vec<_> = (0..self.words.len()).map(says_nothing).collect();
        for mention in &self.mentions {
            told[mention.words.clone()].fill(true);
        }
        // What is not wanted is not drawn anyway, but for a ground.
        for (at, told) in told.iter_mut().enumerate() {
            *told |= self.negated[at] && !self.part(at).iter().any(|word| is_ground(word));
        }
        self.mark_grounds(ground, &mut told);
        told
    }

    /// Marks the words of a thing's name and colour.
    pub(super) fn mark(&self, thing: &Thing<'_>, told: &mut [bool]) {
        told[thing.named.clone()].fill(true);
        if let Some((words, _)) = &thing.colour {
            told[words.clone()].fill(true);
        }
    }

    /// A colour that is told by itself between commas ("a key, golden"), and where; none that names a thing.
    fn colour_apart(&self, name: &Range<usize>) -> Option<(Range<usize>, &'static str)> {
        let begins = (0..self.words.len()).filter(|at| self.begins_part(*at));
        let mut parts = begins.map(|at| {
            let mut ends = at..at + self.part(at).len();
            at..ends
                .find(|end| self.grounds[*end].is_some())
                .unwrap_or(ends.end)
        });
        parts.find_map(|part| {
            let words = &self.lowered[part.clone()];
            let coloured = words.iter().all(|word| is_colour_word(word));
            let (told, colour) = one_colour(words).filter(|_| coloured)?;
            // Of "apple, orange, banana" each is a thing.
            let thing =
                || self.subject(part.start, |_| true).is_some() && !self.is_determined(name.start);
            let apart = !name.contains(&part.start) && !self.is_within_ground(&part) && !thing();
            apart.then_some((part.start + told.start..part.start + told.end, colour))
        })
    }

    /// The colour that is told before what the picture of a thing is called ("a blue icon of a rocket"), and where.
    fn colour_of_picture(&self, name: usize) -> Option<(Range<usize>, &'static str)> {
        let mut starts = (0..name).filter(|at| self.begins_part(*at));
        let (start, of) = starts.find_map(|at| Some((at, self.lead(at)? - 1)))?;
        let before = |at: usize| self.mentions.iter().find(|mention| mention.words.end == at);
        let mut end = of;
        while end > start {
            end = match before(end) {
                Some(mention) => mention.words.start,
                None if calls_picture(&self.lowered[end - 1]) => end - 1,
                None => break,
            };
        }
        let told = self.lowered[start..end].iter().rev();
        let first = end - told.take_while(|word| is_colour_word(word)).count();
        let (told, colour) = one_colour(&self.lowered[first..end])?;
        Some((first + told.start..first + told.end, colour))
    }

    /// The colour that is told behind a name, up to the end of its part or a ground ("car red"), and where.
    fn colour_behind_name(&self, end: usize) -> Option<(Range<usize>, &'static str)> {
        let part = self.part(end);
        let joins = |word: &&String| calls_picture(word) || *word == "is";
        let from = part.iter().take_while(joins).count();
        let told = part[from..]
            .iter()
            .take_while(|word| is_colour_word(word))
            .count();
        let behind = end + from + told;
        let ends = from + told == part.len() || self.grounds[behind].is_some();
        let start = end + from;
        let (told, colour) = one_colour(&self.lowered[start..behind]).filter(|_| ends)?;
        Some((start + told.start..start + told.end, colour))
    }

    /// A prompt that is drawn whole, with what it leaves open.
    fn completed(&self, from_nothing: bool) -> String {
        let mut completed = self.prompt.to_string();
        if self.words.is_empty() || !from_nothing {
            return completed;
        }
        let styles = self.manifest.styles_of("");
        if let Some(style) = styles.first().filter(|_| self.mentions.is_empty()) {
            completed = inserted(&completed, style);
        }
        if self.manifest.plain_ground && self.coloured_ground().is_none() {
            completed = format!("{}, {}", without_end(&completed), told_ground(ANY_GROUND));
        }
        completed
    }
}

/// The prompt without what ends a sentence.
pub(super) fn without_end(prompt: &str) -> &str {
    prompt.trim_end_matches(|end: char| end.is_whitespace() || ".!?,;".contains(end))
}

/// `prompt` with another part behind its first one; commas in brackets part nothing.
fn inserted(prompt: &str, part: &str) -> String {
    let mut depth = 0_usize;
    let comma = prompt.char_indices().find(|(_, c)| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *c == ','
    });
    let (before, after) = prompt.split_at(comma.map_or(prompt.len(), |(at, _)| at));
    format!("{}, {part}{after}", without_end(before))
}

#[cfg(test)]
mod tests {
    use plantain_weights::Manifest;

    use super::*;
    use crate::prompt::reader::taught;

    fn caption(prompt: &str, from_nothing: bool, manifest: &Manifest) -> Caption {
        let reader = Reader::new(prompt, manifest);
        reader.caption(reader.main_subject(), from_nothing)
    }

    /// Checks what is drawn, in 3D and on white unless told otherwise, and whether the prompt says more.
    #[track_caller]
    fn check(reduced: bool, captions: &[(&str, &str)]) {
        for (prompt, expected) in captions {
            let (thing, rest) = expected.split_once(", ").unwrap_or((expected, ""));
            let (style, ground) = rest.split_once("on ").unwrap_or((rest, ""));
            let style = style.trim_end_matches(", ");
            let style = if style.is_empty() { "3d render" } else { style };
            let ground = if ground.is_empty() { "a white" } else { ground };
            let expected = format!("{thing}, {style}, on {ground} background");
            let caption = caption(prompt, true, &taught());
            assert_eq!(
                (caption.prompt, caption.reduced),
                (expected, reduced),
                "{prompt}"
            );
        }
    }

    #[test]
    fn what_says_no_more_than_a_caption_is_put_into_its_words() {
        check(
            false,
            &[
                ("a fox", "a fox"),
                ("fox!", "a fox"),
                ("a red fox, 3d", "a red fox"),
                ("Glasses", "glasses"),
                ("a violet robot", "a purple robot"),
                ("a navy blue cat", "a navy cat"),
                ("a crown, golden", "a gold crown"),
                ("an icon of a cat", "a cat"),
                ("please draw me a \"cat\"", "a cat"),
                ("fox, cartoon", "a fox, cartoon"),
                ("cartoon, a fox", "a fox, cartoon"),
                ("a fox, in a cartoon style", "a fox, cartoon"),
                ("a Cartoon drawing of a fox", "a fox, cartoon"),
                ("flat fox icon", "a fox, flat illustration"),
                ("A fox. Flat.", "a fox, flat illustration"),
                ("flat 3D fox, flat", "a fox, flat illustration"),
                ("a fox on a teal background", "a fox, on a teal"),
                ("a fox, teal background", "a fox, on a teal"),
                ("a rocket on blue", "a rocket, on a blue"),
                (
                    "a rocket on dark blue, cartoon",
                    "a rocket, cartoon, on a navy",
                ),
                ("a cat, cartoon, isolated on white", "a cat, cartoon"),
                (
                    "a cat against a plain turquoise backdrop",
                    "a cat, on a teal",
                ),
                ("a cat on an orange background", "a cat, on an orange"),
                ("a cat, on a coral background", "a cat, on an orange"),
                ("a cat, dark background", "a cat, on a black"),
                ("a cat, plain background", "a cat"),
                ("a fox, not cartoon", "a fox"),
                ("a fox without a crown", "a fox"),
                (
                    "a fox with no crown or glasses flat",
                    "a fox, flat illustration",
                ),
                ("a teal-coloured cat", "a teal cat"),
                ("cat blue bg", "a cat, on a blue"),
                ("cat, background: blue", "a cat, on a blue"),
                ("cat on teal flat", "a cat, flat illustration, on a teal"),
                ("cat on a flat blue background", "a cat, on a blue"),
                ("cat, red on blue", "a red cat, on a blue"),
                ("a red icon of a cat", "a red cat"),
                ("red background icon of a cat", "a cat, on a red"),
                ("cat icon red", "a red cat"),
                ("the cat is red, on blue", "a red cat, on a blue"),
                ("a cat, blue background, red", "a red cat, on a blue"),
                ("orange on blue background", "an orange, on a blue"),
                ("cat, high quality", "a cat"),
                ("purple cat (green background)", "a purple cat, on a green"),
                ("orange", "an orange"),
                ("cat, no text, no people", "a cat"),
                ("Can you draw me my cat please?", "a cat"),
                ("cat --ar 16:9", "a cat"),
            ],
        );
    }

    #[test]
    fn what_captions_do_not_say_is_left_out() {
        check(
            true,
            &[
                ("a majestic fox", "a fox"),
                ("a photo of a fox", "a fox"),
                ("photos of foxes", "a fox"),
                ("a dark green cat", "a green cat"),
                ("a cat, not on a blue background", "a cat"),
                ("watercolor painting of a fox", "a fox"),
                ("a fox, friendly, flat", "a fox, flat illustration"),
                ("ten apples", "an apple"),
                ("a dozen red apples", "a red apple"),
                ("Slices of pizza for everyone!", "a slice of pizza"),
                ("a T-shirt at 5 p.m.", "a t-shirt"),
                ("a cat, the letter A", "a cat"),
                ("(a fox:1.2), cartoon", "a fox, cartoon"),
                (
                    "A fox sleeps; Cartoon; on a red background!",
                    "a fox, cartoon, on a red",
                ),
            ],
        );
        check(
            true,
            &[
                ("a cat on a red and white background", "a cat, on a red"),
                ("a cat on a light blue background", "a cat, on a blue"),
                ("a cat on a golden background", "a cat, on a yellow"),
                ("a cat on blue gradient background", "a cat, on a blue"),
                ("a cat, gradient background", "a cat"),
                ("a cat, no background", "a cat"),
                ("a cat, with background of stars", "a cat"),
                ("a cat sleeps on teal", "a cat, on a teal"),
                ("a cat on orange and black", "a cat, on an orange"),
                ("a cat on orange and yellow leaves", "a cat"),
                ("a cat on the ground", "a cat"),
                ("a cat on a plain teal ground jumping", "a cat, on a teal"),
                (
                    "a robot waits on dark blue, backpack and crown",
                    "a robot, on a navy",
                ),
            ],
        );
    }

    #[test]
    fn a_thing_has_the_colour_that_is_told_of_it_alone() {
        check(
            true,
            &[
                ("an orange fluffy cat", "an orange cat"),
                ("a red smiling cat with a hat", "a red cat"),
                ("cherry red robot jumping", "a red robot"),
                ("a red robot dog walking", "a red dog"),
                ("a big light blue robot", "a cyan robot"),
                ("a red and white cat", "a cat"),
                ("a red white cat", "a cat"),
                ("an orange and white cat", "a cat"),
                ("a blue eyed cat", "a cat"),
                ("a solid dog", "a dog"),
                ("black friday fox", "a fox"),
                ("black friday fox, red", "a red fox"),
                ("an orange wearing glasses", "an orange"),
            ],
        );
    }

    #[test]
    fn things_are_drawn_by_their_usual_names() {
        let mut manifest = taught();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        manifest.subjects.push(names(&["tornado", "twister"]));
        manifest
            .subjects
            .push(names(&["dog", "golden retriever", "puppy"]));
        let drawn = |prompt: &str| crate::Request::new(prompt).drawn_prompts(&manifest);
        let ground = "3d render, on a white background";
        for (prompt, expected) in [
            ("a twister", "a tornado"),
            ("a blue Twister", "a blue tornado"),
            ("a tornado", "a tornado"),
            ("golden retriever puppy", "a dog"),
        ] {
            assert_eq!(drawn(prompt), [format!("{expected}, {ground}")], "{prompt}");
        }
        let both = ["a tornado", "a fox"].map(|thing| format!("{thing}, {ground}"));
        assert_eq!(drawn("a twister and a fox"), both);
        assert_eq!(drawn("two twisters"), [both[0].clone(), both[0].clone()]);
    }

    #[test]
    fn other_prompts_are_completed() {
        let drawn = |prompt: &str| caption(prompt, true, &taught()).prompt;
        for (prompt, expected) in [
            ("", ""),
            ("?!", "?!"),
            ("a unicycle", "a unicycle, 3d render, on a white background"),
            ("a unicycle on teal. Cartoon", "a unicycle on teal. Cartoon"),
            (
                "(a unicycle, red:1.2), flat",
                "(a unicycle, red:1.2), flat, on a white background",
            ),
            (
                "(a unicycle, red:1.2), shiny",
                "(a unicycle, red:1.2), 3d render, shiny, on a white background",
            ),
        ] {
            assert_eq!(drawn(prompt), expected);
        }
        let mut scenes = taught();
        scenes.plain_ground = false;
        let drawn = |prompt: &str| caption(prompt, true, &scenes).prompt;
        assert_eq!(drawn("a fox in the rain"), "a fox in the rain, 3d render");
        assert_eq!(drawn("a flat fox"), "a flat fox");
        scenes.styles.clear();
        let drawn = |prompt: &str| caption(prompt, true, &scenes).prompt;
        assert_eq!(drawn("a fox"), "a fox");
    }

    #[test]
    fn nothing_is_added_where_a_picture_is_drawn_anew() {
        let drawn = |prompt: &str| caption(prompt, false, &taught()).prompt;
        for (prompt, expected) in [
            ("a fox", "a fox"),
            ("a majestic fox on navy", "a fox, on a navy background"),
            ("a flat fox", "a fox, flat illustration"),
            ("a unicycle", "a unicycle"),
        ] {
            assert_eq!(drawn(prompt), expected);
        }
    }
}
