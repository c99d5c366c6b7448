//! What the client accepts: encoding, and the shape in which objects are shown. Pure.
//!
//! Follows upstream (apiserver, pkg/endpoints/handlers/negotiation): clauses of `Accept` by quality, then by order; the
//! first that fits wins; a clause that asks for a shape this server does not have fits nothing.

use api::Status;

/// How bodies are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// application/json
    Json,
    /// application/yaml
    Yaml,
    /// application/vnd.kubernetes.protobuf
    Protobuf,
}

impl Encoding {
    /// All of them, in the order of upstream's messages.
    const ALL: [Self; 3] = [Self::Json, Self::Yaml, Self::Protobuf];

    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }
}

/// In which shape objects are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// As they are.
    Object,
    /// `meta.k8s.io/v1 PartialObjectMetadata`; true: the list kind was asked for.
    Partial(bool),
    /// `meta.k8s.io/v1 Table`.
    Table,
}

/// What was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Encoding.
    pub encoding: Encoding,
    /// Shape.
    pub shape: Shape,
    /// Indented, for people.
    pub pretty: bool,
}

impl Accepted {
    /// Plain JSON: what a client gets that does not say.
    pub const JSON: Self = Self { encoding: Encoding::Json, shape: Shape::Object, pretty: false };
}

/// Media types that can carry a watch.
const STREAMS: &[&str] = &["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];

/// The best of what the client accepts.
///
/// # Errors
/// 406.
pub fn negotiate(accept: &str, watch: bool) -> Result<Accepted, Status> {
    if accept.trim().is_empty() {
        return Ok(Accepted::JSON);
    }
    let mut clauses: Vec<Clause<'_>> = accept.split(',').filter_map(Clause::parse).collect();
    clauses.sort_by_key(|clause| std::cmp::Reverse(clause.quality));
    clauses.iter().find_map(|clause| clause.fit(watch)).ok_or_else(|| {
        if watch {
            return Status::not_acceptable(STREAMS);
        }
        Status::not_acceptable(&Encoding::ALL.map(Encoding::media_type))
    })
}

struct Clause<'a> {
    kind: &'a str,
    subkind: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    /// In thousandths.
    quality: u32,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subkind) = match parts.next()? {
            "" => return None,
            "*" => ("*", "*"),
            media => media.split_once('/')?,
        };
        let parameters: Vec<(&str, &str)> = parts
            .filter_map(|part| part.split_once('='))
            .map(|(k, v)| (k.trim(), v.trim().trim_matches('"')))
            .collect();
        let quality = parameters.iter().find(|(name, _)| *name == "q").and_then(|(_, q)| q.parse::<f32>().ok());
        // Qualities are between 0 and 1 with three digits (RFC 9110).
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let quality = (quality.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u32;
        Some(Self { kind, subkind, parameters, quality })
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    fn fit(&self, watch: bool) -> Option<Accepted> {
        if self.quality == 0 {
            return None;
        }
        let encoding = Encoding::ALL.into_iter().find(|encoding| self.names(*encoding))?;
        if watch && encoding == Encoding::Yaml {
            return None;
        }
        let shape = self.shape()?;
        if shape == Shape::Table && encoding == Encoding::Protobuf {
            return None;
        }
        let pretty = self.parameter("pretty") == Some("1");
        Some(Accepted { encoding, shape, pretty })
    }

    fn names(&self, encoding: Encoding) -> bool {
        match (self.kind, self.subkind) {
            ("*", "*") => true,
            ("application", "*") => true,
            ("application", subkind) => encoding.media_type().strip_prefix("application/") == Some(subkind),
            _ => false,
        }
    }

    fn shape(&self) -> Option<Shape> {
        let Some(shape) = self.parameter("as") else { return Some(Shape::Object) };
        let known = self.parameter("g") == Some("meta.k8s.io") && matches!(self.parameter("v"), Some("v1" | "v1beta1"));
        match shape {
            _ if !known => None,
            "Table" => Some(Shape::Table),
            "PartialObjectMetadata" => Some(Shape::Partial(false)),
            "PartialObjectMetadataList" => Some(Shape::Partial(true)),
            _ => None,
        }
    }
}

/// Whether a response may be compressed with gzip.
pub fn accepts_gzip(accept_encoding: &str) -> bool {
    accept_encoding.split(',').any(|clause| {
        let mut parts = clause.split(';').map(str::trim);
        let named = parts.next() == Some("gzip");
        named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(accept: &str) -> Option<(Encoding, Shape)> {
        negotiate(accept, false).ok().map(|accepted| (accepted.encoding, accepted.shape))
    }

    #[test]
    fn the_best_clause_wins() {
        use Encoding::{Json, Protobuf, Yaml};
        use Shape::{Object, Partial, Table};
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let table = [
            ("", Some((Json, Object))),
            ("*/*", Some((Json, Object))),
            ("application/*", Some((Json, Object))),
            ("application/json", Some((Json, Object))),
            ("application/yaml", Some((Yaml, Object))),
            ("application/vnd.kubernetes.protobuf,application/json", Some((Protobuf, Object))),
            ("application/json;q=0.5, application/yaml", Some((Yaml, Object))),
            ("text/html, */*;q=0.1", Some((Json, Object))),
            (kubectl, Some((Json, Table))),
            ("application/json;as=Table;v=v9;g=meta.k8s.io, application/yaml", Some((Yaml, Object))),
            ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json", Some((Json, Object))),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Some((Protobuf, Partial(true))),
            ),
            ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", Some((Json, Partial(false)))),
            ("text/html", None),
            ("application/json;q=0", None),
            ("application/json;as=Table", None),
        ];
        for (accept, expected) in table {
            assert_eq!(accepted(accept), expected, "{accept}");
        }
    }

    #[test]
    fn refusals_name_what_would_do() {
        let status = negotiate("text/html", false).unwrap_err();
        assert_eq!(
            (status.code, status.message.as_str()),
            (
                406,
                "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
            )
        );
        assert_eq!(negotiate("application/yaml", true).unwrap_err().code, 406);
        assert!(negotiate("application/json;stream=watch", true).is_ok());
    }

    #[test]
    fn gzip() {
        for (header, expected) in
            [("gzip", true), ("deflate, gzip;q=0.5", true), ("", false), ("gzip;q=0", false), ("br", false)]
        {
            assert_eq!(accepts_gzip(header), expected, "{header}");
        }
    }
}
