//! Side by side: what our crawler and three other DHT clients hear of the same world with the same processor and time.
//!
//! `make beside`; `-- --quick` for the short form. Each contender is a process of its own in a network of its own, on one
//! processor, and meets a fresh world of the same seed, which is served from the others. The kernel says what it took of
//! the machine, and the world what of that which it heard is true. What each contender does to hear is said in
//! `contenders.rs` and in `tests/real/dht_beside.py`.

mod clients;
mod contenders;
mod findings;
mod scene;

use std::path::PathBuf;
use std::process::ExitCode;

use silverstream::lab::LabError;
use silverstream::lab::report::Report;

/// What a copy of this program is to be: a contender by name, or the world of one. None: who starts them all.
const ROLE: &str = "SILVERSTREAM_BESIDE_ROLE";
/// Of all worlds, unless `SEED` sets another.
const SEED: u64 = 4;

fn main() -> ExitCode {
    let done = match std::env::var(ROLE).ok() {
        Some(role) if role == scene::WORLD => scene::serve(),
        Some(role) => contenders::run(&role),
        None => compare(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("beside: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<ExitCode, LabError> {
    // Cargo gives benchmarks arguments of its own.
    let quick = std::env::args().any(|argument| argument == "--quick");
    let out = std::env::args().skip_while(|argument| argument != "--out").nth(1).map(PathBuf::from);
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    let size = if quick { scene::QUICK } else { scene::FULL };
    let mut report = Report { experiment: "beside".into(), seed, quick, ..Report::default() };
    let mut all = Vec::new();
    for contender in contenders::ALL {
        let findings = scene::play(contender, &size, seed)?;
        eprintln!("{}: {findings:?}", contender.name);
        all.push((*contender, findings));
    }
    findings::describe(&all, &size, &mut report);
    if let Some(folder) = out {
        report.save(&folder).map_err(LabError::failed("the report cannot be saved"))?;
    }
    print!("{}", report.to_text());
    Ok(if report.met() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
