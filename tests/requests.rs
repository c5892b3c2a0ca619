//! Whatever is requested, it is drawn or refused: nothing panics, and no picture is of another size.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use plantain::{
    Aspect, DeviceChoice, DeviceOptions, GrayImage, Pipeline, PrecisionChoice, Request, RgbImage,
    SamplerKind, Unobserved,
};
use proptest::prelude::*;

static PIPELINE: LazyLock<Pipeline> = LazyLock::new(|| {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/weights");
    let options = DeviceOptions {
        device: DeviceChoice::Flex,
        precision: PrecisionChoice::F32,
    };
    Pipeline::load(Path::new(folder).join("turbo"), options).unwrap()
});

/// Mostly numbers that make sense, now and then any.
fn number(usual: std::ops::Range<f64>) -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        8 => Just(None),
        8 => usual.prop_map(Some),
        1 => any::<f64>().prop_map(Some),
        1 => Just(Some(f64::NAN)),
    ]
}

fn count(usual: usize) -> impl Strategy<Value = Option<usize>> {
    prop_oneof![
        4 => Just(None),
        4 => (1..usual).prop_map(Some),
        1 => any::<usize>().prop_map(Some),
    ]
}

fn size() -> impl Strategy<Value = Option<[usize; 2]>> {
    let side = || prop_oneof![12 => (1usize..24).prop_map(|n| 2 * n), 1 => any::<usize>()];
    prop_oneof![Just(None), (side(), side()).prop_map(|(w, h)| Some([w, h]))]
}

fn picture() -> impl Strategy<Value = Option<Arc<RgbImage>>> {
    let sides = (0u32..40, 0u32..40);
    let picture = sides.prop_map(|(w, h)| Some(Arc::new(RgbImage::new(w, h))));
    prop_oneof![Just(None), picture]
}

fn mask() -> impl Strategy<Value = Option<Arc<GrayImage>>> {
    let sides = (0u32..40, 0u32..40, any::<u8>());
    let mask = sides
        .prop_map(|(w, h, grey)| Some(Arc::new(GrayImage::from_pixel(w, h, image::Luma([grey])))));
    prop_oneof![2 => Just(None), 1 => mask]
}

prop_compose! {
    fn request()(
        texts in (".{0,80}", ".{0,20}"),
        numbers in (any::<u64>(), 0usize..3, 0usize..4, count(6)),
        guidance in number(0.0..12.0),
        size in size(),
        aspect in prop_oneof![4 => Just(None), 1 => (1u32..9, 1u32..9).prop_map(|(w, h)| Aspect::new(w, h).ok())],
        sampler in prop_oneof![2 => Just(None), 1 => (0..SamplerKind::ALL.len()).prop_map(|i| Some(SamplerKind::ALL[i]))],
        skip_refiner in any::<bool>(),
        init_image in picture(),
        strength in number(0.0..1.0),
        mask in mask(),
    ) -> Request {
        let (seed, count, batch, steps) = numbers;
        Request {
            negative_prompt: texts.1,
            seed,
            count,
            batch,
            steps,
            guidance,
            size,
            aspect,
            sampler,
            skip_refiner,
            init_image,
            strength,
            mask,
            ..Request::new(texts.0)
        }
    }
}

/// Little enough to be drawn in a test.
fn is_small(request: &Request) -> bool {
    let pipeline = &*PIPELINE;
    request
        .settings(pipeline.manifest())
        .is_ok_and(|settings| settings.width * settings.height * settings.steps <= 24 * 1024)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn anything_may_be_requested(request in request()) {
        let pipeline = &*PIPELINE;
        match request.settings(pipeline.manifest()) {
            Err(error) => {
                prop_assert!(!error.to_string().is_empty());
                prop_assert!(pipeline.generate(&request, &mut Unobserved).is_err());
            }
            Ok(settings) if is_small(&request) => {
                let size = (settings.width as u32, settings.height as u32);
                if let Ok(pictures) = pipeline.generate(&request, &mut Unobserved) {
                    prop_assert_eq!(pictures.len(), request.count.max(1));
                    for picture in pictures {
                        prop_assert_eq!(picture.image.dimensions(), size);
                    }
                }
            }
            Ok(_) => {}
        }
    }
}
