//! What the echo server is told on its command line.

use std::time::Duration;

/// What it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) http: Vec<u16>,
    pub(super) tcp: Vec<u16>,
    pub(super) udp: Vec<u16>,
    pub(super) linger: Duration,
}

impl Options {
    pub(super) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self { http: Vec::new(), tcp: Vec::new(), udp: Vec::new(), linger: Duration::from_secs(2) };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), arguments.next().cloned()),
            };
            let value = value.ok_or_else(|| format!("{name} needs a value"))?;
            let port = || value.parse::<u16>().map_err(|_| format!("{name} {value:?}: not a port"));
            match name {
                "--http" => options.http.push(port()?),
                "--tcp" => options.tcp.push(port()?),
                "--udp" => options.udp.push(port()?),
                "--linger" => {
                    options.linger = duration(&value).ok_or_else(|| format!("--linger {value:?}: not a duration"))?
                }
                _ => {
                    return Err(format!(
                        "unknown argument {name:?}; there are --http --tcp --udp PORT and --linger 2s"
                    ));
                }
            }
        }
        if options.http.is_empty() && options.tcp.is_empty() && options.udp.is_empty() {
            options.http.push(8080);
        }
        Ok(options)
    }
}

/// As Go writes them (`2s`, `500ms`, `1m`), or plain seconds.
pub(super) fn duration(text: &str) -> Option<Duration> {
    text.parse().map(Duration::from_secs).ok().or_else(|| api::duration::parse_flag(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let parse = |text: &str| Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parse("").unwrap().http, [8080]);
        let many = parse("--http 80 --http=81 --tcp 9000 --udp 9001 --linger 500ms").unwrap();
        assert_eq!((many.http, many.tcp, many.udp), (vec![80, 81], vec![9000], vec![9001]));
        assert_eq!(many.linger, Duration::from_millis(500));
        assert!(parse("--tcp 9000").unwrap().http.is_empty());
        for bad in ["--http", "--http x", "--http 70000", "--linger fast", "--what 1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
