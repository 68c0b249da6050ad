//! `airdock verify`: reads everything again, and says what is damaged, what that breaks, and what to do.

use airdock_config::Config;
use indicatif::HumanBytes;

use super::{Worker, runtime, unexpected};
use crate::cli::VerifyArguments;
use crate::exit::Exit;
use crate::output::{self, printable};
use crate::progress::Progress;
use crate::request::{Damage, Medium, Place, Reply, Request, Verified, Verifying};
use crate::words::counted;

pub(crate) fn run(config: Config, arguments: VerifyArguments) -> anyhow::Result<Exit> {
    let VerifyArguments { json, progress, remove_damaged, references, .. } = arguments;
    let progress = Progress::verifying(progress, json);
    let reply = runtime()?.block_on(async {
        let worker = Worker::find_existing(config.registry).await?;
        let request = Request::Verify { references, remove_damaged };
        let show = |part| {
            let Reply::Verifying(Verifying { bytes, total }) = part else { return Err(unexpected()) };
            progress.reached(bytes, total);
            Ok(())
        };
        worker.ask(request, show).await
    });
    progress.end();
    let Reply::Verified(verified) = reply? else { return Err(unexpected()) };
    if json {
        output::json(&verified)?;
    } else {
        output::text(render(&verified));
    }
    Ok(if verified.damaged.is_empty() { Exit::Done } else { Exit::Refused })
}

fn render(verified: &Verified) -> String {
    let mut text = String::new();
    for Damage { subject, place, problem, breaks, more, removed } in &verified.damaged {
        let lies = |Place { medium, file, offset }: &Place| {
            format!(" in `{}` at byte {offset}, of the mounted `{}`", printable(file), printable(medium))
        };
        let lies = place.as_ref().map(lies).unwrap_or_default();
        text += &format!("damaged: {}{lies}: {}\n", printable(subject), printable(problem));
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
    if verified.more > 0 {
        text += &format!("and {} more are damaged\n", verified.more);
    }
    let Verified { blobs, bytes, manifests, media, damaged, more } = verified;
    let blobs_of = |blobs, bytes| format!("{} ({})", counted(blobs, "blob", "blobs"), HumanBytes(bytes));
    let manifests = counted(*manifests, "manifest", "manifests");
    let mut whole = format!("{} and {manifests} were read", blobs_of(*blobs, *bytes));
    for Medium { name, blobs, bytes } in media {
        whole += &format!("; of these {} on the mounted `{}`", blobs_of(*blobs, *bytes), printable(name));
    }
    if damaged.is_empty() {
        return format!("{text}everything is whole: {whole}\n");
    }
    let stored: Vec<_> = damaged.iter().filter(|damage| damage.place.is_none()).collect();
    if stored.iter().any(|damage| !damage.removed && damage.problem.contains("digest")) {
        text += "what to do: run it again with --remove-damaged; a blob that is there is not written again\n";
    }
    if !stored.is_empty() {
        text += "what to do: ingest the bundle again, or push the image again: only what is damaged or missing is written\n";
    }
    if stored.len() < damaged.len() {
        text += "what to do: copy the files anew onto the medium and restart airdock; nothing of a medium is changed, also \
                 with --remove-damaged\n";
    }
    text + &format!("{} damaged: {whole}\n", damaged.len() as u64 + more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_named_with_what_it_breaks_and_what_to_do() {
        let damage = Damage {
            subject: "sha256:aa".into(),
            place: None,
            problem: "its content has digest `sha256:bb`".into(),
            breaks: vec!["zenml/zenml:1".into()],
            more: 2,
            removed: false,
        };
        let verified = Verified { blobs: 3, bytes: 2048, manifests: 1, media: vec![], damaged: vec![damage], more: 0 };
        let expected = "\
damaged: sha256:aa: its content has digest `sha256:bb`
  breaks zenml/zenml:1
  and 2 more
what to do: run it again with --remove-damaged; a blob that is there is not written again
what to do: ingest the bundle again, or push the image again: only what is damaged or missing is written
1 damaged: 3 blobs (2.00 KiB) and 1 manifest were read
";
        assert_eq!(render(&verified), expected);
    }

    #[test]
    fn damage_on_a_medium_is_named_with_its_place_and_what_to_do_there() {
        let place = Place { medium: "/mnt/disc".into(), file: "disc/app.tar".into(), offset: 512 };
        let damage = Damage {
            subject: "sha256:aa".into(),
            place: Some(place),
            problem: "its content has digest `sha256:bb`".into(),
            breaks: vec![],
            more: 0,
            removed: false,
        };
        let media = vec![Medium { name: "/mnt/disc".into(), blobs: 2, bytes: 1024 }];
        let verified = Verified { blobs: 3, bytes: 2048, manifests: 1, media, damaged: vec![damage], more: 0 };
        let expected = "\
damaged: sha256:aa in `disc/app.tar` at byte 512, of the mounted `/mnt/disc`: its content has digest `sha256:bb`
what to do: copy the files anew onto the medium and restart airdock; nothing of a medium is changed, also with --remove-damaged
1 damaged: 3 blobs (2.00 KiB) and 1 manifest were read; of these 2 blobs (1.00 KiB) on the mounted `/mnt/disc`
";
        assert_eq!(render(&verified), expected);
    }
}
