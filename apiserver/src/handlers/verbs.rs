//! The verbs of a resource over HTTP.

use api::{Status, object};
use http::{Method, Response, StatusCode};
use serde_json::Value;

use super::patch_body::{self, Patch};
use super::{Cx, decode, list, method_not_allowed, notices, query, subresource, watch};
use crate::registry::patch::same_object;
use crate::registry::update::Change;
use crate::registry::{DeleteOptions, Object, Target};
use crate::request::Body;
use crate::storage::{ListQuery, Predicate, fields};

/// Leads a request to its verb.
pub(super) async fn dispatch(mut cx: Cx<'_>, body: Body) -> Result<Response<Body>, Status> {
    if !cx.info.subresource.is_empty() {
        return subresource::dispatch(cx, body).await;
    }
    if !cx.kind.verbs.stored() {
        return subresource::posted(cx, body).await;
    }
    // Over all namespaces one can only read.
    let in_scope = !cx.kind.namespaced || !cx.namespace.is_empty();
    match (cx.method.clone(), cx.info.named) {
        (Method::GET | Method::HEAD, _) if cx.info.verb == "watch" => watch_many(&cx).await,
        (Method::GET | Method::HEAD, true) => get(&cx).await,
        (Method::GET | Method::HEAD, false) => list_many(&cx).await,
        (Method::POST, false) if in_scope => create(&mut cx, body).await,
        (Method::PUT, true) => update(&cx, body, Target::Main).await,
        (Method::PATCH, true) => patch(&cx, body, Target::Main).await,
        (Method::DELETE, true) => delete(&cx, body).await,
        (Method::DELETE, false) if in_scope && cx.kind.verbs == api::kinds::Verbs::Full => delete_many(&cx, body).await,
        _ => Err(method_not_allowed()),
    }
}

pub(super) async fn get(cx: &Cx<'_>) -> Result<Response<Body>, Status> {
    let reply = cx.reply()?;
    let freshness = query::get_freshness(&cx.query)?;
    let entry = cx.registry.get(cx.kind, cx.namespace, &cx.info.name, freshness).await?;
    reply.object(StatusCode::OK, &Object::Stored(entry))
}

async fn list_many(cx: &Cx<'_>) -> Result<Response<Body>, Status> {
    let reply = cx.reply()?;
    let options = list_options(cx, false)?;
    let place = query::place(&options)?;
    let listing = cx.registry.list(cx.kind, list_query(cx, &place, options)).await?;
    list::respond(reply, listing).await
}

fn list_options(cx: &Cx<'_>, watch: bool) -> Result<query::ListOptions, Status> {
    let options = query::list_options(&cx.query, watch)?;
    fields::check(cx.kind, &options.fields)?;
    Ok(options)
}

fn list_query<'a>(cx: &'a Cx<'_>, place: &'a query::Place, options: query::ListOptions) -> ListQuery<'a> {
    ListQuery {
        namespace: Some(cx.namespace).filter(|namespace| !namespace.is_empty()),
        freshness: place.freshness,
        limit: place.limit,
        after_key: place.after_key.as_deref(),
        predicate: Predicate { labels: options.labels, fields: options.fields },
    }
}

async fn watch_many(cx: &Cx<'_>) -> Result<Response<Body>, Status> {
    let reply = cx.reply_for(true)?;
    let options = list_options(cx, true)?;
    watch::serve(cx.registry, reply, options, cx.namespace, &cx.info.name).await
}

async fn create(cx: &mut Cx<'_>, body: Body) -> Result<Response<Body>, Status> {
    let reply = cx.reply()?;
    let options = query::write_options(&cx.query, "CreateOptions")?;
    let bytes = decode::read(body).await?;
    let object = decode::object(cx.call, cx.kind, &cx.served, cx.content_type(), &bytes, options.validation)?;
    let call = cx.call.dry(options.dry_run);
    let created = cx.registry.create(&call, cx.kind, cx.namespace, object).await?;
    notices::about_controllers(cx);
    reply.object(StatusCode::CREATED, &created)
}

pub(super) async fn update(cx: &Cx<'_>, body: Body, target: Target) -> Result<Response<Body>, Status> {
    let reply = cx.reply()?;
    let options = query::write_options(&cx.query, "UpdateOptions")?;
    let bytes = decode::read(body).await?;
    let object = decode::object(cx.call, cx.kind, &cx.served, cx.content_type(), &bytes, options.validation)?;
    same_object(&object, cx.namespace, &cx.info.name)?;
    let call = cx.call.dry(options.dry_run);
    let written = cx.registry.update(&call, cx.kind, cx.namespace, &cx.info.name, target, object).await?;
    reply.object(if written.created { StatusCode::CREATED } else { StatusCode::OK }, &written.object)
}

pub(super) async fn patch(cx: &Cx<'_>, body: Body, target: Target) -> Result<Response<Body>, Status> {
    let reply = cx.reply()?;
    let form = patch_body::form(cx.content_type())?;
    let options = query::write_options(&cx.query, "PatchOptions")?;
    let bytes = decode::read(body).await?;
    let patch = Patch::parse(form, &bytes)?;
    let call = cx.call.dry(options.dry_run);
    let change = Change::of(cx.kind, cx.namespace, &cx.info.name).target(target);
    let check = |patched: &mut Value| patch.check(&call, &cx.served, patched, options.validation);
    let written = cx.registry.patch(&call, &change, &cx.served, form, &patch.body, &check).await?;
    reply.object(StatusCode::OK, &written.object)
}

/// Options of a delete, from body or query.
async fn delete_options(cx: &Cx<'_>, body: Body) -> Result<(DeleteOptions, bool), Status> {
    let bytes = decode::read(body).await?;
    let body = match bytes.is_empty() {
        true => None,
        false => Some(decode::loose(cx.content_type(), &bytes, "DeleteOptions")?),
    };
    query::delete_options(&cx.query, body.as_ref())
}

async fn delete(cx: &Cx<'_>, body: Body) -> Result<Response<Body>, Status> {
    let reply = cx.reply()?;
    let (options, dry_run) = delete_options(cx, body).await?;
    let call = cx.call.dry(dry_run);
    cx.registry.warn_of_orphans(&call, cx.kind, &options);
    let deleted = cx.registry.delete(&call, cx.kind, cx.namespace, &cx.info.name, &options).await?;
    // Upstream says 202 only to those who asked in the old form.
    let accepted = !deleted.gone && options.orphan_dependents == Some(false);
    let code = if accepted { StatusCode::ACCEPTED } else { StatusCode::OK };
    if deleted.gone && !crate::strategy::rules::of(cx.kind).returns_deleted {
        let value = deleted.object.value();
        let status = Status::success(cx.kind.group, cx.kind.plural, &cx.info.name, object::uid(&value));
        return reply.value(code, &serde_json::to_value(status).map_err(Status::internal)?);
    }
    reply.object(code, &deleted.object)
}

async fn delete_many(cx: &Cx<'_>, body: Body) -> Result<Response<Body>, Status> {
    let reply = cx.reply()?;
    let list_options = list_options(cx, false)?;
    let place = query::place(&list_options)?;
    let (options, dry_run) = delete_options(cx, body).await?;
    let call = cx.call.dry(dry_run);
    let listing = cx.registry.delete_collection(&call, cx.kind, list_query(cx, &place, list_options), &options).await?;
    list::respond(reply, listing).await
}
