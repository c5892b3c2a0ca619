//! Files that were good until something happened to them: never a panic, never a tensor outside of the file.

mod common;

use std::sync::LazyLock;

use common::archive::archive;
use common::{fixture, pickle, readable};
use plantain_formats::{Entry, parse};
use proptest::prelude::*;

static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let refused = ["sparse.pt", "runs4.pt", "module_legacy.pt", "q4_k.gguf"];
    let refused = refused.map(|name| fixture(&format!("refused/{name}")));
    let readable = readable().into_iter().map(|(_, file)| file);
    readable.chain(refused).collect()
});

/// Largest tensor that is read, in numbers: one whose numbers are repeated may be far larger than the file.
const LARGEST: usize = 1 << 16;

/// Reads `file` and every small tensor in it.
fn read(file: &[u8]) -> Result<(), TestCaseError> {
    match parse(file) {
        Ok(table) => table
            .tensors
            .values()
            .try_for_each(|entry| check(entry, file)),
        Err(error) => {
            prop_assert!(!error.to_string().is_empty());
            Ok(())
        }
    }
}

fn check(entry: &Entry, file: &[u8]) -> Result<(), TestCaseError> {
    prop_assert!(entry.range.start <= entry.range.end && entry.range.end <= file.len());
    let count: usize = entry.shape.iter().product();
    if count <= LARGEST {
        let (elements, size) = entry.dtype.block();
        prop_assert_eq!(entry.gather(file).len(), count / elements * size);
        let read = entry.to_f32(file).map(|values| values.len());
        prop_assert_eq!(read, entry.dtype.is_float().then_some(count));
    }
    Ok(())
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    (0..FILES.len()).prop_map(|i| FILES[i].clone())
}

/// Bytes that mean something in one format or another.
fn meaningful() -> impl Strategy<Value = Vec<u8>> {
    let bytes: &[&[u8]] = &[
        b"(",
        b".",
        b"0",
        b"]",
        b"}",
        b"h\0",
        b"q\0",
        b"R",
        b"b",
        b"\x85",
        b"Q",
        b"[",
        b"{",
        b"}",
        b",",
        b"-1",
        &[0xff; 4],
        &[0xff; 8],
        &[0; 8],
        &[0, 0, 0, 0x80],
        b"PK\x05\x06",
        b"PK\x06\x07",
    ];
    let bytes: Vec<_> = bytes.iter().map(|b| b.to_vec()).collect();
    prop_oneof![
        prop::sample::select(bytes),
        prop::collection::vec(any::<u8>(), 1..9)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn truncated((mut file, at) in file().prop_flat_map(|f| { let n = f.len(); (Just(f), 0..n) })) {
        file.truncate(at);
        read(&file)?;
    }

    #[test]
    fn with_bits_flipped(mut file in file(), flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..6)) {
        for (at, bit) in flips {
            let at = at.index(file.len());
            file[at] ^= 1 << bit;
        }
        read(&file)?;
    }

    #[test]
    fn overwritten(mut file in file(), at in any::<prop::sample::Index>(), bytes in meaningful()) {
        let at = at.index(file.len());
        let end = (at + bytes.len()).min(file.len());
        file[at..end].copy_from_slice(&bytes[..end - at]);
        read(&file)?;
    }

    #[test]
    fn spliced(mut file in file(), other in file(), at in any::<prop::sample::Index>(), from in any::<prop::sample::Index>()) {
        let from = from.index(other.len());
        let at = at.index(file.len());
        file.splice(at.., other[from..].iter().copied());
        read(&file)?;
    }

    /// Views of 16 numbers: what they are is what the strides say, or they are refused.
    #[test]
    fn views(dimensions in prop::collection::vec((0..6i64, 0..7i64), 0..5), offset in 0..18i64) {
        let (shape, strides): (Vec<_>, Vec<_>) = dimensions.into_iter().unzip();
        let view = pickle::View { offset, shape: &shape, strides: &strides, ..pickle::PLAIN };
        let numbers: Vec<f32> = (0..16u8).map(f32::from).collect();
        let storage: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        let file = archive(&[("a/data.pkl", &view.dict()), ("a/data/0", &storage)]);

        // All places, the last dimension first to change.
        let mut places = vec![offset];
        for (&d, &stride) in shape.iter().zip(&strides) {
            places = places.iter().flat_map(|p| (0..d).map(move |i| p + i * stride)).collect();
        }
        let expected: Option<Vec<f32>> = places.iter().map(|&p| numbers.get(p as usize).copied()).collect();
        let table = parse(&file).ok();
        let read = table.map(|t| t.tensors["w"].to_f32(&file).unwrap());
        prop_assert_eq!(read, expected);
    }
}
