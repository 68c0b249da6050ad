//! `airdock ls`: what is here, tag by tag, as it comes.

use airdock_config::Config;
use indicatif::HumanBytes;

use super::{Worker, runtime, unexpected};
use crate::cli::LsArguments;
use crate::exit::Exit;
use crate::output::{self, printable};
use crate::report::SHORT_DIGEST;
use crate::request::{Listed, Origin, Reply, Request, TagRow};
use crate::table::Table;
use crate::words::counted;

const HEAD: [&str; 7] = ["TAG", "DIGEST", "KIND", "PLATFORMS", "SIZE", "FROM", "WHEN"];

pub(crate) fn run(config: Config, arguments: LsArguments) -> anyhow::Result<Exit> {
    let LsArguments { json, patterns, .. } = arguments;
    let mut table = Table::new(HEAD);
    let reply = runtime()?.block_on(async {
        let worker = Worker::find_existing(config.registry).await?;
        let request = Request::List { patterns: patterns.clone() };
        let print = |part| match part {
            Reply::Tags(rows) if json => rows.iter().try_for_each(output::json),
            Reply::Tags(rows) => {
                output::text(page(&mut table, &rows));
                Ok(())
            }
            _ => Err(unexpected()),
        };
        worker.ask(request, print).await
    })?;
    let Reply::Listed(Listed { repositories, tags }) = reply else { return Err(unexpected()) };
    if tags == 0 && !patterns.is_empty() {
        eprintln!("airdock: nothing fits {}; `airdock ls` lists everything", printable(&patterns.join(" ")));
        return Ok(Exit::Failed);
    }
    if !json {
        let repositories = counted(repositories, "repository", "repositories");
        let tags = counted(tags, "tag", "tags");
        output::line(format_args!("{}{repositories}, {tags}", if tags.starts_with("0 ") { "" } else { "\n" }));
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
    let dash = || "-".to_owned();
    let platforms = if row.platforms.is_empty() { dash() } else { row.platforms.join(",") };
    [
        format!("{}:{}", row.repository, row.tag),
        row.digest.chars().take(SHORT_DIGEST).collect(),
        row.kind.clone().unwrap_or_else(dash),
        printable(&platforms),
        HumanBytes(row.size).to_string(),
        printable(&row.origin.provenance.to_string()),
        when(&row.origin),
    ]
}

/// To the minute, in UTC: the machine a bundle came from may be in another zone than the one who asks.
pub(super) fn when(origin: &Origin) -> String {
    origin.at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use airdock_registry::Provenance;

    use super::*;
    use crate::request::Source;

    #[test]
    fn a_page_is_written_for_people_and_a_later_one_keeps_its_columns() {
        let at = "2026-11-21T14:05:59Z".parse().unwrap();
        let row = |tag: &str, problem: Option<&str>| TagRow {
            repository: "zenml/zenml".into(),
            tag: tag.into(),
            digest: "sha256:0123456789abcdef0123456789abcdef".into(),
            kind: Some("image".into()),
            media_type: None,
            platforms: vec!["linux/amd64".into(), "linux/arm64".into()],
            size: 2048,
            origin: Origin {
                provenance: Source::Linked(Provenance::Ingested { bundle: "b\x1b".into(), release: None }),
                at: Some(at),
            },
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
