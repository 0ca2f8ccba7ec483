//! Names like what somebody typed, best first.

use nucleo_matcher::pattern::{Atom, AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

/// How alike a text must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// Has every word in it, as it is written.
    Contains,
    /// Has the letters of every word in it, in this order.
    Letters,
}

/// Something typed, to look for. Case does not matter; words may be in any order, and all of them must be found.
#[derive(Debug)]
pub struct Search {
    matcher: Matcher,
    contains: Pattern,
    letters: Pattern,
    buffer: Vec<char>,
}

impl Search {
    /// Looks for this.
    pub fn new(typed: &str) -> Self {
        let pattern = |kind| Pattern::new(typed, CaseMatching::Ignore, Normalization::Smart, kind);
        Self {
            matcher: Matcher::new(Config::DEFAULT),
            contains: pattern(AtomKind::Substring),
            letters: pattern(AtomKind::Fuzzy),
            buffer: Vec::new(),
        }
    }

    /// How well it fits something called `name`, of which `about` says more; more is better, and `None` is not at all.
    ///
    /// Every word must be in one of them, in `about` always as it is written: across many words any letters are found. A
    /// hit in the name counts double.
    pub fn score(&mut self, likeness: Likeness, name: &str, about: &str) -> Option<u32> {
        let in_name = match likeness {
            Likeness::Contains => &self.contains,
            Likeness::Letters => &self.letters,
        };
        let mut sum = 0;
        for (in_name, in_about) in in_name.atoms.iter().zip(&self.contains.atoms) {
            let mut score = |atom: &Atom, text: &str| {
                let text = Utf32Str::new(text, &mut self.buffer);
                atom.score(text, &mut self.matcher).map(u32::from)
            };
            sum += match score(in_name, name) {
                Some(score) => 2 * score,
                None => score(in_about, about)?,
            };
        }
        Some(sum)
    }

    /// The places of the letters in `name` that were found, for showing; none for names that are not ASCII.
    pub fn places(&mut self, name: &str) -> Vec<usize> {
        let mut places = Vec::new();
        if name.is_ascii() {
            for atom in &self.letters.atoms {
                let name = Utf32Str::new(name, &mut self.buffer);
                atom.indices(name, &mut self.matcher, &mut places);
            }
        }
        places.sort_unstable();
        places.dedup();
        places
            .into_iter()
            .filter_map(|place| usize::try_from(place).ok())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_any_order_and_any_case() {
        let mut search = Search::new("STAGING pay");
        let about = "checkout payments";
        assert!(
            search
                .score(Likeness::Contains, "payments-staging", about)
                .is_some()
        );
        assert!(
            search
                .score(Likeness::Contains, "orders-staging", about)
                .is_some()
        );
        assert_eq!(
            search.score(Likeness::Contains, "payments-production", about),
            None
        );
    }

    #[test]
    fn letters_in_order_find_what_was_typed_in_haste() {
        let mut search = Search::new("pymtst");
        let score = |search: &mut Search, likeness| search.score(likeness, "payments-staging", "");
        assert_eq!(score(&mut search, Likeness::Contains), None);
        assert!(score(&mut search, Likeness::Letters).is_some());
        let places = search.places("payments-staging");
        let letters: String = places
            .iter()
            .map(|at| &"payments-staging"[*at..=*at])
            .collect();
        assert_eq!(letters, "pymtst");
    }

    #[test]
    fn the_name_counts_for_more() {
        let mut search = Search::new("payments");
        let mut score = |name, about| search.score(Likeness::Contains, name, about).unwrap();
        assert!(score("payments-staging", "checkout") > score("orders-staging", "payments"));
    }

    #[test]
    fn nothing_typed_fits_everything() {
        assert!(
            Search::new("  ")
                .score(Likeness::Contains, "x", "")
                .is_some()
        );
    }
}
