//! Which images this runtime can run, and what they make of a container's command: pure.

use crate::runtime::{Error, Result};

/// The built-in server.
pub const ECHO: &str = "mkube.local/echo";
/// The node's own programs.
pub const HOST: &str = "mkube.local/host";

/// What an image does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// Runs this program's echo server unless a command is given.
    Echo,
    /// Runs what the command names.
    Host,
}

/// What a container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name of the program and its arguments.
    pub argv: Vec<String>,
    /// Whether the program is this one.
    pub builtin: bool,
}

/// Finds the image; tags and digests do not matter here, there is one of each.
pub fn find(image: &str) -> Result<Image> {
    let name = image.split('@').next().unwrap_or_default();
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    match name {
        ECHO => Ok(Image::Echo),
        HOST => Ok(Image::Host),
        _ => Err(Error::Image(format!(
            "the runtime \"process\" cannot pull {image:?}: it runs {ECHO} (a built-in test server) and {HOST} (programs of the \
             node, named by the container's command), and no images of registries"
        ))),
    }
}

/// Applies an image's entry point to a container's command and arguments.
pub fn entry(image: Image, command: &[String], args: &[String]) -> Result<Entry> {
    if !command.is_empty() {
        return Ok(Entry { argv: [command, args].concat(), builtin: false });
    }
    match image {
        Image::Echo => {
            let mut argv = vec!["echo".to_owned(), "__echo".to_owned()];
            argv.extend_from_slice(args);
            Ok(Entry { argv, builtin: true })
        }
        // Upstream runs the arguments if the image has no entry point.
        Image::Host if !args.is_empty() => Ok(Entry { argv: args.to_vec(), builtin: false }),
        Image::Host => {
            Err(Error::Start(format!("no command specified; {HOST} runs what the container's command names")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_images_are_known_under_any_tag() {
        for (name, expected) in [
            ("mkube.local/echo", Some(Image::Echo)),
            ("mkube.local/echo:v2", Some(Image::Echo)),
            ("mkube.local/echo@sha256:00ff", Some(Image::Echo)),
            ("mkube.local/host:latest", Some(Image::Host)),
            ("mkube.local:5000/echo", None),
            ("nginx", None),
            ("docker.io/library/nginx:1.27", None),
            ("", None),
        ] {
            assert_eq!(find(name).ok(), expected, "{name}");
        }
        let text = find("nginx:1").unwrap_err().to_string();
        assert!(text.contains("\"nginx:1\"") && text.contains(ECHO) && text.contains(HOST), "{text}");
    }

    #[test]
    fn commands_replace_entry_points() {
        let run = |image, command: &[&str], args: &[&str]| {
            let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            entry(image, &strings(command), &strings(args)).map(|entry| (entry.argv.join(" "), entry.builtin)).ok()
        };
        for (image, command, args, expected) in [
            (Image::Echo, &[][..], &["--http", "80"][..], Some(("echo __echo --http 80", true))),
            (Image::Echo, &["sh"], &["-c", "true"], Some(("sh -c true", false))),
            (Image::Host, &["sleep"], &["1"], Some(("sleep 1", false))),
            (Image::Host, &[], &["sleep", "1"], Some(("sleep 1", false))),
            (Image::Host, &[], &[], None),
        ] {
            let expected = expected.map(|(text, builtin)| (text.to_owned(), builtin));
            assert_eq!(run(image, command, args), expected, "{image:?} {command:?} {args:?}");
        }
    }
}
