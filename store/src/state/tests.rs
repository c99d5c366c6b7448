//! Table tests of the state.
