//! Numbers as Go reads them in YAML and writes them as text and as JSON.

/// A number, by what Go's decoder makes of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Int(i64),
    Unsigned(u64),
    Float(f64),
}

/// The number a plain scalar is, if it is one.
pub(super) fn parse(text: &str) -> Option<Number> {
    let first = text.chars().next()?;
    if first == '.' {
        return float(text);
    }
    if !first.is_ascii_digit() && first != '+' && first != '-' {
        return None;
    }
    let plain = text.replace('_', "");
    if let Some(value) = signed(&plain) {
        return Some(Number::Int(value));
    }
    if let Some(value) = unsigned(&plain) {
        return Some(Number::Unsigned(value));
    }
    if is_float(&plain)
        && let Some(value) = float(&plain)
    {
        return Some(value);
    }
    // A sign after the prefix.
    let binary = plain.strip_prefix("0b").and_then(|digits| i64::from_str_radix(digits, 2).ok());
    binary.map(Number::Int)
}

/// Like Go's `ParseInt` with base 0.
fn signed(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = i128::from(unsigned(digits)?);
    i64::try_from(if negative { -value } else { value }).ok()
}

/// Like Go's `ParseUint` with base 0: a zero in front means octal.
fn unsigned(text: &str) -> Option<u64> {
    let (radix, digits) = match text.as_bytes() {
        [b'0', b'b' | b'B', _, ..] => (2, &text[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &text[2..]),
        [b'0', b'x' | b'X', _, ..] => (16, &text[2..]),
        [b'0'] => (10, text),
        [b'0', ..] => (8, &text[1..]),
        _ => (10, text),
    };
    let is_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_digits.then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(one, two)| (one, Some(two)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = if whole.is_empty() { !fraction.is_empty() } else { true };
    has_digits
        && all_digits(whole)
        && all_digits(fraction)
        && exponent.is_none_or(|exponent| {
            let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            !digits.is_empty() && all_digits(digits)
        })
}

fn float(text: &str) -> Option<Number> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let value = text.parse::<f64>().ok().filter(|value| is_number && value.is_finite());
    value.map(Number::Float)
}

/// As text, by Go's `FormatFloat(value, 'g', -1, 32)`: Helm reads numbers where it wants texts with the precision of 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "that is how Helm reads it")]
pub(super) fn short(value: f64) -> String {
    let value = value as f32;
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let (negative, digits, exponent) = decimal(&format!("{value:e}"));
    if !(-4..6).contains(&exponent) {
        return scientific(negative, &digits, exponent);
    }
    positional(negative, &digits, exponent)
}

/// As JSON, as Go writes a float of 64 bits.
pub(super) fn json(value: f64) -> String {
    let (negative, digits, exponent) = decimal(&format!("{value:e}"));
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = scientific(negative, &digits, exponent);
        // An exponent of one digit has no zero in front here.
        return text.replacen("e-0", "e-", 1).replacen("e+0", "e+", 1);
    }
    positional(negative, &digits, exponent)
}

/// Sign, digits and exponent of what Rust writes: `-1.25e-7`.
fn decimal(text: &str) -> (bool, String, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let digits = mantissa.chars().filter(char::is_ascii_digit).collect();
    (mantissa.starts_with('-'), digits, exponent.parse().unwrap_or(0))
}

fn scientific(negative: bool, digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1);
    let sign = if negative { "-" } else { "" };
    let point = if rest.is_empty() { "" } else { "." };
    let direction = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{first}{point}{rest}e{direction}{:02}", exponent.abs())
}

fn positional(negative: bool, digits: &str, exponent: i32) -> String {
    let sign = if negative { "-" } else { "" };
    let before = usize::try_from(exponent + 1).unwrap_or(0);
    if exponent < 0 {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
        return format!("{sign}0.{zeros}{digits}");
    }
    if digits.len() <= before {
        return format!("{sign}{digits}{}", "0".repeat(before - digits.len()));
    }
    let (whole, fraction) = digits.split_at(before);
    format!("{sign}{whole}.{fraction}")
}
