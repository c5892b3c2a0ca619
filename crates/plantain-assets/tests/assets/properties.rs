use image::RgbImage;
use plantain_assets::{CutOutError, Fit, Measures, Pixels, cut_out, encode, fit, measure};
use proptest::prelude::*;

/// A picture of any size whose pixels are plain, repeat or are anything.
fn pictures() -> impl Strategy<Value = RgbImage> {
    (
        1..300_u32,
        1..300_u32,
        prop::collection::vec(any::<u8>(), 1..400),
    )
        .prop_map(|(width, height, bytes)| {
            let all = bytes.iter().copied().cycle();
            let pixels = all.take((width * height * 3) as usize).collect();
            RgbImage::from_raw(width, height, pixels).unwrap()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_picture_and_no_size_is_too_odd(
        image in pictures(),
        size in [1..300_u32, 1..300_u32],
        way in prop::sample::select(&Fit::ALL[..]),
    ) {
        let measures = measure(&image);
        let fitted = fit(&image, &measures, size, way);
        prop_assert_eq!(fitted.dimensions(), size.into());
        let cut = cut_out(&image);
        prop_assert_eq!(cut == Err(CutOutError::NotPlain), measures.background.is_none());
        prop_assert!(encode(Pixels::Rgb(&fitted), plantain_assets::AssetFormat::Png, None, None).is_ok());
    }

    #[test]
    fn measures_are_within_their_bounds_and_survive_json(image in pictures()) {
        let measures = measure(&image);
        let subject = measures.subject;
        prop_assert!(0.0 <= subject.left && subject.left < subject.right && subject.right <= 1.0);
        prop_assert!(0.0 <= subject.top && subject.top < subject.bottom && subject.bottom <= 1.0);
        prop_assert!((0.0..=1.0).contains(&measures.sharpness));
        prop_assert!((0.0..=1.0).contains(&measures.contrast));
        prop_assert!(measures.palette.is_sorted_by(|a, b| a.share >= b.share));
        prop_assert!(measures.palette.iter().map(|swatch| swatch.share).sum::<f64>() <= 1.001);
        let json = serde_json::to_string(&measures).unwrap();
        prop_assert_eq!(serde_json::from_str::<Measures>(&json).unwrap(), measures);
    }
}
