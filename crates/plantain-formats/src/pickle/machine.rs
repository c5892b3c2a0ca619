//! The stack machine.

use std::collections::BTreeMap;

use super::source::Source;
use super::{Heap, Value};
use crate::FormatError;

/// Reads the pickle that begins at byte `at` of `bytes` into `heap`, and says what it is and where it ends.
pub(crate) fn load<'a>(
    heap: &mut Heap<'a>,
    bytes: &'a [u8],
    at: usize,
) -> Result<(Value<'a>, usize), FormatError> {
    let mut machine = Machine {
        heap,
        source: Source::new(bytes, at),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
    };
    loop {
        machine.heap.spend(1)?;
        let opcode = machine.source.u8()?;
        if opcode == b'.' {
            break;
        }
        if !machine.constant(opcode)? && !machine.memory(opcode)? && !machine.container(opcode)? {
            machine.construct(opcode)?;
        }
    }
    let value = machine.pop()?;
    let end = machine.source.at;
    heap.unfamiliar()?;
    Ok((value, end))
}

struct Machine<'a, 'h> {
    heap: &'h mut Heap<'a>,
    source: Source<'a>,
    stack: Vec<Value<'a>>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value<'a>>,
}

impl<'a> Machine<'a, '_> {
    /// Opcodes that push what they say. `false` if `opcode` is none of them.
    fn constant(&mut self, opcode: u8) -> Result<bool, FormatError> {
        let source = &mut self.source;
        let value = match opcode {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i32::from_le_bytes(source.array()?).into()),
            b'K' => Value::Int(source.u8()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(source.array()?).into()),
            0x8a => {
                let length = source.u8()?.into();
                long(source.take(length)?)
            }
            0x8b => {
                let length = source.u32()?.into();
                long(source.take(length)?)
            }
            b'I' => match source.line()? {
                "00" => Value::Bool(false),
                "01" => Value::Bool(true),
                digits => integer(digits),
            },
            b'L' => integer(source.line()?.trim_end_matches('L')),
            b'G' => Value::Float(f64::from_be_bytes(source.array()?)),
            b'F' => Value::Float(source.line()?.parse().unwrap_or(f64::NAN)),
            b'X' => {
                let length = source.u32()?.into();
                self.text(length)?
            }
            0x8c => {
                let length = source.u8()?.into();
                self.text(length)?
            }
            0x8d => {
                let length = source.u64()?;
                self.text(length)?
            }
            b'V' => Value::Text(source.line()?),
            // Strings of Python 2, which may be text or bytes.
            b'T' => {
                let length = source.u32()?.into();
                text_or_bytes(source.take(length)?)
            }
            b'U' => {
                let length = source.u8()?.into();
                text_or_bytes(source.take(length)?)
            }
            b'S' => Value::Text(source.line()?.trim_matches(['\'', '"'])),
            b'B' => {
                let length = source.u32()?.into();
                source.take(length)?;
                Value::Inert
            }
            b'C' => {
                let length = source.u8()?.into();
                source.take(length)?;
                Value::Inert
            }
            0x8e | 0x96 => {
                let length = source.u64()?;
                source.take(length)?;
                Value::Inert
            }
            _ => return Ok(false),
        };
        self.stack.push(value);
        Ok(true)
    }

    /// Opcodes of the stack, the memo and the framing. `false` if `opcode` is none of them.
    fn memory(&mut self, opcode: u8) -> Result<bool, FormatError> {
        match opcode {
            // The protocol and the length of a frame, which help those who read from a stream.
            0x80 => drop(self.source.u8()?),
            0x95 => drop(self.source.u64()?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'p' => {
                let key = self.line_key()?;
                self.put(key)?;
            }
            b'q' => {
                let key = self.source.u8()?.into();
                self.put(key)?;
            }
            b'r' => {
                let key = self.source.u32()?;
                self.put(key)?;
            }
            0x94 => {
                // The number of opcodes, and with it this length, is limited.
                let key = self.memo.len() as u32;
                self.put(key)?;
            }
            b'g' => {
                let key = self.line_key()?;
                self.get(key)?;
            }
            b'h' => {
                let key = self.source.u8()?.into();
                self.get(key)?;
            }
            b'j' => {
                let key = self.source.u32()?;
                self.get(key)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Opcodes of tuples, lists, dictionaries and sets. `false` if `opcode` is none of them.
    fn container(&mut self, opcode: u8) -> Result<bool, FormatError> {
        let value = match opcode {
            b')' => self.heap.tuple(Vec::new()),
            0x85..=0x87 => {
                let mut items = vec![Value::None; usize::from(opcode - 0x84)];
                for item in items.iter_mut().rev() {
                    *item = self.pop()?;
                }
                self.heap.tuple(items)
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.heap.tuple(items)
            }
            b']' => self.heap.list(Vec::new()),
            b'l' => {
                let items = self.pop_to_mark()?;
                self.heap.list(items)
            }
            b'}' => self.heap.dict(Vec::new()),
            b'd' => {
                let items = self.pop_to_mark()?;
                let dict = self.heap.dict(Vec::new());
                if !self.heap.set_items(dict, &items) {
                    return Err(self.source.damaged("has a key without a value"));
                }
                dict
            }
            // Sets: nothing that tensors need.
            0x8f => Value::Inert,
            0x91 => {
                self.pop_to_mark()?;
                Value::Inert
            }
            _ => return self.fill(opcode),
        };
        self.stack.push(value);
        Ok(true)
    }

    /// Opcodes that put something into a container. `false` if `opcode` is none of them.
    fn fill(&mut self, opcode: u8) -> Result<bool, FormatError> {
        let filled = match opcode {
            b'a' => {
                let item = self.pop()?;
                let list = self.top()?;
                self.heap.append(list, &[item])
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                let list = self.top()?;
                self.heap.append(list, &items)
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                let dict = self.top()?;
                self.heap.set_items(dict, &[key, value])
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                let dict = self.top()?;
                self.heap.set_items(dict, &items)
            }
            0x90 => {
                self.pop_to_mark()?;
                matches!(self.top()?, Value::Inert | Value::Object(_))
            }
            _ => return Ok(false),
        };
        if filled {
            return Ok(true);
        }
        Err(self.source.damaged("puts something where it cannot go"))
    }

    /// Opcodes that name functions and classes and have them called.
    fn construct(&mut self, opcode: u8) -> Result<(), FormatError> {
        let value = match opcode {
            b'c' => self.named()?,
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.heap.global(module, name)?,
                _ => return Err(self.source.damaged("names something by what is no text")),
            },
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call(function, arguments)?
            }
            0x92 => {
                let (_, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(class, arguments)?
            }
            b'i' => {
                let class = self.named()?;
                let arguments = self.pop_to_mark()?;
                let arguments = self.heap.tuple(arguments);
                self.call(class, arguments)?
            }
            b'o' => {
                let mut arguments = self.pop_to_mark()?;
                if arguments.is_empty() {
                    return Err(self.source.damaged("calls nothing"));
                }
                let class = arguments.remove(0);
                let arguments = self.heap.tuple(arguments);
                self.call(class, arguments)?
            }
            b'b' => {
                let state = self.pop()?;
                let object = self.top()?;
                return self.heap.build(object, state);
            }
            b'Q' => {
                let id = self.pop()?;
                self.heap.persistent(id)?
            }
            _ => {
                let what = format!("has an unknown opcode, {opcode:#04x},");
                return Err(self.source.damaged(&what));
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn text(&mut self, length: u64) -> Result<Value<'a>, FormatError> {
        let bytes = self.source.take(length)?;
        self.source.text(bytes).map(Value::Text)
    }

    fn named(&mut self) -> Result<Value<'a>, FormatError> {
        let (module, name) = (self.source.line()?, self.source.line()?);
        self.heap.global(module, name)
    }

    fn call(
        &mut self,
        function: Value<'a>,
        arguments: Value<'a>,
    ) -> Result<Value<'a>, FormatError> {
        let result = self.heap.call(function, arguments)?;
        result.ok_or_else(|| self.source.damaged("calls what is no function"))
    }

    fn line_key(&mut self) -> Result<u32, FormatError> {
        let line = self.source.line()?;
        line.parse()
            .map_err(|_| self.source.damaged("has a memo key that is no number"))
    }

    fn put(&mut self, key: u32) -> Result<(), FormatError> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn get(&mut self, key: u32) -> Result<(), FormatError> {
        let Some(&value) = self.memo.get(&key) else {
            return Err(self.source.damaged("recalls what it has not kept"));
        };
        self.stack.push(value);
        Ok(())
    }

    /// The height of the stack below which nothing may be taken.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or_default()
    }

    fn top(&self) -> Result<Value<'a>, FormatError> {
        let above = self.stack.get(self.floor()..).unwrap_or_default();
        let top = above.last().copied();
        top.ok_or_else(|| self.source.damaged("takes from an empty stack"))
    }

    fn pop(&mut self) -> Result<Value<'a>, FormatError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>, FormatError> {
        let Some(mark) = self.marks.pop() else {
            return Err(self.source.damaged("looks for a mark it has not set"));
        };
        Ok(self.stack.split_off(mark))
    }
}

/// A little-endian integer in two's complement.
fn long(bytes: &[u8]) -> Value<'_> {
    if bytes.len() > 8 {
        return Value::Long(bytes);
    }
    let sign = bytes.last().map_or(0, |last| (*last as i8 >> 7) as u8);
    let mut extended = [sign; 8];
    extended[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(extended))
}

/// An integer of the text protocols; one of more than 64 bits is nothing that tensors need.
fn integer<'a>(digits: &str) -> Value<'a> {
    digits.parse().map_or(Value::Inert, Value::Int)
}

fn text_or_bytes(bytes: &[u8]) -> Value<'_> {
    str::from_utf8(bytes).map_or(Value::Inert, Value::Text)
}
