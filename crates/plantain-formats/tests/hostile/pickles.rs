//! Pickles.

use crate::common::pickle::{global, text};
use crate::common::{fixture, torch};
use crate::refused;

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
