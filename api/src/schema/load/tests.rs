//! The text form of the schema table.

use super::*;

#[test]
fn every_line_is_read() {
    let text = include_str!("../schema.txt");
    let table = parse(text);
    let fields: usize = table.defs.iter().map(|def| def.fields.len() + def.inline.len()).sum();
    assert_eq!(fields, text.lines().filter(|line| line.starts_with(' ')).count());
    assert_eq!(table.defs.len(), text.lines().filter(|line| line.starts_with(['D', 'H'])).count());
    assert!(table.defs.len() > 600 && table.by_name.len() == table.defs.len());
}

#[test]
fn damage_is_skipped() {
    let table = parse("P0 a.b\nD 0:X\n name|1|s|rk\n bad|x|s\n other|2|Nothing\nrubbish\n");
    assert_eq!(table.defs.len(), 1);
    assert_eq!(table.defs[0].fields.len(), 1);
}
