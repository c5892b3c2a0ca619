//! Licences, as models state them.

/// Words in the names of licences that forbid commercial use: `cc-by-nc-4.0`, `sai-nc-community`,
/// `flux-1-dev-non-commercial-license`, `stabilityai-nc-research-community`.
const WORDS: [&str; 4] = ["nc", "noncommercial", "research", "academic"];
/// Licences that forbid commercial use and do not say so in their names.
const NAMES: [&str; 2] = ["apple-amlr", "deepfloyd-if-license"];

/// Whether the licence called `name` (or one of several, with commas between them) forbids all but research or other
/// non-commercial use, as far as its name tells. This is for a warning: what holds is the text of the licence.
///
/// ```
/// use plantain_weights::is_research_only;
///
/// assert!(is_research_only("cc-by-nc-4.0"));
/// assert!(!is_research_only("creativeml-openrail-m"));
/// ```
pub fn is_research_only(name: &str) -> bool {
    name.split(',').any(forbids_commerce)
}

fn forbids_commerce(name: &str) -> bool {
    let name = name.to_lowercase();
    let words = name.split(|c: char| !c.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.iter().any(|word| WORDS.contains(word))
        || words.windows(2).any(|pair| pair == ["non", "commercial"])
        || NAMES.contains(&words.join("-").as_str())
}

/// The licence in the front matter of a README, as hubs have it: the YAML between two lines of `---` at its start, of which
/// only the keys of licences are read.
///
/// ```
/// let readme = "---\nlicense: mit\n---\n# A model";
/// assert_eq!(plantain_weights::license_in_readme(readme).as_deref(), Some("mit"));
/// ```
pub fn license_in_readme(text: &str) -> Option<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().map(str::trim_end);
    if lines.next() != Some("---") {
        return None;
    }
    let matter: Vec<&str> = lines.take_while(|line| *line != "---").collect();
    let stated = values(&matter, "license").join(", ");
    let name = values(&matter, "license_name").into_iter().next();
    match stated.as_str() {
        "" => None,
        "other" => name.or(Some(stated)),
        _ => Some(stated),
    }
}

/// The values of the top-level key `key`: a scalar, or a list in either of YAML's notations.
fn values(matter: &[&str], key: &str) -> Vec<String> {
    let value_of = |line: &str| {
        let value = line.strip_prefix(key)?.strip_prefix(':')?;
        (value.is_empty() || value.starts_with(' ')).then(|| scalar(value).to_string())
    };
    let found = matter.iter().enumerate();
    let Some((at, value)) = found
        .filter_map(|(at, line)| Some((at, value_of(line)?)))
        .next()
    else {
        return Vec::new();
    };
    let items: Vec<&str> = if value.is_empty() {
        let below = matter[at + 1..].iter().map(|line| line.trim_start());
        below.map_while(|line| line.strip_prefix("- ")).collect()
    } else {
        let list = value.strip_prefix('[').and_then(|v| v.strip_suffix(']'));
        list.map_or_else(|| vec![value.as_str()], |list| list.split(',').collect())
    };
    let items = items
        .into_iter()
        .map(scalar)
        .filter(|item| !item.is_empty());
    items.map(str::to_string).collect()
}

/// A YAML scalar without its comment and quotes.
fn scalar(text: &str) -> &str {
    let text = text.split(" #").next().unwrap_or(text).trim();
    let quoted = ['"', '\'']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    quoted.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_for_research_only_are_known() {
        for name in [
            "cc-by-nc-4.0",
            "cc-by-nc-sa-4.0",
            "CC-BY-NC-ND-4.0",
            "sai-nc-community",
            "stabilityai-nc-research-community",
            "stability-ai-non-commercial-research-community-license",
            "flux-1-dev-non-commercial-license",
            "fair-noncommercial-research-license",
            "apple-amlr",
            "intel-research",
            "deepfloyd-if-license",
            "Non Commercial",
        ] {
            assert!(is_research_only(name), "{name}");
        }
        for name in [
            "mit",
            "apache-2.0",
            "creativeml-openrail-m",
            "openrail++",
            "bigscience-openrail-m",
            "cc-by-4.0",
            "cc-by-sa-4.0",
            "cc0-1.0",
            "cc-by-nd-4.0",
            "other",
            "ncsa",
            "apple-ascl",
            "stabilityai-ai-community",
            "commercial",
        ] {
            assert!(!is_research_only(name), "{name}");
        }
    }

    #[test]
    fn front_matter_is_read() {
        let name = |text: &str| license_in_readme(text);
        let some = |text: &str| Some(text.to_string());
        assert_eq!(
            name("---\nlicense: creativeml-openrail-m\ntags:\n- a\n---\n# x"),
            some("creativeml-openrail-m")
        );
        assert_eq!(
            name("---\r\nlicense: \"mit\" # free\r\n---\r\n"),
            some("mit")
        );
        assert_eq!(
            name("---\nlicense:\n  - mit\n  - apache-2.0\nx: y\n---"),
            some("mit, apache-2.0")
        );
        assert_eq!(
            name("---\nlicense: [mit, 'cc-by-4.0']\n---"),
            some("mit, cc-by-4.0")
        );
        assert_eq!(
            name("---\nlicense: other\nlicense_name: mine\nlicense_link: x\n---"),
            some("mine")
        );
        assert_eq!(
            name("---\nlicense_name: mine\nlicense: mit\n---"),
            some("mit")
        );
        assert_eq!(name("\u{feff}---\nlicense: mit\n---"), some("mit"));
        for none in [
            "",
            "license: mit",
            "---\ntags: []\n---\nlicense: mit",
            "---\nmodel:\n  license: mit\n---",
            "---\nlicense:\n---",
        ] {
            assert_eq!(name(none), None, "{none}");
        }
    }

    #[test]
    fn one_of_several_is_enough_for_a_warning() {
        assert!(is_research_only("mit, cc-by-nc-4.0"));
    }
}
