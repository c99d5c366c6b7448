//! The command line: kubectl's commands, flags and output.
