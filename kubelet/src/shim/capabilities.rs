//! Which capabilities a container's root keeps. Pure.

use rustix::thread::CapabilitySet;

/// Names as pods write them (linux/capability.h without `CAP_`).
const NAMES: [(&str, CapabilitySet); 41] = [
    ("CHOWN", CapabilitySet::CHOWN),
    ("DAC_OVERRIDE", CapabilitySet::DAC_OVERRIDE),
    ("DAC_READ_SEARCH", CapabilitySet::DAC_READ_SEARCH),
    ("FOWNER", CapabilitySet::FOWNER),
    ("FSETID", CapabilitySet::FSETID),
    ("KILL", CapabilitySet::KILL),
    ("SETGID", CapabilitySet::SETGID),
    ("SETUID", CapabilitySet::SETUID),
    ("SETPCAP", CapabilitySet::SETPCAP),
    ("LINUX_IMMUTABLE", CapabilitySet::LINUX_IMMUTABLE),
    ("NET_BIND_SERVICE", CapabilitySet::NET_BIND_SERVICE),
    ("NET_BROADCAST", CapabilitySet::NET_BROADCAST),
    ("NET_ADMIN", CapabilitySet::NET_ADMIN),
    ("NET_RAW", CapabilitySet::NET_RAW),
    ("IPC_LOCK", CapabilitySet::IPC_LOCK),
    ("IPC_OWNER", CapabilitySet::IPC_OWNER),
    ("SYS_MODULE", CapabilitySet::SYS_MODULE),
    ("SYS_RAWIO", CapabilitySet::SYS_RAWIO),
    ("SYS_CHROOT", CapabilitySet::SYS_CHROOT),
    ("SYS_PTRACE", CapabilitySet::SYS_PTRACE),
    ("SYS_PACCT", CapabilitySet::SYS_PACCT),
    ("SYS_ADMIN", CapabilitySet::SYS_ADMIN),
    ("SYS_BOOT", CapabilitySet::SYS_BOOT),
    ("SYS_NICE", CapabilitySet::SYS_NICE),
    ("SYS_RESOURCE", CapabilitySet::SYS_RESOURCE),
    ("SYS_TIME", CapabilitySet::SYS_TIME),
    ("SYS_TTY_CONFIG", CapabilitySet::SYS_TTY_CONFIG),
    ("MKNOD", CapabilitySet::MKNOD),
    ("LEASE", CapabilitySet::LEASE),
    ("AUDIT_WRITE", CapabilitySet::AUDIT_WRITE),
    ("AUDIT_CONTROL", CapabilitySet::AUDIT_CONTROL),
    ("SETFCAP", CapabilitySet::SETFCAP),
    ("MAC_OVERRIDE", CapabilitySet::MAC_OVERRIDE),
    ("MAC_ADMIN", CapabilitySet::MAC_ADMIN),
    ("SYSLOG", CapabilitySet::SYSLOG),
    ("WAKE_ALARM", CapabilitySet::WAKE_ALARM),
    ("BLOCK_SUSPEND", CapabilitySet::BLOCK_SUSPEND),
    ("AUDIT_READ", CapabilitySet::AUDIT_READ),
    ("PERFMON", CapabilitySet::PERFMON),
    ("BPF", CapabilitySet::BPF),
    ("CHECKPOINT_RESTORE", CapabilitySet::CHECKPOINT_RESTORE),
];

/// What a container keeps that asks for nothing (what Docker and containerd leave).
pub const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// The set: `ALL` first, added or dropped, then single ones on top (containerd, oci.WithCapabilities and its kin).
///
/// # Errors
/// A name that is none.
pub fn set(add: &[String], drop: &[String]) -> Result<CapabilitySet, String> {
    let is_all = |name: &String| bare(name) == "ALL";
    let mut set = DEFAULT;
    if add.iter().any(is_all) {
        set = CapabilitySet::all();
    }
    if drop.iter().any(is_all) {
        set = CapabilitySet::empty();
    }
    for name in add.iter().filter(|name| !is_all(name)) {
        set |= find(name)?;
    }
    for name in drop.iter().filter(|name| !is_all(name)) {
        set -= find(name)?;
    }
    Ok(set)
}

fn bare(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CAP_").map(str::to_string).unwrap_or(name)
}

fn find(name: &str) -> Result<CapabilitySet, String> {
    let wanted = bare(name);
    let found = NAMES.iter().find(|(known, _)| *known == wanted);
    found.map(|(_, set)| *set).ok_or_else(|| format!("unknown capability {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_and_dropped_ones_count_from_the_default() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let table = [
            (vec![], vec![], DEFAULT),
            (vec!["NET_ADMIN"], vec![], DEFAULT | CapabilitySet::NET_ADMIN),
            (vec!["CAP_NET_ADMIN", "sys_time"], vec![], DEFAULT | CapabilitySet::NET_ADMIN | CapabilitySet::SYS_TIME),
            (vec![], vec!["CHOWN"], DEFAULT - CapabilitySet::CHOWN),
            (vec![], vec!["ALL"], CapabilitySet::empty()),
            (vec!["CHOWN"], vec!["ALL"], CapabilitySet::CHOWN),
            (vec!["ALL"], vec![], CapabilitySet::all()),
            (vec!["ALL"], vec!["SYS_ADMIN"], CapabilitySet::all() - CapabilitySet::SYS_ADMIN),
        ];
        for (add, drop, expected) in table {
            assert_eq!(set(&names(&add), &names(&drop)), Ok(expected), "{add:?} {drop:?}");
        }
        assert_eq!(set(&names(&["FLY"]), &[]), Err("unknown capability \"FLY\"".into()));
        assert!(set(&[], &names(&[""])).is_err());
    }

    #[test]
    fn every_name_is_one_capability_and_all_of_the_kernels_are_there() {
        let bits: Vec<u64> = NAMES.iter().map(|(_, set)| set.bits()).collect();
        // From CAP_CHOWN, bit 0, to CAP_CHECKPOINT_RESTORE, bit 40, without a gap.
        assert!(bits.iter().all(|bits| bits.is_power_of_two()));
        assert_eq!(bits.iter().fold(0, |all, bits| all | bits), (1 << 41) - 1);
    }
}
