//! The tools' flags, and files that somebody brings: whole ones are read, anything else is refused by what is wrong with it.

mod databases;
mod flags;
