//! Every namespace has a ServiceAccount `default` (kube-controller-manager, serviceaccounts_controller.go).

use client::controller::{self, Action, Pass, Reconciler, Trigger};
use client::{Cache, Caches, Client, Error, Key};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::Setup;

const DEFAULT: &str = "default";

pub(crate) fn start(setup: &Setup) -> anyhow::Result<()> {
    let controller =
        ServiceAccounts { client: setup.client.clone(), namespaces: setup.caches.of(), accounts: setup.caches.of() };
    controller::run(&setup.context, &setup.caches, controller, 4);
    Ok(())
}

struct ServiceAccounts {
    client: Client,
    namespaces: Cache<Namespace>,
    accounts: Cache<ServiceAccount>,
}

impl Reconciler for ServiceAccounts {
    fn name(&self) -> &'static str {
        "serviceaccount"
    }

    fn triggers(&self, _: &Caches) -> Vec<Trigger> {
        vec![Trigger::each(&self.namespaces), namespace_when_gone(&self.accounts, DEFAULT)]
    }

    async fn reconcile(&self, key: &Key, pass: &Pass) -> Result<Action, Error> {
        if !is_active(&self.namespaces, key) || self.accounts.get(&Key::new(&key.name, DEFAULT)).is_some() {
            return Ok(Action::Done);
        }
        let account = ServiceAccount {
            metadata: ObjectMeta { name: Some(DEFAULT.into()), ..ObjectMeta::default() },
            ..ServiceAccount::default()
        };
        match self.client.create(&key.name, &account).await {
            Ok(created) => pass.wrote(&self.accounts, &created),
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(error),
        }
        Ok(Action::Done)
    }
}

/// Whether the namespace exists and is not on its way out.
pub(crate) fn is_active(namespaces: &Cache<Namespace>, key: &Key) -> bool {
    namespaces.get(key).is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_none())
}

/// Dirties the namespace when its object `name` has changed or gone.
pub(crate) fn namespace_when_gone<K: client::Object>(cache: &Cache<K>, name: &'static str) -> Trigger {
    Trigger::of(cache, move |old, new| {
        let object = new.or(old).map(client::Object::key).filter(|key| key.name == name);
        object.map(|key| Key::new("", key.namespace)).into_iter().collect()
    })
}
