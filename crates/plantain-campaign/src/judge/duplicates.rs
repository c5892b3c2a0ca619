//! Pictures that look like others.

use plantain_assets::PerceptualHash;

use crate::plan::Shot;

/// The pictures that are kept so far.
#[derive(Debug, Default)]
pub(super) struct Kept<'a> {
    pictures: Vec<(PerceptualHash, &'a Shot)>,
}

impl<'a> Kept<'a> {
    pub(super) fn add(&mut self, hash: PerceptualHash, shot: &'a Shot) {
        self.pictures.push((hash, shot));
    }

    /// The first kept picture of another prompt whose hash differs from `hash` in at most `distance` bits, with their number.
    pub(super) fn twin(
        &self,
        hash: PerceptualHash,
        shot: &Shot,
        distance: u32,
    ) -> Option<(&'a Shot, u32)> {
        let others = self
            .pictures
            .iter()
            .filter(|(_, other)| other.prompt_key != shot.prompt_key);
        others
            .map(|(other, shot)| (*shot, other.distance(hash)))
            .find(|(_, bits)| *bits <= distance)
    }
}
