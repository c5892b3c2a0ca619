//! Pictures that look like others.

use plantain_assets::Measures;

use super::palette::share_their_colours;
use crate::plan::Shot;

/// The pictures that are kept so far.
#[derive(Debug, Default)]
pub(super) struct Kept<'a> {
    pictures: Vec<(&'a Measures, &'a Shot)>,
}

impl<'a> Kept<'a> {
    pub(super) fn add(&mut self, measures: &'a Measures, shot: &'a Shot) {
        self.pictures.push((measures, shot));
    }

    /// The first kept picture of another prompt that has about the same colours and whose hash differs in at most `distance` bits, with
    /// their number.
    pub(super) fn twin(
        &self,
        measures: &Measures,
        shot: &Shot,
        distance: u32,
    ) -> Option<(&'a Shot, u32)> {
        let others = self
            .pictures
            .iter()
            .filter(|(_, other)| other.prompt_key != shot.prompt_key);
        others
            .map(|(other, shot)| (other, *shot, other.hash.distance(measures.hash)))
            .find(|(other, _, bits)| *bits <= distance && share_their_colours(other, measures))
            .map(|(_, shot, bits)| (shot, bits))
    }
}
