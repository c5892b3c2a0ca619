//! Prompts that say more than a model was taught, for models that draw one thing at a time.

use plantain_weights::Manifest;

use super::reader::{
    ARTICLES, Reader, SHORT, is_description, is_read, number, text_of, with_article, words_of,
};

/// What `prompt` asks for as a model takes it that was taught single things on plain grounds and no words for what they do: its first
/// subject, with the ground and what short parts between commas say of it. `None` where it says no more than that, or names no subject.
pub(crate) fn plainly(prompt: &str, manifest: &Manifest) -> Option<String> {
    if !is_read(prompt, manifest) {
        return None;
    }
    let words = words_of(prompt);
    Reader::new(&words, manifest).plain()
}

impl Reader<'_> {
    /// See [`plainly`].
    fn plain(&self) -> Option<String> {
        let (start, end, name) = self.main_subject()?;
        if self.is_plain() {
            return None;
        }
        let lead = self.lead(0).filter(|lead| *lead <= start).unwrap_or(0);
        let thing = format!("{} {}", text_of(&self.words[..lead]), with_article(&name));
        let comma = self.words[..start].iter().rposition(|word| *word == ",");
        let before = self.kept(0..comma.unwrap_or(0));
        let kept = [before, self.kept(end..self.words.len())].concat();
        let said: String = kept.iter().map(|said| format!(", {said}")).collect();
        Some(format!("{thing}{said}").trim_start().to_string())
    }

    /// Whether each part between commas is a thing with its description and ground, a ground alone, or short and no thing.
    fn is_plain(&self) -> bool {
        let mut from = 0;
        self.lowered.split(|word| word == ",").all(|part| {
            let to = from + part.len();
            let other = || self.manifest.named_subject(&part.join(" ")).is_none();
            let short = part.len() <= SHORT && other();
            let plain = short || self.is_ground(from) || self.is_thing(from, to);
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
        starts.any(|at| {
            self.subject(at, |end| end == to || self.is_ground(end))
                .is_some()
        })
    }

    /// The first subject that has an article or a number, else the first: where it begins and ends, and its name. Of subjects one after
    /// the other it is the last, which the others describe.
    fn main_subject(&self) -> Option<(usize, usize, String)> {
        let mut subjects: Vec<(usize, usize, String)> = Vec::new();
        let mut at = 0;
        while at < self.words.len() {
            let Some((end, name)) = self.subject(at, |_| true) else {
                at += 1;
                continue;
            };
            let start = std::mem::replace(&mut at, end);
            match subjects.last_mut() {
                Some(last) if last.1 == start => *last = (last.0, end, name),
                _ => subjects.push((start, end, name)),
            }
        }
        let first = subjects
            .iter()
            .position(|(start, ..)| self.is_determined(*start));
        (!subjects.is_empty()).then(|| subjects.swap_remove(first.unwrap_or(0)))
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
            ("an orange cat sleeping", "a cat"),
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
                "A fox sleeps. Cartoon; on a red background!",
                "a fox, Cartoon, on a red background",
            ),
            ("a dog on the ground", "a dog"),
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
            "(a fox:1.2) jumps",
            "cartoon, a fox",
            "cartoon rocket on a blue background",
            "a rocket on blue",
        ] {
            assert_eq!(plain(prompt), None, "{prompt}");
        }
    }
}
