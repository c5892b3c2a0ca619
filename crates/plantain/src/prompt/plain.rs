//! Prompts that say more than a model was taught, for models that draw one thing at a time.

use plantain_weights::Manifest;

use super::reader::{
    ARTICLES, Reader, SHORT, is_description, number, read, tells_ground, text_of, with_article,
};

/// The ground where a prompt names none.
pub(super) const ANY_GROUND: &str = "on a white background";

/// What `prompt` asks for as a model takes it that was taught single things on plain grounds and no words for what they do: its first
/// subject, with the ground and what short parts between commas say of it. `None` where it says no more than that, or names no subject.
pub(crate) fn plainly(prompt: &str, manifest: &Manifest) -> Option<String> {
    let words = read(prompt, manifest)?;
    Reader::new(&words, manifest).plain()
}

/// The style that is to be added to `drawn`, which is what is drawn of `prompt`, if it names none: the one that the whole prompt names,
/// or the first that its subject was taught in.
pub(crate) fn style_for<'a>(prompt: &str, drawn: &str, manifest: &'a Manifest) -> Option<&'a str> {
    let lacks = drawn.contains(char::is_alphanumeric) && manifest.named_style(drawn).is_none();
    let named = manifest.named_style(prompt);
    let style = named.or_else(|| taught_styles(drawn, manifest).into_iter().next());
    style.filter(|_| lacks)
}

/// `prompt` with the first style that its subject was taught in, where it names another one.
pub(crate) fn in_taught_style(mut prompt: String, manifest: &Manifest) -> String {
    let taught = taught_styles(&prompt, manifest);
    let asked = manifest.find_style(&prompt);
    if let (Some((place, asked)), Some(first)) = (asked, taught.first())
        && !taught.contains(&asked)
    {
        prompt.replace_range(place, first);
    }
    prompt
}

/// The styles that the subject of a prompt was taught in, or all that the model was if the prompt names none.
fn taught_styles<'a>(prompt: &str, manifest: &'a Manifest) -> Vec<&'a str> {
    manifest.styles_of(manifest.named_subject(prompt).unwrap_or_default())
}

/// `prompt` with a ground, if it names none and the model draws things on plain ones: behind its style, where captions have it and a
/// long prompt is not cut.
pub(crate) fn with_ground(prompt: String, manifest: &Manifest) -> String {
    let empty = !prompt.contains(char::is_alphanumeric);
    if !manifest.plain_ground || empty || tells_ground(&prompt) {
        return prompt;
    }
    let style = manifest.find_style(&prompt);
    inserted(&prompt, style.map_or(0, |(place, _)| place.end), ANY_GROUND)
}

/// `prompt` with a style behind its first part, where captions have it.
pub(crate) fn with_style(prompt: &str, style: &str) -> String {
    inserted(prompt, 0, style)
}

/// `prompt` with another part between commas, before the first comma from byte `from` on that is in no bracket.
fn inserted(prompt: &str, from: usize, part: &str) -> String {
    let mut depth = 0_usize;
    let comma = prompt.char_indices().find(|(at, c)| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *c == ',' && *at >= from
    });
    let (before, after) = prompt.split_at(comma.map_or(prompt.len(), |(at, _)| at));
    let ends = |end: char| end.is_whitespace() || ".!?,;".contains(end);
    format!("{}, {part}{after}", before.trim_end_matches(ends))
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
        let before = self.kept(0..comma.unwrap_or(0)).0;
        let kept = [before, self.kept(end..self.words.len()).0].concat();
        let said: String = kept.iter().map(|said| format!(", {said}")).collect();
        let plain = format!("{thing}{said}").trim_start().to_string();
        (plain.to_lowercase() != text_of(self.words).to_lowercase()).then_some(plain)
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
            ("a fox that eats an apple", "a fox"),
            ("a robot who likes rocket", "a robot"),
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
            "a rocket on light blue, cartoon",
            "a fox, in a cartoon style",
        ] {
            assert_eq!(plain(prompt), None, "{prompt}");
        }
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
                "a fox, cartoon, isolated on white",
            ),
            (
                "a fox on orange leaves, cartoon",
                "a fox, cartoon, on a white background",
            ),
            ("a unicycle", "a unicycle, 3d render, on a white background"),
            (
                "a fox, cartoon, no background",
                "a fox, cartoon, on a white background, no background",
            ),
            (
                "a fox, cartoon, with background of stars",
                "a fox, cartoon, on a white background, with background",
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
                "a fox, glossy, cartoon, on a white background, friendly",
            ),
            (
                "(a fox, friendly:1.2), glossy",
                "(a fox, friendly:1.2), 3d render, on a white background, glossy",
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

    #[test]
    fn things_are_drawn_in_the_styles_that_they_were_taught_in() {
        let mut manifest = taught();
        manifest.styles = ["3d render", "cartoon", "icon"]
            .map(|name| vec![name.into()])
            .to_vec();
        manifest.subject_styles = vec![vec![0, 1]; manifest.subjects.len()];
        manifest.subject_styles[1] = vec![2];
        let request = crate::Request::new;
        for (prompt, expected, warned) in [
            (
                "a red fox",
                vec!["a red fox, icon, on a white background"],
                false,
            ),
            (
                "a red fox, icon",
                vec!["a red fox, icon, on a white background"],
                false,
            ),
            (
                "a Cartoon of a red fox on teal",
                vec!["a icon of a red fox on teal"],
                true,
            ),
            (
                "a cat, icon",
                vec!["a cat, 3d render, on a white background"],
                true,
            ),
            (
                "a red fox that jumps, cartoon",
                vec!["a red fox, icon, on a white background"],
                true,
            ),
            (
                "a cat and a red fox",
                vec![
                    "a cat, 3d render, on a white background",
                    "a red fox, icon, on a white background",
                ],
                false,
            ),
            (
                "a cat and a red fox, cartoon",
                vec![
                    "a cat, cartoon, on a white background",
                    "a red fox, icon, on a white background",
                ],
                true,
            ),
        ] {
            let request = request(prompt).size([1024, 512]);
            assert_eq!(request.drawn_prompts(&manifest), expected, "{prompt}");
            let warnings = request.warnings(&manifest);
            let told = warnings
                .iter()
                .any(|warning| warning.contains("was taught"));
            assert_eq!(told, warned, "{prompt}: {warnings:?}");
        }
    }
}
