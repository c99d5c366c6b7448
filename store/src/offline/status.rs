//! What is in a backup, printed as etcdutl does. The hash is etcd's HashKV at the backup's revision, so that it can be compared
//! with `etcdctl endpoint hashkv`. etcd: etcdutl/etcdutl/printer.go.

use super::ToolError;
use super::backup;
use super::flags::{Format, Status};

struct Found {
    hash: u32,
    revision: u64,
    keys: u64,
    size: u64,
}

/// Runs `snapshot status`.
pub(super) fn status(flags: &Status) -> Result<String, ToolError> {
    let backup = backup::load(&flags.file, false)?;
    let state = &backup.state;
    let (hash, keys) = (state.hash_now().hash, state.live_keys());
    Ok(print(&Found { hash, revision: state.revision(), keys, size: backup.size }, flags.write_out))
}

fn print(found: &Found, format: Format) -> String {
    let Found { hash, revision, keys, size } = found;
    let cells = [format!("{hash:x}"), revision.to_string(), keys.to_string(), human(*size)];
    match format {
        Format::Simple => cells.join(", ") + "\n",
        Format::Json => {
            format!("{{\"hash\":{hash},\"revision\":{revision},\"totalKey\":{keys},\"totalSize\":{size}}}\n",)
        }
        Format::Fields => {
            format!("\"Hash\" : {hash}\n\"Revision\" : {revision}\n\"Keys\" : {keys}\n\"Size\" : {size}\n")
        }
        Format::Table => table(&["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE"], &cells),
    }
}

fn table(head: &[&str], cells: &[String]) -> String {
    let widths: Vec<usize> = head.iter().zip(cells).map(|(head, cell)| head.len().max(cell.len())).collect();
    let line = widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("+");
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let heads = row(head.iter().zip(&widths).map(|(head, width)| format!("{head:^width$}")).collect());
    let values = row(cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect());
    format!("+{line}+\n{heads}+{line}+\n{values}+{line}+\n")
}

/// Bytes as people read them (as Go's humanize.Bytes).
fn human(bytes: u64) -> String {
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while value >= 1000.0
        && let Some(next) = units.next()
    {
        (value, unit) = (value / 1000.0, next);
    }
    let value = (value * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_printed_as_etcdutl_prints_it() {
        let found = Found { hash: 0xd1ed_6c2f, revision: 5, keys: 6, size: 24_608 };
        assert_eq!(print(&found, Format::Simple), "d1ed6c2f, 5, 6, 25 kB\n");
        assert_eq!(
            print(&found, Format::Json),
            "{\"hash\":3521997871,\"revision\":5,\"totalKey\":6,\"totalSize\":24608}\n"
        );
        let table = [
            "+----------+----------+------------+------------+",
            "|   HASH   | REVISION | TOTAL KEYS | TOTAL SIZE |",
            "+----------+----------+------------+------------+",
            "| d1ed6c2f |        5 |          6 |      25 kB |",
            "+----------+----------+------------+------------+\n",
        ];
        assert_eq!(print(&found, Format::Table), table.join("\n"));
        for (bytes, text) in [(0, "0 B"), (999, "999 B"), (1540, "1.5 kB"), (82_854_982, "83 MB")] {
            assert_eq!(human(bytes), text);
        }
    }
}
