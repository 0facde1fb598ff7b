//! What is logged, and where to.

use std::io::IsTerminal;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Says what is logged: levels of parts of the program, as in `warn,silverstream::crawler=trace`.
const VARIABLE: &str = "RUST_LOG";

/// Logs to `to`: warnings of everything and what the jukebox itself finds worth telling, or what `RUST_LOG` says.
pub fn log_to<W>(to: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let asked = std::env::var(VARIABLE).unwrap_or_default();
    let (filter, mistake) = match filter(&asked) {
        Ok(filter) => (filter, None),
        Err(mistake) => (usual(), Some(mistake)),
    };
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(to).with_filter(filter);
    // Whoever embeds the jukebox may have a subscriber already.
    let _ = tracing_subscriber::registry().with(lines).try_init();
    if let Some(error) = mistake {
        tracing::warn!(%error, "{VARIABLE} is not understood and left aside; it takes e.g. debug, or warn,silverstream=trace");
    }
}

fn usual() -> Targets {
    let usual = Targets::new().with_default(LevelFilter::WARN);
    usual.with_target("silverstream", LevelFilter::INFO).with_target("librqbit", LevelFilter::ERROR)
}

/// What the variable asks for; nothing is the usual.
fn filter(asked: &str) -> Result<Targets, ParseError> {
    if asked.trim().is_empty() { Ok(usual()) } else { asked.parse() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn only_warnings_and_news_of_our_own_are_logged_usually() {
        for asked in ["", " "] {
            let filter = filter(asked).unwrap();
            assert!(filter.would_enable("silverstream::crawler", &Level::INFO));
            assert!(!filter.would_enable("silverstream::crawler", &Level::DEBUG));
            assert!(filter.would_enable("hyper", &Level::WARN) && !filter.would_enable("hyper", &Level::INFO));
            assert!(!filter.would_enable("librqbit::session", &Level::WARN));
        }
    }

    #[test]
    fn what_is_asked_for_is_logged() {
        let all = filter("debug").unwrap();
        assert!(all.would_enable("hyper", &Level::DEBUG) && !all.would_enable("hyper", &Level::TRACE));
        let part = filter("warn,silverstream::crawler=trace").unwrap();
        assert!(part.would_enable("silverstream::crawler::task", &Level::TRACE));
        assert!(!part.would_enable("silverstream::player", &Level::INFO));
        assert!(!filter("off").unwrap().would_enable("silverstream", &Level::ERROR));
    }

    #[test]
    fn a_mistake_is_told() {
        assert!(filter("silverstream=loud").is_err());
    }
}
