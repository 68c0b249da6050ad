//! How far an ingest or a verification is: a bar on a terminal, plain lines elsewhere, events for machines.

use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use airdock_sync::ingest::{Event, Notice};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::cli::When;
use crate::output::{self, printable};

/// Between two plain lines at least this long, unless they are a twentieth of the whole apart.
const PAUSE: Duration = Duration::from_secs(1);

/// Shows events as they come.
pub(crate) struct Progress {
    json: bool,
    shown: Mutex<Shown>,
}

enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines(Lines),
    Log(Lines),
}

impl Progress {
    /// Chooses the form. A bar needs a terminal; events on standard output make up for progress unless it is asked for.
    pub(crate) fn new(when: When, json: bool) -> Self {
        Self { json, shown: Mutex::new(Shown::new(when, json, "ingesting")) }
    }

    /// The same of a verification, which tells no events: only its report goes to standard output.
    pub(crate) fn verifying(when: When, json: bool) -> Self {
        Self { json: false, shown: Mutex::new(Shown::new(when, json, "verifying")) }
    }

    /// Lines in the log, in whatever form that has: a server's standard error is its log.
    pub(crate) fn log() -> Self {
        Self { json: false, shown: Mutex::new(Shown::Log(Lines::new("ingesting", Instant::now()))) }
    }

    /// Shows that the first `bytes` of `total` are done. The total may change: it is found out as the work goes on.
    pub(crate) fn reached(&self, bytes: u64, total: u64) {
        match &mut *self.shown() {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                if bar.length() != Some(total) {
                    begin_bar(bar, Some(total));
                }
                bar.set_position(bytes);
            }
            Shown::Lines(lines) => {
                if let Some(line) = lines.reached(bytes, total, Instant::now()) {
                    eprintln!("{line}");
                }
            }
            Shown::Log(lines) => {
                if let Some(line) = lines.reached(bytes, total, Instant::now()) {
                    tracing::info!("{line}");
                }
            }
        }
    }

    /// Shows one event.
    pub(crate) fn show(&self, event: &Event) {
        if self.json
            && let Ok(json) = serde_json::to_string(event)
        {
            output::line(json);
        }
        match &mut *self.shown() {
            Shown::Nothing => {}
            Shown::Bar(bar) => show_on_bar(bar, event),
            Shown::Lines(lines) => {
                if let Some(line) = lines.after(event, Instant::now()) {
                    eprintln!("{line}");
                }
            }
            Shown::Log(lines) => match (lines.after(event, Instant::now()), event) {
                (Some(line), Event::Warning(_) | Event::Failed(_)) => tracing::warn!("{line}"),
                (Some(line), _) => tracing::info!("{line}"),
                (None, _) => {}
            },
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        // Whatever was shown when a thread panicked, the next line is as good as ever.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the bar away; nothing is shown after it.
    pub(crate) fn end(&self) {
        if let Shown::Bar(bar) = std::mem::replace(&mut *self.shown(), Shown::Nothing) {
            bar.finish_and_clear();
        }
    }
}

impl Shown {
    fn new(when: When, json: bool, verb: &'static str) -> Self {
        match when {
            When::Never => Self::Nothing,
            When::Auto if json => Self::Nothing,
            When::Auto | When::Always if io::stderr().is_terminal() => Self::Bar(ProgressBar::no_length()),
            When::Auto | When::Always => Self::Lines(Lines::new(verb, Instant::now())),
        }
    }
}

fn begin_bar(bar: &ProgressBar, total: Option<u64>) {
    const WHOLE: &str = "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left  {wide_msg}";
    const OPEN: &str = "{spinner} {bytes}, {bytes_per_sec}  {wide_msg}";
    let style = ProgressStyle::with_template(if total.is_some() { WHOLE } else { OPEN });
    bar.set_style(style.expect("the templates above are well formed: a test draws them"));
    if let Some(total) = total {
        bar.set_length(total);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
}

fn show_on_bar(bar: &ProgressBar, event: &Event) {
    match event {
        Event::Started { total_bytes } => begin_bar(bar, *total_bytes),
        Event::Advanced { bytes } => {
            bar.inc(*bytes);
            if bar.length().is_some_and(|length| bar.position() >= length) {
                // The disk has its say before the tags appear, and nothing would move meanwhile.
                bar.set_message("putting it in place");
            }
        }
        Event::Item { name, .. } => bar.set_message(printable(name)),
        Event::Warning(notice) => bar.suspend(|| eprintln!("{}", warning(notice))),
        Event::Failed(notice) => bar.suspend(|| eprintln!("{}", refusal(notice))),
        Event::Finished(_) => bar.finish_and_clear(),
    }
}

fn warning(notice: &Notice) -> String {
    format!("warning: {}: {}", printable(&notice.file), printable(&notice.message))
}

fn refusal(notice: &Notice) -> String {
    format!("refused: {}: {}", printable(&notice.file), printable(&notice.message))
}

/// Progress as plain lines; time comes in as an argument.
struct Lines {
    verb: &'static str,
    began: Instant,
    total: Option<u64>,
    done: u64,
    said_at: Instant,
    said: u64,
}

impl Lines {
    fn new(verb: &'static str, now: Instant) -> Self {
        Self { verb, began: now, total: None, done: 0, said_at: now, said: 0 }
    }

    fn begin(&mut self, total: Option<u64>, now: Instant) -> String {
        *self = Self { total, ..Self::new(self.verb, now) };
        match total {
            Some(total) => format!("{} {}", self.verb, HumanBytes(total)),
            None => self.verb.to_owned(),
        }
    }

    /// The line it is worth that so much is done.
    fn reached(&mut self, bytes: u64, total: u64, now: Instant) -> Option<String> {
        if self.total != Some(total) {
            return Some(self.begin(Some(total), now));
        }
        self.done = self.done.max(bytes);
        self.is_due(now).then(|| self.line(now))
    }

    /// The lines an event is worth.
    fn after(&mut self, event: &Event, now: Instant) -> Option<String> {
        match event {
            Event::Started { total_bytes } => Some(self.begin(*total_bytes, now)),
            Event::Advanced { bytes } => {
                self.done = self.done.saturating_add(*bytes);
                self.is_due(now).then(|| self.line(now))
            }
            Event::Item { name, .. } => Some(format!("read {}", printable(name))),
            Event::Warning(notice) => Some(warning(notice)),
            Event::Failed(notice) => Some(refusal(notice)),
            Event::Finished(_) => None,
        }
    }

    /// At most one line a second, and with a known total at most one each five hundredths.
    fn is_due(&self, now: Instant) -> bool {
        let far = self.total.is_none_or(|total| (self.done - self.said).saturating_mul(20) >= total);
        far && now.duration_since(self.said_at) >= PAUSE
    }

    fn line(&mut self, now: Instant) -> String {
        (self.said, self.said_at) = (self.done, now);
        let seconds = now.duration_since(self.began).as_secs_f64();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate for people"
        )]
        let rate = (self.done as f64 / seconds.max(0.001)) as u64;
        let done = HumanBytes(self.done);
        match self.total {
            Some(total) if total > 0 => {
                let percent = u128::from(self.done.min(total)) * 100 / u128::from(total);
                let left = total.saturating_sub(self.done) / rate.max(1);
                format!("{percent:3} %  {done} of {}, {}/s, {left} s left", HumanBytes(total), HumanBytes(rate))
            }
            _ => format!("{done}, {}/s", HumanBytes(rate)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(began: Instant, seconds: u64) -> Instant {
        began + Duration::from_secs(seconds)
    }

    #[test]
    fn lines_come_no_faster_than_one_a_second_and_five_hundredths() {
        let began = Instant::now();
        let mut lines = Lines::new("ingesting", began);
        lines.after(&Event::Started { total_bytes: Some(1000) }, began);
        let mut advance = |bytes, seconds| lines.after(&Event::Advanced { bytes }, second(began, seconds));
        assert_eq!(advance(400, 0), None, "too early");
        assert_eq!(advance(100, 1).unwrap(), " 50 %  500 B of 1000 B, 500 B/s, 1 s left");
        assert_eq!(advance(49, 9), None, "too little");
        assert!(advance(1, 10).unwrap().starts_with(" 55 %"));
    }

    #[test]
    fn a_verification_says_how_far_it_is_in_the_same_lines() {
        let began = Instant::now();
        let mut lines = Lines::new("verifying", began);
        assert_eq!(lines.reached(10, 1000, began).unwrap(), "verifying 1000 B");
        assert_eq!(lines.reached(500, 1000, began), None, "too early");
        assert_eq!(lines.reached(500, 1000, second(began, 1)).unwrap(), " 50 %  500 B of 1000 B, 500 B/s, 1 s left");
    }

    #[test]
    fn without_a_total_there_is_no_time_left_to_tell() {
        let began = Instant::now();
        let mut lines = Lines::new("ingesting", began);
        lines.after(&Event::Started { total_bytes: None }, began);
        let line = lines.after(&Event::Advanced { bytes: 4096 }, second(began, 2)).unwrap();
        assert_eq!(line, "4.00 KiB, 2.00 KiB/s");
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_does_not_pass_the_whole() {
        let began = Instant::now();
        let mut lines = Lines::new("ingesting", began);
        lines.after(&Event::Started { total_bytes: Some(10) }, began);
        let line = lines.after(&Event::Advanced { bytes: 20 }, second(began, 1)).unwrap();
        assert!(line.starts_with("100 %") && line.ends_with(" 0 s left"), "{line}");
    }

    #[test]
    fn the_bar_takes_every_event() {
        let bar = ProgressBar::hidden();
        let notice = Notice { file: "f".into(), message: "m".into() };
        for event in [
            Event::Started { total_bytes: None },
            Event::Started { total_bytes: Some(10) },
            Event::Advanced { bytes: 10 },
            Event::Warning(notice),
        ] {
            show_on_bar(&bar, &event);
        }
        assert_eq!(bar.position(), 10);
    }

    #[test]
    fn the_bar_of_a_verification_stands_where_that_is() {
        let bar = ProgressBar::hidden();
        let progress = Progress { json: false, shown: Mutex::new(Shown::Bar(bar.clone())) };
        progress.reached(10, 100);
        progress.reached(60, 100);
        assert_eq!((bar.position(), bar.length()), (60, Some(100)));
    }
}
