//! All that is read out of a prompt, at once.

use plantain_weights::Manifest;

use super::caption::Caption;
use super::reader::Reader;
use super::things::Things;

/// What a prompt comes to for a model.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    /// What is drawn where it is taken for one thing.
    pub(crate) caption: Caption,
    /// The things that it asks for, where they are several and each is drawn by itself.
    pub(crate) things: Option<Things>,
    /// Whether it names one of the subjects, or the model has no list of them.
    pub(crate) names_subject: bool,
    /// The first two styles that it names, where it names several.
    pub(crate) two_styles: Option<[&'a str; 2]>,
}

impl<'a> Reading<'a> {
    /// That of a prompt for a picture that is drawn `from_nothing`, or from another one.
    pub(crate) fn new(prompt: &'a str, from_nothing: bool, manifest: &'a Manifest) -> Self {
        let reader = Reader::new(prompt, manifest);
        let names_subject = if manifest.plain_ground && !manifest.subjects.is_empty() {
            reader.main_subject().is_some()
        } else {
            manifest.names_subject(prompt)
        };
        Self {
            caption: reader.caption(from_nothing),
            things: from_nothing.then(|| reader.things()).flatten(),
            names_subject,
            two_styles: reader.two_styles(),
        }
    }
}
