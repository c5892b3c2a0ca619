//! Colours, in the words of a model that draws single things on plain grounds: those of `tools/data/vocabulary.py`.

use std::ops::Range;

use super::words::begins;

const TAUGHT: [&str; 18] = [
    "red", "orange", "yellow", "green", "teal", "blue", "navy", "purple", "pink", "white", "grey",
    "black", "brown", "cyan", "lime", "gold", "beige", "magenta",
];
/// Other words, and the colour that captions call so too or that is nearest.
const ALSO: [(&str, &str); 24] = [
    ("gray", "grey"),
    ("violet", "purple"),
    ("golden", "gold"),
    ("cream", "beige"),
    ("turquoise", "teal"),
    ("aquamarine", "teal"),
    ("aqua", "cyan"),
    ("crimson", "red"),
    ("scarlet", "red"),
    ("maroon", "red"),
    ("burgundy", "red"),
    ("ruby", "red"),
    ("indigo", "purple"),
    ("lilac", "pink"),
    ("fuchsia", "magenta"),
    ("silver", "grey"),
    ("charcoal", "black"),
    ("ivory", "white"),
    ("tan", "beige"),
    ("emerald", "green"),
    ("mint", "green"),
    ("sapphire", "blue"),
    ("mustard", "yellow"),
    ("copper", "orange"),
];
/// Colours that no ground was taught in, and the one of nearly their hue that was.
const NOT_OF_GROUNDS: [(&str, &str); 6] = [
    ("cyan", "teal"),
    ("beige", "white"),
    ("brown", "orange"),
    ("gold", "yellow"),
    ("lime", "green"),
    ("magenta", "pink"),
];
/// Words for colours that are things as well, so that a ground alone is told of by them.
const OF_GROUNDS: [(&str, &str); 9] = [
    ("coral", "orange"),
    ("peach", "orange"),
    ("sand", "beige"),
    ("olive", "green"),
    ("lemon", "yellow"),
    ("rose", "pink"),
    ("lavender", "purple"),
    ("chocolate", "brown"),
    ("cherry", "red"),
];
/// Colours of two words.
const OF_TWO_WORDS: [([&str; 2], &str); 4] = [
    (["dark", "blue"], "navy"),
    (["navy", "blue"], "navy"),
    (["hot", "pink"], "magenta"),
    (["off", "white"], "white"),
];
/// The same, of such as no ground was taught in.
const OF_TWO_FOR_THINGS: [([&str; 2], &str); 3] = [
    (["light", "blue"], "cyan"),
    (["sky", "blue"], "cyan"),
    (["lime", "green"], "lime"),
];
/// What may stand before a colour, and for one.
const SHADES: [&str; 15] = [
    "light", "dark", "bright", "pale", "deep", "pure", "plain", "solid", "soft", "pastel", "sky",
    "neon", "vivid", "hot", "muted",
];
/// What every plain ground is.
const NO_SHADES: [&str; 8] = [
    "pure", "plain", "solid", "flat", "simple", "clean", "blank", "empty",
];
/// Words behind a colour that say that it is one.
const COLOURED: [&str; 4] = ["coloured", "colored", "colour", "color"];
/// Grounds of a shade alone.
const OF_SHADES: [(&str, &str); 2] = [("dark", "black"), ("light", "white")];

/// The taught name of a word for a colour.
pub(super) fn colour(word: &str) -> Option<&'static str> {
    let itself = TAUGHT.iter().find(|taught| **taught == word).copied();
    itself.or_else(|| named(&ALSO, word))
}

pub(super) fn is_colour(word: &str) -> bool {
    colour(word).is_some()
}

/// Whether a word is a colour or tells the shade of one.
pub(super) fn is_colour_word(word: &str) -> bool {
    is_colour(word) || SHADES.contains(&word)
}

/// Whether a word behind a colour says only that it is one ("teal coloured").
pub(super) fn is_coloured(word: &str) -> bool {
    COLOURED.contains(&word)
}

/// The same where a ground is told of.
pub(super) fn colours_ground(word: &str) -> bool {
    is_colour_word(word) || named(&OF_GROUNDS, word).is_some()
}

/// The colour that words for one tell, the last of which is no shade, and which of them do; `None` where they tell several.
pub(super) fn one_colour(words: &[String]) -> Option<(Range<usize>, &'static str)> {
    let ends = words.last().is_some_and(|word| is_colour(word));
    let mut colours = colours(words, &OF_TWO_FOR_THINGS, colour);
    let first = colours.next().filter(|_| ends)?;
    colours.next().is_none().then_some(first)
}

/// Whether any of some words tell one of these colours.
pub(super) fn any_is(words: &[String], of: &[&str]) -> bool {
    colours(words, &OF_TWO_FOR_THINGS, colour).any(|(_, told)| of.contains(&told))
}

/// The first colour that some words tell of a ground.
pub(super) struct GroundColour {
    /// Which of the words tell it.
    pub(super) words: Range<usize>,
    /// The one that was taught, and whether it is that which the words tell.
    pub(super) colour: &'static str,
    pub(super) exact: bool,
}

/// The first colour that some words tell of a ground; a shade alone may stand for it.
pub(super) fn ground_colour(words: &[String]) -> Option<GroundColour> {
    let of_ground = |word: &str| colour(word).or_else(|| named(&OF_GROUNDS, word));
    let shade = || {
        let mut shades = words.iter().enumerate();
        shades.find_map(|(at, word)| Some((at..at + 1, named(&OF_SHADES, word)?)))
    };
    let told = colours(words, &[], of_ground).next();
    let (words, told) = told.or_else(shade)?;
    let instead = named(&NOT_OF_GROUNDS, told);
    Some(GroundColour {
        words,
        colour: instead.unwrap_or(told),
        exact: instead.is_none(),
    })
}

/// Whether a word says of a ground nothing that others are not.
pub(super) fn is_no_shade(word: &str) -> bool {
    NO_SHADES.contains(&word)
}

/// The colours in some words: which of them tell one, and its taught name.
fn colours(
    words: &[String],
    more: &[([&str; 2], &'static str)],
    colour: impl Fn(&str) -> Option<&'static str>,
) -> impl Iterator<Item = (Range<usize>, &'static str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < words.len() {
            let rest = &words[at..];
            let mut pairs = OF_TWO_WORDS.iter().chain(more);
            let pair = pairs.find(|(pair, _)| begins(rest, pair));
            let told = match pair {
                Some((pair, colour)) => Some((at..at + pair.len(), *colour)),
                None => colour(&rest[0]).map(|colour| (at..at + 1, colour)),
            };
            at = told.as_ref().map_or(at + 1, |(words, _)| words.end);
            if told.is_some() {
                return told;
            }
        }
        None
    })
}

fn named(table: &[(&str, &'static str)], word: &str) -> Option<&'static str> {
    let found = table.iter().find(|(other, _)| *other == word);
    found.map(|(_, colour)| *colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_have_the_names_that_were_taught() {
        let words = |text: &str| Vec::from_iter(text.split(' ').map(str::to_string));
        for (text, expected) in [
            ("red", Some("red")),
            ("dark red", Some("red")),
            ("dark blue", Some("navy")),
            ("sky blue", Some("cyan")),
            ("turquoise", Some("teal")),
            ("red white", None),
            ("light", None),
            ("lemon", None),
        ] {
            let told = one_colour(&words(text)).map(|(_, colour)| colour);
            assert_eq!(told, expected, "{text}");
        }
        for (text, expected) in [
            ("a red and white background", Some((1..2, "red", true))),
            ("a light blue background", Some((2..3, "blue", true))),
            ("a navy blue background", Some((1..3, "navy", true))),
            ("a beige background", Some((1..2, "white", false))),
            ("a chocolate background", Some((1..2, "orange", false))),
            ("dark background", Some((0..1, "black", true))),
            ("gradient background", None),
        ] {
            let told = ground_colour(&words(text));
            let told = told.map(|told| (told.words, told.colour, told.exact));
            assert_eq!(told, expected, "{text}");
        }
    }
}
