//! The five fields of a schedule, as the cron library that upstream uses reads them, and what it says of bad ones.

/// Least and greatest value and the names of a field, by position: minute, hour, day, month, weekday.
const FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];
const NAMED: &[&str] = &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// Says what is wrong with a schedule.
///
/// # Errors
/// The complaint.
pub fn check(schedule: &str) -> Result<(), String> {
    let mut rest = schedule;
    if rest.starts_with("TZ=") || rest.starts_with("CRON_TZ=") {
        rest =
            rest.split_once(' ').map(|(_, rest)| rest.trim()).ok_or_else(|| format!("provided bad location {rest}"))?;
    }
    if rest.starts_with('@') {
        let every = rest.strip_prefix("@every ").is_some_and(|period| api::duration::parse_go(period).is_ok());
        return if every || NAMED.contains(&rest) { Ok(()) } else { Err(format!("unrecognized descriptor: {rest}")) };
    }
    let parts: Vec<&str> = rest.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", parts.len(), parts.join(" ")));
    }
    for (part, (least, most, names)) in parts.iter().zip(FIELDS) {
        for expression in part.split(',') {
            range(expression, least, most, names)?;
        }
    }
    Ok(())
}

/// `*`, `a`, `a-b`, each perhaps with `/step`.
fn range(expression: &str, least: u32, most: u32, names: &[&str]) -> Result<(), String> {
    let halves: Vec<&str> = expression.split('/').collect();
    let bounds: Vec<&str> = halves[0].split('-').collect();
    let (start, mut end) = match bounds.as_slice() {
        ["*" | "?"] => (least, most),
        [one] => (number(one, names)?, number(one, names)?),
        [from, to] => (number(from, names)?, number(to, names)?),
        _ => return Err(format!("too many hyphens: {expression}")),
    };
    match halves.as_slice() {
        [_] => {}
        [_, step] => {
            if number(step, &[])? == 0 {
                return Err(format!("step of range should be a positive number: {expression}"));
            }
            if bounds.len() == 1 {
                end = most;
            }
        }
        _ => return Err(format!("too many slashes: {expression}")),
    }
    if start < least {
        return Err(format!("beginning of range ({start}) below minimum ({least}): {expression}"));
    }
    if end > most {
        return Err(format!("end of range ({end}) above maximum ({most}): {expression}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {expression}"));
    }
    Ok(())
}

fn number(text: &str, names: &[&str]) -> Result<u32, String> {
    let lower = text.to_lowercase();
    if let Some(value) = names.iter().position(|name| !name.is_empty() && *name == lower) {
        return u32::try_from(value).map_err(|error| error.to_string());
    }
    if text.starts_with('-') && text[1..].parse::<u32>().is_ok() {
        return Err(format!("negative number ({text}) not allowed: {text}"));
    }
    text.parse().map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules() {
        let table = [
            ("* * * * *", Ok(())),
            ("*/5 0-6 1,15 jan MON-FRI", Ok(())),
            ("@hourly", Ok(())),
            ("@every 5m", Ok(())),
            ("TZ=Europe/Berlin 0 0 * * *", Ok(())),
            ("@never", Err("unrecognized descriptor: @never")),
            ("* * * *", Err("expected exactly 5 fields, found 4: [* * * *]")),
            ("60 * * * *", Err("end of range (60) above maximum (59): 60")),
            ("* * 0 * *", Err("beginning of range (0) below minimum (1): 0")),
            ("5-1 * * * *", Err("beginning of range (5) beyond end of range (1): 5-1")),
            ("x * * * *", Err("failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax")),
            ("*/0 * * * *", Err("step of range should be a positive number: */0")),
            ("1-2-3 * * * *", Err("too many hyphens: 1-2-3")),
        ];
        for (schedule, expected) in table {
            assert_eq!(check(schedule), expected.map_err(str::to_string), "{schedule}");
        }
    }
}
