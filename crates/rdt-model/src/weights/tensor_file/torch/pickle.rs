//! The pickles of state_dicts, read without executing anything.
//!
//! A pickle is a program for a stack machine. This one knows the instructions that
//! `torch.save` writes for a dictionary of tensors and six names (`OrderedDict`, the two
//! functions that make tensors, the storage classes); any other is an error. Objects lie in
//! one list and refer to each other by place, so that no nesting, sharing or cycle in a
//! hostile file can exhaust the stack, and memory stays in proportion to the file.
//!
//! The instructions are those of Python's `pickletools`, protocols 2 to 4.

use std::collections::HashMap;

use super::super::ReadError;

/// A tensor on a storage; counted in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tensor {
    pub storage: Storage,
    pub offset: i64,
    pub shape: Vec<i64>,
    pub strides: Vec<i64>,
}

/// A storage: its class (`FloatStorage`, ...) and the name of its member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Storage {
    pub kind: String,
    pub key: String,
}

/// The named tensors of a pickled state_dict, in its order.
pub(super) fn state_dict(pickle: &[u8]) -> Result<Vec<(String, Tensor)>, ReadError> {
    let mut machine = Machine { rest: pickle, ..Machine::default() };
    let top = machine.run()?;
    let Some(Object::Dict(items)) = machine.objects.get(top) else {
        return Err(not_a_state_dict("its outermost object is no dictionary"));
    };
    items
        .iter()
        .map(|&(key, value)| match (&machine.objects[key], &machine.objects[value]) {
            (Object::Text(name), Object::Tensor(tensor)) => Ok((name.clone(), tensor.clone())),
            (Object::Text(name), _) => Err(not_a_state_dict(&format!("its entry {name} is no tensor"))),
            _ => Err(not_a_state_dict("one of its keys is no text")),
        })
        .collect()
}

fn not_a_state_dict(found: &str) -> ReadError {
    ReadError::Wrong(format!(
        "{found}: it is no state_dict; in Python, torch.save(model.state_dict(), FILE) writes one"
    ))
}

/// Place of an object in the list.
type Id = usize;

#[derive(Debug)]
enum Object {
    None,
    Bool,
    Int(i64),
    Float,
    Text(String),
    Tuple(Vec<Id>),
    List,
    Dict(Vec<(Id, Id)>),
    Class(Class),
    Storage(Storage),
    Tensor(Tensor),
}

#[derive(Debug, Clone)]
enum Class {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(String),
}

#[derive(Debug, Default)]
struct Machine<'a> {
    rest: &'a [u8],
    objects: Vec<Object>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id, ReadError> {
        loop {
            let code = self.byte()?;
            match code {
                b'.' => return self.pop(),
                0x80 => drop(self.byte()?),  // PROTO
                0x95 => drop(self.take(8)?), // FRAME
                b'N' => self.push(Object::None),
                0x88 | 0x89 => self.push(Object::Bool),
                b'K' => {
                    let n = self.byte()?;
                    self.push(Object::Int(n.into()))
                }
                b'M' => {
                    let n = self.number(2)?;
                    self.push(Object::Int(n as i64))
                }
                b'J' => {
                    let n = self.number(4)?;
                    self.push(Object::Int((n as u32).cast_signed().into()))
                }
                0x8a => {
                    let n = self.long()?;
                    self.push(Object::Int(n))
                }
                b'G' => {
                    self.take(8)?;
                    self.push(Object::Float)
                }
                b'X' => {
                    let n = self.number(4)?;
                    self.text(n)?
                }
                0x8c => {
                    let n = self.byte()?;
                    self.text(n.into())?
                }
                b')' => self.push(Object::Tuple(Vec::new())),
                0x85..=0x87 => {
                    let items = self.pop_many(usize::from(code - 0x84))?;
                    self.push(Object::Tuple(items));
                }
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.push(Object::Tuple(items))
                }
                b']' => self.push(Object::List),
                b'a' => drop(self.pop()?),
                b'e' => drop(self.pop_to_mark()?),
                b'}' => self.push(Object::Dict(Vec::new())),
                b's' => {
                    let pair = self.pop_many(2)?;
                    self.set_items(&pair)?
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set_items(&items)?
                }
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'q' => {
                    let n = self.byte()?;
                    self.remember(n.into())?
                }
                b'r' => {
                    let n = self.number(4)?;
                    self.remember(n)?
                }
                0x94 => self.remember(self.memo.len())?, // MEMOIZE
                b'h' => {
                    let n = self.byte()?;
                    self.recall(n.into())?
                }
                b'j' => {
                    let n = self.number(4)?;
                    self.recall(n)?
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.class(&module, &name)?
                }
                0x93 => self.stack_class()?,
                b'Q' => self.storage()?,
                b'R' => self.call()?,
                // Attributes of a state_dict say nothing of its tensors.
                b'b' => drop(self.pop()?),
                other => {
                    return Err(damaged(&format!(
                        "its pickle has the instruction {other:#04x}, which no state_dict needs"
                    )));
                }
            }
        }
    }

    fn class(&mut self, module: &str, name: &str) -> Result<(), ReadError> {
        let class = match (module, name) {
            ("collections", "OrderedDict") => Class::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Class::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Class::RebuildParameter,
            ("torch", name) if name.ends_with("Storage") => Class::Storage(name.to_owned()),
            _ => {
                return Err(not_a_state_dict(&format!(
                    "its pickle asks for {module}.{name}, which is not run here"
                )));
            }
        };
        self.push(Object::Class(class));
        Ok(())
    }

    fn stack_class(&mut self) -> Result<(), ReadError> {
        let pair = self.pop_many(2)?;
        let (module, name) = (self.as_text(pair[0])?.to_owned(), self.as_text(pair[1])?.to_owned());
        self.class(&module, &name)
    }

    /// ('storage', class, key, device, elements)
    fn storage(&mut self) -> Result<(), ReadError> {
        let id = self.pop()?;
        let items = self.as_tuple(id)?;
        let &[_, class, key, ..] = items else { return Err(damaged("a storage is not described")) };
        let Object::Class(Class::Storage(kind)) = &self.objects[class] else {
            return Err(damaged("a storage is of no class"));
        };
        let storage = Storage { kind: kind.clone(), key: self.as_text(key)?.to_owned() };
        self.push(Object::Storage(storage));
        Ok(())
    }

    fn call(&mut self) -> Result<(), ReadError> {
        let pair = self.pop_many(2)?;
        let arguments = self.as_tuple(pair[1])?.to_vec();
        let Object::Class(class) = &self.objects[pair[0]] else {
            return Err(damaged("its pickle calls what is no function"));
        };
        match (class.clone(), arguments.as_slice()) {
            (Class::OrderedDict, []) => self.push(Object::Dict(Vec::new())),
            // (tensor, takes a gradient, hooks)
            (Class::RebuildParameter, &[tensor, ..]) => self.stack.push(tensor),
            (Class::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                let Object::Storage(storage) = &self.objects[storage] else {
                    return Err(damaged("a tensor has no storage"));
                };
                let tensor = Tensor {
                    storage: storage.clone(),
                    offset: self.as_int(offset)?,
                    shape: self.as_ints(shape)?,
                    strides: self.as_ints(strides)?,
                };
                if tensor.shape.len() != tensor.strides.len() {
                    return Err(damaged("a tensor has other strides than axes"));
                }
                self.push(Object::Tensor(tensor));
            }
            _ => return Err(damaged("its pickle makes a tensor in an unknown way")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), ReadError> {
        let dict = *self.stack.last().ok_or_else(|| damaged("its pickle runs out of objects"))?;
        let Object::Dict(entries) = &mut self.objects[dict] else {
            return Err(damaged("its pickle puts entries into what is no dictionary"));
        };
        entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    fn push(&mut self, object: Object) {
        self.stack.push(self.objects.len());
        self.objects.push(object);
    }

    fn pop(&mut self) -> Result<Id, ReadError> {
        // What lies below a mark belongs to the tuple that is not finished yet.
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(damaged("its pickle runs out of objects"));
        }
        self.stack.pop().ok_or_else(|| damaged("its pickle runs out of objects"))
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, ReadError> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        Ok(items)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, ReadError> {
        let mark = self.marks.pop().ok_or_else(|| damaged("its pickle has no mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, place: usize) -> Result<(), ReadError> {
        let top = *self.stack.last().ok_or_else(|| damaged("its pickle runs out of objects"))?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, place: usize) -> Result<(), ReadError> {
        let id = *self.memo.get(&place).ok_or_else(|| damaged("its pickle recalls what was not there"))?;
        self.stack.push(id);
        Ok(())
    }

    fn as_text(&self, id: Id) -> Result<&str, ReadError> {
        match &self.objects[id] {
            Object::Text(text) => Ok(text),
            _ => Err(damaged("its pickle has something else where a text belongs")),
        }
    }

    fn as_int(&self, id: Id) -> Result<i64, ReadError> {
        match self.objects[id] {
            Object::Int(value) => Ok(value),
            _ => Err(damaged("its pickle has something else where a number belongs")),
        }
    }

    fn as_tuple(&self, id: Id) -> Result<&[Id], ReadError> {
        match &self.objects[id] {
            Object::Tuple(items) => Ok(items),
            _ => Err(damaged("its pickle has something else where a tuple belongs")),
        }
    }

    fn as_ints(&self, id: Id) -> Result<Vec<i64>, ReadError> {
        self.as_tuple(id)?.iter().map(|&item| self.as_int(item)).collect()
    }

    fn take(&mut self, count: usize) -> Result<&[u8], ReadError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(damaged("its pickle is cut short"));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, ReadError> {
        Ok(self.take(1)?[0])
    }

    /// An unsigned number of up to four bytes.
    fn number(&mut self, bytes: usize) -> Result<usize, ReadError> {
        let taken = self.take(bytes)?;
        Ok(taken.iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte)))
    }

    /// A signed number of up to eight bytes.
    fn long(&mut self) -> Result<i64, ReadError> {
        let bytes = self.byte()?.into();
        let taken = self.take(bytes)?;
        let sign = if taken.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut value = [sign; 8];
        match value.get_mut(..taken.len()) {
            Some(start) => start.copy_from_slice(taken),
            None => return Err(damaged("its pickle has a number of more than 64 bits")),
        }
        Ok(i64::from_le_bytes(value))
    }

    fn text(&mut self, bytes: usize) -> Result<(), ReadError> {
        let text = String::from_utf8_lossy(self.take(bytes)?).into_owned();
        self.push(Object::Text(text));
        Ok(())
    }

    fn line(&mut self) -> Result<String, ReadError> {
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let end = end.ok_or_else(|| damaged("its pickle is cut short"))?;
        let line = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.take(1)?;
        Ok(line)
    }
}

fn damaged(found: &str) -> ReadError {
    ReadError::Wrong(found.to_owned())
}
