//! Headers of GGUF.

use crate::common::{fixture, gguf};
use crate::refused;
use plantain_formats::parse;

#[test]
fn gguf_that_lies() {
    use gguf::{entry, file, list, start, tensor};
    refused(b"GGUF", "its header goes on beyond the end");
    refused(b"GGUF\x01\0\0\0", "is a GGUF file of version 1");
    refused(b"GGUF\x04\0\0\0", "is a GGUF file of version 4");
    refused(b"GGUF\0\0\0\x03", "is a big-endian GGUF file");
    refused(
        &fixture("refused/big_endian.gguf"),
        "is a big-endian GGUF file",
    );
    refused(&fixture("refused/q4_k.gguf"), "stores `a.weight` as Q4_K");
    refused(
        &start(1 << 60, 0),
        "it declares 1152921504606846976 tensors",
    );
    refused(
        &start(0, 1 << 60),
        "it declares 1152921504606846976 entries of metadata",
    );
    refused(&start(1, 0), "its header goes on beyond the end");

    let metadata = |entry: Vec<u8>| [start(0, 1), entry].concat();
    refused(&metadata(entry("k", 13, &[])), "unknown type 13");
    refused(
        &metadata(entry("k", 8, &u64::MAX.to_le_bytes())),
        "its header goes on",
    );
    refused(
        &metadata(entry("k", 9, &list(0, u64::MAX, &[]))),
        "its header goes on",
    );
    refused(
        &metadata(entry("k", 9, &list(12, u64::MAX / 4, &[]))),
        "its header goes on",
    );
    refused(
        &metadata(entry("k", 9, &list(8, 1 << 60, &[0; 800]))),
        "its header goes on",
    );
    refused(
        &metadata(entry("k", 9, &list(9, 1, &[]))),
        "has a list of lists",
    );
    refused(&metadata(entry(&"k".repeat(600), 0, &[0])), "is none");
    for alignment in [0u32, 3, 33] {
        let value = alignment.to_le_bytes();
        refused(
            &metadata(entry("general.alignment", 4, &value)),
            "its alignment is",
        );
    }
    let twice = [start(0, 2), entry("k", 0, &[1]), entry("k", 0, &[2])].concat();
    refused(&twice, "have `k` twice");
    let texts = vec![b'a'; 17 << 20];
    let length = (texts.len() as u64).to_le_bytes();
    let long = entry("k", 8, &[&length[..], &texts].concat());
    refused(&metadata(long), "its metadata are more than");
    let long = [
        start(0, 1),
        entry("k", 9, &list(0, 1 << 27, &vec![0; 1 << 27])),
    ]
    .concat();
    refused(&long, "its header is longer than 100000000 bytes");

    let one = |dimensions: &[u64], kind, offset| file(&[tensor("w", dimensions, kind, offset)], 64);
    assert!(parse(&one(&[4, 4], 0, 0)).is_ok());
    refused(&one(&[4, 5], 0, 0), "beyond the end of the file");
    refused(&one(&[4, 4], 0, 32), "beyond the end of the file");
    refused(
        &one(&[4, 4], 0, u64::MAX - 31),
        "beyond the end of the file",
    );
    refused(&one(&[2, 2], 0, 4), "its offset 4 is no multiple of 32");
    refused(&one(&[1 << 60, 1 << 60], 0, 0), "too large");
    refused(&one(&[0, 1 << 60, 1 << 60], 0, 0), "too large");
    refused(&one(&[1 << 62], 0, 0), "too large");
    refused(&one(&[u64::MAX], 8, 0), "do not fill the blocks of Q8_0");
    refused(&one(&[16, 2], 8, 0), "do not fill the blocks of Q8_0");
    refused(&one(&[1; 9], 0, 0), "it has 9 dimensions");
    refused(&one(&[4], 4, 0), "its type 4 is unknown");
    refused(&one(&[256], 12, 0), "stores `w` as Q4_K");
    let overlapping = [tensor("v", &[12], 0, 0), tensor("w", &[4], 0, 32)];
    refused(
        &file(&overlapping, 64),
        "at tensor `w`: it overlaps another tensor",
    );
    let twice = [tensor("w", &[4], 0, 0), tensor("w", &[4], 0, 32)];
    refused(&file(&twice, 64), "it is there twice");

    let shape = |dimensions: &[i32]| {
        let values: Vec<u8> = dimensions.iter().flat_map(|d| d.to_le_bytes()).collect();
        let key = "comfy.gguf.orig_shape.w";
        let shape = entry(key, 9, &list(5, dimensions.len() as u64, &values));
        let mut file = [start(1, 1), shape, tensor("w", &[16], 0, 0)].concat();
        file.resize(file.len().next_multiple_of(32) + 64, 0);
        file
    };
    assert_eq!(parse(&shape(&[2, 8])).unwrap().tensors["w"].shape, [2, 8]);
    refused(&shape(&[2, 7]), "which cannot have been [2, 7]");
    refused(&shape(&[-1, -16]), "which cannot have been");
    refused(
        &shape(&[1; 9]),
        "`comfy.gguf.orig_shape.w` has 9 dimensions",
    );
}
