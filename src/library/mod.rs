//! What stays on disk: a ledger that keeps storage within its budget and the policy that says what has to go.
//!
//! Both are pure. Before a download starts, its bytes are reserved in the [`Ledger`]; where they do not fit,
//! [`plan_eviction`] names the tracks to give up. Since nothing is written that was not reserved, what lies on the disk
//! stays within the budget at every moment.

mod eviction;
mod ledger;

pub use eviction::{DoesNotFit, Item, Pin, plan_eviction};
pub use ledger::{Ledger, Shortfall};
