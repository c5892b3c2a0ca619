//! Texts with variables.

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value;

use crate::error::{CampaignError, Place};

/// Variables that belong to the picture and cannot be a column or a key of the matrix.
pub(crate) const RESERVED: [&str; 5] = ["campaign", "format", "size", "extension", "variant"];

/// Names of the templates of prompts, in which brackets weigh what is in them. Those of a row's texts are brackets.
pub(crate) const PROMPTS: [&str; 2] = ["prompt", "negative"];
const WEIGHTS: &str = "weights";

/// `text` with a backslash before each character that has a meaning in prompts.
fn without_weights(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if r"()[]\".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Variables by name.
pub(crate) type Variables = BTreeMap<String, Value>;

/// Templates by name, which is where they stand: a key of the campaign, or the path of an SVG.
#[derive(Debug)]
pub(crate) struct Templates {
    environment: Environment<'static>,
    places: BTreeMap<String, Place>,
}

impl Templates {
    pub(crate) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| {
            if name.ends_with(".svg") {
                AutoEscape::Html
            } else if PROMPTS.contains(&name) {
                AutoEscape::Custom(WEIGHTS.into())
            } else {
                AutoEscape::None
            }
        });
        environment.set_formatter(|out, state, value| {
            let in_prompt = matches!(state.auto_escape(), AutoEscape::Custom(_));
            match (in_prompt, value.is_safe()) {
                (true, true) => Ok(write!(out, "{value}")?),
                (true, false) => Ok(out.write_str(&without_weights(&value.to_string()))?),
                (false, _) => minijinja::escape_formatter(out, state, value),
            }
        });
        environment.add_filter("slug", slug);
        Self {
            environment,
            places: BTreeMap::new(),
        }
    }

    /// Adds the template that stands at `place`.
    ///
    /// # Errors
    /// When it is no template, with the line where reading it ended.
    pub(crate) fn add(
        &mut self,
        name: &str,
        source: String,
        place: Place,
    ) -> Result<(), CampaignError> {
        let added = self
            .environment
            .add_template_owned(name.to_string(), source);
        added.map_err(|error| {
            let place = inner(&place, &error);
            CampaignError::invalid(place, problem(&error))
        })?;
        self.places.insert(name.to_string(), place);
        Ok(())
    }

    /// The template called `name` with `variables` filled in; `of` says in words whose variables they are.
    ///
    /// # Errors
    /// When it uses a variable that there is none of.
    pub(crate) fn render(
        &self,
        name: &str,
        variables: &Variables,
        of: &str,
    ) -> Result<String, CampaignError> {
        let place = &self.places[name];
        let template = self.environment.get_template(name);
        let rendered = template.and_then(|template| {
            let missing = || missing(&template, variables);
            template
                .render(Serde(variables))
                .map_err(|error| match missing() {
                    Some(missing) => error.with_source(Undefined(missing)),
                    None => error,
                })
        });
        rendered.map_err(|error| {
            let known = || {
                variables
                    .keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let undefined = std::error::Error::source(&error).and_then(|e| e.downcast_ref());
            let problem = match undefined {
                Some(Undefined(missing)) => {
                    format!("{of} has no variable {missing}; it has {}", known())
                }
                None => format!("{of}: {}", problem(&error)),
            };
            CampaignError::invalid(inner(place, &error), problem)
        })
    }
}

/// The variables that a template could not find, in backticks.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Undefined(String);

fn missing(template: &minijinja::Template<'_, '_>, variables: &Variables) -> Option<String> {
    let used = template.undeclared_variables(false);
    let mut missing: Vec<_> = used
        .into_iter()
        .filter(|name| !variables.contains_key(name))
        .map(|name| format!("`{name}`"))
        .collect();
    missing.sort();
    (!missing.is_empty()).then(|| missing.join(" and "))
}

/// Where in a file of its own, or of several lines, the template is wrong.
fn inner(place: &Place, error: &minijinja::Error) -> Place {
    match (error.line(), place.line) {
        (Some(line), Some(first)) => place.clone().line(first + line - 1),
        (Some(line), None) => place.clone().line(line),
        (None, _) => place.clone(),
    }
}

fn problem(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()).replace('\n', " "),
        None => error.kind().to_string(),
    }
}

/// The text of `value` as part of a file's name: small letters and digits of any script, single hyphens for all else.
fn slug(value: &minijinja::Value) -> Result<String, minijinja::Error> {
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let mut slug = String::new();
    for c in value.to_string().to_lowercase().chars() {
        if c.is_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    Ok(slug.trim_end_matches('-').to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn render(name: &str, source: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let mut templates = Templates::new();
        let place = Place::file(Path::new("sale.toml")).line(4).key(name);
        let variables = variables.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        templates
            .add(name, source.into(), place)
            .and_then(|()| templates.render(name, &variables.collect(), "row 7"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn variables_are_filled_in() {
        let text = render(
            "prompt",
            "{{ style }} of a {{ what|upper }}",
            &[("style", "icon"), ("what", "fox")],
        );
        assert_eq!(text.unwrap(), "icon of a FOX");
        let text = render(
            "output",
            "{{ what|slug }}.png",
            &[("what", " Größe: 3/4 \"x\"! ")],
        );
        assert_eq!(text.unwrap(), "größe-3-4-x.png");
        let text = render("a.svg", "<text>{{ what }}</text>", &[("what", "<b> & co")]);
        assert_eq!(text.unwrap(), "<text>&lt;b&gt; &amp; co</text>");
        let row = [("what", "Shampoo (500 ml)")];
        let text = render("prompt", "(a {{ what }}:1.2)", &row);
        assert_eq!(text.unwrap(), r"(a Shampoo \(500 ml\):1.2)");
        let text = render("prompt", "a {{ what|safe }}", &row);
        assert_eq!(text.unwrap(), "a Shampoo (500 ml)");
        let text = render("prompt", "a {{ what|default('fox') }}", &[]);
        assert_eq!(text.unwrap(), "a fox");
    }

    #[test]
    fn numbers_are_names_too() {
        let mut templates = Templates::new();
        let place = Place::file(Path::new("sale.toml"));
        let source = "{{ id|slug }}.png".to_string();
        templates.add("output", source, place).unwrap();
        let variables = Variables::from([("id".into(), 7.5.into())]);
        let path = templates.render("output", &variables, "row 7").unwrap();
        assert_eq!(path, "7-5.png");
    }

    #[test]
    fn what_is_not_there_is_named_with_its_place() {
        let error = render("prompt", "a {{ colour }} {{ what }}", &[("what", "fox")]).unwrap_err();
        assert_eq!(
            error,
            "sale.toml:4: `prompt`: row 7 has no variable `colour`; it has what"
        );
        let error = render("output", "{{ what|slug }}.png", &[]).unwrap_err();
        assert_eq!(
            error,
            "sale.toml:4: `output`: row 7 has no variable `what`; it has "
        );
        let error = render("prompt", "a\n{{ what", &[]).unwrap_err();
        assert!(error.starts_with("sale.toml:5: `prompt`: "), "{error}");
    }
}
