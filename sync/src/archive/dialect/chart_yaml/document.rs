//! YAML as Helm reads it: go-yaml 2, which knows YAML 1.1, and then JSON.
//!
//! The parser tells events; what they mean is decided here as Helm's library decides it: which plain scalar is a number or a
//! truth value, that the last of several equal keys counts, that `<<` takes what another mapping has, that everything after
//! the first document is left. Invariant: whatever aliases make of it, the result is bounded.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granit_parser::{Event, Parser, ScalarStyle};

use super::fault::Fault;
use super::number::{self, Number};

/// The most nodes of a document, how deep they may be, and the bytes of their texts once aliases are followed.
const MAX_NODES: u64 = 200_000;
const MAX_DEPTH: usize = 100;
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The prefix of YAML's own tags.
const CORE: &str = "tag:yaml.org,2002:";

/// A value, by what JSON makes of it.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Text(Box<str>),
    List(Vec<Rc<Node>>),
    Map(BTreeMap<String, Rc<Node>>),
}

/// A value, and what it costs to follow it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    cost: Cost,
}

/// Nodes and bytes once aliases are followed, and how many of the nodes they make.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    nodes: u64,
    by_alias: u64,
    bytes: u64,
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.by_alias = self.by_alias.saturating_add(other.by_alias);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// go-yaml's rule: of a large document fewer nodes may come from aliases.
    fn is_excessive(self) -> bool {
        const FROM: u64 = 400_000;
        const TO: u64 = 4_000_000;
        let part = self.nodes.clamp(FROM, TO) - FROM;
        let allowed = 0.89f64.mul_add(-(part as f64 / (TO - FROM) as f64), 0.99);
        let ratio = self.by_alias as f64 / self.nodes as f64;
        self.bytes > MAX_BYTES || self.by_alias > 100 && self.nodes > 1000 && ratio > allowed
    }
}

/// Reads the first document.
pub(super) fn parse(bytes: &[u8]) -> Result<Rc<Node>, Fault> {
    let text = decode(bytes)?;
    let options = granit_parser::options! {
        emit_comments: false,
        bom_inside_document_as_content: true,
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let parser = Parser::new_from_str_with_options(&text, options);
    let mut reader = Reader { parser, line: 1, anchors: HashMap::new(), nodes: 0 };
    loop {
        match reader.event()? {
            Event::StreamStart => {}
            Event::DocumentStart(..) => break,
            _ => return Ok(Rc::new(Node { value: Value::Null, cost: Cost::default() })),
        }
    }
    let event = reader.event()?;
    let (root, _) = reader.node(event, 0)?;
    if root.cost.is_excessive() { Err(Fault::Aliases) } else { Ok(root) }
}

/// UTF-8, or UTF-16 if its mark says so, without the characters that YAML leaves out.
fn decode(bytes: &[u8]) -> Result<String, Fault> {
    let wide = |read: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units = bytes.chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
        char::decode_utf16(units).collect::<Result<String, _>>().ok().filter(|_| bytes.len().is_multiple_of(2))
    };
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => wide(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => wide(u16::from_be_bytes, rest),
        bytes => std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).ok().map(str::to_owned),
    };
    let text = text.ok_or(Fault::Encoding)?;
    let line = |at: usize| text[..at].lines().count().max(1);
    let odd = |c: &char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
    match text.char_indices().find(|(_, c)| odd(c)) {
        Some((at, _)) => Err(Fault::Character { line: line(at) }),
        // YAML 1.1 ends a line with these too.
        None => Ok(text.replace(['\u{85}', '\u{2028}', '\u{2029}'], "\n")),
    }
}

struct Reader<'t> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    /// Where the last event was.
    line: usize,
    /// By number; `None` while the node is read.
    anchors: HashMap<usize, Option<Rc<Node>>>,
    nodes: u64,
}

impl<'t> Reader<'t> {
    fn event(&mut self) -> Result<Event<'t>, Fault> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok(event)
            }
            Some(Err(error)) => Err(Fault::Syntax { line: error.marker().line() }),
            None => Ok(Event::StreamEnd),
        }
    }

    /// The node that begins with `event`, and whether it is an alias.
    fn node(&mut self, event: Event<'t>, depth: usize) -> Result<(Rc<Node>, bool), Fault> {
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            return Err(Fault::TooMuch);
        }
        let (anchor, value, cost) = match event {
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor).cloned().flatten().ok_or(Fault::Cycle { line: self.line })?;
                let mut cost = target.cost;
                (cost.nodes, cost.by_alias) = (cost.nodes.saturating_add(1), cost.nodes);
                // The value is shared. What following it costs is added where it is used.
                return Ok((Rc::new(Node { value: shared(&target), cost }), true));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| format!("{}{}", tag.handle(), tag.suffix()));
                let value = scalar(&text, style == ScalarStyle::Plain, tag.as_deref());
                let value = value.ok_or(Fault::Tag { line: self.line })?;
                (anchor, value, Cost { nodes: 1, by_alias: 0, bytes: text.len() as u64 })
            }
            Event::SequenceStart(_, anchor, _) => {
                self.anchors.insert(anchor, None);
                let (list, cost) = self.list(depth)?;
                (anchor, Value::List(list), cost)
            }
            Event::MappingStart(_, anchor, _) => {
                self.anchors.insert(anchor, None);
                let (map, cost) = self.map(depth)?;
                (anchor, Value::Map(map), cost)
            }
            _ => return Err(Fault::Syntax { line: self.line }),
        };
        let node = Rc::new(Node { value, cost });
        if anchor > 0 {
            self.anchors.insert(anchor, Some(node.clone()));
        }
        Ok((node, false))
    }

    fn list(&mut self, depth: usize) -> Result<(Vec<Rc<Node>>, Cost), Fault> {
        let (mut list, mut cost) = (Vec::new(), Cost { nodes: 1, ..Cost::default() });
        loop {
            match self.event()? {
                Event::SequenceEnd => return Ok((list, cost)),
                event => {
                    let (item, _) = self.node(event, depth + 1)?;
                    cost.add(item.cost);
                    list.push(item);
                }
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<(BTreeMap<String, Rc<Node>>, Cost), Fault> {
        let (mut map, mut cost) = (BTreeMap::new(), Cost { nodes: 1, ..Cost::default() });
        loop {
            let event = self.event()?;
            if event == Event::MappingEnd {
                return Ok((map, cost));
            }
            let merges = is_merge(&event);
            let line = self.line;
            let (key, _) = self.node(event, depth + 1)?;
            let event = self.event()?;
            let (value, is_alias) = self.node(event, depth + 1)?;
            cost.add(key.cost);
            cost.add(value.cost);
            if merges {
                merge(&mut map, &value, is_alias).ok_or(Fault::Merge { line })?;
            } else {
                map.insert(name(&key.value).ok_or(Fault::Key { line })?, value);
            }
        }
    }
}

/// The same value again. Lists and mappings are shared below their first level.
fn shared(node: &Node) -> Value {
    match &node.value {
        Value::Null => Value::Null,
        Value::Bool(value) => Value::Bool(*value),
        Value::Int(value) => Value::Int(*value),
        Value::Unsigned(value) => Value::Unsigned(*value),
        Value::Float(value) => Value::Float(*value),
        Value::Text(text) => Value::Text(text.clone()),
        Value::List(list) => Value::List(list.clone()),
        Value::Map(map) => Value::Map(map.clone()),
    }
}

/// Whether a key is `<<`.
fn is_merge(event: &Event<'_>) -> bool {
    let Event::Scalar(text, style, _, tag) = event else { return false };
    let merges = |tag: &granit_parser::Tag| format!("{}{}", tag.handle(), tag.suffix()) == format!("{CORE}merge");
    text == "<<" && tag.as_ref().map_or(*style == ScalarStyle::Plain, |tag| merges(tag))
}

/// Adds what a mapping, or each of a list of mappings, has; of a list, earlier ones count.
fn merge(map: &mut BTreeMap<String, Rc<Node>>, from: &Node, is_alias: bool) -> Option<()> {
    let mut add = |from: &Node| match &from.value {
        Value::Map(entries) => {
            map.extend(entries.iter().map(|(key, value)| (key.clone(), value.clone())));
            Some(())
        }
        _ => None,
    };
    match &from.value {
        Value::List(list) if !is_alias => list.iter().rev().try_for_each(|item| add(item)),
        _ => add(from),
    }
}

/// A key as JSON has it.
fn name(key: &Value) -> Option<String> {
    match key {
        Value::Text(text) => Some(text.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Float(value) => Some(match number::short(*value) {
            text if text == "+Inf" => ".inf".into(),
            text if text == "-Inf" => "-.inf".into(),
            text if text == "NaN" => ".nan".into(),
            text => text,
        }),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Unsigned(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// What a scalar is; `None` when its tag says otherwise.
fn scalar(text: &str, is_plain: bool, tag: Option<&str>) -> Option<Value> {
    let as_text = || Some(Value::Text(text.into()));
    let Some(tag) = tag else { return if is_plain { Some(resolve(text)) } else { as_text() } };
    match tag.strip_prefix(CORE) {
        Some("binary") => {
            let packed: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
            let bytes = STANDARD.decode(packed).ok()?;
            // Each byte that is not UTF-8 by itself, as Go has it in JSON.
            let lossy = bytes
                .utf8_chunks()
                .flat_map(|chunk| [chunk.valid().to_owned(), "\u{fffd}".repeat(chunk.invalid().len())]);
            Some(Value::Text(lossy.collect::<String>().into()))
        }
        Some("bool") => Some(resolve(text)).filter(|value| matches!(value, Value::Bool(_))),
        Some("null") => Some(resolve(text)).filter(|value| matches!(value, Value::Null)),
        Some("int") => Some(resolve(text)).filter(|value| matches!(value, Value::Int(_) | Value::Unsigned(_))),
        Some("float") => match resolve(text) {
            Value::Int(value) => Some(Value::Float(value as f64)),
            value => Some(value).filter(|value| matches!(value, Value::Float(_))),
        },
        Some("timestamp") => as_text().filter(|_| is_date(text)),
        _ => as_text(),
    }
}

/// Whether a text begins like a date.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-').map(|part| part.bytes().take_while(u8::is_ascii_digit).count());
    parts.next() == Some(4)
        && parts.next().is_some_and(|digits| digits > 0)
        && parts.next().is_some_and(|digits| digits > 0)
}

/// A plain scalar, by YAML 1.1.
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        _ => match number::parse(text) {
            Some(Number::Int(value)) => Value::Int(value),
            Some(Number::Unsigned(value)) => Value::Unsigned(value),
            Some(Number::Float(value)) => Value::Float(value),
            None => Value::Text(text.into()),
        },
    }
}
