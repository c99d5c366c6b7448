//! Security contexts (upstream: ValidateSecurityContext, validatePodSpecSecurityContext in pkg/apis/core/validation).

use crate::strategy::check::{At, Errors};

const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];
const SYSCTL_FORM: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

/// A user or group number.
fn id(at: &At<'_>, errors: &mut Errors) {
    if at.int().is_some_and(|id| !(0..=i64::from(i32::MAX)).contains(&id)) {
        errors.invalid(at, format!("must be between 0 and {}, inclusive", i32::MAX));
    }
}

/// `securityContext` of a pod, and what in the spec belongs to it.
pub fn of_pod(spec: &At<'_>, errors: &mut Errors) {
    let context = spec.get("securityContext");
    id(&context.get("fsGroup"), errors);
    id(&context.get("runAsUser"), errors);
    id(&context.get("runAsGroup"), errors);
    for group in context.get("supplementalGroups").items() {
        id(&group, errors);
    }
    if spec.get("shareProcessNamespace").flag() && spec.get("hostPID").flag() {
        let at = context.get("shareProcessNamespace");
        errors.invalid_as(&at, true, "ShareProcessNamespace and HostPID cannot both be enabled");
    }
    sysctls(&context.get("sysctls"), errors);
    choice(&context.get("fsGroupChangePolicy"), &["Always", "OnRootMismatch"], errors);
    profiles(&context, errors);
    choice(&context.get("supplementalGroupsPolicy"), &["Merge", "Strict"], errors);
    choice(&context.get("seLinuxChangePolicy"), &["MountOption", "Recursive"], errors);
    if spec.get("hostUsers").value == false {
        let why = "when `pod.Spec.HostUsers` is false";
        for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
            if spec.get(field).flag() {
                errors.forbidden(&spec.get(shown), why);
            }
        }
    }
}

fn choice(at: &At<'_>, supported: &[&str], errors: &mut Errors) {
    if at.present() {
        errors.supported(at, supported);
    }
}

fn sysctls(list: &At<'_>, errors: &mut Errors) {
    let mut seen = Vec::new();
    for sysctl in list.items() {
        let name = sysctl.get("name");
        if !errors.filled(&name) {
            continue;
        }
        if !is_sysctl(name.text()) {
            errors.invalid(&name, format!("must have at most 253 characters and match regex {SYSCTL_FORM}"));
        } else if seen.contains(&name.text()) {
            errors.duplicate(&name);
        }
        seen.push(name.text());
    }
}

fn is_sysctl(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let segment = |part: &str| {
        let bytes = part.as_bytes();
        bytes.first().copied().is_some_and(plain)
            && bytes.last().copied().is_some_and(plain)
            && bytes.iter().all(|b| plain(*b) || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && name.split(['.', '/']).all(segment)
}

/// seccomp and AppArmor, alike in pods and containers.
fn profiles(context: &At<'_>, errors: &mut Errors) {
    let seccomp = context.get("seccompProfile");
    if seccomp.present() {
        profile(&seccomp, "type is required when seccompProfile is set", errors);
        let local = seccomp.get("localhostProfile");
        match (seccomp.get("type").text() == "Localhost", local.present()) {
            (true, false) => errors.required(&local, "must be set when seccomp type is Localhost"),
            (true, true) => errors.descending_path(&local),
            (false, true) => {
                errors.invalid_as(&local, seccomp.value.clone(), "can only be set when seccomp type is Localhost");
            }
            (false, false) => {}
        }
    }
    let app_armor = context.get("appArmorProfile");
    if app_armor.present() {
        profile(&app_armor, "type is required when appArmorProfile is set", errors);
        let local = app_armor.get("localhostProfile");
        match app_armor.get("type").text() {
            "Localhost" if local.text().trim().is_empty() => {
                errors.required(&local, "must be set when AppArmor type is Localhost");
            }
            "Localhost" if local.text().trim() != local.text() => {
                errors.invalid(&local, "must not be padded with whitespace");
            }
            "Localhost" => {}
            _ if local.present() => errors.invalid(&local, "can only be set when AppArmor type is Localhost"),
            _ => {}
        }
    }
}

fn profile(profile: &At<'_>, missing: &str, errors: &mut Errors) {
    let kind = profile.get("type");
    if kind.text().is_empty() {
        errors.required(&kind, missing);
    } else {
        errors.supported(&kind, PROFILES);
    }
}

/// `securityContext` of a container.
pub fn of_container(context: &At<'_>, host_users: bool, errors: &mut Errors) {
    if !context.present() {
        return;
    }
    id(&context.get("runAsUser"), errors);
    id(&context.get("runAsGroup"), errors);
    let mount = context.get("procMount");
    choice(&mount, &["Default", "Unmasked"], errors);
    if host_users && mount.text() == "Unmasked" {
        errors.invalid(&mount, "`hostUsers` must be false to use `Unmasked`");
    }
    if context.get("allowPrivilegeEscalation").value == false {
        if context.get("privileged").flag() {
            errors.invalid(context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        for capability in context.at("capabilities.add").items() {
            if capability.text() == "CAP_SYS_ADMIN" {
                let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
                errors.invalid(context, detail);
            }
        }
    }
    profiles(context, errors);
}
