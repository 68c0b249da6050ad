//! How many of what, for people.

/// `1 tag`, `2 tags`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_none_are_many() {
        let tags = |count| counted(count, "tag", "tags");
        assert_eq!([tags(0), tags(1), tags(2)], ["0 tags", "1 tag", "2 tags"]);
    }
}
