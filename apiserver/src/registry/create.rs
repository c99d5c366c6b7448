//! Create (upstream: apiserver, pkg/registry/rest/create.go and the create half of pkg/registry/generic/registry/store.go).

use api::kinds::KindRef;
use api::{Status, object};
use serde_json::{Value, json};

use super::{Call, Object, Registry, names, timestamp};
use crate::admission::Operation;
use crate::storage::Freshness;
use crate::strategy::{self, Cx, generic, meta};

/// How often a Service is given something that somebody else takes first, before it is told to come again.
const MOST_COLLISIONS: usize = 100;
const COLLIDED: &str = "the addresses and node ports that were free have been given to others; please try again";

impl Registry {
    /// Creates an object in `namespace` (empty for cluster-scoped kinds). The object is in the storage version.
    ///
    /// # Errors
    /// `AlreadyExists`, `Invalid`, and what admission says.
    pub async fn create(
        &self,
        call: &Call,
        kind: KindRef,
        namespace: &str,
        mut object: Value,
    ) -> Result<Object, Status> {
        let strategy = strategy::of(kind);
        self.fill_metadata(kind, namespace, &mut object)?;
        strategy::defaults::apply(kind, &mut object);
        strategy.default(&mut object);
        let name = object::name(&object).to_string();
        let attributes = self.attributes(call, Operation::Create, kind, namespace, &name);
        self.admission.admit(&attributes, &mut object).await?;
        let cx = Cx { kind, user: &call.user, now: self.now() };
        generic::prepare_create(&cx, &mut object);
        strategy.prepare_create(&cx, &mut object);

        let generated = object::name(&object).is_empty() && !object::generate_name(&object).is_empty();
        let (mut attempt, mut collisions) = (1, 0);
        loop {
            if generated {
                let name = names::generate(object::generate_name(&object));
                object::set_name(&mut object, &name);
                // What depends on the name (a namespace's label) is filled in now.
                strategy.default(&mut object);
            }
            // A new pick for each attempt: what was free a moment ago may have been given to somebody else.
            let mut given = self.allocator.concerns(kind).then(|| object.clone());
            if let Some(service) = &mut given {
                self.allocator.fill(service, None).await?;
            }
            match self.validate_and_store(call, kind, namespace, given.as_ref().unwrap_or(&object)).await {
                Err(status) if status.is("AlreadyExists") && generated => {
                    if attempt == names::ATTEMPTS {
                        return Err(no_unique_name(status));
                    }
                    attempt += 1;
                }
                Ok(None) if collisions < MOST_COLLISIONS => collisions += 1,
                Ok(None) => return Err(Status::conflict(kind.group, kind.plural, object::name(&object), COLLIDED)),
                Ok(Some(done)) => return Ok(done),
                Err(status) => return Err(status),
            }
        }
    }

    /// Namespace, times and UID; what the server alone may set is dropped.
    fn fill_metadata(&self, kind: KindRef, namespace: &str, object: &mut Value) -> Result<(), Status> {
        if !object.is_object() {
            return Err(Status::bad_request("the object provided is unrecognized: it is not a JSON object"));
        }
        let own = object::namespace(object);
        if !kind.namespaced {
            object::set_namespace(object, "");
        } else if own.is_empty() {
            object::set_namespace(object, namespace);
        } else if own != namespace {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        if object::resource_version(object).is_some_and(|version| version != "0") {
            return Err(version_on_create());
        }
        let now = timestamp(self.now());
        let metadata = object::metadata_mut(object);
        for field in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink"]
        {
            metadata.remove(field);
        }
        metadata.insert("creationTimestamp".into(), json!(now));
        metadata.insert("uid".into(), json!(uuid::Uuid::new_v4().to_string()));
        let map = object::as_map(object);
        map.insert("apiVersion".into(), json!(kind.api_version()));
        map.insert("kind".into(), json!(kind.kind));
        Ok(())
    }

    /// `None` if somebody else was given one of the records that go with the object.
    async fn validate_and_store(
        &self,
        call: &Call,
        kind: KindRef,
        namespace: &str,
        object: &Value,
    ) -> Result<Option<Object>, Status> {
        let strategy = strategy::of(kind);
        let name = object::name(object);
        let mut errors = meta::validate(kind, object);
        errors.extend(strategy::validate(kind, object));
        errors.extend(strategy.validate_create(object));
        if !errors.is_empty() {
            return Err(Status::invalid(kind.group, kind.kind, name, &errors));
        }
        strategy.warnings(object, None).into_iter().for_each(|text| call.warn(text));
        let attributes = self.attributes(call, Operation::Create, kind, namespace, name);
        self.admission.validate(&attributes, object).await?;
        if call.dry_run {
            return match self.storage.get(kind, namespace, name, Freshness::Latest).await? {
                Some(_) => Err(Status::already_exists(kind.group, kind.plural, name)),
                None => Ok(Some(Object::Made(object.clone()))),
            };
        }
        let Some(claims) = self.claims(kind, Some(object), None).await? else { return Ok(None) };
        match self.storage.create_with(kind, namespace, name, object, &claims).await {
            Ok(entry) => Ok(entry.map(Object::Stored)),
            Err(status) if status.is("AlreadyExists") => Err(self.explain_taken(kind, namespace, name, status).await),
            Err(status) => Err(status),
        }
    }

    /// Says so if the name is taken by an object on its way out.
    async fn explain_taken(&self, kind: KindRef, namespace: &str, name: &str, mut status: Status) -> Status {
        let entry = self.storage.get(kind, namespace, name, Freshness::Latest).await.ok().flatten();
        if entry.is_some_and(|entry| object::deletion_timestamp(&entry.value()).is_some()) {
            status.message = format!("object is being deleted: {}", status.message);
        }
        status
    }
}

/// Upstream answers this with an error of no known reason, code 500 (storage.ErrResourceVersionSetOnCreate).
fn version_on_create() -> Status {
    let mut status = Status::internal("");
    status.message = "resourceVersion should not be set on objects to be created".into();
    (status.reason, status.details) = (String::new(), None);
    status
}

fn no_unique_name(mut status: Status) -> Status {
    status.message += ", the server was not able to generate a unique name for the object";
    if let Some(details) = &mut status.details {
        details.retry_after_seconds = 1;
    }
    status
}
