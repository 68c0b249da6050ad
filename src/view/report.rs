//! The report of an ingest as a table.

use std::fmt::Write as _;

use airdock_registry::names::Namespace;
use airdock_sync::ingest::{ImageRow, Report};
use indicatif::HumanBytes;

use crate::view::table::Table;
use crate::view::text::{counted, noticed, platforms, printable, shortened};

const HEAD: [&str; 6] = ["IMAGE", "INTERNAL NAME", "DIGEST", "PLATFORMS", "SIZE", "STATE"];

/// The table, then warnings, refusals and signatures, then a summary in one line.
pub(crate) fn render(report: &Report) -> String {
    let mut text = String::new();
    if !report.images.is_empty() {
        table(&mut text, &report.images);
    }
    for (kind, notices) in [("warning", &report.warnings), ("refused", &report.failures)] {
        notices.iter().for_each(|notice| text += &(noticed(kind, notice) + "\n"));
    }
    for signature in &report.signatures {
        let _ = writeln!(text, "signed: {}", printable(&signature.to_string()));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(text, "{}", summary(report));
    text
}

fn table(text: &mut String, images: &[ImageRow]) {
    let rows: Vec<[String; 6]> = images.iter().map(cells).collect();
    let mut table = Table::new(HEAD);
    table.expect(text, &rows);
    for (row, image) in rows.iter().zip(images) {
        table.line(text, row);
        // Further names get lines of their own: in the column they would widen every row.
        for name in names(image).skip(1) {
            let _ = writeln!(text, "  also {}", printable(name));
        }
        if let Some(note) = &image.note {
            let _ = writeln!(text, "  note: {}", printable(note));
        }
    }
}

/// Its other names, internal names first.
fn names(image: &ImageRow) -> impl Iterator<Item = &str> {
    let is_upstream = |name: &&str| Namespace::of_component(name.split('/').next().unwrap_or_default()).is_some();
    let all = || image.internal.iter().map(String::as_str);
    all().filter(move |name| !is_upstream(name)).chain(all().filter(is_upstream))
}

fn cells(image: &ImageRow) -> [String; 6] {
    let internal = names(image).next().unwrap_or("-");
    [
        printable(&image.image),
        printable(internal),
        shortened(&image.digest),
        platforms(&image.platforms),
        HumanBytes(image.size).to_string(),
        printable(&image.state),
    ]
}

fn summary(report: &Report) -> String {
    let read = HumanBytes(report.bytes_read);
    let seconds = report.seconds;
    let images = counted(report.images.len() as u64, "image or chart", "images and charts");
    match (report.wrote, report.failures.len()) {
        (false, 0) => format!("nothing was written: everything was already there ({images}, {seconds:.1} s)"),
        (true, 0) => format!("{images} went in: {read} read in {seconds:.1} s"),
        (wrote, refused) => {
            let refused = counted(refused as u64, "was refused", "were refused");
            let rest = if wrote { "the rest went in" } else { "the rest was already there" };
            format!("{refused}; {rest} ({images}): {read} read in {seconds:.1} s")
        }
    }
}

#[cfg(test)]
mod tests {
    use airdock_sync::ingest::Notice;

    use super::*;

    fn row() -> ImageRow {
        ImageRow {
            image: "zenmldocker/zenml:0.93.2".into(),
            internal: vec!["ghcr.io/zenml:0.93.2".into(), "zenml/zenml:0.93.2".into()],
            digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".into(),
            platforms: vec!["linux/amd64".into()],
            size: 2048,
            state: "new".into(),
            note: Some("the archive has lost the registry's digest".into()),
        }
    }

    #[test]
    fn the_table_lists_images_then_refusals_then_a_summary() {
        let chart =
            ImageRow { image: "zenml".into(), state: "kept".into(), digest: "sha256:aa".into(), ..ImageRow::default() };
        let report = Report {
            images: vec![row(), chart],
            failures: vec![Notice { file: "a.tar".into(), message: "cut short".into() }],
            wrote: true,
            bytes_read: 4096,
            seconds: 1.25,
            ..Report::default()
        };
        let expected = "\
IMAGE                     INTERNAL NAME       DIGEST               PLATFORMS    SIZE      STATE
zenmldocker/zenml:0.93.2  zenml/zenml:0.93.2  sha256:0123456789ab  linux/amd64  2.00 KiB  new
  also ghcr.io/zenml:0.93.2
  note: the archive has lost the registry's digest
zenml                     -                   sha256:aa            -            0 B       kept
refused: a.tar: cut short

1 was refused; the rest went in (2 images and charts): 4.00 KiB read in 1.2 s
";
        assert_eq!(render(&report), expected);
    }

    #[test]
    fn a_second_ingest_says_that_nothing_was_written() {
        let report = Report { images: vec![row()], ..Report::default() };
        assert!(
            render(&report)
                .ends_with("\nnothing was written: everything was already there (1 image or chart, 0.0 s)\n")
        );
    }

    #[test]
    fn control_characters_in_a_name_are_escaped() {
        let report = Report {
            images: vec![ImageRow { image: "a\x1b[2Jb\n".into(), ..row() }],
            warnings: vec![Notice { file: "\r".into(), message: "x".into() }],
            ..Report::default()
        };
        let text = render(&report);
        assert!(!text.contains('\x1b') && !text.contains('\r'), "{text:?}");
        assert!(text.contains("a\\u{1b}[2Jb\\n"), "{text}");
    }
}
