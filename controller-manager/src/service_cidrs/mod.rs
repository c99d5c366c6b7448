//! Protects ServiceCIDRs that addresses are in use of, and says which may give addresses out (kube-controller-manager,
//! servicecidrs).

mod plan;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base::Clock;
use client::controller::{self, Action, Pass, Reconciler, Trigger};
use client::{Cache, Caches, Client, Error, Key, Object, Patch};
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use crate::{Setup, writes};
use plan::{Range, may_go};

/// Keeps a ServiceCIDR until no address of it is in use.
const PROTECTION: &str = "networking.k8s.io/service-cidr-finalizer";
/// Label of the addresses that Services hold.
const MANAGED_BY: (&str, &str) = ("ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io");
/// For so long after its deletion an API server may still give out addresses of it, as upstream reckons.
const GRACE: Duration = Duration::from_secs(10);

pub(crate) fn start(setup: &Setup) -> anyhow::Result<()> {
    let (cidrs, addresses) = (setup.caches.of(), setup.caches.of());
    let (client, clock) = (setup.client.clone(), setup.clock.clone());
    let controller = ServiceCidrs { client, clock, cidrs, addresses };
    controller::run(&setup.context, &setup.caches, controller, 1);
    Ok(())
}

struct ServiceCidrs {
    client: Client,
    clock: Arc<dyn Clock>,
    cidrs: Cache<ServiceCIDR>,
    addresses: Cache<IPAddress>,
}

/// What the condition Ready says.
struct Ready {
    status: &'static str,
    reason: &'static str,
    message: &'static str,
}

const READY: Ready = Ready { status: "True", reason: "", message: "Kubernetes Service CIDR is ready" };
const TERMINATING: Ready = Ready {
    status: "False",
    reason: "Terminating",
    message: "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
};

impl Reconciler for ServiceCidrs {
    fn name(&self) -> &'static str {
        "service-cidrs"
    }

    fn triggers(&self, _: &Caches) -> Vec<Trigger> {
        let (of_cidrs, of_addresses) = (self.cidrs.clone(), self.cidrs.clone());
        vec![
            Trigger::of(&self.cidrs, move |old, new| {
                let own = new.or(old).map(Object::key);
                own.into_iter().chain(going(&of_cidrs)).collect()
            }),
            Trigger::of(&self.addresses, move |_, _| going(&of_addresses)),
        ]
    }

    async fn reconcile(&self, key: &Key, pass: &Pass) -> Result<Action, Error> {
        let Some(cidr) = self.cidrs.get(key) else { return Ok(Action::Done) };
        let finalizers = cidr.metadata.finalizers.clone().unwrap_or_default();
        let protected = finalizers.iter().any(|finalizer| finalizer == PROTECTION);
        let Some(deleted) = &cidr.metadata.deletion_timestamp else {
            if !protected {
                let with = finalizers.into_iter().chain([PROTECTION.to_string()]).collect();
                self.finalizers(&cidr, with, pass).await?;
                return Ok(Action::Done);
            }
            self.say(&cidr, &READY, pass).await?;
            return Ok(Action::Done);
        };
        if !self.may_go(&cidr) {
            self.say(&cidr, &TERMINATING, pass).await?;
            return Ok(Action::Done);
        }
        let since = self.clock.now().duration_since(deleted.0);
        let left = GRACE.saturating_sub(Duration::try_from(since).unwrap_or_default());
        if !left.is_zero() {
            return Ok(Action::After(left));
        }
        if protected {
            let without = finalizers.into_iter().filter(|finalizer| finalizer != PROTECTION).collect();
            self.finalizers(&cidr, without, pass).await?;
        }
        Ok(Action::Done)
    }
}

/// Those on their way out: any change around them may let them go, or hold them.
fn going(cidrs: &Cache<ServiceCIDR>) -> Vec<Key> {
    let all = cidrs.list();
    all.iter().filter(|cidr| cidr.metadata.deletion_timestamp.is_some()).map(|cidr| cidr.key()).collect()
}

fn ranges(cidr: &ServiceCIDR) -> Vec<Range> {
    let texts = cidr.spec.iter().flat_map(|spec| spec.cidrs.iter().flatten());
    texts.filter_map(|text| Range::parse(text)).collect()
}

impl ServiceCidrs {
    fn may_go(&self, cidr: &ServiceCIDR) -> bool {
        let others: Vec<Range> = self
            .cidrs
            .list()
            .iter()
            .filter(|other| other.uid() != cidr.uid())
            .flat_map(|other| ranges(other))
            .collect();
        let held = |address: &Arc<IPAddress>| {
            address.metadata.labels.iter().flatten().any(|(key, value)| (key.as_str(), value.as_str()) == MANAGED_BY)
        };
        let used = self.addresses.list().into_iter().filter(held).filter_map(|address| {
            let name: Option<IpAddr> = address.metadata.name.as_ref()?.parse().ok();
            name
        });
        may_go(&ranges(cidr), &others, used)
    }

    async fn finalizers(&self, cidr: &ServiceCIDR, finalizers: Vec<String>, pass: &Pass) -> Result<(), Error> {
        let patch = json!({"metadata": {
            "uid": cidr.uid(), "resourceVersion": cidr.metadata.resource_version, "finalizers": finalizers,
        }});
        let written = self.client.patch::<ServiceCIDR>("", &cidr.key().name, &Patch::Merge(patch)).await;
        writes::note(written, &self.cidrs, pass)
    }

    async fn say(&self, cidr: &ServiceCIDR, ready: &Ready, pass: &Pass) -> Result<(), Error> {
        let conditions = cidr.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let said = conditions.into_iter().any(|condition| {
            // The API server says Ready of the default one in its own words.
            condition.type_ == "Ready" && condition.status == ready.status && condition.reason == ready.reason
        });
        if said {
            return Ok(());
        }
        let patch = json!({
            "metadata": {"uid": cidr.uid(), "resourceVersion": cidr.metadata.resource_version},
            "status": {"conditions": [{
                "type": "Ready", "status": ready.status, "reason": ready.reason, "message": ready.message,
                "lastTransitionTime": Time(self.clock.now()),
            }]},
        });
        let written = self.client.patch_status::<ServiceCIDR>("", &cidr.key().name, &Patch::Merge(patch)).await;
        writes::note(written, &self.cidrs, pass)
    }
}
