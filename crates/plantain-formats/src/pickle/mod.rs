//! Pickles, read by a machine that runs nothing.
//!
//! A pickle is a program for a stack machine that names Python functions and has them called. This machine keeps what it
//! builds in a [`Heap`] of numbers, texts and containers. It knows the few functions that put tensors together by name
//! ([`globals`]) and does what they would do to its own values ([`calls`]); results of harmless others are [`Value::Object`]s,
//! which are never looked into. There is no recursion, and [`limits::OPCODES`](crate::limits::OPCODES) bounds time and memory.

mod calls;
mod globals;
mod machine;
mod source;

pub(crate) use calls::whole_model;
pub(crate) use globals::StorageType;
pub(crate) use machine::load;

use crate::limits;
use globals::{Global, Rebuild};

/// A Python object. Containers are indices into the [`Heap`], so that they may be shared and hold themselves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, little-endian.
    Long(&'a [u8]),
    Float(f64),
    Text(&'a str),
    /// Index into [`Heap::sequences`].
    Tuple(usize),
    /// Index into [`Heap::sequences`].
    List(usize),
    /// Index into [`Heap::dicts`].
    Dict(usize),
    /// The numbers behind tensors: index into [`Heap::sequences`] of what refers to them.
    Storage(usize),
    /// Index into [`Heap::tensors`].
    Tensor(usize),
    /// A function or class: index into [`Heap::globals`].
    Global(usize),
    /// What a function or class that is not looked into made: its index into [`Heap::globals`].
    Object(usize),
    /// Bytes, sets and whatever else no tensor needs.
    Inert,
}

/// The numbers behind tensors, as pickles refer to them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Storage<'a> {
    pub(crate) dtype: StorageType,
    pub(crate) key: &'a str,
    /// Length in elements of `dtype`.
    pub(crate) count: i64,
    /// The part of it that is meant, `(offset, count)`, of files of before 0.4.
    pub(crate) view: Option<(i64, i64)>,
}

/// A tensor as pickles describe it. Nothing is checked yet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tensor<'a> {
    /// A view of a storage.
    Strided(Strided<'a>),
    /// A kind that has no plain numbers.
    Other(&'static str),
}

/// A view of a storage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub(crate) storage: Value<'a>,
    pub(crate) offset: Value<'a>,
    pub(crate) shape: Value<'a>,
    pub(crate) strides: Value<'a>,
    /// The type of numbers, where it is not the storage that knows.
    pub(crate) dtype: Option<Value<'a>>,
    /// Such as that the numbers are to be negated.
    pub(crate) flags: Value<'a>,
}

/// Everything that pickles of one file built.
#[derive(Debug, Default)]
pub(crate) struct Heap<'a> {
    sequences: Vec<Vec<Value<'a>>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    /// What refers to storages: indices into `sequences`.
    storages: Vec<usize>,
    /// What makes tensors, and of what: indices into `sequences`. They are looked into once they are wanted, which those
    /// of optimizers never are.
    tensors: Vec<(Rebuild, usize)>,
    globals: Vec<Named<'a>>,
    /// Opcodes and copies so far.
    steps: usize,
    /// The first class that was built as a module of networks.
    module: Option<usize>,
}

/// A function or class, by name.
#[derive(Debug, Clone, Copy)]
struct Named<'a> {
    kind: Global,
    module: &'a str,
    name: &'a str,
}

impl<'a> Heap<'a> {
    /// The items of a tuple or list; none of anything else.
    pub(crate) fn items(&self, value: Value<'a>) -> &[Value<'a>] {
        match value {
            Value::Tuple(i) | Value::List(i) => &self.sequences[i],
            _ => &[],
        }
    }

    /// The keys and values of a dictionary in order; none of anything else.
    pub(crate) fn pairs(&self, value: Value<'a>) -> &[(Value<'a>, Value<'a>)] {
        match value {
            Value::Dict(i) => &self.dicts[i],
            _ => &[],
        }
    }

    /// What a dictionary holds at the text `key`.
    pub(crate) fn get(&self, value: Value<'a>, key: &str) -> Option<Value<'a>> {
        let mut pairs = self.pairs(value).iter().rev();
        let found = pairs.find(|(k, _)| matches!(k, Value::Text(text) if *text == key));
        found.map(|&(_, value)| value)
    }

    /// The tensor with `index`, if what makes it makes sense.
    pub(crate) fn tensor(&self, index: usize) -> Option<Tensor<'a>> {
        let (rebuild, arguments) = self.tensors[index];
        let (&[storage, offset, shape, strides], rest) =
            match (rebuild, self.sequences[arguments].split_first_chunk()) {
                (Rebuild::Other(kind), _) => return Some(Tensor::Other(kind)),
                (_, parts) => parts?,
            };
        // Two arguments are for training only.
        let (dtype, flags) = match rebuild {
            Rebuild::StridedOfType => (Some(*rest.get(2)?), rest.get(3)),
            _ => (None, rest.get(2)),
        };
        Some(Tensor::Strided(Strided {
            storage,
            offset,
            shape,
            strides,
            dtype,
            flags: flags.copied().unwrap_or(Value::None),
        }))
    }

    /// The storage that `value` is.
    pub(crate) fn storage(&self, value: Value<'a>) -> Option<Storage<'a>> {
        match value {
            Value::Storage(reference) => self.referred(reference),
            _ => None,
        }
    }

    /// All storages that were referred to.
    pub(crate) fn storages(&self) -> impl DoubleEndedIterator<Item = Storage<'a>> {
        self.storages.iter().filter_map(|&i| self.referred(i))
    }

    fn referred(&self, reference: usize) -> Option<Storage<'a>> {
        let &[
            _,
            Value::Global(class),
            Value::Text(key),
            _,
            Value::Int(count),
            ref rest @ ..,
        ] = &self.sequences[reference][..]
        else {
            return None;
        };
        let Global::Storage(dtype) = self.globals[class].kind else {
            return None;
        };
        let view = rest.first().map(|&view| self.items(view));
        Some(Storage {
            dtype,
            key: Some(key).filter(|key| key.len() <= limits::NAME)?,
            count,
            view: match view {
                Some(&[_, Value::Int(offset), Value::Int(count)]) => Some((offset, count)),
                _ => None,
            },
        })
    }

    /// The type of numbers that `value` names.
    pub(crate) fn dtype(&self, value: Value<'a>) -> Option<StorageType> {
        match value {
            Value::Global(i) => match self.globals[i].kind {
                Global::Dtype(dtype) => Some(dtype),
                _ => None,
            },
            _ => None,
        }
    }

    /// The class of the object that `value` is, or of a module of networks that was among what was built.
    pub(crate) fn class(&self, value: Value<'a>) -> Option<String> {
        let index = match value {
            Value::Object(i) => Some(i),
            _ => self.module,
        };
        index.map(|i| self.globals[i].path())
    }
}

impl Named<'_> {
    /// Module and name, as Python would write them, fit for a message.
    fn path(&self) -> String {
        globals::path(self.module, self.name)
    }
}
