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

#[test]
fn shuffling_takes_a_pixel_of_each_channel() {
    for shape in [[1, 12, 5, 7], [2, 4, 3, 1], [1, 4, 130, 150]] {
        let [b, c, h, w] = shape;
        let x = ramp(b * c * h * w);
        let mut out = vec![0.0; x.len()];
        pixel_shuffle(&x, shape, &mut out);
        for (index, &value) in out.iter().enumerate() {
            let (column, row) = (index % (2 * w), index / (2 * w));
            let (image, row) = (row / (2 * h), row % (2 * h));
            let channel = 4 * image + 2 * (row % 2) + column % 2;
            assert_eq!(value, x[(channel * h + row / 2) * w + column / 2]);
        }
    }
}
