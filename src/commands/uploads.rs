//! `airdock uploads`: what clients have begun to push and not finished, and removing it.

use airdock_config::Config;
use indicatif::HumanBytes;

use super::worker;
use crate::admin::endpoint::Endpoint;
use crate::admin::wire::{UploadRow, Uploads, UploadsRemoved};
use crate::cli::UploadsArguments;
use crate::exit::Exit;
use crate::view::table::Table;
use crate::view::text::{self, counted, minute, printable};

/// Rows that share the width of their columns.
const PAGE: usize = 200;

const HEAD: [&str; 5] = ["UPLOAD", "REPOSITORY", "SIZE", "CLIENT", "CHANGED"];

pub(crate) fn run(config: &Config, arguments: UploadsArguments) -> anyhow::Result<Exit> {
    let UploadsArguments { json, remove, remove_all, .. } = arguments;
    if remove_all || !remove.is_empty() {
        return removed(config, remove, json);
    }
    let mut table = Table::new(HEAD);
    let mut rows = Vec::new();
    let print = |row: UploadRow| {
        if json {
            return text::json(&row);
        }
        rows.push(cells(&row));
        if rows.len() == PAGE {
            let mut page = String::new();
            table.rows(&mut page, &std::mem::take(&mut rows));
            text::text(page);
        }
        Ok(())
    };
    let Uploads { uploads, bytes } = worker::run(config, Endpoint::ListUploads, print)?;
    if !json {
        let mut page = String::new();
        if !rows.is_empty() {
            table.rows(&mut page, &rows);
        }
        let between = if uploads == 0 { "" } else { "\n" };
        text::text(format_args!("{page}{between}{}, {}\n", counted(uploads, "upload", "uploads"), HumanBytes(bytes)));
    }
    Ok(Exit::Done)
}

fn removed(config: &Config, ids: Vec<String>, json: bool) -> anyhow::Result<Exit> {
    let outcome: UploadsRemoved = worker::ask(config, Endpoint::RemoveUploads { ids })?;
    if json {
        text::json(&outcome)?;
    } else {
        text::line(format_args!("removed {}", counted(outcome.removed, "upload", "uploads")));
        for id in &outcome.unknown {
            eprintln!("airdock: there is no upload `{}`, or it is just being finished", printable(id));
        }
    }
    Ok(if outcome.unknown.is_empty() { Exit::Done } else { Exit::Failed })
}

fn cells(row: &UploadRow) -> [String; 5] {
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let held = if row.held { ", in use" } else { "" };
    [
        row.id.clone(),
        known(row.repository.as_ref().map(ToString::to_string)),
        HumanBytes(row.size).to_string(),
        known(row.client.map(|client| client.to_string())),
        format!("{} UTC{held}", minute(row.changed)),
    ]
}
