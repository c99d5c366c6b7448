//! Lifecycle hooks: postStart and preStop, as exec, HTTP GET or sleep (pkg/kubelet/lifecycle/handlers.go).

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};

use crate::pod;
use crate::probes::http;
use crate::runtime::Runtime;

/// A hook without a deadline of its own must still end.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// Runs a hook in container `id`; the error is for people.
///
/// # Errors
/// When the hook failed or took longer than `timeout`.
pub async fn run(
    runtime: &dyn Runtime,
    id: &str,
    container: &Container,
    hook: &LifecycleHandler,
    pod_ip: Option<IpAddr>,
    timeout: Duration,
) -> Result<(), String> {
    let work = async {
        if let Some(exec) = &hook.exec {
            let command = exec.command.as_deref().unwrap_or_default();
            let output = runtime.exec_sync(id, command, timeout).await.map_err(|error| error.to_string())?;
            return match output.exit_code {
                0 => Ok(()),
                code => Err(format!(
                    "command '{}' exited with {code}: {}",
                    command.join(" "),
                    String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
                )),
            };
        }
        if let Some(get) = &hook.http_get {
            let port = pod::resolve_port(&get.port, container)?;
            let request = http::Request::new(get, pod_ip, port)?;
            return http::get(&request, timeout).await.map(drop);
        }
        if let Some(sleep) = &hook.sleep {
            tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
            return Ok(());
        }
        Err("invalid handler: it has neither exec, httpGet nor sleep".into())
    };
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| Err("the hook did not end in time".into()))
}
