//! What a prompt tells of the ground.

use std::ops::Range;

use super::caption::without_end;
use super::colours::{
    GroundColour, any_is, colours_ground, ground_colour, is_colour, is_colour_word, is_no_shade,
};
use super::reader::Reader;
use super::words::{ARTICLES, with_article};

/// What grounds are called, and what begins to tell of one.
const GROUNDS: [&str; 3] = ["background", "backdrop", "bg"];
const BEFORE_GROUND: [&str; 6] = ["on", "against", "in", "with", "over", "upon"];
/// What begins to tell of one that is a colour alone, as in "on teal".
const BEFORE_COLOUR: [&str; 2] = ["on", "against"];
/// What may stand between what a ground is called and its colour behind that.
const BEHIND_GROUND: [&str; 2] = ["is", "of"];
/// What leaves a colour that of a ground besides.
const BEHIND_COLOUR: [&str; 4] = ["please", "isolated", "centered", "centred"];
/// Most words of a part between commas that ends as a ground is called, and is one.
const PART: usize = 5;

/// The ground that things are cut out of with the least lost, where the prompt names none (`tools/eval/cut_outs.py`).
const TO_CUT: &str = "teal";
/// The one for things in colours that are too much like it.
const TO_CUT_TEAL: &str = "pink";
const LIKE_TEAL: [&str; 2] = ["teal", "cyan"];

/// A ground that a prompt tells of by a colour.
pub(super) struct Ground {
    /// Which words tell of it.
    words: Range<usize>,
    /// Its colour, by which of these.
    pub(super) told: GroundColour,
}

/// What captions say of a ground.
pub(super) fn told_ground(colour: &str) -> String {
    format!("on {} background", with_article(colour))
}

impl Reader<'_> {
    /// The prompt with a ground to cut things out of, where it asks a model of single things for something and leaves the ground open.
    pub(super) fn on_ground_to_cut(&self) -> Option<String> {
        let says = self.manifest.plain_ground && !self.words.is_empty();
        (says && self.coloured_ground().is_none()).then(|| {
            let like_teal = any_is(&self.lowered, &LIKE_TEAL);
            let ground = told_ground(if like_teal { TO_CUT_TEAL } else { TO_CUT });
            format!("{}, {ground}", without_end(self.prompt))
        })
    }

    /// The first ground that the prompt tells of by a colour; of several it is the first.
    pub(super) fn coloured_ground(&self) -> Option<Ground> {
        self.grounds().into_iter().find_map(|words| {
            let told = ground_colour(&self.lowered[words.clone()])?;
            Some(Ground { words, told })
        })
    }

    /// Which words tell of grounds.
    fn grounds(&self) -> Vec<Range<usize>> {
        let (mut grounds, mut at) = (Vec::new(), 0);
        while at < self.words.len() {
            let end = self.grounds[at].filter(|_| !self.negated[at]);
            grounds.extend(end.map(|end| at..end));
            at = end.unwrap_or(at + 1);
        }
        grounds
    }

    /// Whether these words tell of a ground, as "flat" does of a "flat blue background".
    pub(super) fn is_within_ground(&self, words: &Range<usize>) -> bool {
        let mut grounds = self.grounds().into_iter();
        grounds.any(|ground| ground.start <= words.start && words.end <= ground.end)
    }

    /// Where a ground ends that is told of from word `at` on.
    pub(super) fn ground_from(&self, at: usize) -> Option<usize> {
        let part = self.part(at);
        let whole = || (self.begins_part(at) && self.is_called_ground(at)).then_some(part.len());
        let told = self.ground_before(at).or_else(|| self.ground_called(at));
        let told = told.or_else(|| self.colour_behind(at)).or_else(whole)?;
        let last = at + told - 1;
        Some(last + self.colour_behind(last).unwrap_or(1))
    }

    /// How many words tell of a ground that begins with a word for that: "on a teal background", "on light blue".
    fn ground_before(&self, at: usize) -> Option<usize> {
        let (first, rest) = self.part(at).split_first()?;
        if !begins_ground(first) {
            return None;
        }
        let last = (0..rest.len()).find(|&at| is_ground_at(rest, at));
        let nested = |last: usize| rest[..last].iter().any(|word| begins_ground(word));
        let whole = last.filter(|&last| !nested(last) && !self.names_thing(at + 1..at + 1 + last));
        let colour = || {
            let told = rest.iter().take_while(|word| is_colour_word(word)).count();
            let colour = rest[..told].last().is_some_and(|word| is_colour(word));
            let begins = BEFORE_COLOUR.contains(&first.as_str());
            let behind = at + 1 + told;
            let ends = self.mention_end(behind).is_some() || ends_colour(&rest[told..]);
            (begins && colour && ends).then_some(1 + told)
        };
        whole.map(|last| last + 2).or_else(colour)
    }

    /// How many words are a colour and what a ground is called: "blue background".
    fn ground_called(&self, at: usize) -> Option<usize> {
        let part = self.part(at);
        let article = usize::from(ARTICLES.contains(&part.first()?.as_str()));
        let looks = part[article..].iter();
        let looks = looks.take_while(|word| is_colour_word(word) || is_no_shade(word));
        let end = article + looks.count();
        let named = part.get(end).is_some_and(|word| is_ground(word));
        (end > article && named).then_some(end + 1)
    }

    /// How many words are what a ground is called and its colour: "background: blue".
    fn colour_behind(&self, at: usize) -> Option<usize> {
        let rest = &self.lowered[at..];
        if !is_ground(rest.first()?) {
            return None;
        }
        // "Background: blue", which begins a part, but not "white background, blue".
        let apart = self.begins_part(at) && rest.get(1).is_some_and(|word| word == ",");
        let joins = |word: &&String| BEHIND_GROUND.contains(&word.as_str());
        let from = 1 + usize::from(apart);
        let from = from + rest[from..].iter().take_while(joins).count();
        let colour = rest[from..].iter().take_while(|word| is_colour_word(word));
        let end = from + colour.count();
        let ends = rest.get(end).is_none_or(|word| word == ",");
        (end > from && is_colour(&rest[end - 1]) && ends).then_some(end)
    }

    /// Whether a part is what a ground is called behind its looks: "blurred background", but not "fox background".
    fn is_called_ground(&self, at: usize) -> bool {
        let part = self.part(at);
        let Some((_, looks @ [first, ..])) = part.split_last() else {
            return false;
        };
        let thing = self.names_thing(at..at + looks.len());
        let joins = looks.iter().any(|word| begins_ground(word));
        let described = !ARTICLES.contains(&first.as_str()) && part.len() <= PART;
        described && is_ground_at(part, looks.len()) && !thing && !joins
    }

    /// Whether any of these words names a thing that is no colour.
    fn names_thing(&self, mut words: Range<usize>) -> bool {
        let to = words.end;
        words.any(|at| {
            let subject = self.subject(at, |end| end <= to);
            let colour = |end| {
                self.lowered[at..end]
                    .iter()
                    .all(|word| colours_ground(word))
            };
            subject.is_some_and(|(end, _)| !colour(end))
        })
    }

    /// Marks the words of grounds that tell the colour of one, or nothing that others are not.
    pub(super) fn mark_grounds(&self, ground: Option<&Ground>, told: &mut [bool]) {
        for at in self.grounds().into_iter().flatten() {
            let word = &self.lowered[at];
            told[at] |= begins_ground(word) || is_ground_at(&self.lowered, at) || is_no_shade(word);
        }
        if let Some(ground) = ground.filter(|ground| ground.told.exact) {
            let GroundColour { words, .. } = &ground.told;
            let start = ground.words.start;
            told[start + words.start..start + words.end].fill(true);
        }
    }
}

/// Whether the word at `at` is what a ground is called; "ground" alone is what things lie on.
fn is_ground_at(words: &[String], at: usize) -> bool {
    let word = words[at].as_str();
    let coloured = at
        .checked_sub(1)
        .is_some_and(|before| is_colour_word(&words[before]));
    is_ground(word) || word == "ground" && coloured
}

pub(super) fn is_ground(word: &str) -> bool {
    GROUNDS.contains(&word)
}

fn begins_ground(word: &str) -> bool {
    BEFORE_GROUND.contains(&word)
}

/// Whether words behind a colour leave it the colour of a ground: "and glossy", or nothing, but not "leaves", "and yellow leaves".
fn ends_colour(words: &[String]) -> bool {
    match words {
        [and, more @ ..] if and == "and" => {
            let colours = more.iter().take_while(|word| is_colour_word(word)).count();
            colours == 0 || more.get(colours).is_none_or(|word| word == ",")
        }
        [word, ..] => word == "," || begins_ground(word) || BEHIND_COLOUR.contains(&word.as_str()),
        [] => true,
    }
}
