//! Every namespace has a ConfigMap `kube-root-ca.crt`, so that pods can check the API server's certificate
//! (kube-controller-manager, certificates/rootcacertpublisher).

use std::collections::BTreeMap;

use anyhow::Context as _;
use client::controller::{self, Action, Pass, Reconciler, Trigger};
use client::{Cache, Caches, Client, Error, Key, ListOptions, Patch};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use crate::Setup;
use crate::service_account::{is_active, namespace_when_gone};

const NAME: &str = "kube-root-ca.crt";
const KEY: &str = "ca.crt";
const DESCRIPTION: (&str, &str) = (
    "kubernetes.io/description",
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the \
     internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.",
);

pub(crate) fn start(setup: &Setup) -> anyhow::Result<()> {
    let Some(file) = &setup.options.root_ca_file else { return Ok(()) };
    let certificate = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let maps = setup.caches.selected("", ListOptions::fields(format!("metadata.name={NAME}")));
    let controller = RootCa { client: setup.client.clone(), namespaces: setup.caches.of(), maps, certificate };
    controller::run(&setup.context, &setup.caches, controller, 4);
    Ok(())
}

struct RootCa {
    client: Client,
    namespaces: Cache<Namespace>,
    maps: Cache<ConfigMap>,
    certificate: String,
}

impl RootCa {
    fn is_right(&self, map: &ConfigMap) -> bool {
        map.data.as_ref().is_some_and(|data| data.len() == 1 && data.get(KEY) == Some(&self.certificate))
    }
}

impl Reconciler for RootCa {
    fn name(&self) -> &'static str {
        "root-ca"
    }

    fn triggers(&self, _: &Caches) -> Vec<Trigger> {
        vec![Trigger::each(&self.namespaces), namespace_when_gone(&self.maps, NAME)]
    }

    async fn reconcile(&self, key: &Key, pass: &Pass) -> Result<Action, Error> {
        if !is_active(&self.namespaces, key) {
            return Ok(Action::Done);
        }
        let data = BTreeMap::from([(KEY.to_string(), self.certificate.clone())]);
        let written = match self.maps.get(&Key::new(&key.name, NAME)) {
            Some(map) if self.is_right(&map) => return Ok(Action::Done),
            Some(map) => {
                let version = map.metadata.resource_version.clone();
                let replace = json!([
                    {"op": "test", "path": "/metadata/resourceVersion", "value": version},
                    {"op": "add", "path": "/data", "value": data},
                ]);
                self.client.patch::<ConfigMap>(&key.name, NAME, &Patch::Json(replace)).await?
            }
            None => {
                let metadata = ObjectMeta {
                    name: Some(NAME.into()),
                    annotations: Some([(DESCRIPTION.0.to_string(), DESCRIPTION.1.to_string())].into()),
                    ..ObjectMeta::default()
                };
                self.client.create(&key.name, &ConfigMap { metadata, data: Some(data), ..ConfigMap::default() }).await?
            }
        };
        pass.wrote(&self.maps, &written);
        Ok(Action::Done)
    }
}
