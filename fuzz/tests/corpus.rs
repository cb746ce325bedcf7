//! What is kept of earlier fuzzing passes every check, also without the instrumentation.

use std::fs;
use std::path::Path;

use tsstream_fuzz::CHECKS;

#[test]
fn the_corpus_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, check) in CHECKS {
        let inputs = fs::read_dir(corpus.join(name)).expect("every target has a corpus");
        let count = inputs.map(|input| check(&fs::read(input.unwrap().path()).unwrap())).count();
        assert!(count > 0, "{name}");
    }
}
