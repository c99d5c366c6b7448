//! Subresources over HTTP. Streams (log, exec, attach, portforward, proxy), tokens and reviews never come here: the front
//! answers them.

use api::kinds::{self, KindRef, Served, Subresource};
use api::{Status, object};
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::patch_body::{self, Patch};
use super::{Cx, decode, method_not_allowed, query, verbs};
use crate::registry::{Object, Target, patch};
use crate::request::Body;

/// Leads a request to its subresource.
pub(super) async fn dispatch(cx: Cx<'_>, body: Body) -> Result<Response<Body>, Status> {
    let name = cx.info.subresource.as_str();
    let Some(subresource) = cx.kind.subresources.iter().find(|known| known.name() == name) else {
        return Err(Status::no_such_path());
    };
    if !cx.info.rest.is_empty() {
        return Err(Status::no_such_path());
    }
    match (subresource, cx.method.clone()) {
        (Subresource::Status, method) => status(&cx, method, body).await,
        (Subresource::Scale, method) => scale(&cx, method, body).await,
        (Subresource::Binding, Method::POST) => bind(&cx, &cx.info.name, body).await,
        (Subresource::Eviction, Method::POST) => evict(&cx, body).await,
        (Subresource::Finalize, Method::PUT) => finalize(&cx, body, subresource).await,
        (Subresource::Approval, Method::PUT) => finalize(&cx, body, subresource).await,
        (Subresource::Approval, Method::GET) => verbs::get(&cx).await,
        (Subresource::EphemeralContainers | Subresource::Resize, Method::GET) => verbs::get(&cx).await,
        (Subresource::EphemeralContainers | Subresource::Resize, Method::PUT | Method::PATCH) => {
            Err(Status::not_implemented(format!("{}/{name} is not supported by this server yet", cx.kind.plural)))
        }
        _ => Err(method_not_allowed()),
    }
}

/// A kind that is posted and forgotten: of these only bindings come here.
pub(super) async fn posted(cx: Cx<'_>, body: Body) -> Result<Response<Body>, Status> {
    let bindings = cx.kind.group.is_empty() && cx.kind.plural == "bindings";
    if !bindings || cx.info.named || cx.method != Method::POST || cx.namespace.is_empty() {
        return Err(method_not_allowed());
    }
    bind(&cx, "", body).await
}

async fn status(cx: &Cx<'_>, method: Method, body: Body) -> Result<Response<Body>, Status> {
    match method {
        Method::GET | Method::HEAD => verbs::get(cx).await,
        Method::PUT => verbs::update(cx, body, Target::Status).await,
        Method::PATCH => verbs::patch(cx, body, Target::Status).await,
        _ => Err(method_not_allowed()),
    }
}

/// The kind of a body and the version under which it goes.
fn body_kind(group: &str, kind: &str) -> Result<(KindRef, Served), Status> {
    kinds::by_kind(group, "v1", kind).ok_or_else(|| Status::internal(format_args!("no kind {kind} in {group:?}")))
}

async fn scale(cx: &Cx<'_>, method: Method, body: Body) -> Result<Response<Body>, Status> {
    let mut reply = cx.reply()?;
    let (kind, namespace, name) = (cx.kind, cx.namespace, cx.info.name.as_str());
    let (scale_kind, served) = body_kind("autoscaling", "Scale")?;
    (reply.kind, reply.served) = (scale_kind, served);
    let scale = match method {
        Method::GET | Method::HEAD => cx.registry.get_scale(kind, namespace, name).await?,
        Method::PUT => {
            let options = query::write_options(&cx.query, "UpdateOptions")?;
            let bytes = decode::read(body).await?;
            let scale = decode::typed(cx.call, "Scale", &served, cx.content_type(), &bytes, options.validation)?;
            patch::same_object(&scale, namespace, name)?;
            let call = cx.call.dry(options.dry_run);
            cx.registry.modify_scale(&call, kind, namespace, name, &mut |_| Ok(scale.clone())).await?
        }
        Method::PATCH => {
            let form = patch_body::form(cx.content_type())?;
            let options = query::write_options(&cx.query, "PatchOptions")?;
            let bytes = decode::read(body).await?;
            let body = Patch::parse(form, &bytes)?;
            let call = cx.call.dry(options.dry_run);
            let mut edit = |scale: Value| {
                let mut patched = patch::apply(served.definition, scale, form, &body.body)?;
                body.check(&call, &served, &mut patched, options.validation)?;
                patch::same_object(&patched, namespace, name)?;
                Ok(patched)
            };
            cx.registry.modify_scale(&call, kind, namespace, name, &mut edit).await?
        }
        _ => return Err(method_not_allowed()),
    };
    reply.object(StatusCode::OK, &Object::Made(scale))
}

/// `name` is empty if the name stands in the body only.
async fn bind(cx: &Cx<'_>, name: &str, body: Body) -> Result<Response<Body>, Status> {
    let reply = cx.reply()?;
    let options = query::write_options(&cx.query, "CreateOptions")?;
    let bytes = decode::read(body).await?;
    let (_, served) = body_kind("", "Binding")?;
    let mut binding = decode::typed(cx.call, "Binding", &served, cx.content_type(), &bytes, options.validation)?;
    let own = object::name(&binding).to_string();
    let name = if name.is_empty() { own.as_str() } else { name };
    let pods = pods()?;
    let call = cx.call.dry(options.dry_run).subresource("binding");
    cx.registry.admit_posted(&call, pods, cx.namespace, name, &mut binding).await?;
    cx.registry.bind(&call, pods, cx.namespace, name, &binding).await?;
    reply.value(StatusCode::CREATED, &success())
}

async fn evict(cx: &Cx<'_>, body: Body) -> Result<Response<Body>, Status> {
    let reply = cx.reply()?;
    let options = query::write_options(&cx.query, "CreateOptions")?;
    let bytes = decode::read(body).await?;
    let (_, served) = body_kind("policy", "Eviction")?;
    let mut eviction = decode::typed(cx.call, "Eviction", &served, cx.content_type(), &bytes, options.validation)?;
    let none = json!({});
    let asked = eviction.get("deleteOptions").unwrap_or(&none);
    let (delete, dry_run) = query::delete_options(&cx.query, Some(asked))?;
    let call = cx.call.dry(dry_run || options.dry_run);
    let (namespace, name) = (cx.namespace, cx.info.name.as_str());
    cx.registry.admit_posted(&call, cx.kind, namespace, name, &mut eviction).await?;
    cx.registry.evict(&call, cx.kind, namespace, name, &eviction, &delete).await?;
    reply.value(StatusCode::CREATED, &success())
}

async fn finalize(cx: &Cx<'_>, body: Body, which: &Subresource) -> Result<Response<Body>, Status> {
    let reply = cx.reply()?;
    let options = query::write_options(&cx.query, "UpdateOptions")?;
    let bytes = decode::read(body).await?;
    let object = decode::object(cx.call, cx.kind, &cx.served, cx.content_type(), &bytes, options.validation)?;
    let call = cx.call.dry(options.dry_run);
    let written = match which {
        Subresource::Approval => cx.registry.approve(&call, cx.kind, &cx.info.name, &object).await?,
        _ => cx.registry.finalize(&call, cx.kind, &cx.info.name, &object).await?,
    };
    reply.object(StatusCode::OK, &written.object)
}

fn pods() -> Result<KindRef, Status> {
    kinds::find("", "v1", "pods").map(|(kind, _)| kind).ok_or_else(Status::no_such_path)
}

/// What upstream answers to a posted binding or eviction.
fn success() -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success", "code": 201})
}
