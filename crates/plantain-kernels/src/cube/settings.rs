//! How the runtime of graphics processors behaves.

use burn::BurnConfig;
use cubecl::config::RuntimeConfig;

/// Settings of the runtime, for the whole process.
///
/// ```
/// use plantain_kernels::RuntimeSettings;
///
/// assert!(!RuntimeSettings::default().fusion);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuntimeSettings {
    /// Whether Burn fuses the operations between our kernels. Faster on some devices, and the less travelled road.
    pub fusion: bool,
}

impl RuntimeSettings {
    /// Makes the settings hold. Only the first call before the first device is opened has an effect; it returns whether
    /// this one had.
    ///
    /// ```
    /// use plantain_kernels::RuntimeSettings;
    ///
    /// assert!(RuntimeSettings { fusion: true }.apply());
    /// assert!(!RuntimeSettings { fusion: false }.apply());
    /// ```
    pub fn apply(self) -> bool {
        BurnConfig::try_set(burn(self.fusion))
    }
}

/// Burn's own settings. Fusion that may explore nothing fuses nothing.
fn burn(fusion: bool) -> BurnConfig {
    let text = if fusion {
        ""
    } else {
        "[fusion.beam_search]\nmax_explorations = 0"
    };
    toml::from_str(text).expect("a table of Burn's settings")
}

#[cfg(test)]
mod tests {
    use super::burn;

    #[test]
    fn without_fusion_nothing_is_explored() {
        let explored = |fusion| burn(fusion).fusion().beam_search.max_explorations;
        assert_eq!(explored(false), Some(0));
        assert_eq!(explored(true), None);
    }
}
