//! Filling in fields as Go's `encoding/json` does: null changes nothing, names are compared without case, what is there
//! already is written over item by item.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::document::{Node, Value};
use super::fault::Fault;
use super::number;

/// A field that a value can be read into.
pub(super) trait Field {
    /// Reads `node` into it; errors call it `name`.
    fn read(&mut self, node: &Node, name: &'static str) -> Result<(), Fault>;
}

/// Something with named fields.
pub(super) trait Fields {
    /// The names, as they are written.
    const NAMES: &'static [&'static str];

    /// The field of this name.
    fn field(&mut self, name: &str) -> Option<&mut dyn Field>;
}

impl<T: Fields> Field for T {
    fn read(&mut self, node: &Node, name: &'static str) -> Result<(), Fault> {
        match &node.value {
            Value::Null => Ok(()),
            // In the order of the keys, as JSON has them: if two are one field, the later counts.
            Value::Map(map) => map.iter().try_for_each(|(key, node)| {
                let exact = Self::NAMES.iter().find(|name| **name == key);
                match exact.or_else(|| Self::NAMES.iter().find(|name| is_same(name, key))) {
                    Some(name) => self.field(name).map_or(Ok(()), |field| field.read(node, name)),
                    None => Any::of(node).map(drop),
                }
            }),
            found => Err(wrong(name, "a mapping", found)),
        }
    }
}

impl Field for String {
    fn read(&mut self, node: &Node, name: &'static str) -> Result<(), Fault> {
        *self = match &node.value {
            Value::Null => return Ok(()),
            Value::Text(text) => text.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Unsigned(value) => value.to_string(),
            Value::Float(value) => number::short(*value),
            found => return Err(wrong(name, "a text", found)),
        };
        Ok(())
    }
}

impl Field for bool {
    fn read(&mut self, node: &Node, name: &'static str) -> Result<(), Fault> {
        match &node.value {
            Value::Null => {}
            Value::Bool(value) => *self = *value,
            found => return Err(wrong(name, "true or false", found)),
        }
        Ok(())
    }
}

impl<T: Field + Default> Field for Vec<T> {
    fn read(&mut self, node: &Node, name: &'static str) -> Result<(), Fault> {
        match &node.value {
            Value::Null => self.clear(),
            Value::List(list) => {
                self.resize_with(list.len(), T::default);
                return self.iter_mut().zip(list).try_for_each(|(item, node)| item.read(node, name));
            }
            found => return Err(wrong(name, "a list", found)),
        }
        Ok(())
    }
}

/// One that may be null.
impl<T: Field + Default> Field for Option<T> {
    fn read(&mut self, node: &Node, name: &'static str) -> Result<(), Fault> {
        match &node.value {
            Value::Null => *self = None,
            _ => return self.get_or_insert_default().read(node, name),
        }
        Ok(())
    }
}

impl Field for BTreeMap<String, String> {
    fn read(&mut self, node: &Node, name: &'static str) -> Result<(), Fault> {
        match &node.value {
            Value::Null => self.clear(),
            Value::Map(map) => {
                for (key, node) in map {
                    let mut value = String::new();
                    value.read(node, name)?;
                    self.insert(key.clone(), value);
                }
            }
            found => return Err(wrong(name, "a mapping", found)),
        }
        Ok(())
    }
}

/// A value of any type, as JSON.
#[derive(Debug, Default)]
pub(super) enum Any {
    #[default]
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
}

impl Any {
    fn of(node: &Node) -> Result<Self, Fault> {
        Ok(match &node.value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            // Go reads every number of JSON as a float.
            Value::Int(value) => Self::Number(*value as f64),
            Value::Unsigned(value) => Self::Number(*value as f64),
            Value::Float(value) if value.is_finite() => Self::Number(*value),
            Value::Float(_) => return Err(Fault::Infinite),
            Value::Text(text) => Self::Text(text.to_string()),
            Value::List(list) => Self::List(list.iter().map(|node| Self::of(node)).collect::<Result<_, _>>()?),
            Value::Map(map) => {
                let entry = |(key, node): (&String, &std::rc::Rc<Node>)| Ok((key.clone(), Self::of(node)?));
                Self::Map(map.iter().map(entry).collect::<Result<_, _>>()?)
            }
        })
    }
}

impl Field for Any {
    fn read(&mut self, node: &Node, _: &'static str) -> Result<(), Fault> {
        *self = Self::of(node)?;
        Ok(())
    }
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => {
                let text = RawValue::from_string(number::json(*value)).map_err(serde::ser::Error::custom)?;
                text.serialize(serializer)
            }
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(list) => serializer.collect_seq(list),
            Self::Map(map) => serializer.collect_map(map),
        }
    }
}

/// Whether Go takes `key` for `name`: without case, and two letters of Unicode fold to ASCII.
fn is_same(name: &str, key: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 'S',
        '\u{212a}' => 'K',
        c => c.to_ascii_uppercase(),
    };
    name.chars().map(fold).eq(key.chars().map(fold))
}

fn wrong(field: &'static str, wanted: &'static str, found: &Value) -> Fault {
    let found = match found {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Int(_) | Value::Unsigned(_) | Value::Float(_) => "a number",
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    };
    Fault::Type { field, wanted, found }
}
