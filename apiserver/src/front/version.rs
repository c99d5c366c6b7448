//! `/version` (apimachinery, pkg/version.Info).

use serde_json::{Value, json};

/// The API version that this server speaks.
pub const MAJOR: &str = "1";
/// See [`MAJOR`].
pub const MINOR: &str = "37";
/// What the server calls itself.
pub const GIT_VERSION: &str = "v1.37.0+mkube";

/// The document.
pub fn document() -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "major": MAJOR, "minor": MINOR,
        "emulationMajor": MAJOR, "emulationMinor": MINOR,
        "minCompatibilityMajor": MAJOR, "minCompatibilityMinor": "36",
        "gitVersion": GIT_VERSION, "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{architecture}", std::env::consts::OS),
    })
}
