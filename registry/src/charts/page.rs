//! Writing an index.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::{ChartIndex, Line, metadata};
use crate::oci::Algorithm;

/// What an entry has besides its chart's metadata, in bytes: its time, digest and address.
const BESIDE: usize = 256;

/// The index of these charts: the versions of each, and the folder their files are in, relative to the index.
pub(super) fn render(charts: &[(String, Vec<Line>)]) -> ChartIndex {
    let lines = charts.iter().flat_map(|(_, lines)| lines);
    // The newest chart's time rather than now: the same charts give the same bytes, which clients need not load again.
    let generated = lines.clone().map(|line| line.created).fold(Timestamp::UNIX_EPOCH, Timestamp::max);
    let size = lines.map(|line| line.known.members.len() + BESIDE).sum();
    // Written once into one buffer: an index may have many megabytes.
    let mut yaml = String::with_capacity(size);
    yaml.push_str("{\"apiVersion\":\"v1\",\"entries\":{");
    for (at, (folder, lines)) in charts.iter().enumerate() {
        let name = lines.first().map_or("", |line| line.known.name.as_str());
        yaml.push_str(if at == 0 { "\n" } else { ",\n" });
        push(&mut yaml, name);
        yaml.push_str(":[\n");
        for (at, line) in lines.iter().enumerate() {
            yaml.push_str(if at == 0 { "" } else { ",\n" });
            entry(&mut yaml, folder, line);
        }
        yaml.push_str("\n]");
    }
    yaml.push_str("},\"generated\":");
    push(&mut yaml, &generated.to_string());
    yaml.push_str("}\n");
    let yaml = Bytes::from(yaml);
    ChartIndex { digest: Algorithm::Sha256.digest(&yaml), yaml }
}

fn entry(yaml: &mut String, folder: &str, line: &Line) {
    let known = &line.known;
    yaml.push('{');
    yaml.push_str(&known.members);
    yaml.push_str(",\"created\":");
    push(yaml, &line.created.to_string());
    // Helm compares it with the SHA-256 of the archive.
    if known.file.archive.algorithm() == Algorithm::Sha256 {
        yaml.push_str(",\"digest\":");
        push(yaml, &known.file.archive.encoded());
    }
    // Relative to the index, so that it works through any address and proxy.
    yaml.push_str(",\"urls\":[");
    push(yaml, &format!("{folder}{}-{}.tgz", known.name, known.version));
    yaml.push_str("]}");
}

fn push(yaml: &mut String, text: &str) {
    yaml.push_str(&metadata::plain(&Value::from(text).to_string()));
}
