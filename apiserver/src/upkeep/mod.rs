//! What a server does besides answering, for as long as it runs, and beside other servers on the same store.
//!
//! | module | what it keeps right |
//! |---|---|
//! | [`masters`] | who serves: the endpoints of the `kubernetes` Service |
//! | [`repair`], [`findings`] | that Services and the records of their addresses and node ports agree |

pub mod findings;
pub mod masters;
pub mod repair;
