//! The pure parts of the API as tables: what requests become, what answers look like, what flags mean.

mod convert;
mod events;
mod flags;
mod ranges;
