//! The volumes of a pod: directories and files under `<root>/pods/<uid>/`, and how containers see them.
//!
//! | file | what it does |
//! |---|---|
//! | [`payload`] | pure: the files of configMap, secret, downwardAPI and projected volumes |
//! | [`atomic`] | puts those files in place so that a reader sees all of the old or all of the new ones |
//! | [`setup`] | makes and removes the volumes |
//! | [`mounts`] | pure but for symlinks: the mounts of a container |
//! | [`paths`] | where everything of a pod is kept |
//! | [`network_files`] | pure: /etc/hosts and /etc/resolv.conf |

pub mod atomic;
pub mod mounts;
pub mod network_files;
pub mod paths;
pub mod payload;
pub mod setup;
