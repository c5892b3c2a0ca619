//! What the library shows of itself comes with an example.
//!
//! Sources are read line by line, which is enough for code as rustfmt leaves it. As for rustdoc's own lint of this kind
//! (`missing_doc_code_examples`, not on stable Rust), fields, variants and constants need none.

use std::fs;
use std::path::{Path, PathBuf};

/// The library, and the crates that it passes on as a whole, each with a number of public items that it surely has: this
/// test is worth nothing once it no longer sees them.
const CRATES: [(&str, usize); 3] = [
    ("plantain", 100),
    ("plantain-sampling", 40),
    ("plantain-weights", 60),
];

#[test]
fn every_public_item_has_an_example() {
    let mut bare = Vec::new();
    for (name, least) in CRATES {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(name)
            .join("src");
        let read = |file: PathBuf| {
            let text = fs::read_to_string(&file).unwrap();
            (file.strip_prefix(&source).unwrap().to_path_buf(), text)
        };
        let files: Vec<_> = rust_files(&source).into_iter().map(read).collect();
        let shown = Shown::of(&files);
        let mut examples = 0;
        for (path, text) in &files {
            for item in items(text).into_iter().filter(|item| shown.has(path, item)) {
                match item.has_example {
                    true => examples += 1,
                    false => bare.push(format!("{name}/{}: {}", path.display(), item.name)),
                }
            }
        }
        assert!(examples >= least, "{name}: only {examples} examples");
    }
    assert!(bare.is_empty(), "no example for\n{}", bare.join("\n"));
}

/// A module, a public type, trait or function, or a method of one.
struct Item {
    /// The type or trait around a method.
    owner: Option<String>,
    name: String,
    has_example: bool,
}

/// What can be reached from outside a crate.
struct Shown {
    /// What stands behind `pub use`.
    used: Vec<String>,
    /// What stands behind `pub mod`.
    modules: Vec<String>,
}

impl Shown {
    fn of(files: &[(PathBuf, String)]) -> Self {
        let words = |keyword: &str, end: &[char]| {
            let declarations = files
                .iter()
                .flat_map(|(_, text)| text.split(keyword).skip(1));
            let words =
                declarations.flat_map(|rest| rest.split(';').next().unwrap_or_default().split(end));
            words.map(str::to_string).collect()
        };
        Self {
            used: words("\npub use ", &['{', '}', ',', ' ', '\n', ':']),
            modules: words("\npub mod ", &[]),
        }
    }

    /// Whether something is reached by its name, by that of what it belongs to, or through a public module.
    fn has(&self, path: &Path, item: &Item) -> bool {
        let module = path.with_extension("");
        let module = if path.ends_with("mod.rs") {
            path.parent().unwrap()
        } else {
            &module
        };
        let name = item.owner.as_ref().unwrap_or(&item.name);
        self.used.contains(name) || self.modules.iter().any(|shown| module == Path::new(shown))
    }
}

/// The public items of a file, and whether their documentation holds a code block.
fn items(text: &str) -> Vec<Item> {
    let mut items = vec![Item {
        owner: None,
        name: "the module".into(),
        has_example: text.contains("\n//! ```"),
    }];
    let (mut owner, mut has_example) = (None, false);
    let (mut in_trait, mut in_attribute) = (false, false);
    for line in text.lines().take_while(|line| *line != "mod tests {") {
        let code = line.trim_start();
        if code.starts_with("///") {
            has_example |= code.starts_with("/// ```");
            continue;
        }
        // Attributes stand between the documentation and the item, some on several lines.
        in_attribute |= code.starts_with("#[");
        if in_attribute {
            in_attribute = !code.ends_with(']');
            continue;
        }
        if let Some(rest) = line.strip_prefix("impl") {
            // The methods of a trait are documented where it is declared.
            owner = (!rest.contains(" for ")).then(|| implemented(rest));
        }
        let method = in_trait && code.starts_with("fn ");
        let public = code.strip_prefix("pub ").or(method.then_some(code));
        if let Some((kind, name)) = public.and_then(declared) {
            let nested = line.starts_with(' ');
            items.push(Item {
                owner: owner.clone().filter(|_| nested),
                name: name.to_string(),
                has_example,
            });
            if !nested {
                in_trait = kind == "trait";
                owner = Some(name.to_string());
            }
        }
        has_example = false;
    }
    items
}

/// The type in the line of an `impl`, of which this is what follows that word.
fn implemented(rest: &str) -> String {
    let generic = rest.starts_with('<');
    let rest = if generic {
        rest.split_once("> ").unwrap().1
    } else {
        rest.trim_start()
    };
    rest.split(['<', ' '])
        .next()
        .unwrap_or_default()
        .to_string()
}

/// Kind and name of what is declared, but for constants, fields and modules.
fn declared(code: &str) -> Option<(&str, &str)> {
    let (kind, rest) = code.strip_prefix("const fn").map_or_else(
        || code.split_once(' '),
        |rest| Some(("fn", rest.trim_start())),
    )?;
    let named = ["fn", "struct", "enum", "trait", "type"].contains(&kind);
    let end = |c: char| !c.is_alphanumeric() && c != '_';
    named.then_some((kind, rest.split(end).next()?))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| match path.is_dir() {
        true => rust_files(&path),
        false => vec![path],
    });
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}
