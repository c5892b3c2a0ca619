//! Which size a picture has, and which sizes a model can make.

use plantain_weights::Manifest;

use crate::error::RequestError;
use crate::request::Request;

/// Largest side of a picture, in pixels.
pub const MAX_SIDE: usize = 2048;
/// Smallest side of a picture on a plain ground.
const LEAST_SIDE: usize = 8;
/// How many times as long as the shorter side of a picture on a plain ground the other may be.
const LONGEST: usize = 8;

impl Request {
    /// Width and height, not checked: the size asked for, or that of the shape, or the model's.
    pub(crate) fn size_for(&self, manifest: &Manifest) -> [usize; 2] {
        let native = manifest.own_size();
        // Two positions of the latent: what the UNet halves once stays exact.
        let multiple = 2 * manifest.sampling_scale();
        let shaped = self.aspect.map(|aspect| {
            if !manifest.plain_ground {
                return aspect.size(native, multiple);
            }
            let side = native[0].min(native[1]);
            let [long, short] = [side, side / 2].map(|side| aspect.size_of_side(side, multiple));
            let fits = long.iter().all(|side| *side <= MAX_SIDE);
            if fits { long } else { short }
        });
        self.size.or(shaped).unwrap_or(native)
    }
}

/// Refuses a size that the model cannot make.
pub(crate) fn check_size(size: [usize; 2], manifest: &Manifest) -> Result<(), RequestError> {
    let [width, height] = size;
    let fail = |reason| {
        Err(RequestError::Size {
            width,
            height,
            reason,
        })
    };
    // What lies on a plain ground is drawn at the model's own size and resized.
    let (scale, least) = if manifest.plain_ground {
        (1, LEAST_SIDE)
    } else {
        (manifest.sampling_scale(), 1)
    };
    if size.iter().any(|side| !(least..=MAX_SIDE).contains(side)) {
        let least = least.max(scale);
        return fail(format!("each side must be {least} to {MAX_SIDE}"));
    }
    if size.iter().any(|side| !side.is_multiple_of(scale)) {
        let [width, height] = size.map(|side| side.next_multiple_of(scale).min(MAX_SIDE));
        return fail(format!(
            "each side must be a multiple of {scale} for this model; {width}x{height} would do"
        ));
    }
    if manifest.plain_ground && width.max(height) > LONGEST * width.min(height) {
        return fail(format!(
            "no side may be more than {LONGEST} times the other"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use plantain_weights::Model;

    use super::*;

    /// A model of 128x128 pixels, 16 for each position of its latent.
    fn manifest() -> Manifest {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/weights");
        let model = Model::open(&Path::new(folder).join("deep")).unwrap();
        model.manifest().clone()
    }

    #[test]
    fn a_shape_stands_for_a_size() {
        let manifest = manifest();
        let mut request = Request::new("a fox");
        let mut check = |manifest: &Manifest, shape: Option<&str>, expected: [usize; 2]| {
            request.aspect = shape.map(|shape| shape.parse().unwrap());
            let settings = request.settings(manifest).unwrap();
            assert_eq!([settings.width, settings.height], expected, "{shape:?}");
        };
        check(&manifest, None, [128, 128]);
        check(&manifest, Some("3:2"), [160, 96]);
        check(&manifest, Some("2:3"), [96, 160]);
        check(&manifest, Some("8:1"), [352, 32]);
        let mut shaped = manifest.clone();
        shaped.plain_ground = true;
        check(&shaped, None, [128, 128]);
        check(&shaped, Some("3:2"), [192, 128]);
        check(&shaped, Some("2:3"), [128, 192]);
        check(&shaped, Some("16:9"), [224, 128]);
        (shaped.defaults.width, shaped.defaults.height) = (512, 512);
        check(&shaped, Some("4:1"), [2048, 512]);
        check(&shaped, Some("1:5"), [256, 1280]);
        request.aspect = Some("8:1".parse().unwrap());
        request.size = Some([128, 128]);
        let error = request.settings(&manifest).unwrap_err().to_string();
        assert!(error.contains("8:1"), "{error}");
    }

    #[test]
    fn sizes_are_multiples_of_what_the_decoder_makes() {
        let manifest = manifest();
        let check = |size| {
            let request = Request {
                size: Some(size),
                ..Request::new("a fox")
            };
            request.settings(&manifest).map(drop)
        };
        for good in [[256, 256], [512, 512], [320, 192], [16, 2048]] {
            check(good).unwrap();
        }
        for bad in [[250, 256], [256, 8], [0, 16], [16, 2064]] {
            check(bad).unwrap_err();
        }
    }

    #[test]
    fn what_lies_on_a_plain_ground_has_any_size() {
        let plain = Manifest {
            plain_ground: true,
            ..manifest()
        };
        for good in [[8, 8], [250, 257], [2048, 256], [64, 8]] {
            check_size(good, &plain).unwrap();
        }
        for bad in [[7, 8], [2049, 512], [65, 8], [0, 0], [usize::MAX, 512]] {
            check_size(bad, &plain).unwrap_err();
        }
    }
}
