//! `tsload hop`.

use std::process::ExitCode;

use tsload::hop::{Way, measure};

use super::lab;

/// What a hop may add beyond the time that it waits for more by its settings, in milliseconds; half of all bursts.
const ADDED_MS_MAX: f64 = 1.0;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    lab: lab::Arguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let lab = arguments.lab.lab()?;
    let mut is_good = true;
    println!("the time that one hop adds, from a receiver of the root to one of the edge:");
    for way in Way::ALL {
        lab.progress.set_message(format!("measuring {}", way.name()));
        lab.progress.tick();
        let added = measure(way, &lab).map_err(|why| format!("{}: {why}", way.name()))?;
        let ms = |quantile| added.value_at_quantile(quantile) as f64 / 1000.0;
        let bound = ADDED_MS_MAX + way.coalescing_ms();
        let is_met = ms(0.5) < bound;
        is_good &= is_met;
        let line = format!(
            "{:<5} median {:.3} ms, p99 {:.3} ms, most {:.3} ms, of {} bursts; median < {bound:.1} ms {}",
            way.name(),
            ms(0.5),
            ms(0.99),
            added.max() as f64 / 1000.0,
            added.len(),
            if is_met { "met" } else { "MISSED" }
        );
        lab.progress.suspend(|| println!("{line}"));
    }
    lab.progress.finish_and_clear();
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
