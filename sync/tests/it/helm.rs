//! Charts against Helm itself: what Helm 3 or Helm 4 takes is taken, with the config that `helm push` would push.
//!
//! `tests/helm` is a Go program with both Helms' loaders; it is built where Go and the modules are. The charts are made of
//! random descriptions: fields Helm knows and others, every style and type of YAML, several descriptions in one archive, paths
//! from Windows. `AIRDOCK_HELM_CHARTS` is how many, `AIRDOCK_HELM_SEED` the first seed.

#![allow(clippy::disallowed_methods, reason = "how many charts are made is no setting of the program")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use airdock_sync::probe::chart_config;
use testkit::content::gzip;

/// How many charts are compared unless the environment says otherwise.
const CHARTS: u64 = 3000;

/// A choice after the other, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        usize::try_from(testkit::random::next(&mut self.0) % sides as u64).unwrap()
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.roll(all.len())]
    }
}

/// Plain scalars, which YAML takes for something or not.
const PLAIN: &[&str] = &[
    "1.0",
    "1.10",
    "1",
    "007",
    "0o17",
    "0x1F",
    "0b101",
    "0b-1",
    "1_000",
    "1e3",
    "1.5e-7",
    "123456789",
    "1234567890123",
    "9223372036854775808",
    "18446744073709551616",
    "-0",
    "+1",
    "-.5",
    ".5",
    "1.",
    "5e",
    "0",
    "-",
    "+",
    "yes",
    "No",
    "on",
    "OFF",
    "y",
    "n",
    "true",
    "False",
    "null",
    "~",
    "Null",
    ".nan",
    ".inf",
    "-.Inf",
    "2001-01-01",
    "2001-01-01T00:00:00Z",
    "12:30:45",
    "<<",
    "=",
    "text",
    "two words",
    "a: b",
    "a #b",
    "a#b",
    "é",
    "\u{a0}x",
    "\u{200b}z",
    "\u{2028}",
    "\u{85}",
    "\u{1f600}",
    "a\tb",
    "v1.2.3",
    "1.2",
    "https://x.example/a?b=c&d=<e>",
    "@x",
    "`x`",
    "%x",
    "!x",
    "&x",
    "*x",
    "|",
    ">",
    "- x",
    "? x",
    "'",
    "\"",
    "[a]",
    "{a: b}",
    "[]",
    "{}",
    "[1, null, true]",
    "{a: 1, b: }",
    "0.1",
    "100000",
    "1000000",
    "16777217",
    "0.0001",
    "0.00001",
    "1e21",
    "1e-6",
    "1e40",
    "0x",
    "08",
    "1__0",
    "_1",
    "!!str 1",
    "!!int 1",
    "!!float 1",
    "!!binary YWJj",
    "!!str",
    "! 1",
    "!foo x",
    "!!bool yes",
    "!!null ''",
    "!!int x",
    "''",
    "\"\"",
    "''' '",
    "\"\\u00e9\\x41\\n\\t\\e\"",
    "'a\n\n  b'",
    "\"a\n  b \\\n  c\"",
    "a\n  b",
    "|\n  a\n  b",
    "|-\n  a\n\n",
    "|+\n  a\n\n",
    ">\n  a\n  b\n\n  c",
    ">-\n  a\n   b\n  c",
    "|2\n   a",
    "\u{feff}x",
    "a \u{7f}",
    "\u{ad}soft",
    "\u{e000}",
    "\u{600}",
    "e\u{301}",
    "\u{3000}wide",
    "long long long long long long long long",
    "1:2",
    "a:b",
    "::",
    "a,b",
    "x]",
    "x}",
    "#",
    " # c",
    "x # c",
    "application",
    "library",
    "v2",
    "v1",
];

/// Keys: Helm's fields, their case and letters changed, and others.
const KEYS: &[&str] = &[
    "home",
    "sources",
    "description",
    "keywords",
    "maintainers",
    "icon",
    "apiVersion",
    "condition",
    "tags",
    "appVersion",
    "deprecated",
    "annotations",
    "kubeVersion",
    "dependencies",
    "type",
    "name",
    "version",
    "Name",
    "VERSION",
    "KeyWords",
    "\u{17f}ources",
    "\u{212a}eywords",
    "x",
    "engine",
    "1",
    "1.0",
    "true",
    "yes",
    "~",
    "'home'",
    "\"icon\"",
    "? home",
    "<<",
    "!!str x",
    "urls",
    "Home",
];

const VERSIONS: &[&str] = &[
    "1.0.0",
    "1.0.0",
    "1.2.3+build.5",
    "v1.0",
    "'1'",
    "1.0",
    "1",
    "0.1.0-rc.1",
    "1.0.0-01",
    "latest",
    "1.2.3.4",
    "01.2.3",
    "\"2.0.0\"",
    "1.0.0+a_b",
    "1.0.0-a+b-c",
    "!!str 1",
];

fn scalar(dice: &mut Dice) -> String {
    let text = dice.pick(PLAIN).to_owned();
    match dice.roll(8) {
        0 => format!("'{}'", text.replace('\'', "''").replace('\n', " ")),
        1 => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")),
        _ => text,
    }
}

/// A scalar in a flow collection. A hyphen alone is left out: the parser refuses it there, as YAML 1.2 does.
fn flow(dice: &mut Dice) -> String {
    loop {
        let text = small(dice);
        if text != "-" {
            return text;
        }
    }
}

/// A scalar of one line.
fn small(dice: &mut Dice) -> String {
    loop {
        let text = scalar(dice);
        if !text.contains('\n') {
            return text;
        }
    }
}

fn texts(dice: &mut Dice, indent: &str) -> String {
    let count = dice.roll(4);
    if dice.one_in(3) {
        let items: Vec<_> = (0..count).map(|_| flow(dice)).collect();
        return format!(" [{}]", items.join(", "));
    }
    (0..count).map(|_| format!("\n{indent}- {}", small(dice))).collect()
}

fn map(dice: &mut Dice, indent: &str, keys: &[&str], value: fn(&mut Dice, &str, &str) -> String) -> String {
    let count = dice.roll(4);
    if dice.one_in(4) {
        let items: Vec<_> = (0..count).map(|_| format!("{}: {}", dice.pick(keys), flow(dice))).collect();
        return format!(" {{{}}}", items.join(", "));
    }
    let mut text = String::new();
    for _ in 0..count {
        let key = dice.pick(keys);
        text.push_str(&format!("\n{indent}{key}:{}", value(dice, key, &format!("{indent}  "))));
    }
    text
}

fn plain(dice: &mut Dice, _: &str, _: &str) -> String {
    format!(" {}", small(dice))
}

const ANNOTATIONS: &[&str] = &[
    "a",
    "artifacthub.io/changes",
    "1",
    "org.opencontainers.image.title",
    "org.opencontainers.image.authors",
    "yes",
    "~",
    "'q'",
    "<<",
];
const MAINTAINER: &[&str] = &["name", "email", "url", "Name", "x"];
const DEPENDENCY: &[&str] = &[
    "name",
    "version",
    "repository",
    "condition",
    "tags",
    "enabled",
    "import-values",
    "alias",
    "Alias",
    "x",
    "name",
    "repository",
];

fn field(dice: &mut Dice, key: &str, indent: &str) -> String {
    let usual = !dice.one_in(6);
    match key.to_ascii_lowercase().as_str() {
        "sources" | "keywords" | "\u{17f}ources" | "\u{212a}eywords" if usual => texts(dice, indent),
        "annotations" if usual => map(dice, indent, ANNOTATIONS, plain),
        "deprecated" | "enabled" if usual => {
            format!(" {}", dice.pick(&["true", "yes", "off", "n", "", "~", "null", "True", "!!bool on"]))
        }
        "type" if usual => format!(" {}", dice.pick(&["application", "library", "", "'library'"])),
        "apiversion" if usual => format!(" {}", dice.pick(&["v1", "v2", "", "v2 # c"])),
        "tags" if usual && !indent.is_empty() && indent.len() > 2 => texts(dice, indent),
        "import-values" if usual => {
            let count = dice.roll(3);
            (0..count)
                .map(|_| {
                    format!(
                        "\n{indent}- {}",
                        dice.pick(&[
                            "data",
                            "{child: a, parent: b}",
                            "1",
                            "1.5",
                            "12345678901234567890",
                            "1e21",
                            "1e-7",
                            "null",
                            "[a, [1]]",
                            "{1: x}",
                            "true",
                            "{b: 1, a: {c: ~}}",
                            "0.1",
                            "-0.0",
                            "100000000000000000000",
                            "123456789.125",
                            "'<&>'",
                        ])
                    )
                })
                .collect()
        }
        "maintainers" | "dependencies" if usual => {
            let (keys, is_dependency) =
                if key.eq_ignore_ascii_case("maintainers") { (MAINTAINER, false) } else { (DEPENDENCY, true) };
            let count = dice.roll(3);
            (0..count)
                .map(|at| {
                    if dice.one_in(20) {
                        return format!("\n{indent}-");
                    }
                    let mut text =
                        format!("\n{indent}- name: {}", if dice.one_in(3) { small(dice) } else { format!("d{at}") });
                    for _ in 0..dice.roll(4) {
                        let key = dice.pick(keys);
                        let value = if is_dependency {
                            field(dice, key, &format!("{indent}      "))
                        } else {
                            plain(dice, key, "")
                        };
                        text.push_str(&format!("\n{indent}  {key}:{value}"));
                    }
                    text
                })
                .collect()
        }
        "x" | "engine" if usual => match dice.roll(4) {
            0 => map(dice, indent, KEYS, plain),
            1 => " &a [1, 2]".into(),
            2 => " &b {name: merged, home: there, x: 1}".into(),
            _ => texts(dice, indent),
        },
        "<<" => format!(" {}", dice.pick(&["*b", "{home: h}", "[*b, {icon: i}]", "1", "*a", "~"])),
        _ if dice.one_in(30) => format!(" {}", dice.pick(&["*a", "*b", "&c x", "*c", "&a [x]", "*none"])),
        _ => format!(" {}", scalar(dice)),
    }
}

fn description(dice: &mut Dice, is_requirements: bool) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut known = vec![("apiVersion", "v2"), ("name", "app"), ("version", "1.0.0")];
    if dice.one_in(3) {
        known[0].1 = "v1";
    }
    if dice.one_in(3) {
        known[2].1 = dice.pick(VERSIONS);
    }
    if dice.one_in(10) {
        known[1].1 = dice.pick(&["app-2", "a.b", "A", "x/y", "..", "'app'", "1", "a b", "\"app\\n\""]);
    }
    if dice.one_in(12) {
        known.remove(dice.roll(3));
    }
    if !is_requirements || dice.one_in(8) {
        lines.extend(known.iter().map(|(key, value)| format!("{key}: {value}")));
    } else if !dice.one_in(5) {
        lines.push(format!("dependencies:{}", field(dice, "dependencies", "")));
    }
    for _ in 0..dice.roll(if is_requirements { 2 } else { 6 }) {
        let key = dice.pick(KEYS);
        let at = dice.roll(lines.len() + 1);
        let indent = if dice.one_in(2) { "" } else { "  " };
        let value = field(dice, key, indent);
        lines.insert(at, format!("{key}:{value}"));
    }
    if dice.one_in(12) {
        let at = dice.roll(lines.len() + 1);
        lines.insert(
            at,
            dice.pick(&[
                "---",
                "...",
                "# c",
                "",
                "  ",
                "\t",
                "%YAML 1.1\n---",
                "--- # c",
                "%TAG ! x:",
                "?",
                "x",
                "- a",
            ])
            .into(),
        );
    }
    let mut text = lines.join(dice.pick(&["\n", "\n", "\n", "\r\n"]));
    text.push_str(dice.pick(&["\n", "", "\n---\n", "\n...\n", "\n---\nname: other\n", "\n---\n[", "\n\n# end"]));
    let mut bytes = text.into_bytes();
    if dice.one_in(25) {
        bytes.splice(0..0, *b"\xef\xbb\xbf");
    }
    // A few bytes at random.
    if dice.one_in(8) && !bytes.is_empty() {
        for _ in 0..=dice.roll(3) {
            let at = dice.roll(bytes.len());
            bytes[at] = dice
                .pick(&[
                    " ", "\n", ":", "-", "'", "\"", "#", "[", "}", ",", "&", "*", "!", "|", "\t", "a", "0", "?", "<",
                ])
                .as_bytes()[0];
        }
    }
    bytes
}

/// The entries of a chart.
fn entries(dice: &mut Dice) -> Vec<(String, Vec<u8>)> {
    let mut entries =
        vec![("Chart.yaml".to_owned(), description(dice, false)), ("values.yaml".into(), b"a: 1\n".to_vec())];
    if dice.one_in(4) {
        entries.push(("requirements.yaml".into(), description(dice, true)));
    }
    if dice.one_in(20) {
        entries.push(("Chart.yaml".into(), description(dice, false)));
    }
    if dice.one_in(20) {
        entries.push(("templates/a.yaml".into(), Vec::new()));
        entries.push(("templates/a.yaml".into(), b"x".to_vec()));
    }
    if dice.one_in(3) {
        let at = dice.roll(entries.len());
        let last = entries.len() - 1;
        entries.swap(at, last);
    }
    let separator = if dice.one_in(10) { "\\" } else { "/" };
    entries
        .into_iter()
        .map(|(path, bytes)| (format!("app{separator}{}", path.replace('/', separator)), bytes))
        .collect()
}

fn packed(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (path, bytes) in entries {
        tar.extend(testkit::tarball::entry(path.as_bytes(), tar::EntryType::Regular, bytes, |_| ()));
    }
    tar.extend([0; 1024]);
    gzip(&tar)
}

/// Builds the program, or says why it is not there.
fn built() -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/helm");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm-config");
    let go =
        |arguments: &[&str]| Command::new("go").args(arguments).current_dir(&source).env("CGO_ENABLED", "0").output();
    let modules = go(&["mod", "download"]).map_err(|_| "Go is not installed".to_owned())?;
    if !modules.status.success() {
        return Err(format!("Helm's modules are not here: {}", String::from_utf8_lossy(&modules.stderr).trim()));
    }
    let output = go(&["build", "-buildvcs=false", "-trimpath", "-o", program.to_str().unwrap(), "."]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(program)
}

struct Helms(Child);

impl Helms {
    /// What Helm 3 and Helm 4 make of a chart: the config, or why they refuse it.
    fn config(&mut self, chart: &[u8]) -> [Result<Vec<u8>, String>; 2] {
        let input = self.0.stdin.as_mut().unwrap();
        input.write_all(&u32::try_from(chart.len()).unwrap().to_be_bytes()).unwrap();
        input.write_all(chart).unwrap();
        input.flush().unwrap();
        [self.frame(), self.frame()]
    }

    fn frame(&mut self) -> Result<Vec<u8>, String> {
        let output = self.0.stdout.as_mut().unwrap();
        let mut size = [0; 4];
        output.read_exact(&mut size).unwrap();
        let mut frame = vec![0; u32::from_be_bytes(size) as usize];
        output.read_exact(&mut frame).unwrap();
        match frame.split_first() {
            Some((b'+', config)) => Ok(config.to_vec()),
            _ => Err(String::from_utf8_lossy(&frame[1..]).into_owned()),
        }
    }
}

impl Drop for Helms {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn b11_what_either_helm_takes_is_taken_with_the_config_it_would_push() {
    let program = match built() {
        Ok(program) => program,
        Err(why) => return eprintln!("NOT RUN: the comparison with both Helms: {why}"),
    };
    let mut helms = Helms(Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let number = |key: &str, otherwise: u64| std::env::var(key).map_or(otherwise, |text| text.parse().unwrap());
    let first = number("AIRDOCK_HELM_SEED", 0);
    let (mut taken, mut refused, mut only_here, mut faults) = (0, 0, 0, Vec::new());
    for seed in first..first + number("AIRDOCK_HELM_CHARTS", CHARTS) {
        let entries = entries(&mut Dice(seed));
        let chart = packed(&entries);
        let ours = chart_config(&chart);
        let theirs = helms.config(&chart);
        let shown = || -> String {
            entries
                .iter()
                .filter(|(path, _)| !path.ends_with("values.yaml"))
                .map(|(path, bytes)| format!("--- {path}\n{}\n", String::from_utf8_lossy(bytes)))
                .collect()
        };
        for (helm, theirs) in ["Helm 3", "Helm 4"].into_iter().zip(theirs) {
            match (&ours, theirs) {
                (Ok(ours), Ok(theirs)) if *ours == theirs => taken += 1,
                (Ok(_), Err(why)) => {
                    only_here += 1;
                    if std::env::var_os("AIRDOCK_HELM_SHOW").is_some() {
                        eprintln!("seed {seed}: only here, {helm} says {why}\n{}", shown());
                    }
                }
                (Err(_), Err(_)) => refused += 1,
                (ours, Ok(theirs)) => faults.push(format!(
                    "seed {seed}: {helm} has {}\nwe have {:?}\n{}",
                    String::from_utf8_lossy(&theirs),
                    ours.as_ref().map(|config| String::from_utf8_lossy(config).into_owned()),
                    shown()
                )),
            }
        }
    }
    eprintln!(
        "{taken} comparisons equal, {refused} refused by both sides, {only_here} taken here only, {} differ",
        faults.len()
    );
    assert!(
        faults.is_empty(),
        "{} differ:\n{}",
        faults.len(),
        faults.iter().take(5).cloned().collect::<Vec<_>>().join("\n")
    );
    assert!(taken > refused / 4, "too few of the charts made here are charts");
}
