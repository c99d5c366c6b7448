//! The table of commands, under the headings of kubectl's overview. A command is a row in its file, or in the file of its
//! siblings; a new one is a row there and a name here.

mod annotate;
mod api_resources;
mod apply;
mod attach;
mod auth;
mod autoscale;
mod certificate;
mod cluster_info;
mod completion;
mod config;
mod cordon;
mod create;
mod delete;
mod describe;
mod diff;
mod drain;
mod edit;
mod events;
mod exec;
mod explain;
mod expose;
mod get;
mod logs;
mod missing;
mod patch;
mod replace;
mod rollout;
mod run;
mod scale;
mod set;
mod taint;
mod version;
mod wait;

use crate::command::Group;

/// All commands.
pub static TABLE: &[Group] = &[
    Group {
        title: "Basic Commands (Beginner):",
        commands: &[create::COMMAND, expose::COMMAND, run::COMMAND, set::COMMAND],
    },
    Group {
        title: "Basic Commands (Intermediate):",
        commands: &[explain::COMMAND, get::COMMAND, edit::COMMAND, delete::COMMAND],
    },
    Group { title: "Deploy Commands:", commands: &[rollout::COMMAND, scale::COMMAND, autoscale::COMMAND] },
    Group {
        title: "Cluster Management Commands:",
        commands: &[
            certificate::COMMAND,
            cluster_info::COMMAND,
            missing::TOP,
            cordon::CORDON,
            cordon::UNCORDON,
            drain::COMMAND,
            taint::COMMAND,
        ],
    },
    Group {
        title: "Troubleshooting and Debugging Commands:",
        commands: &[
            describe::COMMAND,
            logs::COMMAND,
            attach::COMMAND,
            exec::COMMAND,
            missing::PORT_FORWARD,
            missing::PROXY,
            missing::CP,
            auth::COMMAND,
            missing::DEBUG,
            events::COMMAND,
        ],
    },
    Group {
        title: "Advanced Commands:",
        commands: &[diff::COMMAND, apply::COMMAND, patch::COMMAND, replace::COMMAND, wait::COMMAND, missing::KUSTOMIZE],
    },
    Group { title: "Settings Commands:", commands: &[annotate::LABEL, annotate::ANNOTATE, completion::COMMAND] },
    Group { title: "Subcommands provided by plugins:", commands: &[] },
    Group {
        title: "Other Commands:",
        commands: &[
            api_resources::COMMAND,
            api_resources::VERSIONS,
            config::COMMAND,
            missing::PLUGIN,
            version::COMMAND,
            completion::OPTIONS,
            completion::HELP,
        ],
    },
];
