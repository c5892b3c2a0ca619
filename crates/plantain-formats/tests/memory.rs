//! The memory that hostile files take, each in a process of its own: where the allocator cannot be counted without `unsafe`,
//! the system can be asked.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::archive::{Stored, archive, archive_of};
use common::gguf;
use common::pickle::{PLAIN, View, global, int, text, tuple};
use common::{large_archive, safetensors, torch};
use plantain_formats::parse;

/// Most that any file may take, in kB.
const LIMIT: usize = 100_000;

/// In a process that measures, where the file is.
const FILE: &str = "PLANTAIN_FORMATS_HOSTILE";

/// Opcodes, just below what is allowed, and as many tensors and names as are.
const STEPS: usize = 999_000;
const TENSORS: usize = 65_000;

type Case = (&'static str, fn() -> Vec<u8>);

const CASES: [Case; 18] = [
    ("a header of 100 MB", || {
        let text = r"\n".repeat(8_000_000);
        let keys: Vec<_> = (0..6).map(|i| format!(r#""{i}{text}":"{text}""#)).collect();
        safetensors(&format!("{{{}}}", &keys.join(",")[..99_999_000]), &[])
    }),
    ("marks", || steps(b"", b"(", 1)),
    ("lists", || steps(b"", b"]", 1)),
    ("remembered dictionaries", || steps(b"", b"}\x94", 2)),
    ("remembered tuples", || steps(b"N", b"\x85\x94", 2)),
    ("nested tuples", || steps(b"N", b"\x85", 1)),
    ("tuples of three", || steps(b"N", b"22\x87", 3)),
    ("a long list", || one_list(b"e")),
    ("a long tuple", || one_list(b"t")),
    ("storages", || {
        let id = tuple(&[
            text("storage"),
            global("torch", "FloatStorage"),
            text("0"),
            text("cpu"),
            int(16),
        ]);
        steps(&[&id[..], b"q\0"].concat(), b"h\0Q", 2)
    }),
    ("tensors", || steps(&remembered_tensor(), b"h\x01h\0R", 3)),
    ("names and shapes", || names(0)),
    ("names, shapes and other things", || {
        names(STEPS - 8 * TENSORS)
    }),
    ("names of safetensors", || {
        let entry = r#"{"dtype":"F32","shape":[0,0,0,0,0,0,0,0],"data_offsets":[0,0]}"#;
        let entries: Vec<_> = (0..TENSORS)
            .map(|i| format!(r#""{i:0512}":{entry}"#))
            .collect();
        safetensors(&format!("{{{}}}", entries.join(",")), &[])
    }),
    ("metadata of safetensors", || {
        let entries: Vec<_> = (0..TENSORS)
            .map(|i| format!(r#""{i:0120}":"{i:0120}""#))
            .collect();
        let metadata = entries.join(",");
        safetensors(&format!(r#"{{"__metadata__":{{{metadata}}}}}"#), &[])
    }),
    ("names and metadata of GGUF", || {
        let mut file = gguf::start(TENSORS as u64, TENSORS as u64);
        for i in 0..TENSORS {
            file.extend(gguf::entry(
                &format!("{i:0120}"),
                8,
                &gguf::text(&format!("{i:0120}")),
            ));
        }
        for i in 0..TENSORS {
            file.extend(gguf::tensor(
                &format!("{i:0512}"),
                &[0, 1, 1, 1, 1, 1, 1, 1],
                0,
                0,
            ));
        }
        file.resize(file.len() + 64, 0);
        file
    }),
    ("files of a zip archive", || {
        let entry = |i| directory_entry(&format!("{i:06}"), &[]);
        large_archive(80_000, &(0..80_000).flat_map(entry).collect::<Vec<_>>())
    }),
    ("fields of a zip archive", || {
        let fields = [0xfe, 0xca, 0, 0].repeat(16_000);
        let entry = |i| directory_entry(&format!("{i}"), &fields);
        large_archive(64, &(0..64).flat_map(entry).collect::<Vec<_>>())
    }),
];

/// A pickle of `start` and as many of `step`, of so many opcodes, as may be.
fn steps(start: &[u8], step: &[u8], opcodes: usize) -> Vec<u8> {
    let repeated = step.repeat((STEPS - 100) / opcodes);
    torch(&[start, &repeated, b"N."].concat())
}

/// Items that are put into a list or a tuple at once.
fn one_list(end: &[u8]) -> Vec<u8> {
    torch(&[b"](", &b"N".repeat(STEPS - 100)[..], end, b"."].concat())
}

/// What makes a tensor: its arguments at 0, the function at 1.
fn remembered_tensor() -> Vec<u8> {
    let mut arguments = View {
        shape: &[1; 8],
        strides: &[2; 8],
        ..PLAIN
    }
    .tensor();
    let function = global("torch._utils", "_rebuild_tensor_v2");
    arguments.drain(..function.len());
    assert_eq!(arguments.pop(), Some(b'R'));
    [&arguments[..], b"q\0", &function, b"q\x01"].concat()
}

/// As many tensors as there may be with names as long as they may be, beside so many lists.
fn names(lists: usize) -> Vec<u8> {
    let mut pickle = b"]".repeat(lists);
    pickle.extend(remembered_tensor());
    pickle.extend(b"}(");
    for i in 0..TENSORS {
        pickle.extend(text(&format!("{i:0512}")));
        pickle.extend(b"h\x01h\0R");
    }
    pickle.extend(b"u.");
    archive(&[("a/data.pkl", &pickle), ("a/data/0", &[0; 64])])
}

fn directory_entry(name: &str, fields: &[u8]) -> Vec<u8> {
    let mut entry = b"PK\x01\x02".to_vec();
    entry.resize(28, 0);
    entry.extend((name.len() as u16).to_le_bytes());
    entry.extend((fields.len() as u16).to_le_bytes());
    entry.resize(46, 0);
    entry.extend(name.bytes());
    entry.extend(fields);
    entry
}

/// The kB that the system reports as `key` of this process.
fn status(key: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Files of two gigabytes, most of which nobody has touched yet, not even the system.
const LARGE: [Case; 4] = [
    ("large safetensors", || {
        let header =
            format!(r#"{{"w":{{"dtype":"U8","shape":[{ROOM}],"data_offsets":[0,{ROOM}]}}}}"#);
        with_room(&safetensors(&header, &[]), &[])
    }),
    ("large GGUF", || {
        with_room(
            &gguf::file(&[gguf::tensor("w", &[ROOM as u64], 24, 0)], 0),
            &[],
        )
    }),
    ("large PyTorch", || {
        let dict = large_view().dict();
        let storage = Stored {
            size: ROOM as u32,
            ..Stored::new("a/data/0", &[])
        };
        let file = archive_of([Stored::new("a/data.pkl", &dict), storage]);
        let directory = file.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        let (before, after) = file.split_at(directory);
        let mut after = after.to_vec();
        let at = after.len() - 6;
        after[at..at + 4].copy_from_slice(&((directory + ROOM) as u32).to_le_bytes());
        with_room(before, &after)
    }),
    ("large old PyTorch", || {
        let dict = large_view().dict();
        let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
        let others = [&int(1001)[..], b".}.", &dict, b"]", &text("0"), b"a."].concat();
        let count = (ROOM as u64).to_le_bytes();
        with_room(&[&magic[..], &others, &count].concat(), &[])
    }),
];

/// Bytes of the one tensor in each of [`LARGE`].
const ROOM: usize = 2 << 30;

fn with_room(before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut file = vec![0; before.len() + ROOM + after.len()];
    file[..before.len()].copy_from_slice(before);
    file[before.len() + ROOM..].copy_from_slice(after);
    file
}

fn large_view() -> View<'static> {
    View {
        class: "ByteStorage",
        count: ROOM as i64,
        shape: &[ROOM as i64],
        strides: &[1],
        ..PLAIN
    }
}

/// Does nothing but in a process that measures.
#[test]
fn measure() {
    let Ok(path) = std::env::var(FILE) else {
        return;
    };
    let file = fs::read(path).unwrap();
    let before = status("VmRSS");
    let table = parse(&file);
    let taken = status("VmHWM") - before;
    let result = table.map(|t| t.tensors.len()).map_err(|e| e.to_string());
    println!("took {taken} kB, {result:?}");
}

/// Does nothing but in a process that measures.
#[test]
fn measure_large() {
    let Ok(case) = std::env::var(FILE) else {
        return;
    };
    let (name, make) = LARGE[case.parse::<usize>().unwrap()];
    let file = make();
    let before = status("VmRSS");
    let table = parse(&file).unwrap_or_else(|e| panic!("{name} {e}"));
    let taken = status("VmRSS") - before;
    assert_eq!(table.tensors["w"].range.len(), ROOM);
    println!("took {taken} kB");
}

/// Runs the test `measure` with `file` in a process of its own, and says how many kB it took.
fn report(name: &str, measure: &str, file: &str) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", measure, "--nocapture"])
        .env(FILE, file);
    let output = String::from_utf8(child.output().unwrap().stdout).unwrap();
    let Some((_, report)) = output.split_once("took ") else {
        panic!("{name}: {output}");
    };
    println!("{name}: {}", report.lines().next().unwrap());
    report.split([' ', ',']).next().unwrap().parse().unwrap()
}

#[test]
fn hostile_files_take_little_memory() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile");
    for (name, make) in CASES {
        fs::write(&path, make()).unwrap();
        let taken = report(name, "measure", path.to_str().unwrap());
        assert!(taken < LIMIT, "{name} takes {taken} kB");
    }
    fs::remove_file(path).unwrap();
}

/// Numbers are not even looked at.
#[test]
#[cfg(target_pointer_width = "64")]
fn large_files_are_not_touched() {
    for (index, (name, _)) in LARGE.iter().enumerate() {
        let taken = report(name, "measure_large", &index.to_string());
        assert!(taken < 4_000, "{name}: {taken} kB of it were touched");
    }
}
