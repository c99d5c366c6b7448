//! One object as the cache holds it: the very bytes of the store, plus where selectors find what they need in them.
//!
//! An entry is immutable. The resourceVersion is not in the stored bytes: it is the revision of the key, and is spliced in
//! whenever the object is sent. Entries of a pod cost about 350 bytes beside the JSON, a `serde_json::Value` eleven times it.

use std::ops::Range;
use std::sync::Arc;

use api::Status;
use api::kinds::KindRef;
use bytes::Bytes;
use serde_json::Value;
use store::{KeyValue, Revision};

use super::fields::{self, Absent, Table};
use super::message::Message;
use super::query::Predicate;
use super::scan::{self, Damaged, Form, Span, Splice};

/// What the entries of one kind have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) table: &'static Table,
    pub(super) prefix: usize,
    pub(super) namespaced: bool,
}

impl Shape {
    pub(super) fn of(kind: KindRef) -> Self {
        Self { table: fields::table(kind), prefix: kind.storage_prefix().len(), namespaced: kind.namespaced }
    }

    /// The entry of a stored key.
    pub(super) fn entry(&self, kv: KeyValue) -> Result<Entry, Damaged> {
        self.build(kv.key, kv.value, kv.mod_revision)
    }

    pub(super) fn build(&self, key: Bytes, json: Bytes, revision: Revision) -> Result<Entry, Damaged> {
        let outside = |expected| Damaged { at: 0, expected };
        let path = key.get(self.prefix..).and_then(|path| std::str::from_utf8(path).ok());
        let path = path.ok_or_else(|| outside("a key of this kind"))?;
        let namespace = match path.find('/') {
            Some(slash) if self.namespaced => slash,
            None if !self.namespaced => 0,
            _ => return Err(outside("a key of a namespace and a name")),
        };
        let short = |position: usize| u16::try_from(position).map_err(|_| outside("a key of at most 64 KiB"));
        let (prefix, namespace) = (short(self.prefix)?, short(namespace)?);
        let found = scan::scan(&json, self.table.rows)?;
        Ok(Entry {
            spans: found.spans.into_boxed_slice(),
            unescaped: (!found.unescaped.is_empty()).then(|| found.unescaped.into_boxed_str()),
            splice: found.splice,
            metadata: found.metadata,
            json,
            key,
            revision,
            table: self.table,
            prefix,
            namespace,
            message: Message::default(),
        })
    }
}

/// One object at one revision.
#[derive(Debug, Clone)]
pub struct Entry {
    revision: Revision,
    json: Bytes,
    key: Bytes,
    table: &'static Table,
    /// One per row of the table, then pairs of label and value.
    spans: Box<[Span]>,
    unescaped: Option<Box<str>>,
    splice: Splice,
    metadata: Range<u32>,
    /// Lengths of the first parts of the key: of the kind, and of the namespace.
    prefix: u16,
    namespace: u16,
    message: Message,
}

impl Entry {
    /// The revision that wrote it: its `metadata.resourceVersion`.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The namespace; empty for cluster-scoped kinds.
    pub fn namespace(&self) -> &str {
        let start = usize::from(self.prefix);
        self.key_text(start..start + usize::from(self.namespace))
    }

    /// The name.
    pub fn name(&self) -> &str {
        let namespace = usize::from(self.namespace);
        let slash = usize::from(namespace > 0);
        self.key_text(usize::from(self.prefix) + namespace + slash..self.key.len())
    }

    fn key_text(&self, range: Range<usize>) -> &str {
        self.key.get(range).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// The key in the store.
    pub fn key(&self) -> &Bytes {
        &self.key
    }

    /// The bytes as stored: JSON without `metadata.resourceVersion`.
    pub fn raw(&self) -> &Bytes {
        &self.json
    }

    /// The object as JSON, with its resourceVersion.
    pub fn json(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.json_len());
        self.write_json(&mut out);
        out.into()
    }

    /// Room for what [`Entry::write_json`] writes.
    pub fn json_len(&self) -> usize {
        self.json.len() + 48
    }

    /// Appends the object as JSON, with its resourceVersion.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        self.write_range(0..self.json.len(), out);
    }

    /// Appends the metadata object as JSON, with its resourceVersion.
    pub fn write_metadata(&self, out: &mut Vec<u8>) {
        self.write_range(self.metadata.start as usize..self.metadata.end as usize, out);
    }

    /// The range must contain the metadata.
    fn write_range(&self, range: Range<usize>, out: &mut Vec<u8>) {
        let mut digits = [0; 20];
        let revision = decimal(self.revision, &mut digits);
        let (before, after): (&[u8], &[u8]) = match self.splice.form {
            Form::Before => (b"\"resourceVersion\":\"", b"\","),
            Form::After => (b",\"resourceVersion\":\"", b"\""),
            Form::Alone => (b"\"resourceVersion\":\"", b"\""),
            Form::Value => (b"\"", b"\""),
        };
        out.extend_from_slice(&self.json[range.start..self.splice.from as usize]);
        out.extend_from_slice(before);
        out.extend_from_slice(revision);
        out.extend_from_slice(after);
        out.extend_from_slice(&self.json[self.splice.until as usize..range.end]);
    }

    /// The object as `meta.k8s.io/v1 PartialObjectMetadata`.
    pub fn partial(&self) -> Bytes {
        let head = b"{\"apiVersion\":\"meta.k8s.io/v1\",\"kind\":\"PartialObjectMetadata\",\"metadata\":";
        let mut out = Vec::with_capacity(head.len() + self.metadata.len() + 48);
        out.extend_from_slice(head);
        self.write_metadata(&mut out);
        out.push(b'}');
        out.into()
    }

    /// The object as a tree, with its resourceVersion: parses all of it.
    ///
    /// # Errors
    /// 500 if what is stored is not JSON.
    pub fn try_value(&self) -> Result<Value, Status> {
        let mut value: Value = serde_json::from_slice(&self.json)
            .map_err(|error| Status::internal(format_args!("unable to decode {}: {error}", self.name())))?;
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".into(), Value::String(self.revision.to_string()));
        }
        Ok(value)
    }

    /// The object as a tree, with its resourceVersion; null if what is stored is not JSON (which this server never writes).
    pub fn value(&self) -> Value {
        self.try_value().unwrap_or_else(|error| {
            tracing::error!(%error, key = %String::from_utf8_lossy(&self.key), "stored object cannot be decoded");
            Value::Null
        })
    }

    fn text(&self, span: Span) -> &str {
        let (start, len) = (span.start as usize, span.len as usize);
        let bytes = match start.checked_sub(self.json.len()) {
            None => self.json.get(start..start + len),
            Some(start) => self.unescaped.as_ref().and_then(|text| text.as_bytes().get(start..start + len)),
        };
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// The labels.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.spans.get(self.table.rows.len()..).unwrap_or_default();
        pairs.chunks_exact(2).map(|pair| (self.text(pair[0]), self.text(pair[1])))
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels().find(|(label, _)| *label == name).map(|(_, value)| value)
    }

    /// The value of a field that the kind can be selected by; `None` if it cannot.
    pub fn field(&self, label: &str) -> Option<&str> {
        match label {
            "metadata.name" => Some(self.name()),
            "metadata.namespace" => Some(self.namespace()),
            _ => self.table.find(label).map(|row| self.row(row)),
        }
    }

    /// The value of a row of the kind's table.
    pub(super) fn row(&self, row: usize) -> &str {
        match self.spans.get(row) {
            Some(span) if *span != Span::ABSENT && span.len > 0 => self.text(*span),
            // Fallbacks point to earlier rows only (a test of the table), so this ends.
            _ => match self.table.rows.get(row).map(|row| row.absent) {
                Some(Absent::Row(other)) if other < row => self.row(other),
                Some(Absent::Text(text)) => text,
                _ => "",
            },
        }
    }

    /// Whether both selectors match.
    pub fn matches(&self, predicate: &Predicate) -> bool {
        predicate.labels.matches(|label| self.label(label)) && predicate.fields.matches(|field| self.field(field))
    }

    /// The same object said to be of another revision: that of its deletion.
    pub(super) fn at(&self, revision: Revision) -> Arc<Self> {
        Arc::new(Self { revision, ..self.clone() })
    }

    /// How long its protobuf message in the storage version is, if somebody has made it before.
    pub fn message_len(&self) -> Option<usize> {
        self.message.len()
    }

    /// The message itself, if it is kept.
    pub fn message(&self) -> Option<&[u8]> {
        self.message.bytes()
    }

    /// Remembers the message's length, and the message while there is room for it.
    pub fn remember_message(&self, message: &[u8]) {
        self.message.remember(message);
    }

    /// About how much memory it holds, the shared JSON included; a message that is kept has a budget of its own.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + 16 + self.json.len() + self.key.len() + size_of_val(&*self.spans)
    }
}

/// The decimal digits of a number, without an allocation.
pub(super) fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::selector::{FieldSelector, LabelSelector};
    use serde_json::json;

    fn entry(plural: &str, path: &str, object: &Value) -> Entry {
        let kind = api::kinds::find("", "v1", plural).unwrap().0;
        let key = format!("{}{path}", kind.storage_prefix());
        Shape::of(kind).build(key.into(), serde_json::to_vec(object).unwrap().into(), 42).unwrap()
    }

    #[test]
    fn what_is_sent_is_what_a_tree_would_print() {
        for metadata in
            [json!({}), json!({"name": "a"}), json!({"name": "a", "uid": "1"}), json!({"resourceVersion": "3"})]
        {
            let entry =
                entry("pods", "ns/a", &json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}}));
            let value = entry.value();
            assert_eq!(value["metadata"]["resourceVersion"], "42");
            assert_eq!(entry.json(), serde_json::to_vec(&value).unwrap());
            let partial: Value = serde_json::from_slice(&entry.partial()).unwrap();
            assert_eq!((&partial["metadata"], &partial["kind"]), (&value["metadata"], &json!("PartialObjectMetadata")));
        }
    }

    #[test]
    fn names_come_from_the_key() {
        let object = json!({"metadata": {}});
        let table = [("pods", "ns/a", "ns", "a"), ("nodes", "n", "", "n"), ("namespaces", "x", "", "x")];
        for (plural, path, namespace, name) in table {
            let entry = entry(plural, path, &object);
            assert_eq!((entry.namespace(), entry.name()), (namespace, name));
            assert_eq!(entry.field("metadata.name"), Some(name));
        }
        let nodes = api::kinds::find("", "v1", "nodes").unwrap().0;
        assert!(Shape::of(nodes).build("/registry/nodes/a/b".into(), Bytes::from("{\"metadata\":{}}"), 1).is_err());
        assert!(Shape::of(nodes).build("/x".into(), Bytes::from("{\"metadata\":{}}"), 1).is_err());
    }

    #[test]
    fn selectors_see_labels_and_fields() {
        let pod = entry("pods", "ns/a", &json!({"metadata": {"labels": {"app": "x"}}, "spec": {"nodeName": "n"}}));
        let event = entry("events", "ns/e", &json!({"metadata": {}, "reportingComponent": "kubelet", "source": {}}));
        let table = [
            (&pod, "app=x", "spec.nodeName=n", true),
            (&pod, "app=x", "spec.nodeName!=n", false),
            (&pod, "app=y", "", false),
            (&pod, "!app", "", false),
            (&pod, "", "spec.hostNetwork=false,metadata.namespace=ns,spec.host=n", true),
            (&pod, "", "status.phase=Running", false),
            (&event, "", "source=kubelet,reportingController=kubelet", true),
        ];
        for (entry, labels, fields, want) in table {
            let predicate = Predicate {
                labels: LabelSelector::parse(labels).unwrap(),
                fields: FieldSelector::parse(fields).unwrap(),
            };
            assert_eq!(entry.matches(&predicate), want, "{labels} {fields}");
        }
    }

    #[test]
    fn decimals() {
        for number in [0, 7, 10, 12345, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
