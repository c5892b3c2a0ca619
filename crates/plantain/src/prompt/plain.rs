//! Prompts that say more than a model was taught, for models that draw one thing at a time.

use std::borrow::Cow;
use std::ops::Range;

use plantain_weights::Manifest;

use super::reader::{
    ARTICLES, DOING, Reader, SHORT, calls_picture, first_and_last, is_adjective, is_colour,
    is_colour_word, is_description, is_of_parts, is_weighted, number, read, tells_ground, text_of,
    with_article, words_of,
};
use super::weights::{Piece, parse};

/// The ground where a prompt names none.
pub(super) const ANY_GROUND: &str = "on a white background";

/// What stands between two colours of one thing.
const JOINTS: [&str; 4] = ["and", "or", "&", ","];
/// What begins to tell more of the thing before it, besides where it is.
const MORE_OF_IT: [&str; 6] = ["with", "for", "that", "which", "who", "inside"];
/// What begins to tell where the thing before it is ("fox in the snow"), so that the one behind it is not meant.
const PLACES: [&str; 10] = [
    "in", "on", "at", "near", "behind", "beside", "under", "over", "above", "below",
];
/// What holds or gathers what is named behind its "of", which is meant.
const CONTAINERS: [&str; 12] = [
    "box", "bag", "bowl", "cup", "mug", "bin", "cart", "list", "rain", "sea", "ocean", "world",
];
/// Nouns that end as what a thing does.
const NOTHING_DONE: [&str; 5] = ["wedding", "morning", "evening", "spring", "string"];
/// Colours of two names.
const DOUBLE_NAMES: [&str; 2] = ["navy blue", "lime green"];

/// What `prompt` asks for as a model takes it that was taught single things on plain grounds and no words for what they do: its first
/// subject and its colour, with the ground and what short parts between commas say of it. `None` where it says no more than that, or names
/// no subject.
pub(crate) fn plainly(prompt: &str, manifest: &Manifest) -> Option<String> {
    // Weights of parts stay with a prompt that is drawn whole.
    let bare = unweighted(prompt);
    let words = read(&bare, manifest)?;
    Reader::new(&words, manifest).plain()
}

/// Whether `prompt` names one of the subjects, or the model has no list of them; what tells of the ground alone is none ("orange"), nor
/// is what tells of a style ("hand drawn").
pub(crate) fn names_subject(prompt: &str, manifest: &Manifest) -> bool {
    let named = manifest.named_subject(prompt);
    let styles = || manifest.styles.iter().flatten();
    let tells_else = |name: &str| {
        let colour = name.split(' ').all(is_colour);
        colour || styles().any(|style| style.split(' ').any(|word| word.eq_ignore_ascii_case(name)))
    };
    manifest.subjects.is_empty()
        || named.is_some_and(|name| !tells_else(name) || main_subject(prompt, manifest).is_some())
}

/// What the subject of `prompt` that is meant is called in the list of subjects. Brackets that weigh parts of the prompt do not matter.
pub(super) fn main_subject(prompt: &str, manifest: &Manifest) -> Option<String> {
    let bare = unweighted(prompt);
    let words = first_and_last(words_of(&bare));
    let subject = Reader::new(&words, manifest).main_subject()?;
    Some(subject.name)
}

/// The words of a prompt without what weighs them.
fn unweighted(prompt: &str) -> Cow<'_, str> {
    if !is_weighted(prompt) {
        return prompt.into();
    }
    let pieces = parse(prompt).into_iter().map(|piece| match piece {
        Piece::Text(text, _) => text,
        Piece::Break => " ".into(),
    });
    pieces.collect::<String>().into()
}

/// `prompt` with a ground, if it names none and the model draws things on plain ones: at the end, where most captions have it.
pub(crate) fn with_ground(prompt: String, manifest: &Manifest) -> String {
    let empty = !prompt.contains(char::is_alphanumeric);
    if !manifest.plain_ground || empty || tells_ground(&prompt) {
        return prompt;
    }
    format!("{}, {ANY_GROUND}", without_end(&prompt))
}

fn without_end(prompt: &str) -> &str {
    prompt.trim_end_matches(|end: char| end.is_whitespace() || ".!?,;".contains(end))
}

/// `prompt` with another part behind its first one; commas in brackets part nothing.
pub(super) fn inserted(prompt: &str, part: &str) -> String {
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

/// A subject that a prompt names.
struct Subject {
    /// Where it begins, with other subjects that describe it, and where its name does.
    start: usize,
    named: usize,
    end: usize,
    /// What the list of subjects calls it.
    name: String,
}

impl Reader<'_> {
    /// See [`plainly`].
    fn plain(&self) -> Option<String> {
        let Subject {
            start,
            named,
            end,
            name,
        } = self.main_subject()?;
        if self.is_plain() {
            return None;
        }
        let lead = self.lead(0).filter(|lead| *lead <= start).unwrap_or(0);
        let coloured = [self.colour_before(named), name].concat();
        let thing = format!(
            "{} {}",
            text_of(&self.words[..lead]),
            with_article(&coloured)
        );
        let comma = self.words[..start].iter().rposition(|word| *word == ",");
        let before = self.kept(0..comma.unwrap_or(0)).0;
        let kept = [before, self.kept(end..self.words.len()).0].concat();
        let said: String = kept.iter().map(|said| format!(", {said}")).collect();
        let plain = format!("{thing}{said}").trim_start().to_string();
        (plain.to_lowercase() != text_of(self.words).to_lowercase()).then_some(plain)
    }

    /// Whether each part between commas is a ground alone, or a style, and one a thing with its description and ground.
    fn is_plain(&self) -> bool {
        let (mut from, mut things) = (0, 0);
        self.lowered.split(|word| word == ",").all(|part| {
            let to = from + part.len();
            let other = || self.manifest.named_subject(&part.join(" ")).is_none();
            let short = self.is_short(from..to) && other();
            let mut plain = part.is_empty() || short || self.is_ground(from);
            if !plain && self.is_thing(from, to) {
                things += 1;
                plain = things == 1;
            }
            from = to + 1;
            plain
        })
    }

    /// Whether the words from `from` to `to` are a thing with its description, and may be its ground.
    fn is_thing(&self, from: usize, to: usize) -> bool {
        let begin = self.lead(from).unwrap_or(from);
        let first = self.lowered.get(begin).map_or("", String::as_str);
        let begin = begin + usize::from(ARTICLES.contains(&first));
        let mut starts = begin..=begin + self.descriptions(begin);
        starts.any(|at| self.subject(at, |end| self.ends_thing(end, to)).is_some())
    }

    /// Whether a thing that ends at `at` may have the words up to `to` behind it: its style, and its ground.
    fn ends_thing(&self, at: usize, to: usize) -> bool {
        let mut ends = at..=to.min(at + SHORT);
        ends.any(|end| self.is_style(at..end) && (end == to || self.is_ground(end)))
    }

    /// Whether some words, or none, name a style.
    fn is_style(&self, range: Range<usize>) -> bool {
        let text = self.lowered[range].join(" ");
        let mut styles = self.manifest.styles.iter().flatten();
        text.is_empty() || styles.any(|style| style.to_lowercase() == text)
    }

    /// The colour that is told before word `at`, with at most some description between, and a space, if it is one alone.
    fn colour_before(&self, at: usize) -> String {
        let between = self.lowered[..at].iter().rev();
        let between = between
            .take_while(|word| is_adjective(word) && !is_of_parts(word) && !is_colour_word(word));
        let at = at - between.count();
        let told = self.lowered[..at].iter().rev();
        let told = told.take_while(|word| is_colour_word(word)).count();
        let (before, colour) = self.lowered[..at].split_at(at - told);
        let joined = matches!(before, [.., first, and] if is_colour_word(first) && JOINTS.contains(&and.as_str()));
        let text = colour.join(" ");
        let colours = colour.iter().filter(|word| is_colour(word)).count();
        let ends = colour.last().is_some_and(|word| is_colour(word));
        let is_one = ends && (colours == 1 || DOUBLE_NAMES.contains(&text.as_str()));
        if is_one && !joined {
            text + " "
        } else {
            String::new()
        }
    }

    /// The first subject that has an article or a number, or of which more is told, and tells no place, else the first that tells none,
    /// else the first. Of subjects one after the other it is the last, which the others describe, or hold ("a bowl of soup"). What tells of
    /// the ground or a style is none.
    fn main_subject(&self) -> Option<Subject> {
        let mut subjects: Vec<Subject> = Vec::new();
        let mut at = 0;
        while at < self.words.len() {
            if let Some(around) = self.around(at) {
                at += around;
                continue;
            }
            let subject = self.subject(at, |_| true);
            let style = self.style_words(at);
            let Some((end, name)) = subject.filter(|(end, _)| *end >= at + style) else {
                at += style.max(1);
                continue;
            };
            let named = std::mem::replace(&mut at, end);
            let described = subjects.pop_if(|last| {
                last.end == named || self.is_colour_of(last, named) || self.describes(last, named)
            });
            subjects.push(Subject {
                start: described.map_or(named, |last| last.start),
                named,
                end,
                name,
            });
        }
        let meant =
            |subject: &Subject| self.is_determined(subject.start) || self.goes_on(subject.end);
        let free = |subject: &Subject| !self.is_place(subject.start);
        let first = |is: &dyn Fn(&Subject) -> bool| subjects.iter().position(is);
        let first = first(&|subject| free(subject) && meant(subject)).or_else(|| first(&free));
        (!subjects.is_empty()).then(|| subjects.swap_remove(first.unwrap_or(0)))
    }

    /// How many words from `at` on, two at least, are the name of a style ("hand drawn"); 0 for none.
    fn style_words(&self, at: usize) -> usize {
        let most = SHORT.min(self.words.len() - at);
        let mut lengths = (2..=most).rev();
        lengths
            .find(|length| self.is_style(at..at + length))
            .unwrap_or(0)
    }

    /// Whether a subject tells only of the looks of what is named at word `at` ("chocolate brown dog"), or holds it ("box of pencils").
    fn describes(&self, subject: &Subject, at: usize) -> bool {
        let between = &self.lowered[subject.end..at];
        let looks = |word: &String| is_colour_word(word) || word.ends_with("ed") || word == "cold";
        let holds = CONTAINERS.contains(&subject.name.as_str())
            && between.split_first().is_some_and(|(of, rest)| {
                of == "of" && rest.len() <= SHORT && rest.iter().all(|word| is_description(word))
            });
        holds || (1..=2).contains(&between.len()) && between.iter().all(looks)
    }

    /// Whether a subject whose description begins at word `at` tells where another is.
    fn is_place(&self, at: usize) -> bool {
        let before = self.lowered[..at].iter().rev().map(String::as_str);
        let described = |word: &&str| {
            is_description(word) && !ARTICLES.contains(word) && number(word).is_none()
        };
        let mut before = before.skip_while(described).peekable();
        before.next_if(|word| ARTICLES.contains(word));
        before.next().is_some_and(|word| PLACES.contains(&word))
    }

    /// Whether a subject that a colour may also mean ("orange") is the colour of what is named at word `at`: there is one word of
    /// description between, or a further colour.
    fn is_colour_of(&self, subject: &Subject, at: usize) -> bool {
        let mut name = self.lowered[subject.named..subject.end].iter();
        let between = &self.lowered[subject.end..at];
        let described = match between {
            [one] => is_description(one) && !is_of_parts(one),
            [and, other] => JOINTS.contains(&and.as_str()) && and != "," && is_colour(other),
            _ => false,
        };
        described && name.all(|word| is_colour(word))
    }

    /// Whether more of what is named before word `at` is told there, or it is called a picture of that ("fox logo").
    fn goes_on(&self, at: usize) -> bool {
        let Some(word) = self.lowered.get(at).map(String::as_str) else {
            return false;
        };
        // "Wood carving of a fox" is no wood that does something, nor has an "ice skating penguin" ice that does.
        let does = || {
            let called = self.lowered.get(at + 1).is_some_and(|next| next == "of");
            let named = |at| self.subject(at, |_| true).is_some();
            !called && !NOTHING_DONE.contains(&word) && !named(at) && !named(at + 1)
        };
        // "Cat icons" may be those of a list.
        let picture = calls_picture(word) && !word.ends_with('s');
        let told = MORE_OF_IT.contains(&word) || PLACES.contains(&word);
        told || picture || word.ends_with(DOING) && does()
    }

    /// Whether an article or a number is before word `at`, with at most a short description between.
    fn is_determined(&self, at: usize) -> bool {
        let before = self.lowered[..at].iter().rev().take(SHORT);
        let determines = |word: &str| ARTICLES.contains(&word) || number(word).is_some();
        let mut before = before.skip_while(|word| is_description(word) && !determines(word));
        before.next().is_some_and(|word| determines(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::reader::taught;

    #[test]
    fn what_a_thing_does_is_left_out() {
        let plain = |prompt: &str| plainly(prompt, &taught());
        for (prompt, expected) in [
            ("an angry robot waving hello", "a robot"),
            ("red fox in autumn leaves", "a red fox"),
            ("fox in the crown", "a fox"),
            ("angry dog wearing a crown", "a dog"),
            ("cat poster with a fox", "a fox"),
            ("cat logo for a dog", "a cat"),
            ("rocket icon with a fox", "a rocket"),
            ("dog carving of a fox", "a fox"),
            ("cat wedding with a fox", "a fox"),
            ("cherry red robot jumping", "a red robot"),
            ("dog skating robot jumping", "a robot"),
            ("a fox, crown", "a fox"),
            ("at night a fox with a crown", "a fox"),
            ("a fox without a crown", "a fox"),
            (
                "a cat wearing a crown, 3d render, on a pink background",
                "a cat, 3d render, on a pink background",
            ),
            (
                "a cat with a hat on a pink background, glossy",
                "a cat, on a pink background, glossy",
            ),
            (
                "3d render of a dog that plays, with a long story of what it does",
                "3d render of a dog",
            ),
            ("Slices of pizza for everyone!", "a slice of pizza"),
            ("fox and unicycle", "a fox"),
            ("a fox that eats an apple", "a fox"),
            ("a robot who likes rocket", "a robot"),
            ("an orange cat sleeping", "an orange cat"),
            ("a big light blue robot dancing", "a light blue robot"),
            ("a red and white cat sleeping", "a cat"),
            ("a black, white cat sleeping", "a cat"),
            ("a red white cat sleeping", "a cat"),
            ("a navy blue cat sleeping", "a navy blue cat"),
            ("a red robot dog walking", "a red dog"),
            ("a solid dog running", "a dog"),
            ("people watch a rocket launch, no clutter", "a rocket"),
            (
                "a robot with arms standing in a field, friendly, 3d render on a blue background",
                "a robot, friendly, on a blue background",
            ),
            (
                "a rocket launching on a plain blue background with stars",
                "a rocket, on a plain blue background",
            ),
            ("a fox jumping in cartoon style", "a fox, in cartoon style"),
            ("cartoon, a fox that sleeps", "a fox, cartoon"),
            ("a fox sleeps on teal", "a fox, on teal"),
            (
                "A fox sleeps; Cartoon; on a red background!",
                "a fox, Cartoon, on a red background",
            ),
            ("a fox sitting on orange leaves", "a fox"),
            (
                "a cat with a hat on blue gradient background",
                "a cat, on blue gradient background",
            ),
            ("a fox jumps, a cat sleeps, cartoon", "a fox, cartoon"),
            (
                "a robot waits on dark blue, backpack and crown",
                "a robot, on dark blue",
            ),
            (
                "a fox on a plain teal ground jumping",
                "a fox, on a plain teal ground",
            ),
            ("a T-shirt at 5 p.m. in the city", "a t-shirt"),
            ("a dog on the ground", "a dog"),
            ("A robot: friendly, flat", "a robot, flat"),
            ("a dog jumping on sky blue and glossy", "a dog, on sky blue"),
            ("(a fox:1.2) jumps", "a fox"),
            (
                "fox jumping on an orange background",
                "a fox, on an orange background",
            ),
            ("an orange fluffy cat sleeping", "an orange cat"),
            ("a red smiling cat with a hat", "a red cat"),
            ("a blue eyed cat sleeping", "a cat"),
            ("an orange wearing glasses", "an orange"),
            ("an orange and white cat", "a cat"),
            ("a red fluffy cat sleeping", "a red cat"),
            ("an orange next to a log", "an orange"),
            ("a fox jumping, teal background", "a fox, teal background"),
            ("ten apples", "an apple"),
            ("Glasses that fell down", "glasses"),
            ("a dozen red apples", "a red apple"),
            ("a fox, not cartoon", "a fox"),
        ] {
            assert_eq!(plain(prompt).as_deref(), Some(expected), "{prompt}");
        }
        for prompt in [
            "",
            "a unicycle",
            "a fox",
            "a cute red fox, 3d render, on a red and white background",
            "a photo of a fox",
            "fox, cartoon",
            "cartoon, a fox",
            "(a fox:1.2), cartoon",
            "a fox, teal background",
            "cartoon rocket on a blue background",
            "a rocket on blue",
            "a rocket on light blue, cartoon",
            "a fox, in a cartoon style",
        ] {
            assert_eq!(plain(prompt), None, "{prompt}");
        }
    }

    #[test]
    fn things_are_drawn_by_their_usual_names() {
        let mut manifest = taught();
        manifest.styles = vec![vec!["3d render".into()]];
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        manifest.subjects.push(names(&["tornado", "twister"]));
        manifest.subjects.push(names(&["octopus", "devil fish"]));
        let drawn = |prompt: &str| crate::Request::new(prompt).drawn_prompts(&manifest);
        let ground = "3d render, on a white background";
        for (prompt, expected) in [
            ("a twister", "a tornado"),
            ("a blue Twister", "a blue tornado"),
            ("(a twister:1.2)", "(a tornado:1.2)"),
            ("a (blue:1.3) twister", "a (blue:1.3) tornado"),
            ("a devil fish", "an octopus"),
            ("a devil fish eating a twister", "an octopus"),
            ("a tornado", "a tornado"),
        ] {
            assert_eq!(drawn(prompt), [format!("{expected}, {ground}")], "{prompt}");
        }
        let both = ["a tornado", "an octopus"].map(|thing| format!("{thing}, {ground}"));
        assert_eq!(drawn("a twister and a devil fish"), both);
        assert_eq!(drawn("two twisters"), [both[0].clone(), both[0].clone()]);
        manifest.plain_ground = false;
        let other = crate::Request::new("a twister").drawn_prompts(&manifest);
        assert_eq!(other, ["a twister, 3d render"]);
    }

    #[test]
    fn what_a_prompt_leaves_open_is_filled_in() {
        let mut manifest = taught();
        manifest.styles = ["3d render", "cartoon"]
            .map(|name| vec![name.into()])
            .to_vec();
        let drawn = |prompt: &str| crate::Request::new(prompt).drawn_prompts(&manifest);
        for (prompt, expected) in [
            ("a fox", "a fox, 3d render, on a white background"),
            ("a fox!", "a fox, 3d render, on a white background"),
            (
                "(a fox:1.2)",
                "(a fox:1.2), 3d render, on a white background",
            ),
            (
                "a fox, on a red background",
                "a fox, 3d render, on a red background",
            ),
            (
                "a cartoon fox jumping over a log",
                "a fox, cartoon, on a white background",
            ),
            (
                "a cat wearing a crown, on a pink background",
                "a cat, 3d render, on a pink background",
            ),
            ("a fox, cartoon.", "a fox, cartoon, on a white background"),
            (
                "a fox on light blue, cartoon",
                "a fox on light blue, cartoon",
            ),
            (
                "a fox, cartoon, isolated on white",
                "a fox, cartoon, on white",
            ),
            (
                "a fox on orange leaves, cartoon",
                "a fox, cartoon, on a white background",
            ),
            (
                "in the crown, a fox sleeping",
                "a fox, 3d render, on a white background",
            ),
            ("a unicycle", "a unicycle, 3d render, on a white background"),
            (
                "a fox, cartoon, no background",
                "a fox, cartoon, on a white background",
            ),
            (
                "a fox, cartoon, with background of stars",
                "a fox, cartoon, with background, on a white background",
            ),
            (
                "a fox on violet in cartoon style",
                "a fox, on violet, in cartoon style",
            ),
            ("a fox on navy blue, cartoon", "a fox on navy blue, cartoon"),
            (
                "(a fox on teal:1.2), cartoon",
                "(a fox on teal:1.2), cartoon",
            ),
            (
                "(a cartoon fox, teal background:1.2)",
                "(a cartoon fox, teal background:1.2)",
            ),
            ("a unicycle on teal. Cartoon", "a unicycle on teal. Cartoon"),
            (
                "a fox, glossy, cartoon, friendly",
                "a fox, cartoon, on a white background",
            ),
            ("cartoon, a fox", "cartoon, a fox, on a white background"),
            (
                "a fox on orange and black, cartoon",
                "a fox, on orange, cartoon",
            ),
            (
                "a fox on orange and yellow leaves, cartoon",
                "a fox, cartoon, on a white background",
            ),
            (
                "(a fox, teal background:1.2)",
                "(a fox, teal background:1.2), 3d render",
            ),
            (
                "(a fox, friendly:1.2), glossy",
                "a fox, 3d render, on a white background",
            ),
            ("", ""),
            ("?!", "?!"),
        ] {
            assert_eq!(drawn(prompt), [expected], "{prompt}");
        }
        let from_picture = crate::Request::new("a fox").init_image(crate::RgbImage::new(64, 64));
        assert_eq!(from_picture.drawn_prompts(&manifest), ["a fox"]);
        manifest.plain_ground = false;
        manifest.styles.clear();
        assert_eq!(
            crate::Request::new("a fox").drawn_prompts(&manifest),
            ["a fox"]
        );
    }
}
