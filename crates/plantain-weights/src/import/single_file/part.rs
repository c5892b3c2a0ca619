//! One part of a single file: its tensors by name and shape, without the prefix that marks the part.

use std::collections::{BTreeMap, BTreeSet};

/// Names, without the prefix of the part, and shapes.
#[derive(Debug, Default)]
pub(in super::super) struct Part<'a> {
    shapes: BTreeMap<&'a str, &'a [usize]>,
}

/// A tensor that the part should have, being what it is.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Lacks(pub(super) String);

impl<'a> Part<'a> {
    /// The tensors whose names start with `prefix`.
    pub(in super::super) fn of(
        tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>,
        prefix: &str,
    ) -> Self {
        let own = tensors
            .into_iter()
            .filter_map(|(name, shape)| Some((name.strip_prefix(prefix)?, shape)));
        Self {
            shapes: own.collect(),
        }
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// Whether any name starts with `start`.
    pub(in super::super) fn has(&self, start: &str) -> bool {
        let first = self.shapes.range(start..).next();
        first.is_some_and(|(name, _)| name.starts_with(start))
    }

    /// The shape of the tensor `name`.
    pub(in super::super) fn shape(&self, name: &str) -> Result<&'a [usize], Lacks> {
        let shape = self.shapes.get(name).copied();
        shape.ok_or_else(|| Lacks(name.to_string()))
    }

    /// The length of the tensor `name` along `axis`.
    pub(in super::super) fn length(&self, name: &str, axis: usize) -> Result<usize, Lacks> {
        let length = self.shape(name)?.get(axis).copied();
        length.ok_or_else(|| Lacks(name.to_string()))
    }

    /// The numbers that follow `start` in names, as in `input_blocks.7.0.weight`.
    pub(in super::super) fn numbers(&self, start: &str) -> BTreeSet<usize> {
        let names = self.shapes.range(start..).map(|(name, _)| *name);
        names
            .map_while(|name| name.strip_prefix(start))
            .filter_map(|rest| rest.split('.').next()?.parse().ok())
            .collect()
    }

    /// How many blocks are numbered after `start`, from 0 without a gap.
    pub(in super::super) fn count(&self, start: &str) -> usize {
        let numbers = self.numbers(start);
        (0..).take_while(|n| numbers.contains(n)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_by_their_start() {
        let shapes: [(&str, &[usize]); 4] = [
            ("unet.blocks.0.weight", &[2, 3]),
            ("unet.blocks.10.weight", &[1]),
            ("unet.blocks.1.bias", &[4]),
            ("vae.blocks.2.bias", &[5]),
        ];
        let part = Part::of(shapes, "unet.");
        assert_eq!(part.numbers("blocks."), BTreeSet::from([0, 1, 10]));
        assert_eq!(part.count("blocks."), 2);
        assert_eq!(part.length("blocks.0.weight", 1), Ok(3));
        assert_eq!(
            part.length("blocks.1.bias", 1),
            Err(Lacks("blocks.1.bias".to_string()))
        );
        assert!(part.has("blocks.10.") && !part.has("blocks.2."));
        assert!(Part::of(shapes, "text.").is_empty());
    }
}
