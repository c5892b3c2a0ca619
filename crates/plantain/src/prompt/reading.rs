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
        let subject = reader.main_subject();
        let names_subject = if manifest.plain_ground && !manifest.subjects.is_empty() {
            subject.is_some()
        } else {
            manifest.names_subject(prompt)
        };
        Self {
            caption: reader.caption(subject, from_nothing),
            things: from_nothing.then(|| reader.things()).flatten(),
            names_subject,
            two_styles: reader.two_styles(),
        }
    }
}

/// The prompt with a ground to cut things out of, where it asks a model of single things for something and leaves the ground open.
pub(crate) fn on_ground_to_cut(prompt: &str, manifest: &Manifest) -> Option<String> {
    Reader::new(prompt, manifest).on_ground_to_cut()
}

#[cfg(test)]
#[cfg(feature = "embedded-model")]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_model_is_asked_for_what_is_meant() {
        let model = crate::default_model().unwrap();
        for (prompt, expected) in [
            ("2d flat design fox", "a fox, flat illustration"),
            ("happy puppy, 3d render", "a dog, 3d render"),
            ("cat wearing sunglasses on a beach", "a cat, 3d render"),
            ("robot warrior with a sword", "a robot, 3d render"),
            ("a bird flies over the sea", "a bird, 3d render"),
            ("t-shirt with a logo of a lion", "a t-shirt, 3d render"),
            ("black friday sale tag, red", "a red price tag, 3d render"),
            ("a gold coin purse", "a gold coin purse, 3d render"),
            (
                "red heart with a bow",
                "a red heart with a ribbon, 3d render",
            ),
            ("pug dog face, cartoon", "a dog face, cartoon"),
            ("school of fish, flat", "a fish, flat illustration"),
            ("menu icon", "a menu symbol, ui icon"),
            ("phone icon", "a telephone, 3d render"),
            ("heart eyes emoji", "a heart eyes smiley, 3d render"),
            ("cup cake", "a cupcake, 3d render"),
            ("lion's head", "a lion, 3d render"),
            ("man walking a dog", "a man walking, 3d render"),
            (
                "woman with blonde hair and glasses",
                "a blonde woman, 3d render",
            ),
            (
                "watercolor painting of a sunflower",
                "a sunflower, 3d render",
            ),
            (
                "light-blue car, vector art",
                "a cyan car, flat illustration",
            ),
        ] {
            let reading = Reading::new(prompt, true, model.manifest());
            let drawn = format!("{expected}, on a white background");
            assert_eq!(reading.caption.prompt, drawn, "{prompt}");
            assert!(
                reading.names_subject && reading.things.is_none(),
                "{prompt}"
            );
        }
        let envelope = "an envelope with money and a sim card, ui icon";
        let things = Reading::new(envelope, true, model.manifest()).things;
        assert_eq!(things.map(|things| things.prompts().len()), Some(2));
        for prompt in ["landscape, no people", "a unicycle", "happy birthday"] {
            let reading = Reading::new(prompt, true, model.manifest());
            assert!(!reading.names_subject, "{prompt}");
        }
    }
}
