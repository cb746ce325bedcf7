//! Configuration files.

use tsstream::config::{Config, UPSTREAMS_MAX, parse};

/// The name that the file goes by.
const NAME: &str = "some.conf";

/// The input is the file.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match parse(NAME, &text) {
        Ok(loaded) => {
            check_config(&loaded.config);
            assert!(loaded.warnings.iter().all(|warning| !warning.is_empty()));
            assert_eq!(parse(NAME, &text).as_ref(), Ok(&loaded), "the same file says the same");
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "what is wrong is said");
            for problem in problems {
                let words = problem.to_string();
                assert!(words.starts_with(NAME) && words.lines().count() == 1, "{words:?}");
            }
        }
    }
}

/// The bounds that `conf/app.conf` states.
fn check_config(config: &Config) {
    assert!(config.workers <= 256);
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    for stream in &config.streams {
        assert!(is_name(&stream.name), "{:?}", stream.name);
        assert!(stream.coalesce.as_secs() <= 1 && stream.quiet.is_none_or(|quiet| quiet.as_secs() <= 1));
        assert!((0.1..=3600.0).contains(&stream.timeout.as_secs_f64()));
        assert!(stream.buffer.time.as_secs() <= 600 && (1 << 20..=4096 << 20).contains(&stream.buffer.bytes));
        assert!(stream.upstreams.len() <= UPSTREAMS_MAX);
    }
    for port in &config.ports {
        assert!(port.stream.0 < config.streams.len());
        assert!((0.1..=3600.0).contains(&port.lag_max.as_secs_f64()));
        assert!((0.5..=3600.0).contains(&port.stall_max.as_secs_f64()));
    }
    assert!(config.next_hops.iter().all(|hop| hop.stream.0 < config.streams.len()));
}
