//! The head of an HTTP/1 request, as far as the echo server reads it.

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) keep_alive: bool,
    pub(super) body: u64,
}

impl Head {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let mut request = lines.next()?.split(' ');
        let (method, target, version) = (request.next()?, request.next()?, request.next()?);
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        let header = |wanted: &str| {
            headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
        };
        let keep_alive = match header("connection") {
            Some(value) if value.eq_ignore_ascii_case("close") => false,
            Some(value) if value.eq_ignore_ascii_case("keep-alive") => true,
            _ => version == "HTTP/1.1",
        };
        if !version.starts_with("HTTP/1.") || header("transfer-encoding").is_some() {
            return None;
        }
        let body = header("content-length").map_or(Some(0), |value| value.parse().ok())?;
        Some(Self { method: method.to_owned(), target: target.to_owned(), headers, keep_alive, body })
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let query = self.target.split_once('?')?.1;
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let head = Head::parse("POST /a?b=c&d=e HTTP/1.1\r\nContent-Length: 5\r\nconnection: close").unwrap();
        assert_eq!((head.path(), head.query("d"), head.query("x")), ("/a", Some("e"), None));
        assert_eq!((head.keep_alive, head.body), (false, 5));
        assert!(!Head::parse("GET / HTTP/1.0").unwrap().keep_alive);
        for bad in [
            "",
            "GET",
            "GET /",
            "GET / SPDY",
            "GET / HTTP/1.1\r\nContent-Length: x",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked",
        ] {
            assert_eq!(Head::parse(bad), None, "{bad}");
        }
    }
}
