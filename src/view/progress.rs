//! Progress of an ingest or a verification: a bar on a terminal, plain lines elsewhere, events for programs.

use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use airdock_sync::ingest::{Event, Notice};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::cli::When;
use crate::view::text::{self, noticed, printable};

/// The least time between two plain lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Shows events as they come.
pub(crate) struct Progress {
    json: bool,
    shown: Mutex<Shown>,
}

enum Shown {
    /// Nothing is shown; the warnings so far.
    Nothing(Vec<Notice>),
    Bar(ProgressBar),
    Lines(Lines),
}

impl Progress {
    /// The progress of an ingest. A bar needs a terminal; with JSON events on standard output, progress has to be requested.
    pub(crate) fn new(when: When, json: bool) -> Self {
        Self { json, shown: Mutex::new(Shown::new(when, json, "ingesting")) }
    }

    /// The progress of a verification, which has no events: only its report goes to standard output.
    pub(crate) fn verifying(when: When, json: bool) -> Self {
        Self { json: false, shown: Mutex::new(Shown::new(when, json, "verifying")) }
    }

    /// Lines in the log: a server's standard error is its log.
    pub(crate) fn log() -> Self {
        Self { json: false, shown: Mutex::new(Shown::Lines(Lines::new("ingesting", true, Instant::now()))) }
    }

    /// Shows that `bytes` of `total` are done. The total may grow while the work goes on.
    pub(crate) fn reached(&self, bytes: u64, total: u64) {
        match &mut *self.shown() {
            Shown::Nothing(_) => {}
            Shown::Bar(bar) => {
                if bar.length() != Some(total) {
                    begin_bar(bar, Some(total));
                }
                bar.set_position(bytes);
            }
            Shown::Lines(lines) => {
                let line = lines.reached(bytes, total, Instant::now());
                line.into_iter().for_each(|line| lines.print(&line, false));
            }
        }
    }

    /// Shows one event.
    pub(crate) fn show(&self, event: &Event) {
        if self.json
            && let Ok(json) = serde_json::to_string(event)
        {
            text::line(json);
        }
        match &mut *self.shown() {
            // As JSON they were printed.
            Shown::Nothing(warnings) if !self.json => {
                warnings.extend(if let Event::Warning(notice) = event { Some(notice.clone()) } else { None });
            }
            Shown::Nothing(_) => {}
            Shown::Bar(bar) => show_on_bar(bar, event),
            Shown::Lines(lines) => {
                let is_warning = matches!(event, Event::Warning(_) | Event::Failed(_));
                lines.after(event, Instant::now()).into_iter().for_each(|line| lines.print(&line, is_warning));
            }
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        // The state has no invariants that a panic could have broken.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the bar; nothing is shown after this. Returns the warnings that were not shown: a warning is shown whatever
    /// becomes of the work, and only a report has them.
    pub(crate) fn end(&self) -> Vec<Notice> {
        match std::mem::replace(&mut *self.shown(), Shown::Nothing(Vec::new())) {
            Shown::Nothing(warnings) => return warnings,
            Shown::Bar(bar) => bar.finish_and_clear(),
            Shown::Lines(_) => {}
        }
        Vec::new()
    }
}

impl Shown {
    fn new(when: When, json: bool, verb: &'static str) -> Self {
        match when {
            When::Never => Self::Nothing(Vec::new()),
            When::Auto if json => Self::Nothing(Vec::new()),
            When::Auto | When::Always if io::stderr().is_terminal() => Self::Bar(ProgressBar::no_length()),
            When::Auto | When::Always => Self::Lines(Lines::new(verb, false, Instant::now())),
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
                // The last sync to disk takes a while, and the bar does not move during it.
                bar.set_message("committing");
            }
        }
        Event::Item { name, .. } => bar.set_message(printable(name)),
        Event::Warning(notice) => bar.suspend(|| eprintln!("{}", noticed("warning", notice))),
        Event::Failed(notice) => bar.suspend(|| eprintln!("{}", noticed("refused", notice))),
        Event::Finished(_) => bar.finish_and_clear(),
    }
}

/// Progress as plain lines; time comes in as an argument.
struct Lines {
    verb: &'static str,
    /// Whether they go to the log instead of standard error.
    to_log: bool,
    began: Instant,
    total: Option<u64>,
    done: u64,
    printed_at: Instant,
    printed: u64,
}

impl Lines {
    fn new(verb: &'static str, to_log: bool, now: Instant) -> Self {
        Self { verb, to_log, began: now, total: None, done: 0, printed_at: now, printed: 0 }
    }

    fn print(&self, line: &str, is_warning: bool) {
        match (self.to_log, is_warning) {
            (false, _) => eprintln!("{line}"),
            (true, true) => tracing::warn!("{line}"),
            (true, false) => tracing::info!("{line}"),
        }
    }

    fn begin(&mut self, total: Option<u64>, now: Instant) -> String {
        *self = Self { total, ..Self::new(self.verb, self.to_log, now) };
        match total {
            Some(total) => format!("{} {}", self.verb, HumanBytes(total)),
            None => self.verb.to_owned(),
        }
    }

    /// The line to print when `bytes` of `total` are done, if one is due.
    fn reached(&mut self, bytes: u64, total: u64, now: Instant) -> Option<String> {
        if self.total != Some(total) {
            return Some(self.begin(Some(total), now));
        }
        self.done = self.done.max(bytes);
        self.is_due(now).then(|| self.line(now))
    }

    /// The line to print for an event, if there is one.
    fn after(&mut self, event: &Event, now: Instant) -> Option<String> {
        match event {
            Event::Started { total_bytes } => Some(self.begin(*total_bytes, now)),
            Event::Advanced { bytes } => {
                self.done = self.done.saturating_add(*bytes);
                self.is_due(now).then(|| self.line(now))
            }
            Event::Item { name, .. } => Some(format!("read {}", printable(name))),
            Event::Warning(notice) => Some(noticed("warning", notice)),
            Event::Failed(notice) => Some(noticed("refused", notice)),
            Event::Finished(_) => None,
        }
    }

    /// At most one line a second, and with a known total at most one per 5 %.
    fn is_due(&self, now: Instant) -> bool {
        let far = self.total.is_none_or(|total| (self.done - self.printed).saturating_mul(20) >= total);
        far && now.duration_since(self.printed_at) >= PAUSE
    }

    fn line(&mut self, now: Instant) -> String {
        (self.printed, self.printed_at) = (self.done, now);
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
    fn lines_come_no_faster_than_one_a_second_and_one_per_five_percent() {
        let began = Instant::now();
        let mut lines = Lines::new("ingesting", false, began);
        lines.after(&Event::Started { total_bytes: Some(1000) }, began);
        let mut advance = |bytes, seconds| lines.after(&Event::Advanced { bytes }, second(began, seconds));
        assert_eq!(advance(400, 0), None, "too early");
        assert_eq!(advance(100, 1).unwrap(), " 50 %  500 B of 1000 B, 500 B/s, 1 s left");
        assert_eq!(advance(49, 9), None, "too little");
        assert!(advance(1, 10).unwrap().starts_with(" 55 %"));
    }

    #[test]
    fn a_verification_reports_progress_in_the_same_lines() {
        let began = Instant::now();
        let mut lines = Lines::new("verifying", false, began);
        assert_eq!(lines.reached(10, 1000, began).unwrap(), "verifying 1000 B");
        assert_eq!(lines.reached(500, 1000, began), None, "too early");
        assert_eq!(lines.reached(500, 1000, second(began, 1)).unwrap(), " 50 %  500 B of 1000 B, 500 B/s, 1 s left");
    }

    #[test]
    fn without_a_total_no_remaining_time_is_shown() {
        let began = Instant::now();
        let mut lines = Lines::new("ingesting", false, began);
        lines.after(&Event::Started { total_bytes: None }, began);
        let line = lines.after(&Event::Advanced { bytes: 4096 }, second(began, 2)).unwrap();
        assert_eq!(line, "4.00 KiB, 2.00 KiB/s");
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_stays_at_100_percent() {
        let began = Instant::now();
        let mut lines = Lines::new("ingesting", false, began);
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
    fn the_bar_of_a_verification_shows_its_position() {
        let bar = ProgressBar::hidden();
        let progress = Progress { json: false, shown: Mutex::new(Shown::Bar(bar.clone())) };
        progress.reached(10, 100);
        progress.reached(60, 100);
        assert_eq!((bar.position(), bar.length()), (60, Some(100)));
    }
}
