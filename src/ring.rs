//! stand-in
use std::collections::VecDeque;
use crate::chunk::SharedChunk;
use crate::config::Buffer;
#[derive(Debug)]
pub struct Ring { chunks: VecDeque<SharedChunk>, next: u64, buffer: Buffer, entries: VecDeque<u64>, bytes: usize }
impl Ring {
    pub fn new(buffer: Buffer) -> Ring { Ring { chunks: VecDeque::new(), next: 0, buffer, entries: VecDeque::new(), bytes: 0 } }
    pub fn push(&mut self, chunk: SharedChunk) {
        if chunk.sequence != self.next { self.chunks.clear(); self.entries.clear(); self.bytes = 0; }
        self.next = chunk.sequence + 1;
        self.bytes += chunk.sealed.body.payload().len();
        if chunk.sealed.entry.is_some() { self.entries.push_back(chunk.sequence); }
        self.chunks.push_back(chunk);
        while self.bytes > self.buffer.bytes { let c = self.chunks.pop_front().unwrap(); self.bytes -= c.sealed.body.payload().len(); if self.entries.front() == Some(&c.sequence) { self.entries.pop_front(); } }
    }
    pub fn first(&self) -> u64 { self.next - self.chunks.len() as u64 }
    pub fn next(&self) -> u64 { self.next }
    pub fn get(&self, s: u64) -> Option<&SharedChunk> { self.chunks.get(s.checked_sub(self.first())? as usize) }
    pub fn newest_entry(&self) -> Option<u64> { self.entries.back().copied() }
    pub fn newest_entry_from(&self, s: u64) -> Option<u64> { self.newest_entry().filter(|&e| e >= s) }
    pub fn chunks(&self) -> impl Iterator<Item=&SharedChunk> { self.chunks.iter() }
}
