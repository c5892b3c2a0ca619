//! A component that computes in half precision, and the way back when that does not hold its numbers.

use std::sync::OnceLock;

use plantain_nn::{Packing, Storage};
use plantain_weights::{Model, Target};

use crate::error::Error;

/// A component as it was loaded, and in single precision once it turned out to need that.
#[derive(Debug)]
pub(crate) struct Widening<C> {
    loaded: C,
    wide: OnceLock<C>,
}

impl<C> Widening<C> {
    pub(crate) fn new(loaded: C) -> Self {
        Self {
            loaded,
            wide: OnceLock::new(),
        }
    }

    /// The component that is in use.
    pub(crate) fn get(&self) -> &C {
        self.wide.get().unwrap_or(&self.loaded)
    }

    /// What `attempt` gives; where that has values that are not finite, what it gives with the component that `widen`
    /// loads, if there is one. From then on that is the one in use.
    pub(crate) fn run<T>(
        &self,
        attempt: impl Fn(&C) -> Result<T, Error>,
        widen: impl FnOnce(&'static str) -> Result<Option<C>, Error>,
    ) -> Result<T, Error> {
        let tried = self.get();
        match attempt(tried) {
            Err(Error::NonFinite { component, detail }) if std::ptr::eq(tried, &self.loaded) => {
                // Another thread may have found out meanwhile.
                if let Some(wide) = self.wide.get() {
                    return attempt(wide);
                }
                match widen(component)? {
                    Some(wide) => attempt(self.wide.get_or_init(|| wide)),
                    None => Err(Error::NonFinite { component, detail }),
                }
            }
            outcome => outcome,
        }
    }
}

/// Where components come from again, in single precision.
#[derive(Debug)]
pub(crate) struct Wide {
    model: Model,
    target: Target,
}

impl Wide {
    /// `None` where `target` is not in half precision.
    pub(crate) fn of(model: &Model, target: &Target) -> Option<Self> {
        let Some(Packing::Device(device, Storage::F16)) = &target.packing else {
            return None;
        };
        let packing = Some(Packing::Device(device.clone(), Storage::F32));
        Some(Self {
            model: model.clone(),
            target: Target {
                device: target.device.clone(),
                packing,
            },
        })
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overflow(component: &f32) -> Result<f32, Error> {
        let result = component * 2.0;
        if result < 10.0 {
            return Ok(result);
        }
        Err(Error::NonFinite {
            component: "test",
            detail: String::new(),
        })
    }

    #[test]
    fn the_wide_component_is_loaded_once_and_kept() {
        let part = Widening::new(7.0);
        assert_eq!(part.run(overflow, |_| Ok(Some(3.0))).unwrap(), 6.0);
        let again = part.run(overflow, |_| panic!("loaded twice"));
        assert_eq!(again.unwrap(), 6.0);
    }

    #[test]
    fn a_wide_component_that_another_thread_loaded_meanwhile_is_taken() {
        let part = Widening::new(7.0);
        let attempt = |component: &f32| {
            if *component == 7.0 {
                // What another thread does between this one's attempt and its failure.
                part.run(overflow, |_| Ok(Some(3.0)))?;
            }
            overflow(component)
        };
        let outcome = part.run(attempt, |_| panic!("loaded twice"));
        assert_eq!(outcome.unwrap(), 6.0);
    }

    #[test]
    fn without_a_wide_component_the_first_failure_is_told() {
        let part = Widening::new(7.0);
        let error = part.run(overflow, |_| Ok(None)).unwrap_err();
        assert!(matches!(
            error,
            Error::NonFinite {
                component: "test",
                ..
            }
        ));
        let part = Widening::new(7.0);
        assert!(part.run(overflow, |_| Ok(Some(8.0))).is_err());
    }
}
