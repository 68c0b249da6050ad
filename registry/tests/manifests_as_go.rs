//! A manifest reads the same to Go's decoder and to us (D11): what is taken here, Go reads with the same values. Runs where
//! there is Go. `AIRDOCK_GO_SECONDS` makes it go on with further seeds for as long.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]
#![allow(clippy::disallowed_methods, reason = "how long this test goes on is no setting of the program")]

#[path = "../fuzz/go/reading.rs"]
mod reading;

use std::time::{Duration, Instant};

use reading::Go;

/// A sequence of choices that a seed repeats.
struct Choices(u64);

impl Choices {
    fn below(&mut self, end: usize) -> usize {
        (testkit::random::next(&mut self.0) % end as u64) as usize
    }

    fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// How often something is odd, in this document: often in some and never in others.
    fn odds(&mut self) -> usize {
        [12, 40, 200, 1 << 30][self.below(4)]
    }
}

const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const OTHER: &str = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
const TYPES: [&str; 9] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.manifest.v1+json; a=b",
    "",
    "text/\u{fc}",
];

/// The name of a field, how often of a hundred it is written, and what writes its value.
type Field = (&'static str, usize, fn(&mut Writer));

/// JSON, spelled in one of its many ways.
struct Writer {
    choices: Choices,
    odds: usize,
    text: String,
}

impl Writer {
    fn odd(&mut self) -> bool {
        self.choices.one_in(self.odds)
    }

    fn space(&mut self) {
        if self.choices.one_in(20) {
            let space = self.choices.of(&[" ", "\n", "\t", "\r\n "]);
            self.text.push_str(space);
        }
    }

    /// A name, mostly as it is spelled.
    fn name(&mut self, name: &str) {
        let (odd, respelled) = (self.odd(), self.choices.below(5));
        self.text.push('"');
        for letter in name.chars() {
            let (here, escaped) = (self.choices.one_in(3), self.choices.one_in(60));
            match letter {
                letter if odd && here && respelled == 0 => self.text.push(letter.to_ascii_uppercase()),
                's' if odd && respelled == 1 => self.text.push('\u{17f}'),
                'k' if odd && respelled == 2 => self.text.push('\u{212a}'),
                's' if odd && respelled == 3 => self.text.push_str("\\u017F"),
                letter if escaped => self.text.push_str(&format!("\\u{:04x}", letter as u32)),
                letter => self.text.push(letter),
            }
        }
        if odd && respelled == 4 {
            let more = self.choices.of(&["\\u0000", "\u{308}", "s", "\\ud800", " "]);
            self.text.push_str(more);
        }
        self.text.push_str("\":");
    }

    fn text_of(&mut self, all: &[&str]) {
        let text = self.choices.of(all);
        if self.choices.one_in(30) {
            // The first letter as an escape.
            let escaped = text.chars().next().map_or(String::new(), |first| format!("\\u{:04x}", first as u32));
            let rest: String = text.chars().skip(1).collect();
            self.text.push_str(&format!("\"{escaped}{rest}\""));
        } else {
            self.text.push_str(&format!("\"{text}\""));
        }
    }

    /// A value of any type, or something that is none.
    fn anything(&mut self) {
        let value = self.choices.of(&[
            "null",
            "true",
            "0",
            "2",
            "-1",
            "-0",
            "2.0",
            "2e0",
            "1e400",
            "9223372036854775808",
            "\"\"",
            "\"x\"",
            "[]",
            "{}",
            "[null]",
            "[\"x\"]",
            "[{}]",
            "{\"a\":null}",
            "{\"a\":1}",
            "{\"digest\":\"x\"}",
            "\"\\ud800\"",
            "[2]",
            "\"e30=\"",
            "{\"A\":\"b\",\"a\":\"c\",\"a\":null}",
            "02",
            "\"\u{1}\"",
            "\"2\"",
            "[[]]",
        ]);
        self.text.push_str(value);
    }

    fn object(&mut self, fields: &[Field]) {
        self.text.push('{');
        let mut first = true;
        for (name, likely, write) in fields {
            let mut times = usize::from(self.choices.below(100) < *likely);
            if self.odd() {
                times = self.choices.below(3);
            }
            for _ in 0..times {
                if !first {
                    self.text.push(',');
                }
                first = false;
                self.space();
                self.name(name);
                self.space();
                if self.odd() { self.anything() } else { write(self) }
            }
        }
        self.space();
        self.text.push('}');
    }

    fn list(&mut self, most: usize, write: fn(&mut Self)) {
        if self.choices.one_in(12) {
            self.text.push_str("null");
            return;
        }
        self.text.push('[');
        for position in 0..self.choices.below(most + 1) {
            if position > 0 {
                self.text.push(',');
            }
            if self.odd() { self.anything() } else { write(self) }
        }
        self.text.push(']');
    }

    fn any_text(&mut self) {
        self.text_of(&["", "x", "linux", "amd64", "v8", "\u{fc}\u{1f600}", "a\\n\\\"b", "unknown"]);
    }

    fn texts(&mut self) {
        self.object(&[
            ("a", 50, Self::any_text),
            ("A", 30, Self::any_text),
            ("key", 20, |writer| writer.text.push_str("null")),
        ]);
    }

    fn platform(&mut self) {
        self.object(&[
            ("architecture", 80, Self::any_text),
            ("os", 80, Self::any_text),
            ("os.version", 10, Self::any_text),
            ("os.features", 10, |writer| writer.list(2, Self::any_text)),
            ("variant", 30, Self::any_text),
            ("features", 5, |writer| writer.list(2, Self::any_text)),
        ]);
    }

    fn descriptor(&mut self) {
        self.object(&[
            ("mediaType", 95, |writer| writer.text_of(&TYPES)),
            ("digest", 99, |writer| writer.text_of(&[EMPTY, OTHER])),
            ("size", 99, |writer| writer.text.push('2')),
            ("urls", 15, |writer| writer.list(2, Self::any_text)),
            ("annotations", 15, Self::texts),
            ("data", 10, |writer| writer.text_of(&["e30=", "e30=\\n"])),
            ("platform", 25, Self::platform),
            ("artifactType", 10, Self::any_text),
            ("unknown", 10, Self::anything),
        ]);
    }

    fn manifest(&mut self) {
        let stated = |writer: &mut Self| writer.text_of(&TYPES[..2]);
        if self.choices.one_in(2) {
            self.object(&[
                ("schemaVersion", 99, |writer| writer.text.push('2')),
                ("mediaType", 30, stated),
                ("artifactType", 30, Self::any_text),
                ("config", 97, Self::descriptor),
                ("layers", 90, |writer| writer.list(3, Self::descriptor)),
                ("subject", 30, Self::descriptor),
                ("annotations", 30, Self::texts),
                ("unknown", 20, Self::anything),
                ("manifests", 2, |writer| writer.list(2, Self::descriptor)),
            ]);
        } else {
            self.object(&[
                ("manifests", 97, |writer| writer.list(3, Self::descriptor)),
                ("blobs", 5, |writer| writer.list(2, Self::descriptor)),
                ("schemaVersion", 99, |writer| writer.text.push('2')),
                ("mediaType", 30, stated),
                ("annotations", 30, Self::texts),
                ("subject", 30, Self::descriptor),
                ("artifactType", 30, Self::any_text),
                ("fsLayers", 1, Self::anything),
            ]);
        }
    }
}

fn document(seed: u64) -> String {
    let mut choices = Choices(seed);
    let odds = choices.odds();
    let mut writer = Writer { choices, odds, text: String::new() };
    writer.manifest();
    writer.text
}

#[test]
fn d11_what_is_taken_go_reads_the_same() {
    let Some(mut go) = Go::start() else {
        eprintln!("left out: there is no Go");
        return;
    };
    for corpus in ["manifest", "manifest_go"] {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(corpus);
        for entry in std::fs::read_dir(corpus).unwrap() {
            go.compare(&std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
    let (began, first) = (Instant::now(), 0);
    let longer: u64 = std::env::var("AIRDOCK_GO_SECONDS").map_or(0, |seconds| seconds.parse().unwrap());
    let (mut seed, mut taken) = (first, 0_u64);
    while seed < 3000 || began.elapsed() < Duration::from_secs(longer) {
        taken += u64::from(go.compare(document(seed).as_bytes()));
        seed += 1;
    }
    println!("{seed} documents, {taken} of them taken");
    // Else the two agree because nothing is taken.
    assert!(taken > seed / 5 && taken < seed * 9 / 10, "{taken} of {seed} documents are taken");
}
