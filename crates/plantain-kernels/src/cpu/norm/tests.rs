use super::*;

fn noise(length: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..length).map(|_| next() + next() + next()).collect()
}

fn relative(got: &[f32], want: &[f64]) -> f64 {
    let error: f64 = got
        .iter()
        .zip(want)
        .map(|(&a, b)| (f64::from(a) - b).powi(2))
        .sum();
    (error / want.iter().map(|b| b * b).sum::<f64>().max(1e-300)).sqrt()
}

fn mean_and_variance(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    (
        mean,
        values.map(|x| (x - mean).powi(2)).sum::<f64>() / count,
    )
}

#[test]
fn group_norm_of_odd_shapes() {
    for isa in Isa::available() {
        for (index, (b, c, p, groups)) in [
            (1, 4, 1, 2),
            (2, 6, 35, 3),
            (1, 32, 77, 32),
            (3, 10, 64, 1),
            (1, 64, 4096, 32),
            (1, 8, 9001, 2),
        ]
        .into_iter()
        .enumerate()
        {
            let x: Vec<f32> = noise(b * c * p, index as u64 + 1)
                .iter()
                .map(|x| 3.0 * x + 0.7)
                .collect();
            let (weight, bias) = (noise(c, 91), noise(c, 92));
            let affine = group_norm_affine_on(isa, &x, [b, c, p], groups, 1e-5, &weight, &bias);
            let mut want = vec![0.0; x.len()];
            let size = c / groups * p;
            for (group, values) in x.chunks(size).enumerate() {
                let (mean, variance) = mean_and_variance(values.iter().map(|&x| f64::from(x)));
                for (at, &x) in values.iter().enumerate() {
                    let channel = group % groups * (c / groups) + at / p;
                    let y = (f64::from(x) - mean) / (variance + 1e-5).sqrt();
                    let y = y * f64::from(weight[channel]) + f64::from(bias[channel]);
                    want[group * size + at] = y / (1.0 + (-y).exp());
                }
            }
            let mut out = vec![0.0; x.len()];
            apply_affine_on(isa, &x, p, &affine, true, &mut out);
            assert!(
                relative(&out, &want) < 1e-6,
                "{isa:?} {:?}: {}",
                [b, c, p, groups],
                relative(&out, &want)
            );
        }
    }
}

#[test]
fn layer_norm_of_odd_shapes() {
    for isa in Isa::available() {
        for (b, c, p) in [
            (1, 1, 1),
            (2, 7, 5),
            (1, 8, 16),
            (1, 320, 77),
            (2, 769, 33),
            (1, 20, 1000),
        ] {
            let x: Vec<f32> = noise(b * c * p, c as u64)
                .iter()
                .map(|x| 2.0 * x - 1.3)
                .collect();
            let stats = layer_norm_stats_on(isa, &x, [b, c, p], 1e-5);
            let (mut mean, mut inverse_std) = (vec![], vec![]);
            for image in x.chunks(c * p) {
                for token in 0..p {
                    let (m, v) =
                        mean_and_variance(image[token..].iter().step_by(p).map(|&x| f64::from(x)));
                    mean.push(m);
                    inverse_std.push(1.0 / (v + 1e-5).sqrt());
                }
            }
            assert!(
                relative(&stats.mean, &mean) < 1e-6,
                "{isa:?} {:?}",
                [b, c, p]
            );
            assert!(
                relative(&stats.inverse_std, &inverse_std) < 1e-6,
                "{isa:?} {:?}",
                [b, c, p]
            );
            let (weight, bias) = (noise(c, 3), noise(c, 4));
            let mut out = vec![0.0; x.len()];
            apply_layer_norm(&x, [b, c, p], &stats, &weight, &bias, &mut out);
            let want: Vec<f64> = (0..x.len())
                .map(|at| {
                    let (channel, token) = (at / p % c, at / (c * p) * p + at % p);
                    let y = (f64::from(x[at]) - mean[token]) * inverse_std[token];
                    y * f64::from(weight[channel]) + f64::from(bias[channel])
                })
                .collect();
            assert!(relative(&out, &want) < 1e-6, "{isa:?} {:?}", [b, c, p]);
        }
    }
}

#[test]
fn a_large_mean_does_not_cancel() {
    let x: Vec<f32> = noise(40_000, 5).iter().map(|x| x + 5000.0).collect();
    let (mean, variance) = mean_and_variance(x.iter().map(|&x| f64::from(x)));
    for isa in Isa::available() {
        let found = Moments::of(isa, &x);
        assert!((found.mean - mean).abs() < 1e-7 * mean);
        assert!((found.squares / found.count - variance).abs() < 1e-6 * variance);
        let stats = layer_norm_stats_on(isa, &x, [1, 400, 100], 0.0);
        for token in 0..100 {
            let (_, variance) =
                mean_and_variance(x[token..].iter().step_by(100).map(|&x| f64::from(x)));
            assert!((f64::from(stats.inverse_std[token]) * variance.sqrt() - 1.0).abs() < 5e-4);
        }
    }
}

#[test]
fn constant_input_gives_the_bias() {
    let (x, mut out) = (vec![3.5; 4 * 50], vec![0.0; 4 * 50]);
    group_norm(
        &x,
        [1, 4, 50],
        2,
        1e-5,
        &[1.0; 4],
        &[0.25; 4],
        false,
        &mut out,
    );
    assert!(out.iter().all(|y| (y - 0.25).abs() < 1e-5));
    layer_norm(&x, [1, 4, 50], 1e-5, &[1.0; 4], &[0.25; 4], &mut out);
    assert!(out.iter().all(|y| (y - 0.25).abs() < 1e-5));
}
