//! What a container sees as its file system: an overlay over the node's root, its own /proc, /sys and /dev, and its volumes.
//!
//! Runs in the forked child, in a mount namespace of its own, so that everything here vanishes with the container's last process.
//! Sources of bind mounts are opened before the root changes, targets are made and resolved after it, so that a symbolic link in the
//! new root cannot lead out of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change, mount_remount,
    move_mount, open_tree, unmount,
};

use super::wire::{ContainerConfig, SandboxConfig};

/// Something went wrong while the file system was made: what, and why.
pub type Result<T> = std::result::Result<T, String>;

/// A bind mount on its way: opened in the old root, put in place in the new one.
struct Pending {
    tree: OwnedFd,
    target: PathBuf,
    directory: bool,
    readonly: bool,
}

fn because<T>(what: impl std::fmt::Display) -> impl FnOnce(rustix::io::Errno) -> std::result::Result<T, String> {
    move |error| Err(format!("{what}: {}", io::Error::from(error)))
}

/// Makes the file system of a container and enters it. `directory` is the container's in the kubelet's data.
pub fn enter(
    sandbox: &SandboxConfig,
    sandbox_directory: &Path,
    config: &ContainerConfig,
    directory: &Path,
) -> Result<()> {
    keep_mounts_private().or_else(because("mount namespace"))?;
    let root = directory.join("rootfs");
    overlay(directory, &root)?;

    let mut pending = Vec::new();
    for file in ["hostname", "resolv.conf"] {
        let source = sandbox_directory.join(file);
        if source.exists()
            && !config.spec.mounts.iter().any(|mount| mount.container_path == Path::new("/etc").join(file))
        {
            pending.push(open_bind(&source, &Path::new("/etc").join(file), false)?);
        }
    }
    for volume in &config.spec.mounts {
        pending.push(open_bind(&volume.host_path, &volume.container_path, volume.readonly)?);
    }
    let devices = config.spec.privileged.then(|| open_bind(Path::new("/dev"), Path::new("/dev"), false)).transpose()?;

    change_root(&root)?;
    for hidden in &sandbox.hide {
        if hidden.is_dir() && hidden != Path::new("/") {
            mount("tmpfs", hidden, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"size=64k,mode=0755"))
                .or_else(because(format_args!("hiding {}", hidden.display())))?;
        }
    }
    kernel_file_systems(config.spec.privileged)?;
    match devices {
        Some(devices) => place(&devices)?,
        None => own_devices(),
    }
    for bind in &pending {
        place(bind)?;
    }
    if config.spec.readonly_rootfs {
        mount_remount("/", MountFlags::BIND | MountFlags::RDONLY, c"")
            .or_else(because("making the root file system read-only"))?;
    }
    Ok(())
}

/// Nothing mounted from here on is to be seen by the node. In a chroot (a build root, a test of an installation) "/" is no mount point,
/// and what must be marked is above it: climb out, mark it, and return. Only this forked child does so.
fn keep_mounts_private() -> rustix::io::Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    match mount_change("/", private) {
        Err(rustix::io::Errno::INVAL) => {}
        other => return other,
    }
    let here = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::process::chdir("/")?;
    // With the root below the working directory, ".." is not held back by it.
    rustix::process::chroot("proc")?;
    let place = || rustix::fs::stat(".").map(|status| (status.st_dev, status.st_ino));
    let mut last = place()?;
    let marked = loop {
        rustix::process::chdir("..")?;
        let now = place()?;
        if now == last {
            break mount_change(".", private);
        }
        last = now;
    };
    rustix::process::fchdir(&here)?;
    rustix::process::chroot(".")?;
    marked
}

/// The node's root below, the container's own writable layer above. Where the data directory cannot hold the upper layer of an overlay
/// (it is on one itself, inside a container), the layer is in memory, and counts as the container's.
fn overlay(directory: &Path, root: &Path) -> Result<()> {
    let layer = directory.join("layer");
    let Err(first) = mount_overlay(&layer, root) else { return Ok(()) };
    let in_memory = || {
        mount("tmpfs", &layer, "tmpfs", MountFlags::NODEV, Some(c"mode=0700"))?;
        for name in ["upper", "work"] {
            rustix::fs::mkdir(layer.join(name), Mode::from_raw_mode(0o755))?;
        }
        mount_overlay(&layer, root)
    };
    in_memory().map_err(|_| {
        format!(
            "cannot put an overlay file system in {}: {}; it needs a file system that can hold the upper layer of an overlay \
             (such as ext4, xfs or btrfs), choose a data directory on one",
            directory.display(),
            io::Error::from(first)
        )
    })
}

/// `volatile`: nothing in the writable layer is worth a sync, it is removed with the container.
fn mount_overlay(layer: &Path, root: &Path) -> rustix::io::Result<()> {
    let escape =
        |path: PathBuf| path.display().to_string().replace('\\', "\\\\").replace(',', "\\,").replace(':', "\\:");
    let (upper, work) = (escape(layer.join("upper")), escape(layer.join("work")));
    let attempt = |extra: &str| {
        let options = format!("lowerdir=/,upperdir={upper},workdir={work}{extra}");
        let options = std::ffi::CString::new(options).map_err(|_| rustix::io::Errno::INVAL)?;
        mount("overlay", root, "overlay", MountFlags::empty(), Some(options.as_c_str()))
    };
    // Linux before 5.10 does not know `volatile`.
    attempt(",index=off,volatile").or_else(|_| attempt(""))
}

/// Opens what is to be seen in the container; a detached copy of the mount, with those below it.
fn open_bind(source: &Path, target: &Path, readonly: bool) -> Result<Pending> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, source, flags).or_else(because(format_args!(
        "error mounting {:?} to rootfs at {:?}",
        source.display(),
        target.display()
    )))?;
    let directory = source.is_dir();
    Ok(Pending { tree, target: target.to_owned(), directory, readonly })
}

/// Puts a bind mount in its place, which is made if it is missing.
fn place(bind: &Pending) -> Result<()> {
    let target = &bind.target;
    let what = format!("error mounting to rootfs at {:?}", target.display());
    make_target(target, bind.directory).map_err(|error| format!("{what}: {error}"))?;
    move_mount(bind.tree.as_fd(), "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).or_else(because(&what))?;
    if bind.readonly {
        // A bind remount must repeat the flags the mount is locked to; nosuid, nodev and noexec of the source stay.
        let held = rustix::fs::statvfs(target).map(|status| status.f_flag.bits()).unwrap_or(0);
        let keep =
            MountFlags::from_bits_truncate(held as _) & (MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC);
        mount_remount(target, MountFlags::BIND | MountFlags::RDONLY | keep, c"").or_else(because(&what))?;
    }
    Ok(())
}

fn make_target(target: &Path, directory: bool) -> io::Result<()> {
    if directory {
        return if target.is_dir() { Ok(()) } else { std::fs::create_dir_all(target) };
    }
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // A link (resolv.conf is one where systemd-resolved runs) would take the mount where it leads, or nowhere.
    if target.is_symlink() {
        std::fs::remove_file(target)?;
    }
    if !target.exists() {
        std::fs::File::create(target)?;
    }
    Ok(())
}

fn change_root(root: &Path) -> Result<()> {
    rustix::process::chdir(root).or_else(because("entering the root file system"))?;
    // pivot_root onto itself stacks the old root on the new one, from where it is detached (pivot_root(2), NOTES).
    match rustix::process::pivot_root(".", ".") {
        Ok(()) => unmount(".", UnmountFlags::DETACH).or_else(because("leaving the node's root"))?,
        // In a chroot the current root is no mount point, so it cannot be swapped.
        Err(rustix::io::Errno::INVAL) => {
            rustix::process::chroot(".").or_else(because("changing the root"))?;
        }
        Err(error) => return because("changing the root")(error),
    }
    rustix::process::chdir("/").or_else(because("changing the root"))
}

fn kernel_file_systems(privileged: bool) -> Result<()> {
    let plain = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    for (kind, target) in [("proc", "/proc"), ("sysfs", "/sys")] {
        let _ = std::fs::create_dir_all(target);
        let flags = if kind == "sysfs" && !privileged { plain | MountFlags::RDONLY } else { plain };
        let mounted = mount(kind, target, kind, flags, None);
        if kind == "proc" {
            mounted.or_else(because("mounting /proc"))?;
        }
    }
    if !privileged {
        // What would let a container change the node: as OCI's defaults, seen but not written.
        for path in ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"] {
            if Path::new(path).exists() && rustix::mount::mount_bind(path, path).is_ok() {
                let _ = mount_remount(path, MountFlags::BIND | MountFlags::RDONLY | plain, c"");
            }
        }
    }
    Ok(())
}

/// A small /dev of the container's own (OCI runtime specification, "Default Devices"). Where device files cannot be made, what the
/// overlay shows of the node's /dev must do.
fn own_devices() {
    if mount("tmpfs", "/dev", "tmpfs", MountFlags::NOSUID, Some(c"mode=0755,size=64k")).is_err() {
        return;
    }
    let devices = [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
    for (name, major, minor) in devices {
        let path = Path::new("/dev").join(name);
        let device = rustix::fs::makedev(major, minor);
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        if rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, mode, device).is_ok() {
            // mknod obeys the umask.
            let _ = rustix::fs::chmod(&path, mode);
        }
    }
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    for (directory, kind, options) in [
        ("/dev/pts", "devpts", c"newinstance,ptmxmode=0666,mode=0620,gid=5"),
        ("/dev/shm", "tmpfs", c"mode=1777,size=65536k"),
        ("/dev/mqueue", "mqueue", c""),
    ] {
        let _ = std::fs::create_dir(directory);
        let _ = mount(kind, directory, kind, flags, Some(options));
    }
    for (link, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        let _ = std::os::unix::fs::symlink(target, Path::new("/dev").join(link));
    }
}

/// Enters the mount namespace and the root of a running process.
pub fn join(namespaces: BorrowedFd<'_>, pid: u32) -> io::Result<()> {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    let root = rustix::fs::open(
        format!("/proc/{pid}/root"),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    move_into_link_name_space(namespaces, Some(LinkNameSpaceType::Mount))?;
    rustix::process::fchdir(&root)?;
    rustix::process::chroot(".")?;
    Ok(rustix::process::chdir("/")?)
}
