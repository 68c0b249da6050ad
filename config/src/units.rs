//! Sizes and durations as people write them: `10GiB`, `15m`. A number and one unit.

use std::time::Duration;

const SIZES: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

const DURATIONS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads a size; `None` when it is not one or does not fit.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

/// Reads a duration; `None` when it is not one or does not fit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &DURATIONS).map(Duration::from_millis)
}

/// Writes a size in the largest unit that keeps it whole.
pub(crate) fn render_size(bytes: u64) -> String {
    render(bytes, &SIZES)
}

/// Writes a duration in the largest unit that keeps it whole; anything below a millisecond is dropped.
pub(crate) fn render_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if milliseconds == 0 { "0s".to_owned() } else { render(milliseconds, &DURATIONS) }
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().ok()?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start_matches(' '))?;
    number.checked_mul(*factor)
}

fn render(value: u64, units: &[(&str, u64)]) -> String {
    let (unit, factor) = units
        .iter()
        .find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor))
        .unwrap_or(&units[units.len() - 1]);
    format!("{}{unit}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_and_a_binary_unit() {
        assert_eq!(parse_size("10GiB"), Some(10 << 30));
        assert_eq!(parse_size("64 KiB"), Some(65_536));
        assert_eq!(parse_size("0B"), Some(0));
        for wrong in ["", "10", "GiB", "10GB", "1.5GiB", "-1B", "10gib", "99999999999TiB", "１B"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(parse_duration("15m"), Some(Duration::from_secs(900)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        for wrong in ["", "15", "m", "1h30m", "15 minutes", "1.5s", "99999999999999999d"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for bytes in [0, 1, 1023, 1024, 1 << 20, (1 << 20) + 1, 10 << 30, 1 << 40] {
            assert_eq!(parse_size(&render_size(bytes)), Some(bytes));
        }
        for milliseconds in [0, 1, 999, 1000, 60_000, 90_000, 3_600_000, 86_400_000] {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(parse_duration(&render_duration(duration)), Some(duration));
        }
        assert_eq!(render_duration(Duration::from_secs(90)), "90s");
        assert_eq!(render_size(65_536), "64KiB");
    }
}
