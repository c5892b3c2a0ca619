//! Archives and old files of PyTorch.

use crate::common::archive::{Stored, archive, archive_of};
use crate::common::pickle::{PLAIN, View, global, int, ints, text, tuple};
use crate::common::{fixture, large_archive, torch};
use crate::refused;
use plantain_formats::parse;

#[test]
fn other_things_of_pytorch() {
    for (name, part) in [
        ("module.pt", "a `torch.nn.modules.linear.Linear`"),
        ("module_legacy.pt", "a `torch.nn.modules.linear.Linear`"),
        ("own_module.pt", "a `some.project.Network`"),
        ("own_class.pt", "needs `some.project.Meter`"),
        ("script.pt", "is a TorchScript program"),
        ("sparse.pt", "holds `a` as a sparse tensor"),
        ("negated.pt", "holds `a` as numbers yet to be negated"),
        ("complex128.pt", "holds `a` as complex128"),
        ("meta.pt", "holds `a` as a tensor on `meta`"),
        ("deflated.pt", "compressed"),
    ] {
        refused(&fixture(&format!("refused/{name}")), part);
    }
}

#[test]
fn tensors_beyond_their_storage() {
    let beyond = "beyond its storage of 64 bytes";
    let cases: [(View<'_>, &str); 18] = [
        (
            View {
                shape: &[5, 4],
                ..PLAIN
            },
            beyond,
        ),
        (View { offset: 1, ..PLAIN }, beyond),
        (
            View {
                offset: i64::MAX,
                ..PLAIN
            },
            beyond,
        ),
        (
            View {
                strides: &[5, 1],
                ..PLAIN
            },
            beyond,
        ),
        (
            View {
                strides: &[i64::MAX, 1],
                ..PLAIN
            },
            "too large",
        ),
        (
            View {
                shape: &[1 << 40, 1 << 40],
                ..PLAIN
            },
            "too large",
        ),
        (
            View {
                shape: &[1 << 62, 1],
                ..PLAIN
            },
            beyond,
        ),
        (
            View {
                shape: &[0, 1 << 40, 1 << 40],
                strides: &[0, 0, 0],
                ..PLAIN
            },
            "too large",
        ),
        (
            View {
                shape: &[1 << 40],
                strides: &[0],
                ..PLAIN
            },
            "makes 1099511627776 numbers of 1",
        ),
        (
            View {
                offset: -1,
                ..PLAIN
            },
            "its offset is no natural number",
        ),
        (
            View {
                shape: &[-4, 4],
                ..PLAIN
            },
            "its shape are not all natural numbers",
        ),
        (
            View {
                strides: &[-4, 1],
                ..PLAIN
            },
            "its strides are not all natural numbers",
        ),
        (
            View {
                shape: &[16],
                ..PLAIN
            },
            "it has shape [16] and strides [4, 1]",
        ),
        (
            View {
                shape: &[1; 9],
                strides: &[1; 9],
                ..PLAIN
            },
            "9 dimensions",
        ),
        (
            View { count: 17, ..PLAIN },
            "its storage of 17 elements has 64 bytes",
        ),
        (
            View { count: -1, ..PLAIN },
            "its storage of -1 elements has 64 bytes",
        ),
        (
            View {
                count: i64::MAX,
                ..PLAIN
            },
            "elements has 64 bytes",
        ),
        (
            View { key: "1", ..PLAIN },
            "`a/data/1` is missing in the archive",
        ),
    ];
    for (view, part) in cases {
        let file = torch(&view.dict());
        refused(&file, part);
        refused(&file, "at tensor `w`");
    }
    assert!(parse(&torch(&PLAIN.dict())).is_ok());
    let unknown = View {
        class: "OtherStorage",
        ..PLAIN
    };
    refused(&torch(&unknown.dict()), "it has no storage");
    let kind = View {
        class: "QInt8Storage",
        ..PLAIN
    };
    refused(&torch(&kind.dict()), "holds `w` as quantised integers");
}

#[test]
fn tensors_of_nothing() {
    let made = |arguments: &[u8]| {
        let function = global("torch._utils", "_rebuild_tensor_v2");
        let start = [b"}", &text("w")[..], &function].concat();
        torch(&[&start[..], arguments, b"Rs."].concat())
    };
    refused(&made(b")"), "it is made of too little");
    refused(
        &made(&tuple(&[int(1), int(1), int(1), int(1)])),
        "it has no storage",
    );
    let nested = [
        global("torch._tensor", "_rebuild_from_type_v2"),
        b"NNN".to_vec(),
    ];
    refused(&made(&tuple(&nested)), "it has no storage");
    let shape = |shape: Vec<u8>| {
        let mut dict = PLAIN.dict();
        let (from, to) = (ints(PLAIN.shape), shape);
        let at = dict.windows(from.len()).position(|w| w == from).unwrap();
        dict.splice(at..at + from.len(), to);
        torch(&dict)
    };
    refused(&shape(int(16)), "its shape are no numbers");
    refused(
        &shape(tuple(&[text("4"), int(4)])),
        "its shape are not all natural numbers",
    );
}

#[test]
fn archives_that_lie() {
    let dict = PLAIN.dict();
    let files = |storage: Stored<'_>| archive_of([Stored::new("a/data.pkl", &dict), storage]);
    let storage = || Stored::new("a/data/0", &[0; 64]);
    assert!(parse(&files(storage())).is_ok());
    let compressed = Stored {
        method: 8,
        ..storage()
    };
    refused(&files(compressed), "holds `a/data/0` compressed");
    let encrypted = Stored {
        flags: 1,
        ..storage()
    };
    refused(&files(encrypted), "holds `a/data/0` encrypted");
    let longer = Stored {
        size: 1 << 20,
        ..storage()
    };
    refused(
        &files(longer),
        "`a/data/0` reaches beyond the end of the file",
    );
    let bomb = Stored {
        size: u32::MAX - 1,
        method: 8,
        ..storage()
    };
    refused(&files(bomb), "holds `a/data/0` compressed");
    let pickle = Stored {
        method: 8,
        ..Stored::new("a/data.pkl", &dict)
    };
    refused(&archive_of([pickle]), "holds `a/data.pkl` compressed");

    let pickles = [("a/data.pkl", &dict[..]), ("b/data.pkl", &dict)];
    refused(&archive(&pickles), "several pickles");
    refused(
        &archive(&[("a/data.pkl", &dict[..])]),
        "`a/data/0` is missing",
    );
    let deeper = [("a/b/data.pkl", &dict[..])];
    refused(
        &archive(&deeper),
        "is a zip archive that PyTorch did not write",
    );
    let big = [("a/data.pkl", &dict[..]), ("a/byteorder", b"big")];
    refused(&archive(&big), "has big-endian numbers");
    let long = vec![b'N'; (64 << 20) + 1];
    refused(
        &archive(&[("a/data.pkl", &long)]),
        "its pickle is 67108865 bytes long",
    );
    refused(b"PK\x03\x04", "zip directory cannot be read");
    refused(
        &[b"PK\x03\x04", &vec![0; 1 << 20][..]].concat(),
        "zip directory cannot be read",
    );
    refused(
        &b"PK\x05\x06".repeat(1 << 16),
        "zip directory cannot be read",
    );
    refused(
        &b"PK\x06\x07".repeat(1 << 16),
        "zip directory cannot be read",
    );
}

/// Entries of a directory, each of a file of its own name.
fn directory(count: u32, name: usize) -> Vec<u8> {
    let entry = |i: u32| {
        let mut entry = b"PK\x01\x02".to_vec();
        entry.resize(28, 0);
        entry.extend((name as u16).to_le_bytes());
        entry.resize(46, 0);
        entry.extend(format!("{i:0name$}").bytes());
        entry
    };
    (0..count).flat_map(entry).collect()
}

#[test]
fn archives_with_endless_directories() {
    let declares = "its zip directory declares";
    refused(&large_archive(u64::MAX, &[]), declares);
    refused(&large_archive(100_001, &directory(100_001, 6)), declares);
    let foreign = "is a zip archive that PyTorch did not write";
    refused(&large_archive(20_000, &directory(20_000, 6)), foreign);
    let long = "cannot be read (i/o error: it is too long)";
    refused(&large_archive(300, &directory(300, 60_000)), long);
}

#[test]
fn old_files_that_lie() {
    let file = fixture("python2.pt");
    let magic = file.iter().position(|&b| b == b'.').unwrap();
    let mut wrong = file.clone();
    wrong[magic - 1] ^= 1;
    refused(&wrong, "is a Python pickle that PyTorch did not write");

    let mut version = file.clone();
    let at = version.windows(3).position(|w| w == b"M\xe9\x03").unwrap();
    version[at + 1] = 0;
    refused(&version, "is a PyTorch file of an unknown version");

    let mut big = file.clone();
    let at = big.windows(13).position(|w| w == b"little_endian").unwrap();
    let flag = at + big[at..].iter().position(|&b| b == 0x88).unwrap();
    big[flag] = 0x89;
    refused(&big, "has big-endian numbers");

    // The storages come last, of three and four numbers in either order, each with a count of eight bytes.
    let first = file.len() - (8 + 12) - (8 + 16);
    for count in [-1, i64::MAX, 1 << 61, 5] {
        let mut lying = file.clone();
        lying[first..first + 8].copy_from_slice(&i64::to_le_bytes(count));
        refused(&lying, "beyond the end of the file");
    }
    let mut lying = file.clone();
    lying[first] = 2;
    assert!(parse(&lying).is_err());
}
