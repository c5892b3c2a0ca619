//! What the functions and classes that pickles name would do.

use super::globals::{Global, Rebuild};
use super::{Heap, Named, Value, globals};
use crate::{FormatError, limits};

/// How many functions that call another one may be nested in a call.
const INDIRECTIONS: usize = 4;

impl<'a> Heap<'a> {
    /// Counts `steps` of work, each of which may use a little memory.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), FormatError> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps <= limits::OPCODES {
            return Ok(());
        }
        Err(FormatError::unsupported(
            format!("takes more than {} steps to read", limits::OPCODES),
            "save the `state_dict()` of the model alone, as safetensors",
        ))
    }

    pub(super) fn list(&mut self, items: Vec<Value<'a>>) -> Value<'a> {
        self.sequences.push(items);
        Value::List(self.sequences.len() - 1)
    }

    pub(super) fn tuple(&mut self, items: Vec<Value<'a>>) -> Value<'a> {
        self.sequences.push(items);
        Value::Tuple(self.sequences.len() - 1)
    }

    pub(super) fn dict(&mut self, pairs: Vec<(Value<'a>, Value<'a>)>) -> Value<'a> {
        self.dicts.push(pairs);
        Value::Dict(self.dicts.len() - 1)
    }

    /// The function or class `module.name`.
    pub(super) fn global(
        &mut self,
        module: &'a str,
        name: &'a str,
    ) -> Result<Value<'a>, FormatError> {
        if self.globals.len() == limits::GLOBALS {
            let limit = limits::GLOBALS;
            let reason = format!("its pickle names more than {limit} functions and classes");
            return Err(FormatError::damaged(reason));
        }
        let kind = globals::classify(module, name)?;
        self.globals.push(Named { kind, module, name });
        Ok(Value::Global(self.globals.len() - 1))
    }

    /// Appends to a list; what is not looked into swallows the items.
    pub(super) fn append(&mut self, list: Value<'a>, items: &[Value<'a>]) -> bool {
        match list {
            Value::List(i) => self.sequences[i].extend_from_slice(items),
            Value::Object(_) | Value::Inert => {}
            _ => return false,
        }
        true
    }

    /// Puts keys and values, which alternate, into a dictionary; what is not looked into swallows them.
    pub(super) fn set_items(&mut self, dict: Value<'a>, items: &[Value<'a>]) -> bool {
        let (pairs, rest) = items.as_chunks();
        match dict {
            Value::Dict(i) => self.dicts[i].extend(pairs.iter().map(|&[k, v]| (k, v))),
            Value::Object(_) | Value::Inert => {}
            _ => return false,
        }
        rest.is_empty()
    }

    /// Gives `object` its attributes.
    pub(super) fn build(&mut self, object: Value<'a>, state: Value<'a>) -> Result<(), FormatError> {
        // The same state may be given to many objects, and is searched each time.
        self.spend(self.pairs(state).len())?;
        match object {
            // A `ParameterDict` of before PyTorch 1.12 holds its parameters as a module does.
            Value::Dict(i) => {
                if let Some(parameters) = self.get(state, "_parameters") {
                    self.spend(self.pairs(parameters).len())?;
                    let pairs = self.pairs(parameters).to_vec();
                    self.dicts[i].extend(pairs);
                }
            }
            Value::Object(i) if self.get(state, "_modules").is_some() => {
                self.module.get_or_insert(i);
            }
            _ => {}
        }
        Ok(())
    }

    /// What calling `function` with `arguments` gives; `None` if it is no function.
    pub(super) fn call(
        &mut self,
        function: Value<'a>,
        arguments: Value<'a>,
    ) -> Result<Option<Value<'a>>, FormatError> {
        let index = match function {
            Value::Global(index) => index,
            Value::Object(_) | Value::Inert => return Ok(Some(Value::Inert)),
            _ => return Ok(None),
        };
        Ok(Some(match self.globals[index].kind {
            Global::Dict => self.new_dict(arguments)?,
            Global::Size => match self.items(arguments) {
                [shape @ (Value::Tuple(_) | Value::List(_))] => *shape,
                _ => Value::Inert,
            },
            Global::Rebuild(rebuild) => self.rebuild(rebuild, arguments)?,
            Global::Reconstructor => match self.items(arguments) {
                &[Value::Global(class), ..] => match self.globals[class].kind {
                    Global::Dict => self.dict(Vec::new()),
                    _ => Value::Object(class),
                },
                _ => Value::Inert,
            },
            Global::Storage(_) | Global::Dtype(_) => Value::Inert,
            Global::Inert | Global::Unfamiliar => Value::Object(index),
        }))
    }

    /// A dictionary of the pairs that the first argument may list, as Python 2 wrote them.
    fn new_dict(&mut self, arguments: Value<'a>) -> Result<Value<'a>, FormatError> {
        let source = self.items(arguments).first().copied();
        let source = source.unwrap_or(Value::None);
        self.spend(self.items(source).len() + self.pairs(source).len())?;
        let listed = self.items(source).iter();
        let mut pairs: Vec<_> = listed
            .filter_map(|&pair| match self.items(pair) {
                &[key, value] => Some((key, value)),
                _ => None,
            })
            .collect();
        pairs.extend(self.pairs(source));
        Ok(self.dict(pairs))
    }

    fn rebuild(
        &mut self,
        mut rebuild: Rebuild,
        mut arguments: Value<'a>,
    ) -> Result<Value<'a>, FormatError> {
        for _ in 0..INDIRECTIONS {
            match (rebuild, self.items(arguments)) {
                (Rebuild::Parameter, &[tensor, ..]) => return Ok(tensor),
                (Rebuild::FromType, &[Value::Global(function), _, inner, ..]) => {
                    match self.globals[function].kind {
                        Global::Rebuild(inner) => rebuild = inner,
                        _ => break,
                    }
                    arguments = inner;
                }
                (Rebuild::Strided | Rebuild::StridedOfType | Rebuild::Other(_), _) => {
                    let Value::Tuple(arguments) = arguments else {
                        break;
                    };
                    self.tensors.push((rebuild, arguments));
                    return Ok(Value::Tensor(self.tensors.len() - 1));
                }
                _ => break,
            }
        }
        let reason = "its pickle makes a tensor of what is none";
        Err(FormatError::damaged(reason))
    }

    /// What `id` refers to outside the pickle: a storage, or a class with its source.
    pub(super) fn persistent(&mut self, id: Value<'a>) -> Result<Value<'a>, FormatError> {
        match (id, self.items(id)) {
            (_, &[Value::Text("module"), Value::Global(class), ..]) => {
                self.module.get_or_insert(class);
                Ok(Value::Global(class))
            }
            (Value::Tuple(reference), [Value::Text("storage"), ..]) => {
                self.storages.push(reference);
                Ok(Value::Storage(reference))
            }
            _ => {
                let reason = "its pickle refers to something that is no storage";
                Err(FormatError::damaged(reason))
            }
        }
    }

    /// The error for the first name that is neither PyTorch's nor known to be harmless.
    pub(super) fn unfamiliar(&self) -> Result<(), FormatError> {
        let unfamiliar = |i: &usize| matches!(self.globals[*i].kind, Global::Unfamiliar);
        if let Some(module) = self.module.filter(unfamiliar) {
            return Err(whole_model(&self.globals[module].path()));
        }
        match (0..self.globals.len()).find(unfamiliar) {
            Some(i) => Err(FormatError::Unfamiliar {
                global: self.globals[i].path(),
            }),
            None => Ok(()),
        }
    }
}

/// The error for a pickled object of `class` where tensors were expected.
pub(crate) fn whole_model(class: &str) -> FormatError {
    FormatError::unsupported(
        format!("is a whole Python object, a `{class}`, not tensors by name"),
        "save its `state_dict()`, as safetensors",
    )
}
