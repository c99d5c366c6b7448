//! Columns of the groups apps, batch, autoscaling and policy.

use super::cells::{
    AGE, CONTAINERS, IMAGES, NAME, SELECTOR, count, is_deleted, is_true, join_field, label_map, label_selector, number,
    scalar, since, size, text, text_or, tree,
};
use super::{Column, Row};
use crate::duration;
use crate::selector::LabelSelector;
use crate::view::Node;

/// Deployments.
pub const DEPLOYMENT: &[Column] = &[
    NAME,
    READY_OF_WANTED,
    Column::text("Up-to-date", "Pods of the newest template", |o, _| number(o, "/status/updatedReplicas")),
    Column::text("Available", "Pods that have been ready for long enough", |o, _| {
        number(o, "/status/availableReplicas")
    }),
    AGE,
    CONTAINERS,
    IMAGES,
    Column::text("Selector", "Labels of the pods that belong to the object", |o, _| {
        let selector = LabelSelector::from_value(&tree(o, "/spec/selector"));
        selector.map_or("<invalid>".into(), |selector| selector.to_string().into())
    })
    .wide(),
];

/// Replica sets.
pub const REPLICA_SET: &[Column] = &[
    NAME,
    Column::integer("Desired", "Wanted pods", |o, _| number(o, "/spec/replicas")),
    Column::integer("Current", "Existing pods", |o, _| number(o, "/status/replicas")),
    Column::integer("Ready", "Ready pods", |o, _| number(o, "/status/readyReplicas")),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// Stateful sets.
pub const STATEFUL_SET: &[Column] = &[NAME, READY_OF_WANTED, AGE, CONTAINERS, IMAGES];

/// Daemon sets.
pub const DAEMON_SET: &[Column] = &[
    NAME,
    Column::integer("Desired", "Nodes that should run a pod", |o, _| number(o, "/status/desiredNumberScheduled")),
    Column::integer("Current", "Nodes that have one", |o, _| number(o, "/status/currentNumberScheduled")),
    Column::integer("Ready", "Nodes whose pod is ready", |o, _| number(o, "/status/numberReady")),
    Column::integer("Up-to-date", "Nodes with a pod of the newest template", |o, _| {
        number(o, "/status/updatedNumberScheduled")
    }),
    Column::integer("Available", "Nodes whose pod has been ready for long enough", |o, _| {
        number(o, "/status/numberAvailable")
    }),
    Column::text("Node Selector", "Labels of the nodes", |o, _| label_map(o, "/spec/template/spec/nodeSelector")),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// Controller revisions.
pub const CONTROLLER_REVISION: &[Column] = &[
    NAME,
    Column::text("Controller", "Object whose state it is", |o, _| controller(o).into()),
    Column::text("Revision", "Number of the state", |o, _| number(o, "/revision")),
    AGE,
];

/// Jobs.
pub const JOB: &[Column] = &[
    NAME,
    Column::text("Status", "State of the job", |o, _| job_status(o).into()),
    Column::text("Completions", "Pods that succeeded of those wanted", |o, _| completions(o).into()),
    Column::text("Duration", "Time that it took, or has taken so far", |o, row| job_duration(o, row).into()),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// Cron jobs.
pub const CRON_JOB: &[Column] = &[
    NAME,
    Column::text("Schedule", "When it runs", |o, _| text(o, "/spec/schedule")),
    Column::text("Timezone", "Time zone of the schedule", |o, _| text_or(o, "/spec/timeZone", "<none>")),
    Column::boolean("Suspend", "Whether it is suspended", |o, _| match o.at("/spec/suspend").map(Node::as_bool) {
        None => "<unset>".into(),
        Some(Some(true)) => "True".into(),
        Some(_) => "False".into(),
    }),
    Column::integer("Active", "Running jobs", |o, _| size(o, "/status/active").into()),
    Column::text("Last Schedule", "Time since it last ran", |o, row| match o.at("/status/lastScheduleTime") {
        None => "<none>".into(),
        Some(_) => since(o, "/status/lastScheduleTime", row).into(),
    }),
    AGE,
    Column::text("Containers", "Names of the containers", |o, _| {
        join_field(o.list("/spec/jobTemplate/spec/template/spec/containers"), "name").into()
    })
    .wide(),
    Column::text("Images", "Images of the containers", |o, _| {
        join_field(o.list("/spec/jobTemplate/spec/template/spec/containers"), "image").into()
    })
    .wide(),
    Column::text("Selector", "Labels of the pods of its jobs", |o, _| {
        label_selector(o, "/spec/jobTemplate/spec/selector")
    })
    .wide(),
];

/// Horizontal pod autoscalers.
pub const HORIZONTAL_POD_AUTOSCALER: &[Column] = &[
    NAME,
    Column::text("Reference", "What is scaled", |o, _| {
        let target = |field: &str| o.text(&format!("/spec/scaleTargetRef/{field}")).to_string();
        format!("{}/{}", target("kind"), target("name")).into()
    }),
    Column::text("Targets", "Current and wanted values of the metrics", |o, _| metrics(o).into()),
    Column::text("MinPods", "Fewest pods", |o, _| scalar(o, "/spec/minReplicas", "<unset>").into()),
    Column::text("MaxPods", "Most pods", |o, _| number(o, "/spec/maxReplicas")),
    Column::text("Replicas", "Pods now", |o, _| number(o, "/status/currentReplicas")),
    AGE,
];

/// The scale subresource.
pub const SCALE: &[Column] = &[
    NAME,
    Column::integer("Desired", "Wanted pods", |o, _| number(o, "/spec/replicas")),
    Column::integer("Available", "Existing pods", |o, _| number(o, "/status/replicas")),
    AGE,
];

/// Pod disruption budgets.
pub const POD_DISRUPTION_BUDGET: &[Column] = &[
    NAME,
    Column::text("Min Available", "Fewest available pods", |o, _| scalar(o, "/spec/minAvailable", "N/A").into()),
    Column::text("Max Unavailable", "Most unavailable pods", |o, _| scalar(o, "/spec/maxUnavailable", "N/A").into()),
    Column::integer("Allowed Disruptions", "Pods that may be evicted now", |o, _| {
        number(o, "/status/disruptionsAllowed")
    }),
    AGE,
];

const READY_OF_WANTED: Column = Column::text("Ready", "Ready pods of wanted pods", |o, _| {
    format!("{}/{}", count(o, "/status/readyReplicas"), count(o, "/spec/replicas")).into()
});

fn controller(o: Node<'_>) -> String {
    let mut owners = o.list("/metadata/ownerReferences");
    let Some(owner) = owners.find(|owner| owner.flag("/controller")) else { return "<none>".into() };
    let group = owner.text("/apiVersion").split_once('/').map_or("", |(group, _)| group);
    let kind = owner.text("/kind").to_lowercase();
    let dot = if group.is_empty() { "" } else { "." };
    format!("{kind}{dot}{group}/{}", owner.text("/name"))
}

fn job_status(o: Node<'_>) -> &'static str {
    match () {
        () if is_true(o, "Complete") => "Complete",
        () if is_true(o, "Failed") => "Failed",
        () if is_deleted(o) => "Terminating",
        () if is_true(o, "Suspended") => "Suspended",
        () if is_true(o, "FailureTarget") => "FailureTarget",
        () if is_true(o, "SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(o: Node<'_>) -> String {
    let succeeded = count(o, "/status/succeeded");
    match (o.integer("/spec/completions"), count(o, "/spec/parallelism")) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn job_duration(o: Node<'_>, row: &Row<'_>) -> String {
    let time = |pointer: &str| o.text(pointer).parse::<jiff::Timestamp>().ok();
    let end = time("/status/completionTime").unwrap_or(row.now);
    time("/status/startTime").map_or(String::new(), |start| duration::human(end.duration_since(start)))
}

/// `cpu: 20%/80%`: per metric the current and the wanted value, two at most.
fn metrics(o: Node<'_>) -> String {
    let specs = o.list("/spec/metrics");
    if specs.is_empty() {
        // The v1 shape knows nothing but CPU.
        return match o.integer("/spec/targetCPUUtilizationPercentage") {
            None => "<none>".into(),
            Some(wanted) => {
                let now = scalar(o, "/status/currentCPUUtilizationPercentage", "<unknown>");
                let percent = if now == "<unknown>" { "" } else { "%" };
                format!("cpu: {now}{percent}/{wanted}%")
            }
        };
    }
    let statuses = o.list("/status/currentMetrics");
    let metric = |(index, spec): (usize, Node<'_>)| metric(spec, statuses.clone().nth(index));
    let shown: Vec<String> = specs.clone().take(2).enumerate().map(metric).collect();
    match specs.len() {
        more @ 3.. => format!("{} + {} more...", shown.join(", "), more - 2),
        _ => shown.join(", "),
    }
}

fn metric(spec: Node<'_>, status: Option<Node<'_>>) -> String {
    let (source, resource) = match spec.text("/type") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".into(),
    };
    let wanted = |field: &str| scalar(spec, &format!("/{source}/target/{field}"), "");
    let current = |field: &str| {
        let unknown = || "<unknown>".to_string();
        status.map_or_else(unknown, |status| scalar(status, &format!("/{source}/current/{field}"), "<unknown>"))
    };
    let name = if resource { format!("{}: ", spec.text(&format!("/{source}/name"))) } else { String::new() };
    let average = wanted("averageValue");
    if !average.is_empty() {
        let note = if matches!(source, "external" | "object") { " (avg)" } else { "" };
        return format!("{name}{}/{average}{note}", current("averageValue"));
    }
    if !resource {
        return format!("{}/{}", current("value"), wanted("value"));
    }
    let percent = |text: String| if text.starts_with('<') { text } else { format!("{text}%") };
    let target = wanted("averageUtilization");
    let target = if target.is_empty() { "<auto>".into() } else { target };
    format!("{name}{}/{}", percent(current("averageUtilization")), percent(target))
}
