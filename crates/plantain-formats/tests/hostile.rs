//! Files that are damaged, malicious or something else altogether: one clear error each, in less than a second.

mod common;

use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use common::archive::{Stored, archive, archive_of};
use common::pickle::{PLAIN, View, global, int, ints, text, tuple};
use common::{fixture, gguf, large_archive, safetensors, torch};
use plantain_formats::parse;

/// Refuses `bytes` with one sentence that says `part`, fast.
#[track_caller]
fn refused(bytes: &[u8], part: &str) {
    let start = clock();
    let result = parse(bytes);
    let took = clock() - start;
    let message = match result {
        Ok(table) => panic!("{} tensors instead of {part:?}", table.tensors.len()),
        Err(error) => error.to_string(),
    };
    assert!(message.contains(part), "{message:?} does not say {part:?}");
    let is_sentence = message.len() < 1000 && !message.contains(['\n', '\r', '\0']);
    assert!(is_sentence, "{message:?}");
    assert!(took < Duration::from_secs(1), "{took:?} for {part:?}");
}

/// The time this thread has run, so that others may be busy; where there is no telling, the time.
fn clock() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let run = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let run = run.and_then(|stat| stat.split(' ').next()?.parse().ok());
    run.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

#[test]
fn other_kinds_of_file() {
    refused(b"", "is an empty file");
    refused(
        b"version https://git-lfs.github.com/spec/v1\n",
        "git lfs pull",
    );
    refused(b"<!DOCTYPE html><html>", "is a web page");
    refused(b"some text of any kind", "is damaged");
    refused(b"tjgg\x01\0\0\0\0\0\0\0", "is a GGML file of before GGUF");
    refused(
        &fixture("refused/documents.zip"),
        "is a zip archive that PyTorch did not write",
    );
    refused(&fixture("refused/old.tar"), "is a tar archive");
    refused(
        &fixture("refused/plain2.pkl"),
        "is a Python pickle that PyTorch did not write",
    );
    refused(
        &fixture("refused/plain4.pkl"),
        "is a Python pickle that PyTorch did not write",
    );
}

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
fn truncated_files() {
    for (name, part) in [
        ("views.protocol2.pt", "zip directory cannot be read"),
        ("views.legacy2.pt", "beyond the end of the file"),
        ("views.legacy4.pt", "beyond the end of the file"),
        ("every_type.gguf", "beyond the end of the file"),
        ("safe.safetensors", "and the file holds"),
    ] {
        let file = fixture(name);
        refused(&file[..file.len() - 70], part);
    }
    let legacy = fixture("views.legacy2.pt");
    refused(&legacy[..500], "its pickle goes on beyond its end");
    refused(
        &fixture("every_type.gguf")[..500],
        "its header goes on beyond the end",
    );
}

#[test]
fn pickles_that_run_something() {
    for name in ["runs2.pt", "runs4.pt", "runs_legacy2.pt", "runs_legacy4.pt"] {
        refused(
            &fixture(&format!("refused/{name}")),
            "asks to run `posix.system`",
        );
    }
    refused(
        &fixture("refused/evaluates.pt"),
        "asks to run `__builtin__.eval`",
    );
    for (module, name) in [
        ("os", "system"),
        ("nt", "system"),
        ("subprocess", "Popen"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("runpy", "_run_code"),
        ("sys", "modules"),
        ("webbrowser", "open"),
        ("importlib", "import_module"),
        ("operator", "attrgetter"),
        ("functools", "partial"),
        ("shutil", "rmtree"),
        ("socket", "socket"),
        ("torch.hub", "load"),
        ("torch", "load"),
        ("torch", "hub.load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.jit", "load"),
        ("numpy", "load"),
        ("numpy.testing._private.utils", "runstring"),
        ("multiprocessing.util", "spawnv_passfds"),
    ] {
        let part = format!("asks to run `{module}.{name}`");
        let by_line = [&global(module, name)[..], &text("x"), b"\x85R."].concat();
        refused(&torch(&by_line), &part);
        let by_stack = [&text(module)[..], &text(name), b"\x93)R."].concat();
        refused(&torch(&by_stack), &part);
        let by_instance = format!("(i{module}\n{name}\n.").into_bytes();
        refused(&torch(&by_instance), &part);
        // Beside tensors, where nobody would look at what it gives.
        let beside = [b"}", &text("x")[..], &by_line[..by_line.len() - 1], b"s."].concat();
        refused(&torch(&beside), &part);
    }
    // Of protocol 0, which no torch.save writes.
    refused(
        &torch(b"cos\nsystem\n(S'true'\ntR."),
        "asks to run `os.system`",
    );
}

#[test]
fn pickles_that_name_the_unknown() {
    refused(&torch(b"cmodule\nfunction\n)R."), "needs `module.function`");
    // Attributes of what is harmless may not be.
    let attributes = [&text("collections")[..], &text("abc.sys.exit"), b"\x93."].concat();
    refused(&torch(&attributes), "needs `collections.abc.sys.exit`");
    let long = [&global(&"m".repeat(100_000), "f")[..], b"."].concat();
    refused(&torch(&long), "needs `mmm");
    let unprintable = [&global("\u{1b}[31m`\0", "\r")[..], b"."].concat();
    refused(&torch(&unprintable), "needs `\\u{1b}[31m\\0.\\r`");
}

#[test]
fn pickles_that_make_no_sense() {
    for (pickle, part) in [
        (&b""[..], "goes on beyond its end"),
        (b"\x80", "goes on beyond its end"),
        (b".", "takes from an empty stack"),
        (b"0.", "takes from an empty stack"),
        (b"N(0.", "takes from an empty stack"),
        (b"Nt.", "a mark it has not set"),
        (b"h\x05.", "recalls what it has not kept"),
        (b"\xff.", "unknown opcode, 0xff, at byte 1"),
        (b"NNR.", "calls what is no function"),
        (b"(o.", "calls nothing"),
        (b"NNs.", "takes from an empty stack"),
        (b"NNNs.", "puts something where it cannot go"),
        (b"NNa.", "puts something where it cannot go"),
        (b"}(Nu.", "puts something where it cannot go"),
        (b"(Nd.", "a key without a value"),
        (b"NN\x93.", "names something by what is no text"),
        (b"NQ.", "refers to something that is no storage"),
        (b"X\x02\0\0\0\xff\xff.", "text that is no UTF-8"),
        (b"X\xff\xff\xff\xffabc.", "goes on beyond its end"),
        (
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.",
            "goes on beyond its end",
        ),
        (
            b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc.",
            "goes on beyond its end",
        ),
        (b"\x8b\xff\xff\xff\xffabc.", "goes on beyond its end"),
        (b"T\xff\xff\xff\xffabc.", "goes on beyond its end"),
        (b"pabc\n.", "a memo key that is no number"),
        (
            b"ctorch._utils\n_rebuild_tensor_v2\nNR.",
            "makes a tensor of what is none",
        ),
    ] {
        refused(&torch(pickle), part);
    }
}

#[test]
fn pickles_that_never_end() {
    const MANY: usize = 1_500_000;
    let bomb = |start: &[u8], step: &[u8]| {
        let mut pickle = start.to_vec();
        while pickle.len() < MANY {
            pickle.extend(step);
        }
        torch(&pickle)
    };
    let steps = "takes more than 1000000 steps";
    refused(&bomb(b"", b"("), steps);
    refused(&bomb(b"", b"]"), steps);
    refused(&bomb(b"N", b"\x85"), steps);
    refused(&bomb(b"N", b"2"), steps);
    refused(&bomb(b"", b"N0"), steps);
    refused(&bomb(b"", b"]\x94"), steps);
    // A large state that is given to a dictionary again and again.
    let state = [&b"}("[..], &b"NN".repeat(100_000), b"uq\x000}"].concat();
    refused(&bomb(&state, b"h\x00b"), steps);
    // Lists of lists of lists, twice each: 2^30 items for whoever counts them all, as Python's `repr` does.
    let mut shared = b"]q\0".to_vec();
    for _ in 0..30 {
        shared.extend(b"0]h\0ah\0aq\0");
    }
    shared.push(b'.');
    refused(&torch(&shared), "hold each other");
    // A list that holds itself.
    refused(&torch(b"]q\0h\0a."), "nested more than 32 deep");
    // A dictionary copied into itself again and again.
    let mut copies = b"}q\0}X\x0b\0\0\0_parametersh\0s".to_vec();
    copies.extend(b"q\x010");
    copies.extend(b"h\0NNsh\x01b".repeat(200_000));
    refused(&torch(&copies), steps);
    // More names than anyone imports.
    refused(
        &bomb(b"", b"cm\nf\n"),
        "more than 10000 functions and classes",
    );
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
fn names_that_are_too_long_or_there_twice() {
    let tensor = PLAIN.tensor();
    let dict = |items: &[(&str, &[u8])]| {
        let mut pickle = b"}(".to_vec();
        for (key, value) in items {
            pickle.extend(text(key));
            pickle.extend(*value);
        }
        pickle.extend(b"u.");
        pickle
    };
    refused(
        &torch(&dict(&[(&"w".repeat(1000), &tensor)])),
        "more than 512 bytes",
    );
    let inner = dict(&[("b", &tensor)]);
    let inner = &inner[..inner.len() - 1];
    let twice = dict(&[("a.b", &tensor), ("a", inner)]);
    refused(&torch(&twice), "at tensor `a.b`: it is there twice");
    let mut deep = tensor.clone();
    for _ in 0..40 {
        deep = [b"]", &deep[..], b"a"].concat();
    }
    deep.push(b'.');
    refused(&torch(&deep), "nested more than 32 deep");
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
