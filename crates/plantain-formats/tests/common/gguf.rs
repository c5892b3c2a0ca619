//! GGUF files, value by value.

/// The beginning of a file that declares so many tensors and entries of metadata.
pub fn start(tensors: u64, metadata: u64) -> Vec<u8> {
    let counts = [tensors, metadata].map(u64::to_le_bytes).concat();
    [b"GGUF\x03\0\0\0", &counts[..]].concat()
}

pub fn text(text: &str) -> Vec<u8> {
    let length = (text.len() as u64).to_le_bytes();
    [&length[..], text.as_bytes()].concat()
}

/// An entry of metadata of the type with number `kind`.
pub fn entry(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&text(key)[..], &kind.to_le_bytes(), value].concat()
}

/// A list of `count` values of the type with number `kind`, as the value of an entry.
pub fn list(kind: u32, count: u64, values: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &count.to_le_bytes(), values].concat()
}

/// What the header says about a tensor; `dimensions` as ggml orders them.
pub fn tensor(name: &str, dimensions: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let rank = (dimensions.len() as u32).to_le_bytes();
    let dimensions: Vec<u8> = dimensions.iter().flat_map(|d| d.to_le_bytes()).collect();
    [
        &text(name)[..],
        &rank,
        &dimensions,
        &kind.to_le_bytes(),
        &offset.to_le_bytes(),
    ]
    .concat()
}

/// A file of `tensors` (see [`tensor`]) and so many bytes of data.
pub fn file(tensors: &[Vec<u8>], data: usize) -> Vec<u8> {
    let mut file = [start(tensors.len() as u64, 0), tensors.concat()].concat();
    file.resize(file.len().next_multiple_of(32) + data, 0);
    file
}
