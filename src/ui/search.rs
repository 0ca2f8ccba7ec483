//! Names like what somebody typed, best first.

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
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
    /// A hit in the name counts for more than one in the rest.
    pub fn score(&mut self, likeness: Likeness, name: &str, about: &str) -> Option<u32> {
        let text = format!("{name} {about}");
        let pattern = match likeness {
            Likeness::Contains => &self.contains,
            Likeness::Letters => &self.letters,
        };
        let everywhere =
            pattern.score(Utf32Str::new(&text, &mut self.buffer), &mut self.matcher)?;
        let in_name = pattern.score(Utf32Str::new(name, &mut self.buffer), &mut self.matcher);
        Some(everywhere + in_name.unwrap_or(0))
    }

    /// The places of the letters in `name` that were found, for showing; none for names that are not ASCII.
    pub fn places(&mut self, name: &str) -> Vec<usize> {
        let mut places = Vec::new();
        if name.is_ascii() {
            self.letters.indices(
                Utf32Str::new(name, &mut self.buffer),
                &mut self.matcher,
                &mut places,
            );
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
