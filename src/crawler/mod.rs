//! Many DHT nodes and what they hear.

mod announces;
mod book;
mod bootstrap;
pub mod filter;
mod generations;
pub mod placement;
mod sampling;
mod saved;
