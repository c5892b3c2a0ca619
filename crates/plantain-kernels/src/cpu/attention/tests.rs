use super::*;
use crate::cpu::scratch::to_write;

fn noise(length: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..length)
        .map(|_| 2.0 * (next() + next() + next()))
        .collect()
}

fn reference(attention: &Attention<'_>) -> Vec<f64> {
    let AttentionShape {
        batch,
        heads,
        head_size,
        queries,
        keys,
    } = attention.shape;
    let mut out = vec![0.0; attention.q.len()];
    for head in 0..batch * heads {
        let at = |x: &[f32], channel: usize, token: usize, tokens: usize| {
            f64::from(x[(head * head_size + channel) * tokens + token])
        };
        for query in 0..queries {
            let seen = if attention.causal {
                keys.min(query + 1)
            } else {
                keys
            };
            let scores: Vec<f64> = (0..seen)
                .map(|key| {
                    let dot =
                        |c| at(attention.q, c, query, queries) * at(attention.k, c, key, keys);
                    (0..head_size).map(dot).sum::<f64>() / (head_size as f64).sqrt()
                })
                .collect();
            let top = scores.iter().copied().fold(f64::MIN, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
            let total: f64 = weights.iter().sum();
            for channel in 0..head_size {
                let sum: f64 = weights
                    .iter()
                    .enumerate()
                    .map(|(key, w)| w * at(attention.v, channel, key, keys))
                    .sum();
                out[(head * head_size + channel) * queries + query] = sum / total;
            }
        }
    }
    out
}

fn relative(got: &[f32], want: &[f64]) -> f64 {
    let error: f64 = got
        .iter()
        .zip(want)
        .map(|(&a, b)| (f64::from(a) - b).powi(2))
        .sum();
    (error / want.iter().map(|b| b * b).sum::<f64>().max(1e-300)).sqrt()
}

/// Compares every path and both precisions with the reference; returns the largest errors of f32 and bfloat16.
fn check(mut attention: Attention<'_>, limits: [f64; 2]) {
    let want = reference(&attention);
    for isa in Isa::available() {
        for (precision, limit) in [(Precision::F32, limits[0]), (Precision::Bf16, limits[1])] {
            attention.precision = precision;
            let mut out = vec![f32::NAN; attention.q.len()];
            attention.run(isa, to_write(&mut out));
            let error = relative(&out, &want);
            println!(
                "{isa:?} {precision:?} {:?} causal {}: {error:.2e}",
                attention.shape, attention.causal
            );
            assert!(
                error < limit,
                "{isa:?} {precision:?} {:?}: {error}",
                attention.shape
            );
        }
    }
}

fn shape([batch, heads, head_size, queries, keys]: [usize; 5]) -> AttentionShape {
    AttentionShape {
        batch,
        heads,
        head_size,
        queries,
        keys,
    }
}

#[test]
fn shapes_of_the_networks_and_odd_ones() {
    for (index, extents) in [
        [1, 2, 40, 100, 77],
        [2, 2, 64, 77, 77],
        [1, 1, 80, 256, 256],
        [1, 1, 160, 64, 64],
        [1, 1, 40, 130, 1000],
        [1, 3, 1, 5, 3],
        [2, 1, 7, 17, 13],
        [1, 1, 19, 33, 6],
        [1, 1, 23, 47, 7],
        [1, 2, 41, 1, 50],
        [1, 1, 3, 65, 1],
    ]
    .into_iter()
    .enumerate()
    {
        let shape = shape(extents);
        let size = shape.batch * shape.heads * shape.head_size;
        let seed = 10 * index as u64;
        let (q, k, v) = (
            noise(size * shape.queries, seed + 1),
            noise(size * shape.keys, seed + 2),
            noise(size * shape.keys, seed + 3),
        );
        for causal in [false, true] {
            check(
                Attention {
                    q: &q,
                    k: &k,
                    v: &v,
                    shape,
                    causal,
                    precision: Precision::F32,
                },
                [2e-6, 6e-3],
            );
        }
    }
}

#[test]
fn random_shapes() {
    proptest::proptest!(proptest::test_runner::Config {
        cases: 40, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..Default::default()
    }, |(
        batch in 1usize..3, heads in 1usize..4, head_size in 1usize..90, queries in 1usize..150, keys in 1usize..300,
        causal: bool, seed in 1u64..1000,
    )| {
        let size = batch * heads * head_size;
        let (q, k, v) = (noise(size * queries, seed), noise(size * keys, seed + 1), noise(size * keys, seed + 2));
        let shape = shape([batch, heads, head_size, queries, keys]);
        check(Attention { q: &q, k: &k, v: &v, shape, causal, precision: Precision::F32 }, [2e-6, 8e-3]);
    });
}

#[test]
fn huge_and_rising_scores() {
    let shape = shape([1, 1, 8, 40, 500]);
    let (q, v) = (vec![1.0; 8 * 40], noise(8 * 500, 3));
    for step in [0.01f32, 1.0, 100.0, 1e6] {
        // Rising, falling, and far below zero: the weight is on few keys, or on the last or first one alone.
        for (sign, offset) in [(1.0, 0.0), (-1.0, 0.0), (1.0, -1e4)] {
            let k: Vec<f32> = (0..8 * 500)
                .map(|i| (sign * (i % 500) as f32 * step + offset).round())
                .collect();
            check(
                Attention {
                    q: &q,
                    k: &k,
                    v: &v,
                    shape,
                    causal: false,
                    precision: Precision::F32,
                },
                [1e-3, 1.5],
            );
        }
    }
}

/// Keys that bfloat16 has exactly, so that a weight is off by its own rounding alone, however often the bound moves.
#[test]
fn steps_of_scores() {
    let shape = shape([1, 1, 8, 40, 500]);
    let (q, v) = (vec![1.0; 8 * 40], noise(8 * 500, 5));
    for sign in [1.0, -1.0] {
        let k: Vec<f32> = (0..8 * 500)
            .map(|i| sign * 4.0 * (i % 500 / 100) as f32)
            .collect();
        check(
            Attention {
                q: &q,
                k: &k,
                v: &v,
                shape,
                causal: false,
                precision: Precision::F32,
            },
            [1e-4, 5e-2],
        );
    }
}

#[test]
fn equal_scores_give_the_mean() {
    let shape = shape([1, 1, 10, 20, 301]);
    let (q, k, v) = (vec![30.0; 200], vec![30.0; 3010], noise(3010, 9));
    check(
        Attention {
            q: &q,
            k: &k,
            v: &v,
            shape,
            causal: false,
            precision: Precision::F32,
        },
        [2e-6, 6e-2],
    );
}

#[test]
fn one_key_gives_its_value() {
    let shape = shape([1, 2, 5, 33, 1]);
    let (q, k, v) = (noise(330, 1), noise(10, 2), noise(10, 3));
    check(
        Attention {
            q: &q,
            k: &k,
            v: &v,
            shape,
            causal: false,
            precision: Precision::F32,
        },
        [1e-6, 4e-3],
    );
}
