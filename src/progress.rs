//! How far an ingest is: a bar on a terminal, plain lines elsewhere, events for machines.

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
        let shown = match when {
            When::Never => Shown::Nothing,
            When::Auto if json => Shown::Nothing,
            When::Auto | When::Always if io::stderr().is_terminal() => Shown::Bar(ProgressBar::no_length()),
            When::Auto | When::Always => Shown::Lines(Lines::new(Instant::now())),
        };
        Self { json, shown: Mutex::new(shown) }
    }

    /// Lines in the log, in whatever form that has: a server's standard error is its log.
    pub(crate) fn log() -> Self {
        Self { json: false, shown: Mutex::new(Shown::Log(Lines::new(Instant::now()))) }
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

fn show_on_bar(bar: &ProgressBar, event: &Event) {
    const WHOLE: &str = "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left  {wide_msg}";
    const OPEN: &str = "{spinner} {bytes}, {bytes_per_sec}  {wide_msg}";
    match event {
        Event::Started { total_bytes } => {
            let template = if total_bytes.is_some() { WHOLE } else { OPEN };
            let style = ProgressStyle::with_template(template);
            bar.set_style(style.expect("the templates above are well formed: a test draws them"));
            if let Some(total) = total_bytes {
                bar.set_length(*total);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
        }
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
    began: Instant,
    total: Option<u64>,
    done: u64,
    said_at: Instant,
    said: u64,
}

impl Lines {
    fn new(now: Instant) -> Self {
        Self { began: now, total: None, done: 0, said_at: now, said: 0 }
    }

    /// The lines an event is worth.
    fn after(&mut self, event: &Event, now: Instant) -> Option<String> {
        match event {
            Event::Started { total_bytes } => {
                *self = Self { total: *total_bytes, ..Self::new(now) };
                Some(match total_bytes {
                    Some(total) => format!("ingesting {}", HumanBytes(*total)),
                    None => "ingesting".to_owned(),
                })
            }
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
        let mut lines = Lines::new(began);
        lines.after(&Event::Started { total_bytes: Some(1000) }, began);
        let mut advance = |bytes, seconds| lines.after(&Event::Advanced { bytes }, second(began, seconds));
        assert_eq!(advance(400, 0), None, "too early");
        assert_eq!(advance(100, 1).unwrap(), " 50 %  500 B of 1000 B, 500 B/s, 1 s left");
        assert_eq!(advance(49, 9), None, "too little");
        assert!(advance(1, 10).unwrap().starts_with(" 55 %"));
    }

    #[test]
    fn without_a_total_there_is_no_time_left_to_tell() {
        let began = Instant::now();
        let mut lines = Lines::new(began);
        lines.after(&Event::Started { total_bytes: None }, began);
        let line = lines.after(&Event::Advanced { bytes: 4096 }, second(began, 2)).unwrap();
        assert_eq!(line, "4.00 KiB, 2.00 KiB/s");
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_does_not_pass_the_whole() {
        let began = Instant::now();
        let mut lines = Lines::new(began);
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
}
