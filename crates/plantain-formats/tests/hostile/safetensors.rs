//! Headers of safetensors.

use crate::common::safetensors;
use crate::refused;

#[test]
fn safetensors_that_lie() {
    let with = |length: u64| [&length.to_le_bytes()[..], b"{}"].concat();
    refused(
        &with(100_000_000_000),
        "it declares a header of 100000000000 bytes",
    );
    refused(
        &with(u64::MAX),
        "it declares a header of 18446744073709551615 bytes",
    );
    refused(
        &with(3),
        "it declares a header of 3 bytes, and the file has 10",
    );
    refused(b"\x02\0\0", "only 3 bytes long");
    refused(&safetensors("{", &[]), "header: ");
    refused(&safetensors("[]", &[]), "header: ");
    refused(
        &safetensors(r#"{"__metadata__":{"a":1}}"#, &[]),
        "`__metadata__`: ",
    );
    let one =
        |entry: &str, data: usize| safetensors(&format!(r#"{{"w":{entry}}}"#), &vec![0; data]);
    let entry = |dtype: &str, shape: &str, from: u64, to: u64| {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    refused(&one("{}", 0), "at tensor `w`: missing field");
    refused(&one(&entry("F33", "[1]", 0, 4), 4), "unknown variant `F33`");
    refused(&one(&entry("F32", "[-1]", 0, 4), 4), "invalid value");
    refused(&one(&entry("F32", "[1]", 4, 0), 4), "it lies at 4..0");
    refused(
        &one(&entry("F32", "[2]", 0, 8), 4),
        "and the file holds 4 bytes of data",
    );
    refused(
        &one(&entry("F32", "[2]", 0, 4), 4),
        "does not fill its 4 bytes",
    );
    refused(
        &one(&entry("F4", "[3]", 0, 1), 1),
        "does not fill its 1 bytes",
    );
    refused(
        &one(&entry("F32", "[4294967296,4294967296]", 0, 4), 4),
        "too large",
    );
    refused(
        &one(&entry("F32", "[1]", 0, 4), 8),
        "its tensors fill 4 of 8 bytes",
    );
    let long = "w".repeat(600);
    let named = safetensors(
        &format!(r#"{{"{long}":{}}}"#, entry("F32", "[0]", 0, 0)),
        &[],
    );
    refused(&named, "more than 512 bytes");
    let dimensions = format!("[{}0]", "0,".repeat(5000));
    refused(&one(&entry("F32", &dimensions, 0, 0), 0), "its entry is");

    let two = |first: String, second: String| {
        safetensors(&format!(r#"{{"v":{first},"w":{second}}}"#), &[0; 8])
    };
    let first = || entry("F32", "[1]", 0, 4);
    refused(
        &two(first(), entry("F32", "[1]", 2, 6)),
        "it overlaps the tensor before it",
    );
    refused(
        &two(first(), entry("F32", "[0]", 8, 8)),
        "it leaves a gap after",
    );

    refused(
        &safetensors(&"{\"w\":[".repeat(5), &[]),
        "nested more than 8 deep",
    );
    let long = format!(r#"{{"{}":{{}}}}"#, r"\n".repeat(9 << 20));
    refused(&safetensors(&long, &[]), "a text is 18874369 bytes long");
    refused(
        &safetensors(&long[..long.len() - 5], &[]),
        "a text is 18874369 bytes long",
    );

    let empty = entry("F32", "[0]", 0, 0);
    let many: String = (0..70_000).map(|i| format!(r#""{i}":{empty},"#)).collect();
    refused(
        &safetensors(&format!(r#"{{{many}"x":{empty}}}"#), &[]),
        "more than 65537 keys",
    );
    let many: String = (0..70_000).map(|i| format!(r#""{i}":"","#)).collect();
    let metadata = format!(r#"{{"__metadata__":{{{many}"x":""}}}}"#);
    refused(&safetensors(&metadata, &[]), "more than 65536 keys");
}
