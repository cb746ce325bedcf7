//! An answer that costs something to make, remembered for a moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Body;

/// An answer is given for so long, to whoever asks: many who ask cost no more than one, and what slow ones have not taken
/// yet is not held once for each.
const ANSWER_AGE_MAX: Duration = Duration::from_millis(200);

/// The last answer to one question, if there was any.
#[derive(Debug, Default)]
pub struct Recent(Option<(Instant, Arc<[u8]>)>);

impl Recent {
    /// The answer remembered, or one that is made now.
    pub fn or_make<B: Into<Arc<[u8]>>>(&mut self, now: Instant, make: impl FnOnce() -> B) -> Body {
        match &self.0 {
            Some((made, body)) if now.saturating_duration_since(*made) < ANSWER_AGE_MAX => {
                Body::Shared(Arc::clone(body))
            }
            _ => {
                let body: Arc<[u8]> = make().into();
                self.0 = Some((now, Arc::clone(&body)));
                Body::Shared(body)
            }
        }
    }

    /// It holds no longer.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}
