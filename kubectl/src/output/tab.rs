//! Text with tabs as aligned columns: Go's text/tabwriter (and kubectl's copy that remembers widths while it watches). A cell
//! is what a tab ends; the rest of a line is in no column. A column is a run of adjacent lines that have a cell there, so that
//!
//! ```text
//! Name:\tx            Name:    x
//! Labels:\ta=b    →   Labels:  a=b
//! ```

/// How columns are laid out.
#[derive(Clone, Debug)]
pub struct Tabs {
    least: usize,
    padding: usize,
    remembered: Option<Vec<usize>>,
}

impl Tabs {
    /// The tables of `get`; widths never shrink between two calls.
    pub fn table() -> Self {
        Self { least: 6, padding: 3, remembered: Some(Vec::new()) }
    }

    /// The columns of `describe`.
    pub fn describe() -> Self {
        Self { least: 0, padding: 2, remembered: None }
    }

    /// Columns with this least width and this padding.
    pub fn with(least: usize, padding: usize) -> Self {
        Self { least, padding, remembered: None }
    }

    /// Aligns the columns of a text.
    pub fn align(&mut self, text: &str) -> String {
        let ends = text.ends_with('\n');
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        let mut out = String::with_capacity(text.len() * 2);
        self.block(&lines, 0, lines.len(), &mut Vec::new(), &mut out);
        if !ends && out.ends_with('\n') {
            out.pop();
        }
        out
    }

    fn block(&mut self, lines: &[Vec<&str>], from: usize, to: usize, widths: &mut Vec<usize>, out: &mut String) {
        let (mut from, mut this) = (from, from);
        let column = widths.len();
        while this < to {
            if column + 1 >= lines[this].len() {
                this += 1;
                continue;
            }
            write(&lines[from..this], widths, out);
            from = this;
            let mut width = self.least;
            while this < to && column + 1 < lines[this].len() {
                width = width.max(lines[this][column].chars().count() + self.padding);
                this += 1;
            }
            if let Some(remembered) = &mut self.remembered {
                if remembered.len() <= column {
                    remembered.resize(column + 1, 0);
                }
                width = width.max(remembered[column]);
                remembered[column] = width;
            }
            widths.push(width);
            self.block(lines, from, this, widths, out);
            widths.pop();
            from = this;
        }
        write(&lines[from..to], widths, out);
    }
}

fn write(lines: &[Vec<&str>], widths: &[usize], out: &mut String) {
    for line in lines {
        for (index, cell) in line.iter().enumerate() {
            out.push_str(cell);
            if let Some(width) = widths.get(index) {
                let used = cell.chars().count();
                out.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
            }
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_over_adjacent_lines() {
        let text = "NAME\tREADY\tAGE\na\t1/1\t5s\nlonger-name\t0/1\t10m\n";
        let expected = "NAME          READY   AGE\na             1/1     5s\nlonger-name   0/1     10m\n";
        assert_eq!(Tabs::table().align(text), expected);
    }

    #[test]
    fn a_line_without_the_cell_ends_the_column() {
        let text = "Name:\tx\nLabels:\ta=b\n\tc=d\nConditions:\n  Type\tStatus\n  ----\t------\n";
        let expected = "Name:    x\nLabels:  a=b\n         c=d\nConditions:\n  Type  Status\n  ----  ------\n";
        assert_eq!(Tabs::describe().align(text), expected);
    }

    #[test]
    fn nested_columns_have_their_own_widths() {
        let text = "a\tbbbb\tc\na\tb\nx\ty\tz\n";
        assert_eq!(Tabs::with(0, 1).align(text), "a bbbb c\na b\nx y z\n");
    }

    #[test]
    fn widths_are_remembered_while_watching() {
        let mut tabs = Tabs::table();
        assert_eq!(tabs.align("NAME\tAGE\nlonger-name\t5s\n"), "NAME          AGE\nlonger-name   5s\n");
        assert_eq!(tabs.align("a\t6s\n"), "a             6s\n");
    }

    #[test]
    fn an_empty_last_cell_leaves_the_padding() {
        assert_eq!(Tabs::table().align("A\tB\nabcdef\t\n"), "A        B\nabcdef   \n");
    }
}
