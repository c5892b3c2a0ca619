use std::mem::MaybeUninit;

use half::bf16;

use super::*;
use crate::cpu::convolve::convolve;
use crate::cpu::packed::WeightShape;

/// Numbers between -1 and 1 that look random.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn written(count: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut out = vec![f32::NAN; count];
    write(crate::cpu::scratch::to_write(&mut out));
    out
}

/// Weights of links between so many channels, the first perhaps for a doubled image.
fn weights(channels: &[usize], doubled: bool) -> Vec<PackedWeight> {
    let pack = |(index, pair): (usize, &[usize])| {
        let shape = WeightShape {
            outputs: pair[1],
            inputs: pair[0],
            kernel: 3,
        };
        let values = numbers(index as u64 + 1, 9 * pair[0] * pair[1]);
        // Keeps the spread of numbers about as it is.
        let scale = (3.0 / (9 * pair[0]) as f32).sqrt();
        let values: Vec<_> = values.iter().map(|value| scale * value).collect();
        let form = [Form::Plain, Form::Upsample][usize::from(doubled && index == 0)];
        PackedWeight::new(&values, shape, form, Precision::Bf16)
    };
    channels.windows(2).enumerate().map(pack).collect()
}

/// The link whose input another adds, where channels allow it: its own, one before, two that add the same, none.
fn added_by(link: usize) -> Option<usize> {
    match link % 5 {
        _ if link == 0 => None,
        1 | 3 => Some(link),
        2 | 4 => Some(link - 1),
        _ => Some(link - 3),
    }
}

/// The largest difference between a chain and its links one by one, which round what lies between them in the same way; `None`
/// where they cannot be chained.
fn difference(
    channels: &[usize],
    [batch, height, width]: [usize; 3],
    activation: Activation,
    doubled: bool,
) -> Option<f32> {
    let weights = weights(channels, doubled);
    let biases = channels[1..].iter().zip(50..);
    let biases: Vec<_> = biases.map(|(&count, seed)| numbers(seed, count)).collect();
    let links = weights.iter().zip(&biases).enumerate();
    let links = links.map(|(index, (weight, bias))| Link {
        weight,
        bias: Some(&bias[..]).filter(|_| index > 0),
        adds: added_by(index).filter(|&from| channels[from] == channels[index + 1]),
        activation: if index % 3 == 2 {
            Activation::None
        } else {
            activation
        },
    });
    let links: Vec<_> = links.collect();
    if !can_chain(&links) {
        return None;
    }
    let scale = if doubled { 2 } else { 1 };
    let given = [batch, channels[0], height, width];
    let last = channels[channels.len() - 1] * batch * scale * height * scale * width;
    let x = numbers(99, given.iter().product());
    let adds = links[links.len() - 1].adds.is_some();
    let residual = numbers(7, last);
    let chain = Chain {
        links: &links,
        residual: Some(&residual[..]).filter(|_| !adds),
    };
    let together = written(last, |out| convolve_chain(&x, given, &chain, out));
    let (mut inputs, mut extents) = (vec![x], given);
    for (link, mut convolution) in links.iter().zip(convolutions(&chain)) {
        let added = link.adds.map(|from| {
            let rounded = inputs[from]
                .iter()
                .map(|&value| bf16::from_f32(value).to_f32());
            rounded.collect::<Vec<_>>()
        });
        if let Some(added) = &added {
            convolution.epilogue.residual = Some(added);
        }
        let [channels, height, width] = convolution.output_extents(extents[2], extents[3]);
        let x = &inputs[inputs.len() - 1];
        let output = written(batch * channels * height * width, |out| {
            convolve(x, extents, &convolution, out);
        });
        inputs.push(output);
        extents = [batch, channels, height, width];
    }
    let pairs = together.iter().zip(&inputs[inputs.len() - 1]);
    let differences = pairs.map(|(a, b)| (a - b).abs());
    differences.max_by(f32::total_cmp)
}

#[test]
fn a_chain_gives_what_its_links_give_one_by_one() {
    let cases: [(&[usize], [usize; 3]); 14] = [
        (&[64, 64, 64, 64], [1, 40, 33]),
        (&[40, 40, 40, 40, 40, 3], [2, 19, 50]),
        (&[16, 24, 100, 17], [1, 70, 5]),
        (&[64, 64, 64, 64, 64], [1, 5, 600]),
        (&[64, 64, 8], [1, 33, 31]),
        (&[32, 32, 3], [3, 1, 1]),
        (&[32, 32, 32, 32, 32, 32], [1, 3, 2]),
        (&[32, 32, 32, 32, 32, 32, 32, 32, 32], [1, 100, 17]),
        (&[48, 48, 48], [1, 64, 64]),
        (&[64, 64, 64], [1, 41, 48]),
        (&[64, 64, 64, 64, 64, 3], [1, 70, 130]),
        (&[64, 64, 64, 64, 64], [2, 40, 33]),
        (&[40, 40, 40, 40, 40], [1, 100, 17]),
        (&[32, 32, 32, 32, 32, 32, 32, 32], [1, 120, 48]),
    ];
    // There is none where links cannot be chained.
    let expected = Isa::current().has_pixel_kernels().then_some(0.0);
    for (channels, size) in cases {
        for activation in [Activation::None, Activation::Relu] {
            for doubled in [false, true] {
                let difference = difference(channels, size, activation, doubled);
                let case = format!("{channels:?} {size:?} {activation:?} {doubled}");
                assert_eq!(difference, expected, "{case}");
            }
        }
    }
}

#[test]
fn what_cannot_be_chained_is_refused() {
    let weights = weights(&[32, 32, 48, 32], false);
    let link = |weight, adds| Link {
        weight,
        bias: None,
        adds,
        activation: Activation::Relu,
    };
    let [first, wider, back] = [0, 1, 2].map(|index| link(&weights[index], None));
    let chains = Isa::current().has_pixel_kernels();
    assert_eq!(can_chain(&[first, wider, back]), chains);
    assert_eq!(
        can_chain(&[first, wider, link(&weights[2], Some(1))]),
        chains
    );
    let given = link(&weights[2], Some(0));
    let other_channels = link(&weights[2], Some(2));
    let later = link(&weights[0], Some(2));
    let gelu = Link {
        activation: Activation::Gelu,
        ..wider
    };
    for links in [
        &[first][..],
        &[first, back],
        &[first, wider, given],
        &[first, wider, other_channels],
        &[first, later],
        &[first, gelu],
    ] {
        assert!(!can_chain(links));
    }
}
