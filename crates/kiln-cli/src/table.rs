//! A table of text that fits the terminal.

use console::{Term, measure_text_width, pad_str, truncate_str};

/// No column is made narrower than this.
const NARROWEST: usize = 8;

/// Between two columns.
const GAP: &str = "  ";

/// Which end of its column a text stands at.
pub(crate) use console::Alignment;

/// Columns with their headings, and rows of as many texts.
pub(crate) struct Table<'a> {
    pub(crate) columns: &'a [(&'a str, Alignment)],
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table<'_> {
    /// The lines, the headings first; no longer than the terminal is wide as far as texts can be cut. Where there is no terminal,
    /// nothing is cut.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.within(Term::stdout().size_checked().map(|(_, columns)| columns.into()))
    }

    fn within(&self, room: Option<usize>) -> Vec<String> {
        let heading = self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let rows: Vec<&Vec<String>> = std::iter::once(&heading).chain(&self.rows).collect();
        let width = |column: usize| rows.iter().map(|row| measure_text_width(&row[column])).max().unwrap_or(0);
        let mut widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        if let Some(room) = room {
            narrow(&mut widths, room);
        }
        let line = |row: &&Vec<String>| {
            let cells = row.iter().zip(&widths).zip(self.columns).map(|((text, &width), (_, alignment))| {
                pad_str(&truncate_str(text, width, "…"), width, *alignment, None).into_owned()
            });
            cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
        };
        rows.iter().map(line).collect()
    }
}

/// Makes the widest columns narrower until all fit, or none can be made narrower.
fn narrow(widths: &mut [usize], room: usize) {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > room {
        match widths.iter_mut().filter(|width| **width > NARROWEST).max() {
            Some(widest) => *widest -= 1,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_columns_give_way() {
        let columns = [("run", Alignment::Left), ("epochs", Alignment::Right)];
        let rows =
            vec![vec!["a name that is long".to_owned(), "3/10".to_owned()], vec!["b".to_owned(), "12/100".to_owned()]];
        let table = Table { columns: &columns, rows };
        assert_eq!(
            table.within(None),
            ["run                  epochs", "a name that is long    3/10", "b                    12/100"]
        );
        assert_eq!(table.within(Some(18)), ["run         epochs", "a name th…    3/10", "b           12/100"]);
        assert_eq!(table.within(Some(1))[1], "a name …    3/10");
    }
}
