//! Starts a container: image, configuration, creation, start, postStart hook, each with upstream's events and reasons
//! (pkg/kubelet/kuberuntime/kuberuntime_container.go, pkg/kubelet/images/image_manager.go).

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};

use super::hooks;
use super::mailbox::Mailbox;
use super::unsupported;
use crate::cluster::{Interest, Severity};
use crate::env::{self, Scope, fields::Facts, services};
use crate::known::memory::{Failure, Retry};
use crate::node::Node;
use crate::pod::{self, Role};
use crate::resources;
use crate::runtime::{ContainerId, ContainerSpec, Sandbox, describe};
use crate::volumes::{mounts, mounts::Volumes, network_files};

/// How long a start that failed for want of something waits, unless that something changes.
const CONFIG_RETRY: Duration = Duration::from_secs(10);

/// One start.
pub struct Launch {
    /// The node.
    pub node: Arc<Node>,
    /// The pod.
    pub pod: Arc<Pod>,
    /// Which list it stands in.
    pub role: Role,
    /// The container.
    pub container: Container,
    /// Counts the containers of this name.
    pub attempt: u32,
    /// Where it runs.
    pub sandbox: Sandbox,
    /// Volumes of the pod.
    pub volumes: Volumes,
    /// What it refers to.
    pub interest: Arc<dyn Interest>,
    /// Told of the image before the container is seen, so that its first status is complete.
    pub mailbox: Arc<Mailbox>,
}

/// A container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launched {
    /// Its ID.
    pub id: ContainerId,
    /// Reference of its image.
    pub image_id: String,
}

impl Launch {
    fn event(&self, severity: Severity, reason: &str, message: &str) {
        let field = pod::field_path(self.role, &self.container.name);
        self.node.cluster.event(&self.pod, Some(&field), severity, reason, message);
    }

    /// A failure, with the event `Error: <reason or text>` that upstream sends.
    fn failed(&self, reason: &str, message: String, retry: Retry) -> Failure {
        Failure { reason: reason.into(), message, at: self.node.now(), retry }
    }

    fn later(&self) -> Retry {
        Retry::At(self.node.now().saturating_add(CONFIG_RETRY).unwrap_or(jiff::Timestamp::MAX))
    }

    /// Starts the container.
    ///
    /// # Errors
    /// What the container then waits for.
    pub async fn run(self) -> Result<Launched, Failure> {
        let image_id = self.image().await?;
        let image = pod::image(&self.container).to_string();
        self.mailbox.note(|news| drop(news.images.insert(image, image_id.clone())));
        let spec = match self.configure().await {
            Ok(spec) => spec,
            Err(message) => {
                self.event(Severity::Warning, "Failed", &format!("Error: {message}"));
                return Err(self.failed("CreateContainerConfigError", message, self.later()));
            }
        };
        let runtime = &self.node.runtime;
        let id = match runtime.create_container(&self.sandbox.id, &spec).await {
            Ok(id) => id,
            Err(error) => {
                let message = describe(&error);
                self.event(Severity::Warning, "Failed", &format!("Error: {message}"));
                return Err(self.failed("CreateContainerError", message, self.later()));
            }
        };
        self.event(Severity::Normal, "Created", "Container created");
        if let Err(error) = runtime.start_container(&id).await {
            let message = describe(&error);
            self.event(Severity::Warning, "Failed", &format!("Error: {message}"));
            return Err(self.failed("RunContainerError", message, Retry::Crash));
        }
        self.event(Severity::Normal, "Started", "Container started");
        self.post_start(&id).await?;
        Ok(Launched { id, image_id })
    }

    async fn image(&self) -> Result<String, Failure> {
        let (image, policy) = (pod::image(&self.container), pod::pull_policy(&self.container));
        let present = match self.node.runtime.image_status(image).await {
            Ok(present) => present,
            Err(error) => {
                let message = format!("Failed to inspect image \"{image}\": {}", describe(&error));
                self.event(Severity::Warning, "InspectFailed", &message);
                return Err(self.failed("ImageInspectError", message, self.later()));
            }
        };
        match (present, policy) {
            (Some(reference), "IfNotPresent" | "Never") => {
                let message =
                    format!("Container image \"{image}\" already present on machine and can be accessed by the pod");
                self.event(Severity::Normal, "Pulled", &message);
                Ok(reference)
            }
            (None, "Never") => {
                let message = format!("Container image \"{image}\" is not present with pull policy of Never");
                self.event(Severity::Warning, "ErrImageNeverPull", &message);
                self.event(Severity::Warning, "Failed", "Error: ErrImageNeverPull");
                Err(self.failed("ErrImageNeverPull", message, self.later()))
            }
            _ => self.pull(image).await,
        }
    }

    async fn pull(&self, image: &str) -> Result<String, Failure> {
        self.event(Severity::Normal, "Pulling", &format!("Pulling image \"{image}\""));
        let begun = self.node.clock.monotonic();
        match self.node.runtime.pull_image(image).await {
            Ok(reference) => {
                let took = self.node.clock.monotonic().saturating_sub(begun).as_millis();
                let message = format!("Successfully pulled image \"{image}\" in {took}ms ({took}ms including waiting)");
                self.event(Severity::Normal, "Pulled", &message);
                Ok(reference)
            }
            Err(error) => {
                let message = describe(&error);
                self.event(Severity::Warning, "Failed", &format!("Failed to pull image \"{image}\": {message}"));
                self.event(Severity::Warning, "Failed", "Error: ErrImagePull");
                Err(self.failed("ErrImagePull", message, Retry::Image(image.to_string())))
            }
        }
    }

    fn pod_ips(&self) -> Vec<IpAddr> {
        if pod::host_network(&self.pod) { self.node.ips.clone() } else { self.sandbox.ips.clone() }
    }

    async fn configure(&self) -> Result<ContainerSpec, String> {
        let (pod, container, node) = (&*self.pod, &self.container, &*self.node);
        unsupported::check(pod, container)?;
        let fetched = self.interest.fetch().await?;
        // A static pod must start while the API server is down: it then hears of no services.
        let all = match node.cluster.services().await {
            Err(why) if !pod::is_static(pod) => return Err(why),
            all => all.unwrap_or_default(),
        };
        let links = pod::spec(pod).enable_service_links.unwrap_or(true);
        let services = services::visible(&all, pod::namespace(pod), links);
        let facts =
            Facts { pod_ips: self.pod_ips(), host_ips: node.ips.clone(), allocatable: node.allocatable.clone() };
        let scope = Scope { pod, fetched: &fetched, services: &services, facts: &facts };
        let mut env = env::environment(&scope, container)?;
        if !env.iter().any(|(name, _)| name == "HOSTNAME") {
            env.insert(0, ("HOSTNAME".into(), pod::hostname(pod)));
        }
        let (command, args) = env::command(container, &env);
        let termination_log = node.paths.termination_log(pod::uid(pod), &container.name, self.attempt);
        let hosts = self.write_files(&termination_log).map_err(|error| error.to_string())?;
        let mounts = mounts::mounts(container, &self.volumes, &env, Some(&hosts), &termination_log)?;
        let mut spec = ContainerSpec {
            name: container.name.clone(),
            attempt: self.attempt,
            image: pod::image(container).into(),
            command,
            args,
            working_dir: container.working_dir.as_ref().filter(|d| !d.is_empty()).map(Into::into),
            env,
            mounts,
            resources: resources::container(pod, container, node.memory),
            tty: container.tty.unwrap_or(false),
            stdin: container.stdin.unwrap_or(false),
            stdin_once: container.stdin_once.unwrap_or(false),
            run_as_user: None,
            run_as_group: None,
            supplemental_groups: Vec::new(),
            readonly_rootfs: false,
            privileged: false,
            add_capabilities: Vec::new(),
            drop_capabilities: Vec::new(),
            no_new_privileges: false,
            log_path: node.paths.log(pod, &container.name, self.attempt),
        };
        security(pod, container, &mut spec)?;
        Ok(spec)
    }

    /// `/etc/hosts` and an empty termination log; returns the path of the former.
    fn write_files(&self, termination_log: &Path) -> std::io::Result<std::path::PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let node_hosts =
            pod::host_network(&self.pod).then(|| std::fs::read_to_string("/etc/hosts").unwrap_or_default());
        let text = network_files::hosts(&self.pod, &self.pod_ips(), &self.node.dns.domain, node_hosts.as_deref());
        let hosts = self.node.paths.hosts(pod::uid(&self.pod));
        for dir in
            [hosts.parent(), termination_log.parent(), self.node.paths.log(&self.pod, &self.container.name, 0).parent()]
        {
            std::fs::create_dir_all(dir.unwrap_or(Path::new("/")))?;
        }
        // Containers have it mounted: written in place when it changed, never replaced.
        if std::fs::read_to_string(&hosts).ok().as_deref() != Some(&text) {
            std::fs::write(&hosts, text)?;
        }
        std::fs::write(termination_log, "")?;
        std::fs::set_permissions(termination_log, std::fs::Permissions::from_mode(0o666))?;
        Ok(hosts)
    }

    async fn post_start(&self, id: &str) -> Result<(), Failure> {
        let Some(hook) = self.container.lifecycle.as_ref().and_then(|l| l.post_start.as_ref()) else { return Ok(()) };
        let ip = self.pod_ips().first().copied();
        let result = hooks::run(&*self.node.runtime, id, &self.container, hook, ip, hooks::LONGEST).await;
        let Err(message) = result else { return Ok(()) };
        self.event(Severity::Warning, "FailedPostStartHook", &format!("PostStartHook failed: {message}"));
        let grace = Duration::from_secs(u64::try_from(pod::grace_seconds(&self.pod)).unwrap_or(0));
        self.event(Severity::Normal, "Killing", "FailedPostStartHook");
        let _ = self.node.runtime.stop_container(id, grace).await;
        Err(self.failed("PostStartHookError", format!("PostStart handler: {message}"), Retry::Crash))
    }
}

/// Users, groups, privileges: the container's own, else the pod's.
fn security(pod: &Pod, container: &Container, spec: &mut ContainerSpec) -> Result<(), String> {
    let pods = pod::spec(pod).security_context.as_ref();
    let own = container.security_context.as_ref();
    let id = |own: Option<i64>, pods: Option<i64>| own.or(pods).and_then(|id| u32::try_from(id).ok());
    spec.run_as_user = id(own.and_then(|s| s.run_as_user), pods.and_then(|s| s.run_as_user));
    spec.run_as_group = id(own.and_then(|s| s.run_as_group), pods.and_then(|s| s.run_as_group));
    let groups =
        pods.into_iter().flat_map(|s| s.fs_group.into_iter().chain(s.supplemental_groups.iter().flatten().copied()));
    spec.supplemental_groups = groups.filter_map(|g| u32::try_from(g).ok()).collect();
    spec.readonly_rootfs = own.and_then(|s| s.read_only_root_filesystem).unwrap_or(false);
    spec.privileged = own.and_then(|s| s.privileged).unwrap_or(false);
    let capabilities = own.and_then(|s| s.capabilities.clone()).unwrap_or_default();
    spec.add_capabilities = capabilities.add.unwrap_or_default();
    spec.drop_capabilities = capabilities.drop.unwrap_or_default();
    spec.no_new_privileges = own.and_then(|s| s.allow_privilege_escalation) == Some(false);
    let non_root = own.and_then(|s| s.run_as_non_root).or(pods.and_then(|s| s.run_as_non_root)).unwrap_or(false);
    let named = format!("(pod: \"{}\", container: {})", pod::full_name(pod), container.name);
    match spec.run_as_user {
        Some(0) if non_root => Err(format!("container's runAsUser breaks non-root policy {named}")),
        None if non_root => Err(format!("container has runAsNonRoot and image will run as root {named}")),
        _ => Ok(()),
    }
}
