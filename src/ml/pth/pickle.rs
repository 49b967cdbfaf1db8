//! The stack machine that executes a pickle, reduced to what a state dict needs.
//!
//! Python's machine can call anything that a file names. This one makes dictionaries, storages, tensors and parameters.
//! Other contents of a training's record become [`Value::Opaque`], which can be stored and passed on, but has no content. A
//! call of any function that isn't listed in [`calls`] is refused: it would not run here, but people who open such a file
//! elsewhere should know.
//!
//! Values are small and copied; their contents are stored in the machine, by number. So a file can neither make values that
//! grow when they are copied, nor nest them so deeply that dropping one overflows the stack.
//! grow when they are copied, nor nest them so deeply that dropping one overflows the stack.
use std::collections::HashMap;

use safetensors::Dtype;

use super::PthError;
use super::strided::{Strided, element_size};

mod calls;

pub(crate) use calls::Odd;

use calls::Object;

/// A state dict of 640 tensors takes 30 000.
const OPERATIONS_AT_MOST: usize = 1 << 22;

/// Dimensions of a tensor: PyTorch's own convolutions need five.
const SIDES_AT_MOST: usize = 16;

/// A value on the machine's stack.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// Anything irrelevant.
    Opaque,
    Int(i64),
    Text(&'a str),
    /// A class or function by module and name.
    Global(&'a str, &'a str),
    /// A tuple or list.
    Sequence(usize),
    Dict(usize),
    Storage(usize),
    Tensor(usize),
    /// An object of an unknown class; possibly a dictionary.
    Object(usize),
    /// In place of a tensor.
    Odd(Odd<'a>),
}

/// All objects made by the pickles of a file.
#[derive(Default)]
pub(super) struct Machine<'a> {
    sequences: Vec<Vec<Value<'a>>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    storages: Vec<Storage<'a>>,
    element_sizes: HashMap<&'a str, usize>,
    tensors: Vec<Strided<'a>>,
    objects: Vec<Object<'a>>,
    stack: Vec<Value<'a>>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    operations: usize,
}

#[derive(Clone, Copy)]
struct Storage<'a> {
    key: &'a str,
    /// Its Python class, which determines the element type.
    class: &'a str,
    /// The offset of the view, in elements.
    offset: usize,
}

impl<'a> Machine<'a> {
    /// Runs the pickle at the beginning of `code`; returns its value and its length in bytes.
    pub(super) fn run(&mut self, code: &'a [u8]) -> Result<(Value<'a>, usize), PthError> {
        self.stack.clear();
        self.marks.clear();
        self.memo.clear();
        let mut reader = Reader { code, at: 0 };
        loop {
            self.operations += 1;
            super::within(self.operations, OPERATIONS_AT_MOST, "operations of a pickle")?;
            let at = reader.at;
            match reader.byte()? {
                b'.' => return Ok((self.pop()?, reader.at)),
                operation => {
                    let known = self.put(operation, &mut reader)?
                        || self.group(operation)?
                        || self.fill(operation)?
                        || self.remember(operation, &mut reader)?
                        || self.make(operation, &mut reader)?;
                    if !known {
                        return Err(PthError::Operation { code: operation, at });
                    }
                }
            }
        }
    }

    pub(super) fn items(&self, list: Value<'a>) -> Option<&[Value<'a>]> {
        if let Value::Sequence(id) = list { Some(&self.sequences[id]) } else { None }
    }

    /// The entries of a dictionary, or of an object that is one; otherwise none.
    pub(super) fn entries(&self, dict: Value<'a>) -> &[(Value<'a>, Value<'a>)] {
        match dict {
            Value::Dict(id) => &self.dicts[id],
            Value::Object(id) => &self.dicts[self.objects[id].dict],
            _ => &[],
        }
    }

    pub(super) fn tensor(&self, value: Value<'a>) -> Option<&Strided<'a>> {
        if let Value::Tensor(id) = value { Some(&self.tensors[id]) } else { None }
    }

    /// The size in bytes of an element of the storage with this key.
    pub(super) fn element_size(&self, key: &str) -> Option<usize> {
        self.element_sizes.get(key).copied()
    }

    /// Numbers and texts, and operations without a value.
    fn put(&mut self, operation: u8, reader: &mut Reader<'a>) -> Result<bool, PthError> {
        let value = match operation {
            0x80 => return reader.take(1).map(|_| true), // protocol
            0x95 => return reader.take(8).map(|_| true), // frame
            b'N' | 0x88 | 0x89 | 0x8f => Value::Opaque,  // None, True, False, an empty set
            b'J' => Value::Int(i32::from_le_bytes(reader.array()?).into()),
            b'K' => Value::Int(reader.byte()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(reader.array()?).into()),
            0x8a => {
                let length = reader.byte()?;
                integer(reader.take(length.into())?)
            }
            0x8b => {
                let length = u32::from_le_bytes(reader.array()?);
                integer(reader.take(length as usize)?)
            }
            b'I' | b'L' => reader.line()?.trim_end_matches('L').parse().map_or(Value::Opaque, Value::Int),
            b'G' => reader.take(8).map(|_| Value::Opaque)?,
            b'F' => reader.line().map(|_| Value::Opaque)?,
            b'X' | b'T' | b'B' => {
                let length = u32::from_le_bytes(reader.array()?);
                text(reader.take(length as usize)?)
            }
            0x8d | 0x8e | 0x96 => {
                let length = u64::from_le_bytes(reader.array()?);
                text(reader.take(usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            0x8c | b'U' | b'C' => {
                let length = reader.byte()?;
                text(reader.take(length.into())?)
            }
            b'S' | b'V' => Value::Text(reader.line()?.trim_matches(['\'', '"'])),
            b']' | b')' => self.sequence(Vec::new()),
            b'}' => self.dict(Vec::new()),
            _ => return Ok(false),
        };
        self.stack.push(value);
        Ok(true)
    }

    /// Marks, and sequences and dictionaries of the values above them.
    fn group(&mut self, operation: u8) -> Result<bool, PthError> {
        let value = match operation {
            b'(' => {
                self.marks.push(self.stack.len());
                return Ok(true);
            }
            b'0' => return self.pop().map(|_| true),
            b'1' | 0x90 => return self.above_mark().map(|_| true), // dropped; added to a set
            b'2' => self.top()?,
            b't' | b'l' => {
                let items = self.above_mark()?;
                self.sequence(items)
            }
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub((operation - 0x84).into()).ok_or(EMPTY)?;
                let items = self.stack.split_off(from);
                self.sequence(items)
            }
            b'd' => {
                let pairs = in_pairs(&self.above_mark()?)?;
                self.dict(pairs)
            }
            0x91 => self.above_mark().map(|_| Value::Opaque)?, // a frozen set
            _ => return Ok(false),
        };
        self.stack.push(value);
        Ok(true)
    }

    /// Adds to the sequence or dictionary below. Ignored for opaque values.
    fn fill(&mut self, operation: u8) -> Result<bool, PthError> {
        let (items, pairs) = match operation {
            b'a' => (vec![self.pop()?], Vec::new()),
            b'e' => (self.above_mark()?, Vec::new()),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                (Vec::new(), vec![(key, value)])
            }
            b'u' => (Vec::new(), in_pairs(&self.above_mark()?)?),
            _ => return Ok(false),
        };
        match self.top()? {
            Value::Sequence(id) => self.sequences[id].extend(items),
            Value::Dict(id) => self.dicts[id].extend(pairs),
            Value::Object(id) => self.dicts[self.objects[id].dict].extend(pairs),
            _ => {}
        }
        Ok(true)
    }

    /// Memo operations: values stored under a number and read again.
    fn remember(&mut self, operation: u8, reader: &mut Reader<'a>) -> Result<bool, PthError> {
        let number = match operation {
            b'q' | b'h' => reader.byte()?.into(),
            b'r' | b'j' => u32::from_le_bytes(reader.array()?),
            b'p' | b'g' => reader.line()?.parse().map_err(|_| PthError::Broken("a memo's number is not a number"))?,
            0x94 => self.memo.len() as u32,
            _ => return Ok(false),
        };
        if matches!(operation, b'h' | b'j' | b'g') {
            let value = *self.memo.get(&number).ok_or(PthError::Broken("a memo that was never written"))?;
            self.stack.push(value);
        } else {
            self.memo.insert(number, self.top()?);
        }
        Ok(true)
    }

    /// Classes and functions, and calls of them.
    fn make(&mut self, operation: u8, reader: &mut Reader<'a>) -> Result<bool, PthError> {
        let value = match operation {
            b'c' => Value::Global(reader.line()?, reader.line()?),
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => Value::Global(module, name),
                _ => Value::Opaque,
            },
            b'R' => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                self.call(callee, arguments)?
            }
            // Python calls the class of these two.
            b'i' => {
                let class = Value::Global(reader.line()?, reader.line()?);
                let arguments = self.above_mark()?;
                let arguments = self.sequence(arguments);
                self.call(class, arguments)?
            }
            b'o' => {
                let (class, arguments) = split_first(self.above_mark()?)?;
                let arguments = self.sequence(arguments);
                self.call(class, arguments)?
            }
            0x81 => {
                let (_, class) = (self.pop()?, self.pop()?);
                self.object(class)
            }
            0x92 => {
                let (_, _, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.object(class)
            }
            // An object's fields, like an ordered dictionary's `_metadata`.
            b'b' => {
                let fields = self.pop()?;
                let object = self.top()?;
                self.build(object, fields)?;
                return Ok(true);
            }
            b'P' => return Err(PthError::Protocol0),
            b'Q' => {
                let id = self.pop()?;
                self.storage(id)?
            }
            _ => return Ok(false),
        };
        self.stack.push(value);
        Ok(true)
    }

    /// `("storage", class, key, device, elements)`, in old files followed by a view's `(key, offset, elements)` or None.
    fn storage(&mut self, id: Value<'a>) -> Result<Value<'a>, PthError> {
        let (class, key, view) = match self.items(id) {
            Some([Value::Text("storage"), Value::Global(_, class), Value::Text(key), _, _, view @ ..]) => {
                (*class, *key, view)
            }
            // A class, followed by its source text.
            Some([Value::Text("module"), class @ Value::Global(..), ..]) => return Ok(*class),
            _ => return Ok(Value::Opaque),
        };
        let offset = match view.first().and_then(|view| self.items(*view)) {
            Some([_, Value::Int(offset), _]) => usize::try_from(*offset).ok(),
            Some(_) => None,
            None => Some(0),
        };
        let offset = offset.ok_or(PthError::Broken("a view of a storage without an offset"))?;
        if let Some(size) = dtype(class).map(element_size).or(size_of_other(class)) {
            self.element_sizes.insert(key, size);
        }
        self.storages.push(Storage { key, class, offset });
        Ok(Value::Storage(self.storages.len() - 1))
    }

    fn sizes(&self, value: Value<'a>) -> Result<Vec<usize>, PthError> {
        let size = |value: &Value| if let Value::Int(size) = *value { usize::try_from(size).ok() } else { None };
        let items = self.items(value).filter(|items| items.len() <= SIDES_AT_MOST);
        let sizes = items.and_then(|items| items.iter().map(size).collect());
        sizes.ok_or(PthError::Broken("a shape is not a tuple of a few whole numbers"))
    }

    fn sequence(&mut self, items: Vec<Value<'a>>) -> Value<'a> {
        self.sequences.push(items);
        Value::Sequence(self.sequences.len() - 1)
    }

    fn dict(&mut self, pairs: Vec<(Value<'a>, Value<'a>)>) -> Value<'a> {
        self.dicts.push(pairs);
        Value::Dict(self.dicts.len() - 1)
    }

    /// Counts the work of a single operation, so that a short pickle can't copy endlessly.
    fn work(&mut self, values: usize) -> Result<(), PthError> {
        self.operations += values;
        super::within(self.operations, OPERATIONS_AT_MOST, "operations of a pickle")
    }

    fn pop(&mut self) -> Result<Value<'a>, PthError> {
        self.stack.pop().ok_or(EMPTY)
    }

    fn top(&self) -> Result<Value<'a>, PthError> {
        self.stack.last().copied().ok_or(EMPTY)
    }

    fn above_mark(&mut self) -> Result<Vec<Value<'a>>, PthError> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => Err(PthError::Broken("no mark on the stack")),
        }
    }
}

const EMPTY: PthError = PthError::Broken("the stack is empty");

/// The name of a dtype, or of the class of storages that have it.
fn dtype(name: &str) -> Option<Dtype> {
    Some(match name {
        "float64" | "DoubleStorage" => Dtype::F64,
        "float32" | "FloatStorage" => Dtype::F32,
        "float16" | "HalfStorage" => Dtype::F16,
        "bfloat16" | "BFloat16Storage" => Dtype::BF16,
        "int64" | "LongStorage" => Dtype::I64,
        "int32" | "IntStorage" => Dtype::I32,
        "int16" | "ShortStorage" => Dtype::I16,
        "int8" | "CharStorage" => Dtype::I8,
        "uint8" | "ByteStorage" | "UntypedStorage" => Dtype::U8,
        "bool" | "BoolStorage" => Dtype::BOOL,
        _ => return None,
    })
}

/// Size in bytes of an element type that no network here has: needed to skip a storage of the old format.
fn size_of_other(class: &str) -> Option<usize> {
    Some(match class {
        "QUInt8Storage" | "QInt8Storage" | "QUInt4x2Storage" | "QUInt2x4Storage" => 1,
        "QInt32Storage" => 4,
        "ComplexFloatStorage" => 8,
        "ComplexDoubleStorage" => 16,
        _ => return None,
    })
}

/// Two's complement, little-endian. A longer one can't be a size.
fn integer(bytes: &[u8]) -> Value<'static> {
    if bytes.len() > 8 {
        return Value::Opaque;
    }
    let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xFF } else { 0 };
    let mut all = [sign; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(all))
}

/// Bytes that are not text can't be a name.
fn text(bytes: &[u8]) -> Value<'_> {
    std::str::from_utf8(bytes).map_or(Value::Opaque, Value::Text)
}

fn in_pairs<'a>(items: &[Value<'a>]) -> Result<Vec<(Value<'a>, Value<'a>)>, PthError> {
    let (pairs, []) = items.as_chunks::<2>() else { return Err(PthError::Broken("a key without a value")) };
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}

fn split_first<'a>(mut items: Vec<Value<'a>>) -> Result<(Value<'a>, Vec<Value<'a>>), PthError> {
    if items.is_empty() { Err(EMPTY) } else { Ok((items.remove(0), items)) }
}

struct Reader<'a> {
    code: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], PthError> {
        let part = self.code[self.at..].get(..count).ok_or(PthError::Truncated("a pickle"))?;
        self.at += count;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PthError> {
        Ok(self.take(N)?.try_into().expect("as many as asked for"))
    }

    fn byte(&mut self) -> Result<u8, PthError> {
        Ok(self.take(1)?[0])
    }

    fn line(&mut self) -> Result<&'a str, PthError> {
        let length = self.code[self.at..].iter().position(|&byte| byte == b'\n');
        let line = self.take(length.ok_or(PthError::Truncated("a pickle"))?)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| PthError::Broken("a line that is not text"))
    }
}
