pub mod framer;
