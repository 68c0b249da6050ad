//! Text for people: untrusted names made safe to show, and lists cut short.

/// Makes untrusted text fit for an error or a report: short, and without control characters a terminal would act on.
pub(crate) fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut shown: String = text.chars().take(200).map(safe).collect();
    if text.chars().nth(200).is_some() {
        shown.push('…');
    }
    shown
}

/// A list for a sentence, cut after a dozen items.
pub(crate) fn list(items: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if items.len() > SHOWN {
        text.push_str(&format!(" and {} more", items.len() - SHOWN));
    }
    text
}
