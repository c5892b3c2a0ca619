//! Pickles of protocol 2, opcode by opcode.

/// An integer, as its eight bytes.
pub fn int(value: i64) -> Vec<u8> {
    [&b"\x8a\x08"[..], &value.to_le_bytes()].concat()
}

/// A text.
pub fn text(text: &str) -> Vec<u8> {
    let length = (text.len() as u32).to_le_bytes();
    [b"X", &length[..], text.as_bytes()].concat()
}

/// A function or class.
pub fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

/// A tuple of `items`.
pub fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &items.concat()[..], b"t"].concat()
}

pub fn ints(values: &[i64]) -> Vec<u8> {
    tuple(&values.iter().map(|&v| int(v)).collect::<Vec<_>>())
}

/// A view of a storage.
pub struct View<'a> {
    pub class: &'a str,
    pub key: &'a str,
    pub count: i64,
    pub offset: i64,
    pub shape: &'a [i64],
    pub strides: &'a [i64],
}

/// 16 numbers in 64 bytes.
pub const PLAIN: View<'_> = View {
    class: "FloatStorage",
    key: "0",
    count: 16,
    offset: 0,
    shape: &[4, 4],
    strides: &[4, 1],
};

impl View<'_> {
    /// What makes the tensor.
    pub fn tensor(&self) -> Vec<u8> {
        let storage = tuple(&[
            text("storage"),
            global("torch", self.class),
            text(self.key),
            text("cpu"),
            int(self.count),
        ]);
        let arguments = tuple(&[
            [&storage[..], b"Q"].concat(),
            int(self.offset),
            ints(self.shape),
            ints(self.strides),
            b"\x89".to_vec(),
            b"}".to_vec(),
        ]);
        [
            &global("torch._utils", "_rebuild_tensor_v2")[..],
            &arguments,
            b"R",
        ]
        .concat()
    }

    /// A dictionary with the tensor as `w`.
    pub fn dict(&self) -> Vec<u8> {
        [b"\x80\x02}", &text("w")[..], &self.tensor(), b"s."].concat()
    }
}
