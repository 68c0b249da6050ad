//! Rust source as words and marks: without comments, and without what is compiled for tests only.
//!
//! Just enough of the language to tell a name in code from one in a comment or a string.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// An identifier, a keyword or a number.
    Word(String),
    /// What stands between quotes.
    Text(String),
    /// `::`.
    Path,
    /// Any other character.
    Mark(char),
}

impl Token {
    pub(super) fn word(&self) -> Option<&str> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }

    pub(super) fn is(&self, word: &str) -> bool {
        self.word() == Some(word)
    }
}

/// The tokens of a file. Lifetimes are left out, as comments are.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (token, length) = next(rest, first);
        found.extend(token);
        rest = &rest[length..];
    }
    found
}

/// The token at the start of `rest`, if it is one, and how many bytes it takes.
fn next(rest: &str, first: char) -> (Option<Token>, usize) {
    if rest.starts_with("//") {
        return (None, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (None, block_comment(rest));
    }
    if let Some((start, end, length)) = quoted(rest) {
        return (Some(Token::Text(rest[start..end].to_owned())), length);
    }
    if first == '\'' {
        return (None, character_or_lifetime(rest));
    }
    if rest.starts_with("::") {
        return (Some(Token::Path), 2);
    }
    if is_part(first) {
        let raw = if rest.starts_with("r#") { 2 } else { 0 };
        let length = raw + rest[raw..].find(|character| !is_part(character)).unwrap_or(rest.len() - raw);
        return (Some(Token::Word(rest[raw..length].to_owned())), length);
    }
    ((!first.is_whitespace()).then_some(Token::Mark(first)), first.len_utf8())
}

fn is_part(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// A string of any kind: where its content starts and ends, and where the string ends.
fn quoted(rest: &str) -> Option<(usize, usize, usize)> {
    let prefix = rest.bytes().take_while(|byte| matches!(byte, b'b' | b'c' | b'r')).count();
    let raw = rest[..prefix].ends_with('r');
    let hashes = if raw { rest[prefix..].bytes().take_while(|byte| *byte == b'#').count() } else { 0 };
    let start = prefix + hashes + 1;
    if prefix > 2 || rest.as_bytes().get(start - 1) != Some(&b'"') {
        return None;
    }
    if raw {
        let close = format!("\"{}", "#".repeat(hashes));
        let end = start + rest[start..].find(&close).expect("a raw string ends");
        return Some((start, end, end + close.len()));
    }
    let end = start + unescaped(&rest[start..], b'"');
    Some((start, end, end + 1))
}

/// Where the next `quote` without a backslash is.
fn unescaped(text: &str, quote: u8) -> usize {
    let mut escaped = false;
    text.bytes()
        .position(|byte| {
            let ends = byte == quote && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })
        .expect("a literal ends")
}

fn character_or_lifetime(rest: &str) -> usize {
    let mut inside = rest[1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), _) => unescaped(&rest[1..], b'\'') + 2,
        (Some(character), Some('\'')) => character.len_utf8() + 2,
        _ => 1 + rest[1..].find(|character| !is_part(character)).unwrap_or(rest.len() - 1),
    }
}

/// Without the items that only tests are compiled with.
pub(super) fn production(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match attribute(tokens, at) {
            Some(end) if is_for_tests(&tokens[at..end]) => at = item_end(tokens, end),
            _ => {
                kept.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    kept
}

/// Where the attribute that starts here ends.
pub(super) fn attribute(tokens: &[Token], at: usize) -> Option<usize> {
    (tokens.get(at) == Some(&Token::Mark('#')) && tokens.get(at + 1) == Some(&Token::Mark('[')))
        .then(|| closing(tokens, at + 1) + 1)
}

/// `#[cfg(test)]` and `#[cfg(all(test, …))]`.
fn is_for_tests(attribute: &[Token]) -> bool {
    let words: Vec<_> = attribute.iter().filter_map(Token::word).collect();
    matches!(words.as_slice(), ["cfg", "test"] | ["cfg", "all", "test", ..])
}

/// Where the bracket that is opened at `open` is closed.
pub(super) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len() - 1
}

/// Where the item, field or arm ends that starts at `at`, after its attributes.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while let Some(end) = attribute(tokens, at) {
        at = end;
    }
    let words: Vec<_> = tokens[at..].iter().take(8).filter_map(Token::word).collect();
    let keyword = words.iter().find(|word| !matches!(**word, "pub" | "crate" | "super" | "in" | "self"));
    let is_function = words.iter().take(4).any(|word| *word == "fn");
    // These may have braces before their end, and the others commas.
    let to_semicolon = !is_function && keyword.is_some_and(|word| matches!(*word, "use" | "const" | "static" | "let"));
    let is_item = keyword.is_some_and(|word| {
        matches!(
            *word,
            "mod" | "fn" | "struct" | "enum" | "impl" | "trait" | "type" | "const" | "async" | "macro_rules"
        )
    });
    while at < tokens.len() {
        match tokens[at] {
            Token::Mark(';') => return at + 1,
            Token::Mark(',') if !to_semicolon && !is_item => return at + 1,
            Token::Mark('{') if !to_semicolon => return closing(tokens, at) + 1,
            Token::Mark('(' | '[' | '{') => at = closing(tokens, at) + 1,
            // The last of its list.
            Token::Mark(')' | ']' | '}') => return at,
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        production(&tokens(source)).iter().filter_map(Token::word).map(str::to_owned).collect()
    }

    #[test]
    fn what_only_tests_are_compiled_with_is_left_out_and_nothing_behind_it() {
        let parts = [
            "#[cfg(test)] use a::{b, c};",
            "#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;",
            "#[cfg(test)] pub(crate) const fn f<A, B>(a: A) -> [u8; 2] { g(); }",
            "#[cfg(test)] const X: S = S { a: 1 };",
            "#[cfg(all(test, unix))] impl<A, B> S<A, B> { fn x() {} }",
        ];
        for part in parts {
            assert_eq!(words(&format!("{part} kept")), ["kept"], "{part}");
        }
        assert_eq!(words("struct S { #[cfg(test)] a: u8, kept: u8 }"), ["struct", "S", "kept", "u8"]);
        assert_eq!(words("#[cfg(not(test))] kept;"), ["cfg", "not", "test", "kept"]);
    }

    #[test]
    fn words_in_comments_strings_and_lifetimes_are_no_words() {
        let source = "a // no\n/* no /* no */ no */ b \"no \\\" no\" c r#\"no \" no\"# d b'\\'' e 'x' 'no f /// no";
        assert_eq!(words(source), ["a", "b", "c", "d", "b", "e", "f"]);
    }
}
