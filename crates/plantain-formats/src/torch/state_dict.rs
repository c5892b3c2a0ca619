//! Which of the objects of a checkpoint are the tensors of the model, and what they are called.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::{Lost, view};
use crate::pickle::{Heap, Storage, Value, whole_model};
use crate::{Entry, Format, FormatError, Table, limits};

/// Where training frameworks keep the tensors of the model beside other things.
const STATE_DICT: &str = "state_dict";

/// The same in names that may mean other things as well.
const WRAPPERS: [&str; 3] = ["model_state_dict", "model", "module"];

/// Longest text beside the tensors that is kept, in bytes, and most bytes of all of them together.
const NOTE: usize = 4096;
const NOTES: usize = 1 << 20;

/// The tensors that `root` holds; `find` says where in the file a storage lies, or why nowhere.
pub(super) fn table<'a>(
    format: Format,
    heap: &Heap<'a>,
    root: Value<'a>,
    mut find: impl FnMut(&Storage<'a>) -> Result<Range<usize>, Lost>,
) -> Result<Table, FormatError> {
    let mut tensors = BTreeMap::new();
    let mut add = |name: String, tensor: usize| {
        let entry: Entry = view::entry(&name, heap, tensor, &mut find)?;
        if tensors.len() == limits::TENSORS {
            let limit = limits::TENSORS;
            return Err(FormatError::damaged(format!("more than {limit} tensors")));
        }
        if tensors.insert(name.clone(), entry).is_some() {
            return Err(FormatError::tensor(&name, "it is there twice"));
        }
        Ok(())
    };
    match root {
        Value::Tensor(tensor) => add("tensor".to_string(), tensor)?,
        root => walk(heap, unwrap(heap, root), add)?,
    }
    match heap.class(root) {
        Some(class) if tensors.is_empty() => Err(whole_model(&class)),
        _ => Ok(Table {
            format,
            metadata: notes(heap, root),
            tensors,
        }),
    }
}

/// The state dict within a checkpoint.
fn unwrap<'a>(heap: &Heap<'a>, root: Value<'a>) -> Value<'a> {
    if let Some(dict @ Value::Dict(_)) = heap.get(root, STATE_DICT) {
        return dict;
    }
    let mut wrapped = WRAPPERS.iter().filter_map(|key| heap.get(root, key));
    let holds_tensors = |dict| {
        let mut pairs = heap.pairs(dict).iter();
        pairs.any(|(_, value)| matches!(value, Value::Tensor(_)))
    };
    wrapped.find(|&dict| holds_tensors(dict)).unwrap_or(root)
}

/// Texts and numbers that lie beside the tensors or the state dict.
fn notes<'a>(heap: &Heap<'a>, root: Value<'a>) -> HashMap<String, String> {
    let mut notes = HashMap::new();
    let mut size = 0;
    for &(key, value) in heap.pairs(root) {
        let Value::Text(key) = key else { continue };
        let note = match value {
            Value::Text(text) if text.len() <= NOTE => text.to_string(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => continue,
        };
        size += key.len() + note.len();
        if size > NOTES {
            break;
        }
        notes.insert(key.to_string(), note);
    }
    notes
}

/// A container that is being walked through.
struct Level<'a> {
    container: Value<'a>,
    /// Its name and a dot, or nothing for the outermost.
    prefix: String,
    /// How many of its items were seen.
    seen: usize,
}

impl<'a> Level<'a> {
    /// The next item and its key.
    fn next(&mut self, heap: &Heap<'a>) -> Option<(Value<'a>, Value<'a>)> {
        let index = self.seen;
        self.seen += 1;
        match self.container {
            Value::Dict(_) => heap.pairs(self.container).get(index).copied(),
            list => {
                let item = *heap.items(list).get(index)?;
                Some((Value::Int(index as i64), item))
            }
        }
    }
}

/// Calls `add` with each tensor in `root` and its name, the keys on the way to it joined with dots.
fn walk<'a>(
    heap: &Heap<'a>,
    root: Value<'a>,
    mut add: impl FnMut(String, usize) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let mut steps = 0;
    let mut levels = vec![Level {
        container: root,
        prefix: String::new(),
        seen: 0,
    }];
    while let Some(level) = levels.last_mut() {
        // Containers may hold each other, so that there are more ways to a tensor than objects.
        steps += 1;
        if steps > limits::OPCODES {
            let reason = "its dictionaries and lists hold each other";
            return Err(FormatError::damaged(reason));
        }
        let Some((key, value)) = level.next(heap) else {
            levels.pop();
            continue;
        };
        let is_container = matches!(value, Value::Dict(_) | Value::List(_) | Value::Tuple(_));
        let is_tensor = matches!(value, Value::Tensor(_));
        let key = match key {
            Value::Text(key) if is_container || is_tensor => key.to_string(),
            Value::Int(key) if is_container || is_tensor => key.to_string(),
            _ => continue,
        };
        let name = format!("{}{key}", level.prefix);
        limits::check_name(&name)?;
        if let Value::Tensor(tensor) = value {
            add(name, tensor)?;
        } else if levels.len() == limits::DEPTH {
            let limit = limits::DEPTH;
            return Err(FormatError::damaged(format!(
                "its dictionaries and lists are nested more than {limit} deep"
            )));
        } else {
            levels.push(Level {
                container: value,
                prefix: name + ".",
                seen: 0,
            });
        }
    }
    Ok(())
}
