//! `airdock ls`: lists tags while they arrive.

use airdock_config::Config;
use indicatif::HumanBytes;

use super::worker;
use crate::admin::endpoint::Endpoint;
use crate::admin::wire::{Listed, TagRow};
use crate::cli::LsArguments;
use crate::exit::Exit;
use crate::view::table::Table;
use crate::view::text::{self, counted, minute, platforms, printable, short, word};

/// Rows that share the width of their columns.
const PAGE: usize = 200;

const HEAD: [&str; 7] = ["TAG", "DIGEST", "KIND", "PLATFORMS", "SIZE", "FROM", "WHEN"];

pub(crate) fn run(config: &Config, arguments: LsArguments) -> anyhow::Result<Exit> {
    let LsArguments { json, patterns, .. } = arguments;
    let mut table = Table::new(HEAD);
    let mut rows = Vec::new();
    let print = |row| {
        if json {
            return text::json(&row);
        }
        rows.push(row);
        if rows.len() == PAGE {
            text::text(page(&mut table, &std::mem::take(&mut rows)));
        }
        Ok(())
    };
    let endpoint = Endpoint::ListTags { patterns: patterns.clone(), untagged: true };
    let Listed { repositories, tags, untagged } = worker::run(config, endpoint, print)?;
    if !rows.is_empty() {
        text::text(page(&mut table, &rows));
    }
    if tags + untagged == 0 && !patterns.is_empty() {
        eprintln!("airdock: nothing fits {}; `airdock ls` lists everything", printable(&patterns.join(" ")));
        return Ok(Exit::Failed);
    }
    if !json {
        let repositories = counted(repositories, "repository", "repositories");
        let between = if tags + untagged == 0 { "" } else { "\n" };
        let tags = counted(tags, "tag", "tags");
        let untagged = match untagged {
            0 => String::new(),
            untagged => {
                let manifests = counted(untagged, "manifest without a tag", "manifests without a tag");
                format!(", {manifests}; `airdock rm REPOSITORY@DIGEST` removes one")
            }
        };
        text::line(format_args!("{between}{repositories}, {tags}{untagged}"));
    }
    Ok(Exit::Done)
}

fn page(table: &mut Table<7>, rows: &[TagRow]) -> String {
    let cells: Vec<_> = rows.iter().map(cells).collect();
    let mut text = String::new();
    table.expect(&mut text, &cells);
    for (cells, row) in cells.iter().zip(rows) {
        table.line(&mut text, cells);
        if let Some(problem) = &row.problem {
            text += &format!("  problem: {}\n", printable(problem));
        }
    }
    text
}

fn cells(row: &TagRow) -> [String; 7] {
    let at = row.origin.as_ref().and_then(|origin| origin.at);
    let utc = if at.is_some() { " UTC" } else { "" };
    let name = match &row.tag {
        Some(tag) => format!("{}:{tag}", row.repository),
        // The whole digest: it is what `rm` takes.
        None => format!("{}@{}", row.repository, row.digest),
    };
    [
        name,
        short(&row.digest),
        word(&row.kind),
        platforms(&row.platforms),
        HumanBytes(row.size).to_string(),
        row.origin.as_ref().map_or_else(|| "no tag".to_owned(), |origin| printable(&origin.provenance.to_string())),
        minute(at) + utc,
    ]
}

#[cfg(test)]
mod tests {
    use airdock_registry::{ContentKind, Provenance};

    use super::*;
    use crate::admin::wire::{Origin, Source};

    #[test]
    fn a_later_page_keeps_the_columns_of_the_first() {
        let at = "2026-11-21T14:05:59Z".parse().unwrap();
        let row = |tag: &str, problem: Option<&str>| TagRow {
            repository: "zenml/zenml".parse().unwrap(),
            tag: Some(tag.parse().unwrap()),
            digest: format!("sha256:{}", "0123456789ab".repeat(6).get(..64).unwrap()).parse().unwrap(),
            kind: Some(ContentKind::Image),
            media_type: None,
            platforms: vec!["linux/amd64".into(), "linux/arm64".into()],
            size: 2048,
            origin: Some(Origin {
                provenance: Source::Stored(Provenance::Ingested { bundle: "b\x1b".into(), release: None }),
                at: Some(at),
            }),
            problem: problem.map(str::to_owned),
        };
        let mut table = Table::new(HEAD);
        let text = page(&mut table, &[row("0.93.2", None)]) + &page(&mut table, &[row("1", Some("torn"))]);
        let expected = "\
TAG                 DIGEST               KIND   PLATFORMS                SIZE      FROM                   WHEN
zenml/zenml:0.93.2  sha256:0123456789ab  image  linux/amd64,linux/arm64  2.00 KiB  ingested from b\\u{1b}  2026-11-21 14:05 UTC
zenml/zenml:1       sha256:0123456789ab  image  linux/amd64,linux/arm64  2.00 KiB  ingested from b\\u{1b}  2026-11-21 14:05 UTC
  problem: torn
";
        assert_eq!(text, expected);
    }
}
