//! Which file a command names, who a user is, and the texts for when there is none; worded as runc words them (Go's os/exec), because
//! people search for these. The file system is a parameter, so that the decisions are tested without one.

use std::path::{Path, PathBuf};

/// What is found under a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A file that may be run.
    Executable,
    /// Something else.
    NotExecutable,
    /// A directory.
    Directory,
    /// Nothing.
    Missing,
}

/// What images without a PATH of their own get.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Looks at the real file system.
pub fn inspect(path: &Path) -> Found {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::metadata(path) {
        Err(_) => Found::Missing,
        Ok(data) if data.is_dir() => Found::Directory,
        Ok(data) if data.permissions().mode() & 0o111 != 0 => Found::Executable,
        Ok(_) => Found::NotExecutable,
    }
}

/// The file that `command` names, as `execvp` would find it.
pub fn executable(command: &str, path: &str, inspect: impl Fn(&Path) -> Found) -> Result<PathBuf, String> {
    if command.contains('/') {
        return match inspect(Path::new(command)) {
            Found::Executable => Ok(PathBuf::from(command)),
            Found::Missing => Err(format!("exec: {command:?}: stat {command}: no such file or directory")),
            Found::Directory => Err(format!("exec: {command:?}: is a directory")),
            Found::NotExecutable => Err(format!("exec: {command:?}: permission denied")),
        };
    }
    let directories = if path.is_empty() { DEFAULT_PATH } else { path };
    directories
        .split(':')
        .map(|directory| Path::new(if directory.is_empty() { "." } else { directory }).join(command))
        .find(|file| inspect(file) == Found::Executable)
        .filter(|_| !command.is_empty())
        .ok_or_else(|| format!("exec: {command:?}: executable file not found in $PATH"))
}

/// The home directory of a user, out of the text of /etc/passwd.
pub fn home(passwd: &str, uid: u32) -> &str {
    passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.len() >= 6 && fields[2].parse() == Ok(uid))
        .map_or(if uid == 0 { "/root" } else { "/" }, |fields| fields[5])
}

/// The primary group of a user, out of the text of /etc/passwd; root's if it has none.
pub fn primary_group(passwd: &str, uid: u32) -> u32 {
    passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.len() >= 4 && fields[2].parse() == Ok(uid))
        .and_then(|fields| fields[3].parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(path: &Path) -> Found {
        match path.to_str().unwrap() {
            "/bin/sh" | "/usr/bin/env" | "./here" => Found::Executable,
            "/usr/local/bin/sh" | "/etc/passwd" => Found::NotExecutable,
            "/etc" => Found::Directory,
            _ => Found::Missing,
        }
    }

    #[test]
    fn commands_are_found_as_a_shell_would() {
        for (command, path, expected) in [
            ("sh", "", Ok("/bin/sh")),
            ("sh", "/usr/local/bin:/bin", Ok("/bin/sh")),
            ("/usr/bin/env", "/nowhere", Ok("/usr/bin/env")),
            ("here", ":/bin", Ok("./here")),
            ("foo", "/bin", Err(r#"exec: "foo": executable file not found in $PATH"#)),
            ("", "/bin", Err(r#"exec: "": executable file not found in $PATH"#)),
            ("/nope", "/bin", Err(r#"exec: "/nope": stat /nope: no such file or directory"#)),
            ("/etc/passwd", "/bin", Err(r#"exec: "/etc/passwd": permission denied"#)),
            ("/etc", "/bin", Err(r#"exec: "/etc": is a directory"#)),
        ] {
            let found = executable(command, path, disk);
            assert_eq!(found.as_deref().map_err(String::as_str), expected.map(Path::new), "{command} in {path}");
        }
    }

    #[test]
    fn users_have_homes() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbroken\nalice:x:1000:1001::/home/alice:/bin/sh\n";
        assert_eq!((home(passwd, 0), home(passwd, 1000), home(passwd, 7)), ("/root", "/home/alice", "/"));
        assert_eq!(home("", 0), "/root");
        assert_eq!((primary_group(passwd, 1000), primary_group(passwd, 7)), (1001, 0));
    }
}
