use super::*;

fn ramp(length: usize) -> Vec<f32> {
    (0..length)
        .map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.11)
        .collect()
}

#[test]
fn upsampling_repeats_pixels() {
    for (shape, factor) in [
        ([1, 3, 5, 7], 2),
        ([2, 1, 4, 3], 3),
        ([1, 2, 130, 150], 2),
        ([1, 1, 1, 1], 1),
    ] {
        let [b, c, h, w] = shape;
        let x = ramp(b * c * h * w);
        let mut out = vec![0.0; x.len() * factor * factor];
        upsample_nearest(&x, shape, factor, &mut out);
        for (index, &value) in out.iter().enumerate() {
            let (column, row) = (index % (factor * w), index / (factor * w));
            let (image, row) = (row / (factor * h), row % (factor * h));
            assert_eq!(value, x[(image * h + row / factor) * w + column / factor]);
        }
    }
}
