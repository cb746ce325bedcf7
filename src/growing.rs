//! A list that grows while others read it: what is in it stays where it is, and nobody waits for anybody.

use std::ops::Index;
use std::sync::OnceLock;

/// A list with a bound, of which nothing is ever taken away.
#[derive(Debug)]
pub struct Growing<T> {
    /// Filled from the first on.
    slots: Box<[OnceLock<Box<T>>]>,
}

impl<T: Default> Growing<T> {
    /// With `len` entries to begin with, and room for `most`.
    #[must_use]
    pub fn new(len: usize, most: usize) -> Growing<T> {
        let list = Growing { slots: (0..most).map(|_| OnceLock::new()).collect() };
        list.grow(len);
        list
    }

    /// Sees to it that there are `len` entries, or as many as there is room for.
    pub fn grow(&self, len: usize) {
        for slot in self.slots.iter().take(len) {
            slot.get_or_init(Box::default);
        }
    }
}

impl<T> Growing<T> {
    /// The entry at `index`, if there is one by now.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.slots.get(index)?.get().map(Box::as_ref)
    }

    /// Those that there are by now.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map_while(|slot| slot.get().map(Box::as_ref))
    }
}

impl<T> Index<usize> for Growing<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        self.get(index).expect("the list has been made so long before anyone was given the index")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Counter;

    #[test]
    fn what_is_in_it_stays_when_more_comes() {
        let list: Growing<Counter> = Growing::new(1, 3);
        let first = &list[0];
        first.add(7);
        list.grow(2);
        list.grow(1);
        assert!(std::ptr::eq(first, &list[0]));
        assert_eq!(list.iter().map(Counter::value).collect::<Vec<_>>(), [7, 0]);
        assert!(list.get(2).is_none());
        list.grow(9);
        assert_eq!(list.iter().count(), 3, "the bound");
    }
}
