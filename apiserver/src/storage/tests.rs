//! Tests of the storage as a whole, on the in-memory store.
