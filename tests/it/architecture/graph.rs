//! Which file of a crate uses what another one defines.
//!
//! A name is followed through re-exports to the file that defines it: a child that takes its sibling's type from their
//! parent's `pub use` uses its sibling. A `pub use` alone is no use, only a sign at the door.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{Token, attribute, closing, production, tokens};

/// A crate's files: path to text.
pub(super) type Files = BTreeMap<String, String>;

/// A crate's modules and what they use of each other.
#[derive(Debug)]
pub(super) struct Graph {
    modules: Vec<Module>,
    /// File to the files whose items it uses, with one path that says so.
    pub(super) edges: BTreeMap<String, BTreeMap<String, String>>,
    /// File to the modules it names on its way to an item, re-exporting ones too, with one path that says so.
    pub(super) named: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Debug, Default)]
struct Module {
    /// As in code: `store::links`; nothing for the root.
    name: String,
    file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    items: BTreeSet<String>,
    imports: Vec<Import>,
    /// Paths of two words and more, outside of `use`.
    paths: BTreeSet<Vec<String>>,
    /// Every word outside of `use`.
    words: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Import {
    /// The name it gets here; `*` for all of them.
    name: String,
    path: Vec<String>,
    is_reexport: bool,
}

/// What a path leads to, and through which modules.
struct Found {
    target: Target,
    through: Vec<usize>,
}

#[derive(Clone, Copy)]
enum Target {
    Module(usize),
    ItemOf(usize),
}

impl Graph {
    /// Reads the modules that `root`, a `lib.rs` or `main.rs`, declares.
    pub(super) fn build(files: &Files, root: &str) -> Self {
        let mut graph = Self { modules: Vec::new(), edges: BTreeMap::new(), named: BTreeMap::new() };
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        graph.add_file(files, String::new(), root, folder, None);
        for module in 0..graph.modules.len() {
            graph.connect(module);
        }
        graph
    }

    /// The file of the module that declares the one in `file`.
    pub(super) fn parent(&self, file: &str) -> Option<&str> {
        let module = self.modules.iter().find(|module| module.file == file)?;
        module.parent.map(|parent| self.modules[parent].file.as_str())
    }

    /// The name of the module in `file`: `store::links`.
    pub(super) fn module(&self, file: &str) -> &str {
        self.modules.iter().find(|module| module.file == file).map_or("", |module| &module.name)
    }

    fn add_file(&mut self, files: &Files, name: String, file: &str, folder: &str, parent: Option<usize>) -> usize {
        let text = files.get(file).unwrap_or_else(|| panic!("{file} is declared and not there"));
        self.add_module(
            files,
            Module { name, file: file.to_owned(), parent, ..Module::default() },
            folder,
            &production(&tokens(text)),
        )
    }

    /// Its children's files are in `folder`.
    fn add_module(&mut self, files: &Files, module: Module, folder: &str, tokens: &[Token]) -> usize {
        let (name, file) = (module.name.clone(), module.file.clone());
        let this = self.modules.len();
        self.modules.push(module);
        let mut body = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let (Some(child), true) = (tokens.get(at + 1).and_then(Token::word), tokens[at].is("mod")) else {
                body.push(tokens[at].clone());
                at += 1;
                continue;
            };
            let child_name = if name.is_empty() { child.to_owned() } else { format!("{name}::{child}") };
            let child_folder = format!("{folder}/{child}");
            let added = if tokens.get(at + 2) == Some(&Token::Mark('{')) {
                let end = closing(tokens, at + 2);
                let inline = Module { name: child_name, file: file.clone(), parent: Some(this), ..Module::default() };
                let added = self.add_module(files, inline, &child_folder, &tokens[at + 3..end]);
                at = end + 1;
                added
            } else {
                at += 3;
                let plain = format!("{child_folder}.rs");
                let path = if files.contains_key(&plain) { plain } else { format!("{child_folder}/mod.rs") };
                self.add_file(files, child_name, &path, &child_folder, Some(this))
            };
            self.modules[this].children.insert(child.to_owned(), added);
        }
        self.modules[this].read(&body);
        this
    }

    fn connect(&mut self, this: usize) {
        let module = &self.modules[this];
        let mut used: Vec<(&[String], Found)> = Vec::new();
        let mut seen: Vec<(&[String], Found)> = Vec::new();
        for import in &module.imports {
            let Some(found) = self.resolve(this, &import.path, 0) else { continue };
            if import.name == "*" {
                let Target::Module(all) = found.target else { continue };
                let names = module.words.iter().filter_map(|word| self.look_up(all, word, 1));
                used.extend(names.map(|found| (import.path.as_slice(), found)));
            } else if import.is_reexport && !module.words.contains(&import.name) {
                seen.push((&import.path, found));
            } else {
                used.push((&import.path, found));
            }
        }
        used.extend(module.paths.iter().filter_map(|path| Some((path.as_slice(), self.resolve(this, path, 0)?))));

        let mut edges: BTreeMap<String, String> = BTreeMap::new();
        for (path, found) in &used {
            if let Target::ItemOf(target) = found.target {
                edges.entry(self.modules[target].file.clone()).or_insert_with(|| path.join("::"));
            }
        }
        edges.remove(&module.file);
        let mut named: BTreeMap<String, String> = BTreeMap::new();
        for (path, found) in used.iter().chain(&seen) {
            let (Target::Module(last) | Target::ItemOf(last)) = found.target;
            for through in found.through.iter().chain([&last]) {
                named.entry(self.modules[*through].name.clone()).or_insert_with(|| path.join("::"));
            }
        }
        let file = module.file.clone();
        self.edges.entry(file.clone()).or_default().extend(edges);
        self.named.entry(file).or_default().extend(named);
    }

    /// What `path`, as written in module `from`, leads to; nothing outside of the crate.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Option<Found> {
        let (first, rest) = path.split_first()?;
        let (mut at, mut rest, mut through) = (from, rest, Vec::new());
        match first.as_str() {
            "crate" => at = 0,
            "self" => {}
            "super" => {
                at = self.modules[at].parent?;
                while rest.first().is_some_and(|next| next == "super") {
                    (at, rest) = (self.modules[at].parent?, &rest[1..]);
                }
            }
            local => {
                let found = self.look_up(from, local, depth + 1)?;
                through.extend(found.through);
                match found.target {
                    Target::Module(module) => at = module,
                    Target::ItemOf(_) => return Some(Found { target: found.target, through }),
                }
            }
        }
        through.push(at);
        for segment in rest {
            match self.look_up(at, segment, depth + 1) {
                Some(Found { target: Target::Module(module), through: via }) => {
                    through.extend(via);
                    through.push(module);
                    at = module;
                }
                Some(Found { target, through: via }) => {
                    through.extend(via);
                    return Some(Found { target, through });
                }
                // What another crate defines.
                None if self.modules[at].imports.iter().any(|import| import.name == *segment) => return None,
                // What a macro defines.
                None => return Some(Found { target: Target::ItemOf(at), through }),
            }
        }
        Some(Found { target: Target::Module(at), through })
    }

    /// What `name` is in `module`: a child, an item, or something imported.
    fn look_up(&self, module: usize, name: &str, depth: usize) -> Option<Found> {
        if depth > 32 {
            return None;
        }
        let here = &self.modules[module];
        if let Some(child) = here.children.get(name) {
            return Some(Found { target: Target::Module(*child), through: Vec::new() });
        }
        if here.items.contains(name) {
            return Some(Found { target: Target::ItemOf(module), through: Vec::new() });
        }
        if let Some(import) = here.imports.iter().find(|import| import.name == name) {
            // `use tokio;` in effect: a name that says only itself.
            return (import.path != [name]).then(|| self.resolve(module, &import.path, depth + 1))?;
        }
        let globs = here.imports.iter().filter(|import| import.name == "*");
        globs.filter_map(|import| self.resolve(module, &import.path, depth + 1)).find_map(|found| match found.target {
            Target::Module(all) if all != module => self.look_up(all, name, depth + 8),
            _ => None,
        })
    }
}

impl Module {
    /// Takes in everything but its child modules.
    fn read(&mut self, tokens: &[Token]) {
        let (mut at, mut depth, mut attribute_end) = (0, 0, 0);
        while at < tokens.len() {
            match &tokens[at] {
                Token::Mark('#') => attribute_end = attribute(tokens, at).unwrap_or(at),
                Token::Mark('{') => depth += 1,
                Token::Mark('}') => depth -= 1,
                Token::Word(word) if word == "use" && is_statement(tokens, at) => {
                    let end = at + tokens[at..].iter().position(|token| *token == Token::Mark(';')).unwrap_or(0);
                    let is_reexport = at > 0 && is_visibility(&tokens[..at]);
                    self.read_use(&tokens[at + 1..end], &mut Vec::new(), is_reexport);
                    at = end;
                }
                Token::Word(word) => {
                    let next = tokens.get(at + 1).and_then(Token::word);
                    if let ("fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union", Some(name), 0) =
                        (word.as_str(), next, depth)
                    {
                        self.items.insert(name.to_owned());
                    }
                    if word == "macro_rules" {
                        self.items.extend(tokens.get(at + 2).and_then(Token::word).map(str::to_owned));
                    }
                    let path = path(tokens, at);
                    at += path.len() * 2 - 2;
                    self.words.insert(path[0].clone());
                    if path.len() > 1 {
                        self.paths.insert(path);
                    }
                }
                // `deserialize_with = "crate::text::read"`.
                Token::Text(text) if at < attribute_end => {
                    let parts: Vec<_> = text.split("::").map(str::to_owned).collect();
                    let is_word = |part: &String| {
                        !part.is_empty() && part.chars().all(|part| part.is_alphanumeric() || part == '_')
                    };
                    if parts.len() > 1 && parts.iter().all(is_word) {
                        self.paths.insert(parts);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn read_use(&mut self, tree: &[Token], prefix: &mut Vec<String>, is_reexport: bool) {
        let before = prefix.len();
        let mut at = 0;
        let mut name = None;
        while at < tree.len() {
            match &tree[at] {
                Token::Word(word) if word == "as" => name = tree.get(at + 1).and_then(Token::word).map(str::to_owned),
                Token::Word(word) if name.is_none() => prefix.push(word.clone()),
                Token::Mark('*') => name = Some("*".to_owned()),
                Token::Mark('{') => {
                    let end = closing(tree, at);
                    for part in split(&tree[at + 1..end]) {
                        self.read_use(part, prefix, is_reexport);
                    }
                    prefix.truncate(before);
                    return;
                }
                _ => {}
            }
            at += 1;
        }
        let mut path = prefix.clone();
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        if let Some(last) = path.last() {
            let name = name.unwrap_or_else(|| last.clone());
            self.imports.push(Import { name, path, is_reexport });
        }
        prefix.truncate(before);
    }
}

/// Not the `use<'a>` of a bound.
fn is_statement(tokens: &[Token], at: usize) -> bool {
    tokens.get(at + 1) != Some(&Token::Mark('<'))
}

/// Whether tokens end in `pub` or `pub(…)`.
fn is_visibility(tokens: &[Token]) -> bool {
    match tokens.last() {
        Some(Token::Mark(')')) => {
            let open = tokens.iter().rposition(|token| *token == Token::Mark('('));
            open.is_some_and(|open| open > 0 && tokens[open - 1].is("pub"))
        }
        Some(last) => last.is("pub"),
        None => false,
    }
}

/// The words from `at` that `::` joins; one alone where it is a field, a method or a path from outside of the crate.
fn path(tokens: &[Token], at: usize) -> Vec<String> {
    let mut words: Vec<_> = tokens[at].word().map(str::to_owned).into_iter().collect();
    let mut next = at + 1;
    while let (Some(Token::Path), Some(Token::Word(word))) = (tokens.get(next), tokens.get(next + 1)) {
        words.push(word.clone());
        next += 2;
    }
    words
}

/// The parts of a list at its commas.
fn split(tokens: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0;
    tokens
        .split(|token| {
            match token {
                Token::Mark('{') => depth += 1,
                Token::Mark('}') => depth -= 1,
                _ => {}
            }
            depth == 0 && *token == Token::Mark(',')
        })
        .filter(|part| !part.is_empty())
        .collect()
}
