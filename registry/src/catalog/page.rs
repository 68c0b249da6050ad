//! Pages of sorted lists.

use std::collections::BTreeSet;

/// Part of a list, in bytewise order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page<T> {
    pub(crate) entries: Vec<T>,
    /// Whether there are more after the last.
    pub(crate) more: bool,
}

/// The first `limit` entries of several lists, each once.
pub(super) fn merged<T: Ord + Clone>(mut pages: Vec<Page<T>>, limit: usize) -> Page<T> {
    if pages.len() == 1 {
        return pages.remove(0);
    }
    let more = pages.iter().any(|page| page.more);
    // A list that was cut off may go on before the entries of another one.
    let cut = pages.iter().filter(|page| page.more).filter_map(|page| page.entries.last()).min().cloned();
    let all: BTreeSet<T> = pages.into_iter().flat_map(|page| page.entries).collect();
    let entries: Vec<T> = all.into_iter().filter(|entry| cut.as_ref().is_none_or(|cut| entry <= cut)).collect();
    Page { more: more || entries.len() > limit, entries: entries.into_iter().take(limit).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_two_lists_is_the_first_of_both_in_order() {
        let page = |entries: &[&'static str], more| Page { entries: entries.to_vec(), more };
        let merged = |one, other, limit| merged(vec![one, other], limit);
        assert_eq!(merged(page(&["a", "c"], false), page(&["b", "c"], false), 10), page(&["a", "b", "c"], false));
        assert_eq!(merged(page(&["a", "c"], true), page(&["b"], false), 2), page(&["a", "b"], true));
        assert_eq!(merged(page(&["x", "y"], true), page(&[], false), 2), page(&["x", "y"], true));
        assert_eq!(
            merged(page(&["a", "b"], true), page(&["c"], false), 10),
            page(&["a", "b"], true),
            "`bb` may follow"
        );
        assert_eq!(merged(page(&[], false), page(&["a"], true), 1), page(&["a"], true));
        assert_eq!(merged(page(&[], false), page(&[], true), 0), page(&[], true));
    }
}
