//! `airdock verify`: reads everything again and reports what is damaged, what that breaks, and what to do.

use airdock_config::Config;
use airdock_registry::{Finding, MediumPosition, MediumRead, VerifyProgress, VerifyReport};
use indicatif::HumanBytes;

use super::worker;
use crate::admin::endpoint::Endpoint;
use crate::admin::wire::Verify;
use crate::cli::VerifyArguments;
use crate::exit::Exit;
use crate::view::progress::Progress;
use crate::view::text::{self, counted, printable};

pub(crate) fn run(config: &Config, arguments: VerifyArguments) -> anyhow::Result<Exit> {
    let VerifyArguments { json, progress, remove_damaged, references, .. } = arguments;
    let progress = Progress::verifying(progress, json);
    let show = |VerifyProgress { bytes, total }| {
        progress.reached(bytes, total);
        Ok(())
    };
    let report = worker::run(config, Endpoint::Verify(Verify { references, remove_damaged }), show);
    progress.end();
    let report: VerifyReport = report?;
    if json {
        text::json(&report)?;
    } else {
        text::text(render(&report));
    }
    Ok(if report.findings.is_empty() { Exit::Done } else { Exit::Refused })
}

fn render(report: &VerifyReport) -> String {
    let mut text = String::new();
    for Finding { subject, position, problem, breaks, more, removed } in &report.findings {
        let at = |MediumPosition { medium, file, offset }: &MediumPosition| {
            format!(" in `{}` at byte {offset}, of the mounted `{}`", printable(file), printable(medium))
        };
        let at = position.as_ref().map(at).unwrap_or_default();
        text += &format!("damaged: {}{at}: {}\n", printable(subject), printable(problem));
        for name in breaks {
            text += &format!("  breaks {}\n", printable(name));
        }
        if *more > 0 {
            text += &format!("  and {more} more\n");
        }
        if *removed {
            text += "  its file was moved to `damaged` in the data folder\n";
        }
    }
    if report.more > 0 {
        text += &format!("and {} more are damaged\n", report.more);
    }
    let VerifyReport { blobs, bytes, manifests, media, findings, more, .. } = report;
    let blobs_of = |blobs, bytes| format!("{} ({})", counted(blobs, "blob", "blobs"), HumanBytes(bytes));
    let manifests = counted(*manifests, "manifest", "manifests");
    let mut whole = format!("{} and {manifests} were read", blobs_of(*blobs, *bytes));
    for MediumRead { name, blobs, bytes } in media {
        whole += &format!("; of these {} on the mounted `{}`", blobs_of(*blobs, *bytes), printable(name));
    }
    if findings.is_empty() {
        return format!("{text}everything is whole: {whole}\n");
    }
    let stored: Vec<_> = findings.iter().filter(|finding| finding.position.is_none()).collect();
    if stored.iter().any(|finding| !finding.removed && finding.problem.contains("digest")) {
        text += "what to do: run it again with --remove-damaged; an ingest does not write a blob again that is there\n";
    }
    if !stored.is_empty() {
        text += "what to do: ingest the bundle again, or push the image again: only what is damaged or missing is written\n";
    }
    if stored.len() < findings.len() {
        text += "what to do: copy the files onto the medium again and restart airdock; nothing of a medium is changed, also \
                 with --remove-damaged\n";
    }
    text + &format!("{} damaged: {whole}\n", findings.len() as u64 + more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_listed_with_what_it_breaks_and_what_to_do() {
        let finding = Finding {
            subject: "sha256:aa".into(),
            position: None,
            problem: "its content has digest `sha256:bb`".into(),
            breaks: vec!["zenml/zenml:1".into()],
            more: 2,
            removed: false,
        };
        let findings = vec![finding];
        let report = VerifyReport { blobs: 3, bytes: 2048, manifests: 1, findings, ..VerifyReport::default() };
        let expected = "\
damaged: sha256:aa: its content has digest `sha256:bb`
  breaks zenml/zenml:1
  and 2 more
what to do: run it again with --remove-damaged; an ingest does not write a blob again that is there
what to do: ingest the bundle again, or push the image again: only what is damaged or missing is written
1 damaged: 3 blobs (2.00 KiB) and 1 manifest were read
";
        assert_eq!(render(&report), expected);
    }

    #[test]
    fn a_finding_on_a_medium_is_listed_with_its_place_and_what_to_do_there() {
        let position = MediumPosition { medium: "/mnt/disc".into(), file: "disc/app.tar".into(), offset: 512 };
        let finding = Finding {
            subject: "sha256:aa".into(),
            position: Some(position),
            problem: "its content has digest `sha256:bb`".into(),
            breaks: vec![],
            more: 0,
            removed: false,
        };
        let media = vec![MediumRead { name: "/mnt/disc".into(), blobs: 2, bytes: 1024 }];
        let findings = vec![finding];
        let report = VerifyReport { blobs: 3, bytes: 2048, manifests: 1, media, findings, ..VerifyReport::default() };
        let expected = "\
damaged: sha256:aa in `disc/app.tar` at byte 512, of the mounted `/mnt/disc`: its content has digest `sha256:bb`
what to do: copy the files onto the medium again and restart airdock; nothing of a medium is changed, also with --remove-damaged
1 damaged: 3 blobs (2.00 KiB) and 1 manifest were read; of these 2 blobs (1.00 KiB) on the mounted `/mnt/disc`
";
        assert_eq!(render(&report), expected);
    }
}
