//! The controllers: each turns the difference between wanted and actual into writes.
