//! What is right in a configuration that has mistakes.

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::Objection;
use super::file::{Slip, check_tables, finish, place};
use crate::config::Config;

/// The configuration that a text makes as far as it goes, and what is wrong with the rest: a table with a mistake is left
/// out, and so is a value that `object` has something against.
pub fn forgiving(text: &str, object: &dyn Fn(&Config) -> Vec<Objection>) -> (Config, Vec<Slip>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // Where one assignment ends is not known any more, so none is believed.
        return (Config::default(), finish(errors.iter().map(Slip::of).collect()));
    }
    let whole = document.into_inner();
    let mut slips = Vec::new();
    let mut good = check_tables(whole.clone(), &mut slips);
    let read = |table: &DeTable<'_>| {
        // Each table was read by itself before.
        Config::deserialize(Deserializer::from(Spanned::new(0..0, table.clone()))).unwrap_or_default()
    };
    for (path, text) in object(&read(&good)) {
        slips.push(Slip { at: place(&whole, path), text });
        remove(&mut good, path);
    }
    (read(&good), finish(slips))
}

fn remove(table: &mut DeTable<'_>, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else { return };
    match table.get_mut(*first).map(Spanned::get_mut) {
        Some(DeValue::Table(inner)) if !rest.is_empty() => remove(inner, rest),
        _ => drop(table.remove(*first)),
    }
}
