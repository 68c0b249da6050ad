//! Tables whose columns are as wide as their widest cell so far, so that a long list can be printed while it arrives.

use std::fmt::Write as _;

/// The columns of one table.
pub(crate) struct Table<const N: usize> {
    widths: [usize; N],
    head: Option<[&'static str; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(head: [&'static str; N]) -> Self {
        Self { widths: head.map(str::len), head: Some(head) }
    }

    /// Widens the columns for rows that come next, and writes the head before the first.
    pub(crate) fn expect(&mut self, text: &mut String, rows: &[[String; N]]) {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if let Some(head) = self.head.take() {
            self.line(text, &head.map(str::to_owned));
        }
    }

    /// Writes rows that come at once.
    pub(crate) fn rows(&mut self, text: &mut String, rows: &[[String; N]]) {
        self.expect(text, rows);
        rows.iter().for_each(|row| self.line(text, row));
    }

    /// Writes one row.
    pub(crate) fn line(&self, text: &mut String, cells: &[String; N]) {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(self.widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
