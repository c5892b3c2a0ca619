//! What all targets do with a file.

use plantain_formats::{Entry, parse};

/// Largest tensor that is read, in numbers: one whose numbers are repeated may be far larger than the file.
const LARGEST: usize = 1 << 16;

/// Reads `bytes` and every small tensor in them, and checks what every caller relies on.
pub fn read(bytes: &[u8]) {
    match parse(bytes) {
        Ok(table) => table.tensors.values().for_each(|entry| check(entry, bytes)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn check(entry: &Entry, bytes: &[u8]) {
    assert!(entry.range.start <= entry.range.end && entry.range.end <= bytes.len());
    let count: usize = entry.shape.iter().product();
    if count > LARGEST {
        return;
    }
    let (elements, size) = entry.dtype.block();
    assert_eq!(entry.gather(bytes).len(), count / elements * size);
    let values = entry.to_f32(bytes);
    assert_eq!(
        values.map(|v| v.len()),
        entry.dtype.is_float().then_some(count)
    );
}
