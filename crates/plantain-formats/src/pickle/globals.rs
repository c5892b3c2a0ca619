//! What pickles may name: an allow-list.

use crate::{ElementType, FormatError, limits};

/// What a function or class is to us.
#[derive(Debug, Clone, Copy)]
pub(super) enum Global {
    /// A class of dictionaries.
    Dict,
    /// `torch.Size`, a tuple.
    Size,
    /// A class of storages.
    Storage(StorageType),
    /// A type of numbers.
    Dtype(StorageType),
    /// A function that makes tensors.
    Rebuild(Rebuild),
    /// What Python 2 made objects with: the class comes first among the arguments.
    Reconstructor,
    /// Harmless, and nothing that tensors need.
    Inert,
    /// Unknown. A file with one is refused once it is known whether it is a whole network, which deserves its own advice.
    Unfamiliar,
}

/// What the elements of a storage are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum StorageType {
    /// Numbers.
    Of(ElementType),
    /// Bytes, of which only tensors know the type.
    Untyped,
    /// Numbers that cannot be told in any type that is read.
    Unreadable {
        /// What they are.
        kind: &'static str,
        /// Bytes of each.
        size: usize,
    },
}

impl StorageType {
    const QUANTISED: &str = "quantised integers";

    /// Bytes of an element.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Of(dtype) => dtype.block().1,
            Self::Untyped => 1,
            Self::Unreadable { size, .. } => size,
        }
    }

    fn unreadable(kind: &'static str, size: usize) -> Self {
        Self::Unreadable { kind, size }
    }
}

/// The functions that make tensors.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rebuild {
    /// `(storage, offset, shape, strides, requires_grad, hooks, flags)`; the last three may lack.
    Strided,
    /// `(storage, offset, shape, strides, requires_grad, hooks, dtype, flags)`; the last may lack.
    StridedOfType,
    /// `(tensor, ..)`, which is returned.
    Parameter,
    /// `(function, class, arguments, state)`, of which the first is called with the third.
    FromType,
    /// A kind of tensor that has no plain numbers.
    Other(&'static str),
}

/// What `module.name` is.
///
/// # Errors
///
/// If it can do harm.
pub(super) fn classify(module: &str, name: &str) -> Result<Global, FormatError> {
    if module.len() + name.len() > limits::NAME {
        return Ok(Global::Unfamiliar);
    }
    if let Some(known) = known(module, name) {
        return Ok(known);
    }
    let whole = format!("{module}.{name}");
    let listed = |module: &str| {
        HARMLESS
            .iter()
            .any(|(m, names)| *m == module && names.contains(&name))
    };
    let harmful = HARMFUL
        .iter()
        .chain(&HARMFUL_PARTS)
        .any(|part| begins_with(&whole, part));
    if harmful && !listed(module) {
        let global = path(module, name);
        return Err(FormatError::Forbidden { global });
    }
    // A dotted name would walk through the attributes of what it begins with, wherever that leads.
    let harmless = HARMLESS_MODULES.iter().any(|m| begins_with(module, m)) || listed(module);
    if harmless && !name.contains('.') {
        return Ok(Global::Inert);
    }
    Ok(Global::Unfamiliar)
}

/// `module.name` for a message: whatever was in the file, it is short and printable.
pub(super) fn path(module: &str, name: &str) -> String {
    const SHOWN: usize = 80;
    let path = module.chars().chain(['.']).chain(name.chars());
    let mut shown: String = path
        .take(SHOWN + 1)
        .flat_map(char::escape_debug)
        .filter(|&c| c != '`')
        .collect();
    if shown.chars().count() > SHOWN {
        shown = shown.chars().take(SHOWN).collect();
        shown.push('…');
    }
    shown
}

fn known(module: &str, name: &str) -> Option<Global> {
    Some(match (module, name) {
        ("collections", "OrderedDict" | "defaultdict" | "Counter")
        | ("builtins" | "__builtin__", "dict")
        | ("torch.nn.modules.container", "ParameterDict") => Global::Dict,
        ("torch", "Size") => Global::Size,
        ("copyreg" | "copy_reg", "_reconstructor") => Global::Reconstructor,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => {
            Global::Rebuild(Rebuild::Strided)
        }
        ("torch._utils", "_rebuild_tensor_v3") => Global::Rebuild(Rebuild::StridedOfType),
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
            Global::Rebuild(Rebuild::Parameter)
        }
        ("torch._tensor" | "torch.tensor", "_rebuild_from_type" | "_rebuild_from_type_v2") => {
            Global::Rebuild(Rebuild::FromType)
        }
        ("torch._utils", other) => Global::Rebuild(Rebuild::Other(match other {
            "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor" => "a sparse tensor",
            "_rebuild_qtensor" => "a quantised tensor of PyTorch",
            "_rebuild_nested_tensor" => "a nested tensor",
            "_rebuild_meta_tensor_no_storage" => "a tensor on `meta`, without numbers",
            "_rebuild_wrapper_subclass" => "a tensor of a class of its own",
            "_rebuild_device_tensor_from_numpy"
            | "_rebuild_device_tensor_from_cpu_tensor"
            | "_rebuild_xla_tensor" => "a tensor of another device",
            _ => return None,
        })),
        ("torch" | "torch.cuda" | "torch.storage", name) if name.ends_with("Storage") => {
            Global::Storage(storage(name)?)
        }
        ("torch", name) => Global::Dtype(dtype(name)?),
        _ => return None,
    })
}

fn storage(name: &str) -> Option<StorageType> {
    Some(StorageType::Of(match name {
        "DoubleStorage" => ElementType::F64,
        "FloatStorage" => ElementType::F32,
        "HalfStorage" => ElementType::F16,
        "BFloat16Storage" => ElementType::Bf16,
        "LongStorage" => ElementType::I64,
        "IntStorage" => ElementType::I32,
        "ShortStorage" => ElementType::I16,
        "CharStorage" => ElementType::I8,
        "ByteStorage" => ElementType::U8,
        "BoolStorage" => ElementType::Bool,
        "ComplexFloatStorage" => ElementType::C64,
        "UntypedStorage" | "_UntypedStorage" => return Some(StorageType::Untyped),
        "ComplexDoubleStorage" => return Some(StorageType::unreadable("complex128", 16)),
        "QInt32Storage" => return Some(StorageType::unreadable(StorageType::QUANTISED, 4)),
        "QInt8Storage" | "QUInt8Storage" | "QUInt4x2Storage" | "QUInt2x4Storage" => {
            return Some(StorageType::unreadable(StorageType::QUANTISED, 1));
        }
        _ => return None,
    }))
}

fn dtype(name: &str) -> Option<StorageType> {
    Some(StorageType::Of(match name {
        "float64" | "double" => ElementType::F64,
        "float32" | "float" => ElementType::F32,
        "float16" | "half" => ElementType::F16,
        "bfloat16" => ElementType::Bf16,
        "int64" | "long" => ElementType::I64,
        "int32" | "int" => ElementType::I32,
        "int16" | "short" => ElementType::I16,
        "int8" => ElementType::I8,
        "uint64" => ElementType::U64,
        "uint32" => ElementType::U32,
        "uint16" => ElementType::U16,
        "uint8" => ElementType::U8,
        "bool" => ElementType::Bool,
        "complex64" | "cfloat" => ElementType::C64,
        "float8_e4m3fn" => ElementType::F8E4M3,
        "float8_e5m2" => ElementType::F8E5M2,
        "float8_e8m0fnu" => ElementType::F8E8M0,
        "float8_e4m3fnuz" => ElementType::F8E4M3Fnuz,
        "float8_e5m2fnuz" => ElementType::F8E5M2Fnuz,
        "complex128" | "cdouble" => return Some(StorageType::unreadable("complex128", 16)),
        "complex32" | "chalf" => return Some(StorageType::unreadable("complex32", 4)),
        "float4_e2m1fn_x2" => return Some(StorageType::unreadable("float4_e2m1fn_x2", 1)),
        "qint32" => return Some(StorageType::unreadable(StorageType::QUANTISED, 4)),
        "qint8" | "quint8" | "quint4x2" | "quint2x4" => {
            return Some(StorageType::unreadable(StorageType::QUANTISED, 1));
        }
        _ => return None,
    }))
}

/// Packages that run programs, files or other pickles, or reach for attributes by name. What of them is harmless is among
/// [`known`] or [`HARMLESS`].
const HARMFUL: [&str; 78] = [
    "__builtin__",
    "_bootlocale",
    "_ctypes",
    "_io",
    "_operator",
    "_pickle",
    "_posixsubprocess",
    "_socket",
    "_thread",
    "_winapi",
    "_xxsubinterpreters",
    "aiohttp",
    "asyncio",
    "bdb",
    "builtins",
    "cProfile",
    "cloudpickle",
    "code",
    "codeop",
    "commands",
    "ctypes",
    "dill",
    "distutils",
    "doctest",
    "ensurepip",
    "exec",
    "fileinput",
    "ftplib",
    "functools",
    "gc",
    "getpass",
    "glob",
    "http",
    "httplib",
    "httpx",
    "idlelib",
    "imp",
    "importlib",
    "inspect",
    "io",
    "joblib",
    "linecache",
    "marshal",
    "multiprocessing",
    "nt",
    "ntpath",
    "operator",
    "os",
    "paramiko",
    "pdb",
    "pickle",
    "pip",
    "pkgutil",
    "platform",
    "popen2",
    "posix",
    "posixpath",
    "profile",
    "pty",
    "pydoc",
    "requests",
    "runpy",
    "setuptools",
    "shelve",
    "shutil",
    "signal",
    "smtplib",
    "socket",
    "ssl",
    "subprocess",
    "sys",
    "telnetlib",
    "tempfile",
    "timeit",
    "trace",
    "urllib",
    "venv",
    "webbrowser",
];

/// The same among the parts of packages that are otherwise harmless.
const HARMFUL_PARTS: [&str; 18] = [
    "numpy.load",
    "numpy.f2py",
    "numpy.distutils",
    "numpy.testing",
    "torch.load",
    "torch.hub",
    "torch.jit",
    "torch.fx",
    "torch.ops",
    "torch.package",
    "torch.serialization",
    "torch.testing",
    "torch._dynamo",
    "torch._inductor",
    "torch.storage._load_from_bytes",
    "torch.utils.collect_env",
    "torch.utils.cpp_extension",
    "torch.distributed.elastic",
];

/// Modules whose functions and classes checkpoints are known to hold.
const HARMLESS_MODULES: [&str; 10] = [
    "torch",
    "pytorch_lightning",
    "lightning",
    "lightning_fabric",
    "lightning_utilities",
    "torchmetrics",
    "omegaconf",
    "collections",
    "numpy.random",
    "numpy.dtypes",
];

/// Single functions and classes of other modules, as `(module, names)`.
const HARMLESS: [(&str, &[&str]); 20] = [
    ("builtins", BUILT_IN),
    ("__builtin__", BUILT_IN),
    ("_codecs", &["encode"]),
    ("argparse", &["Namespace"]),
    ("types", &["SimpleNamespace"]),
    (
        "typing",
        &["Any", "Dict", "List", "Optional", "Tuple", "Union"],
    ),
    (
        "datetime",
        &["date", "datetime", "time", "timedelta", "timezone"],
    ),
    ("decimal", &["Decimal"]),
    ("fractions", &["Fraction"]),
    ("uuid", &["UUID"]),
    ("easydict", &["EasyDict"]),
    ("yacs.config", &["CfgNode"]),
    ("torch.serialization", &["_get_layout"]),
    ("pathlib", PATHS),
    ("pathlib._local", PATHS),
    ("numpy", NUMPY),
    ("numpy.core.multiarray", &["_reconstruct", "scalar"]),
    ("numpy._core.multiarray", &["_reconstruct", "scalar"]),
    ("numpy.core.numeric", &["_frombuffer"]),
    ("numpy._core.numeric", &["_frombuffer"]),
];

const BUILT_IN: &[&str] = &[
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "float",
    "frozenset",
    "int",
    "list",
    "long",
    "object",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
    "unicode",
    "xrange",
];

const PATHS: &[&str] = &[
    "Path",
    "PosixPath",
    "PurePath",
    "PurePosixPath",
    "PureWindowsPath",
    "WindowsPath",
];

const NUMPY: &[&str] = &[
    "bool", "bool_", "dtype", "float16", "float32", "float64", "int16", "int32", "int64", "int8",
    "ndarray", "str_", "uint16", "uint32", "uint64", "uint8",
];

/// Whether `module` is `package` or within it.
fn begins_with(module: &str, package: &str) -> bool {
    module
        .strip_prefix(package)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
