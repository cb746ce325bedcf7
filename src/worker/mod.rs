//! Serving receivers.

pub mod pages;
