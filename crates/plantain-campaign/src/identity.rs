//! Names for what is rendered: hashes of all that the campaign and the model put into it, so that nothing is rendered twice and nothing stale is kept.

use plantain::weights::sha256;
use serde::Serialize;

/// Changes when the same inputs would give other pixels than with an earlier version of this crate.
const RENDERING: u32 = 2;

/// A name for `inputs`, 32 hexadecimal digits; equal inputs have equal names.
///
/// Maps among the inputs must be sorted, as `BTreeMap` is.
pub(crate) fn key_of(kind: &str, inputs: &impl Serialize) -> String {
    let text = serde_json::to_string(&(RENDERING, kind, inputs));
    let mut key = sha256(text.expect("inputs are plain data").as_bytes());
    key.truncate(32);
    key
}

/// The seed of the first picture of `inputs`: the same wherever its row stands, short enough to be typed.
pub(crate) fn seed_of(campaign: u64, inputs: &impl Serialize) -> u64 {
    let key = key_of("seed", &(campaign, inputs));
    u64::from_str_radix(&key[..8], 16).expect("eight hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_inputs_have_equal_names() {
        assert_eq!(key_of("a", &1), key_of("a", &1));
        assert_ne!(key_of("a", &1), key_of("b", &1));
        assert_ne!(key_of("a", &1), key_of("a", &2));
        assert_eq!(key_of("a", &1).len(), 32);
        assert!(seed_of(1, &"x") <= u64::from(u32::MAX));
        assert_ne!(seed_of(1, &"x"), seed_of(2, &"x"));
    }
}
