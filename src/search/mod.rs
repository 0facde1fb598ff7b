//! From a query to ranked tracks.
//!
//! | file | what |
//! |---|---|
//! | `searcher` | what the other rooms hold: [`Searcher`], and the thread behind it |
//! | `engine` | from a query to an answer: exact first, then corrected, then with words split or joined |
//! | `vocabulary` | all words of the catalogue in memory, and those near to a misspelt one |
//! | `rank` | how well a track answers |
//! | `bench` | a synthetic catalogue and the times of its queries, for the lab |

mod bench;
mod engine;
mod rank;
mod searcher;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use bench::{BenchReport, Percentiles, bench};
pub use searcher::Searcher;
