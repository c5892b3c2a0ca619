use super::*;

fn ramp(length: usize) -> Vec<f32> {
    (0..length)
        .map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.11)
        .collect()
}

#[test]
fn odd_lengths_touch_nothing_else() {
    for isa in Isa::available() {
        for length in [0, 1, 3, 15, 16, 17, 33, 100] {
            let x = ramp(length);
            let mut out = vec![7.0; length + 5];
            apply_on(isa, Function::Relu, &x, &mut out[..length]);
            assert!(x.iter().zip(&out).all(|(x, out)| *out == x.max(0.0)));
            assert_eq!(out[length..], [7.0; 5]);
            let mut sum = x.clone();
            add_on(isa, &mut sum, &x);
            assert!(x.iter().zip(&sum).all(|(x, sum)| *sum == 2.0 * x));
        }
    }
}

#[test]
fn in_place_is_the_same() {
    let x = ramp(100_003);
    let (mut out, mut in_place) = (vec![0.0; x.len()], x.clone());
    apply(Function::Silu, &x, &mut out);
    apply_in_place(Function::Silu, &mut in_place);
    assert_eq!(out, in_place);
    add_in_place(&mut out, &x);
    assert!(
        out.iter()
            .zip(&in_place)
            .zip(&x)
            .all(|((sum, a), b)| *sum == a + b)
    );
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
