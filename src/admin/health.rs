//! `/healthz` and `/readyz`: what an orchestrator or a load balancer asks. Pure.

use super::api::{Health, Readiness};
use super::observer::Observer;

/// Whether every loop turns.
#[must_use]
pub fn health(observer: &Observer) -> Health {
    let silent: Vec<String> =
        observer.threads().filter(|thread| thread.is_silent()).map(|it| it.name()).collect();
    Health { healthy: silent.is_empty(), silent }
}

/// Whether there is something to be seen here, and the node is not about to end.
#[must_use]
pub fn readiness(observer: &Observer) -> Readiness {
    let layout = observer.source().layout.value();
    let is_fresh = |index: usize| {
        let input = observer.source().input.streams.get(index);
        input.is_some_and(|input| input.state.value().live) && observer.is_fresh(index)
    };
    let fresh: Vec<String> = (layout.streams.iter().enumerate())
        .filter(|(index, _)| is_fresh(*index))
        .map(|(_, (name, _))| name.clone())
        .collect();
    let is_ending = observer.source().output.is_ending.value() > 0;
    Readiness { ready: !fresh.is_empty() && !is_ending, fresh }
}
