//! One object of every kind in which every field is set, made from the schema table: through protobuf and back, through the check
//! of fields, and through the types of k8s-openapi, which know nothing of that table.

use std::collections::BTreeSet;

use k8s_openapi::api;
use serde_json::{Map, Value, json};

use crate::kinds::{self, KINDS};
use crate::schema::{Def, Form, Type, def};
use crate::{protobuf, validate};

/// Makes values that differ from each other, so that none is taken for another.
struct Filler {
    next: i64,
    /// Definitions that are being filled: one within itself is left out.
    open: Vec<*const Def>,
    seen: BTreeSet<String>,
}

impl Filler {
    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    fn object(&mut self, def: &'static Def) -> Value {
        self.open.push(def);
        let mut object = Map::new();
        for field in def.all_fields().filter(|field| field.number != 0) {
            if field.ty.def().is_some_and(|inner| self.open.contains(&std::ptr::from_ref(inner))) {
                continue;
            }
            self.seen.insert(format!("{}.{}", def.name(), field.name));
            let value = self.value(field.ty);
            object.insert(field.name.into(), value);
        }
        self.open.pop();
        Value::Object(object)
    }

    fn value(&mut self, ty: Type) -> Value {
        let number = self.number();
        match ty {
            Type::String => format!("text-{number}").into(),
            Type::Int32 | Type::Int64 => number.into(),
            Type::Bool => true.into(),
            Type::Double => (number as f64 + 0.5).into(),
            Type::Bytes => "AAEC/w==".into(),
            Type::List(element) => json!([self.value(*element), self.value(*element)]),
            Type::Map(element) => {
                json!({format!("a-{number}"): self.value(*element), format!("b.c/{number}"): self.value(*element)})
            }
            Type::Def(id) => self.definition(id.get(), number),
        }
    }

    fn definition(&mut self, def: &'static Def, number: i64) -> Value {
        match def.form {
            Form::Object => self.object(def),
            Form::Time => format!("2026-02-03T04:{:02}:{:02}Z", number / 60 % 60, number % 60).into(),
            Form::MicroTime => format!("2026-02-03T04:05:06.{number:06}Z").into(),
            Form::Quantity => format!("{number}Mi").into(),
            Form::IntOrString if number % 2 == 0 => number.into(),
            Form::IntOrString => format!("{number}%").into(),
            Form::Raw => json!({"apiVersion": "v1", "kind": "Any", "number": number}),
            Form::Fields => json!({"f:spec": {"f:field": {}}}),
            Form::Json => json!({"json": [number, null, "x"]}),
            Form::SchemaOrBool => false.into(),
            Form::SchemaOrArray => json!([{"type": format!("text-{number}")}]),
            Form::SchemaOrStrings => json!([format!("text-{number}")]),
            Form::Items => json!([format!("text-{number}"), "other"]),
        }
    }
}

fn filled(definition: &str) -> (Value, BTreeSet<String>) {
    let mut filler = Filler { next: 0, open: vec![], seen: BTreeSet::new() };
    let def = def(definition).unwrap_or_else(|| panic!("{definition}"));
    (filler.object(def), filler.seen)
}

/// Where two values differ. Typed objects in others say what they are, which on the wire is left out.
fn difference(path: &str, a: &Value, b: &Value) -> Option<String> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let at = |map: &Map<String, Value>, key: &String| map.get(key).cloned().unwrap_or_default();
            let added = |key: &str| matches!(key, "apiVersion" | "kind") && !a.contains_key(key);
            keys.into_iter()
                .filter(|key| !added(key))
                .find_map(|key| difference(&format!("{path}.{key}"), &at(a, key), &at(b, key)))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(index, (a, b))| difference(&format!("{path}[{index}]"), a, b))
        }
        _ => (a != b).then(|| format!("{path}: {a} became {b}")),
    }
}

#[test]
fn every_kind_goes_through_protobuf_unchanged() {
    let mut fields = BTreeSet::new();
    for kind in KINDS {
        for served in kind.all_served() {
            let (mut object, seen) = filled(served.definition);
            fields.extend(seen);
            object["apiVersion"] = served.api_version().into();
            object["kind"] = kind.kind.into();
            let bytes = protobuf::encode(&object).unwrap_or_else(|error| panic!("{}: {error}", kind.kind));
            let back = protobuf::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", kind.kind));
            assert_eq!(difference(kind.kind, &object, &back), None);
            assert_eq!(protobuf::encode(&back).as_deref(), Ok(bytes.as_slice()), "{}", kind.kind);
        }
    }
    assert!(fields.len() > 1800, "only {} fields were set", fields.len());
}

#[test]
fn every_kind_passes_the_check_of_fields_unchanged() {
    for kind in KINDS {
        for served in kind.all_served() {
            let (object, _) = filled(served.definition);
            let mut checked = object.clone();
            let reports = validate::prune(def(served.definition).unwrap(), &mut checked);
            assert_eq!(reports, Ok(vec![]), "{}", kind.kind);
            assert_eq!(difference(kind.kind, &object, &checked), None);
        }
    }
}

#[test]
fn every_list_goes_through_protobuf_unchanged() {
    for kind in kinds::stored() {
        let (first, _) = filled(kind.definition);
        let list = json!({"apiVersion": kind.api_version(), "kind": kind.list_kind,
            "metadata": {"resourceVersion": "7", "continue": "next", "remainingItemCount": 3}, "items": [first, first]});
        let bytes = protobuf::encode(&list).unwrap_or_else(|error| panic!("{}: {error}", kind.kind));
        assert_eq!(difference(kind.list_kind, &list, &protobuf::decode(&bytes).unwrap()), None);
    }
}

/// An object with every field set, read as a typed one and written again.
macro_rules! typed {
    ($($ty:ty,)*) => {
        [$((stringify!($ty), |object: Value| -> Result<Value, serde_json::Error> {
            serde_json::to_value(serde_json::from_value::<$ty>(object)?)
        }, <$ty as k8s_openapi::Resource>::API_VERSION, <$ty as k8s_openapi::Resource>::KIND)),*]
    };
}

#[test]
fn typed_objects_have_the_same_fields() {
    type Through = fn(Value) -> Result<Value, serde_json::Error>;
    let table: [(&str, Through, &str, &str); 60] = typed![
        api::admissionregistration::v1::MutatingAdmissionPolicy,
        api::admissionregistration::v1::MutatingAdmissionPolicyBinding,
        api::admissionregistration::v1::MutatingWebhookConfiguration,
        api::admissionregistration::v1::ValidatingAdmissionPolicy,
        api::admissionregistration::v1::ValidatingAdmissionPolicyBinding,
        api::admissionregistration::v1::ValidatingWebhookConfiguration,
        api::apps::v1::ControllerRevision,
        api::apps::v1::DaemonSet,
        api::apps::v1::Deployment,
        api::apps::v1::ReplicaSet,
        api::apps::v1::StatefulSet,
        api::authentication::v1::SelfSubjectReview,
        api::authentication::v1::TokenRequest,
        api::authentication::v1::TokenReview,
        api::authorization::v1::LocalSubjectAccessReview,
        api::authorization::v1::SelfSubjectAccessReview,
        api::authorization::v1::SelfSubjectRulesReview,
        api::authorization::v1::SubjectAccessReview,
        api::autoscaling::v1::HorizontalPodAutoscaler,
        api::autoscaling::v1::Scale,
        api::autoscaling::v2::HorizontalPodAutoscaler,
        api::batch::v1::CronJob,
        api::batch::v1::Job,
        api::certificates::v1::CertificateSigningRequest,
        api::coordination::v1::Lease,
        api::core::v1::Binding,
        api::core::v1::ConfigMap,
        api::core::v1::Endpoints,
        api::core::v1::Event,
        api::core::v1::LimitRange,
        api::core::v1::Namespace,
        api::core::v1::Node,
        api::core::v1::PersistentVolume,
        api::core::v1::PersistentVolumeClaim,
        api::core::v1::Pod,
        api::core::v1::PodTemplate,
        api::core::v1::ReplicationController,
        api::core::v1::ResourceQuota,
        api::core::v1::Secret,
        api::core::v1::Service,
        api::core::v1::ServiceAccount,
        api::discovery::v1::EndpointSlice,
        api::events::v1::Event,
        api::flowcontrol::v1::FlowSchema,
        api::flowcontrol::v1::PriorityLevelConfiguration,
        api::networking::v1::IPAddress,
        api::networking::v1::Ingress,
        api::networking::v1::IngressClass,
        api::networking::v1::NetworkPolicy,
        api::networking::v1::ServiceCIDR,
        api::node::v1::RuntimeClass,
        api::policy::v1::Eviction,
        api::policy::v1::PodDisruptionBudget,
        api::rbac::v1::ClusterRole,
        api::rbac::v1::RoleBinding,
        api::resource::v1::ResourceClaim,
        api::resource::v1::ResourceSlice,
        api::scheduling::v1::PriorityClass,
        api::storage::v1::CSIDriver,
        api::storage::v1::StorageClass,
    ];
    for (name, through, api_version, kind) in table {
        let (_, served) = kinds::by_api_version(api_version, kind).unwrap_or_else(|| panic!("{name}"));
        let (mut object, _) = filled(served.definition);
        object["apiVersion"] = api_version.into();
        object["kind"] = kind.into();
        let back = through(object.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(difference(kind, &object, &back), None);
    }
}
