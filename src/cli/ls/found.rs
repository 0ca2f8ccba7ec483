//! Which of a listing's databases are shown, and in which order.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::Row;
use crate::catalog::{Entity, Listing};
use crate::error::Result;
use crate::ui::{Likeness, Search};

/// So many of what a QUERY found are shown best first; nobody reads further, and these rows are held. Others follow in the
/// listing's order.
const MOST_RANKED: usize = 1_000;

/// What a database must be like.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    pub(super) query: Option<&'a str>,
    pub(super) environment: Option<String>,
    pub(super) engine: Option<String>,
    /// At most so many.
    pub(super) limit: usize,
}

impl Filter<'_> {
    /// Whether everything but the query holds.
    fn admits(&self, row: &Row) -> bool {
        let is = |asked: &Option<String>, found: &Option<String>| asked.is_none() || asked == found;
        is(&self.environment, &row.environment) && is(&self.engine, &row.engine)
    }
}

/// The databases that fit, as places in the listing.
pub(super) struct Found<'a, R> {
    listing: &'a Listing,
    filter: &'a Filter<'a>,
    read: R,
    /// Shown first, best first.
    ranked: Vec<Row>,
    /// Shown behind them, in the listing's order; `None` is all that the filter admits.
    others: Option<BTreeSet<usize>>,
    fitting: usize,
    only_alike: bool,
    has_problems: bool,
}

impl<'a, R: Fn(&Entity) -> Row> Found<'a, R> {
    /// Reads the listing once, and once more when there is a query.
    ///
    /// What has the query in it fits; only if nothing has, what has its letters in this order.
    pub(super) fn look(listing: &'a Listing, filter: &'a Filter<'a>, read: R) -> Result<Self> {
        let mut found = Self {
            listing,
            filter,
            read,
            ranked: Vec::new(),
            others: None,
            fitting: 0,
            only_alike: false,
            has_problems: false,
        };
        match filter.query {
            Some(query) => found.rank(query)?,
            None => {
                for entity in listing.entities() {
                    let row = (found.read)(&entity?);
                    if filter.admits(&row) {
                        found.fitting += 1;
                        found.has_problems |=
                            row.problem.is_some() && found.fitting <= filter.limit;
                    }
                }
            }
        }
        Ok(found)
    }

    fn rank(&mut self, query: &str) -> Result<()> {
        let mut search = Search::new(query);
        let (mut having, mut alike) = (Vec::new(), Vec::new());
        for (nth, entity) in self.listing.entities().enumerate() {
            let row = (self.read)(&entity?);
            if !self.filter.admits(&row) {
                continue;
            }
            let mut score = |likeness| search.score(likeness, &row.name, &row.about());
            if let Some(score) = score(Likeness::Contains) {
                having.push((Reverse(score), nth));
            } else if having.is_empty()
                && let Some(score) = score(Likeness::Letters)
            {
                alike.push((Reverse(score), nth));
            }
        }
        self.only_alike = having.is_empty() && !alike.is_empty();
        let mut places = if having.is_empty() { alike } else { having };
        self.fitting = places.len();
        places.sort_unstable();
        places.truncate(self.filter.limit);
        let behind = places.split_off(places.len().min(MOST_RANKED));
        self.others = Some(behind.into_iter().map(|(_, nth)| nth).collect());

        // Best first, in the slots that their places have in the order.
        let mut slots: Vec<Option<Row>> = vec![None; places.len()];
        let mut wanted: Vec<(usize, usize)> = places
            .iter()
            .enumerate()
            .map(|(slot, (_, nth))| (*nth, slot))
            .collect();
        wanted.sort_unstable();
        let mut wanted = wanted.into_iter().peekable();
        for (nth, entity) in self.listing.entities().enumerate() {
            let Some((_, slot)) = wanted.next_if(|(next, _)| *next == nth) else {
                if wanted.peek().is_none() {
                    break;
                }
                continue;
            };
            slots[slot] = Some((self.read)(&entity?));
        }
        self.ranked = slots.into_iter().flatten().collect();
        self.has_problems = self.ranked.iter().any(|row| row.problem.is_some());
        Ok(())
    }

    /// Does `what` with every row that is shown, in order. May be done several times.
    pub(super) fn each(&self, mut what: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        self.ranked.iter().try_for_each(&mut what)?;
        let mut left = self.shown() - self.ranked.len();
        for (nth, entity) in self.listing.entities().enumerate() {
            if left == 0 {
                break;
            }
            if self
                .others
                .as_ref()
                .is_some_and(|others| !others.contains(&nth))
            {
                continue;
            }
            let row = (self.read)(&entity?);
            if self.others.is_some() || self.filter.admits(&row) {
                left -= 1;
                what(&row)?;
            }
        }
        Ok(())
    }
}

impl<R> Found<'_, R> {
    /// How many fit.
    pub(super) fn fitting(&self) -> usize {
        self.fitting
    }

    /// How many of them are shown.
    pub(super) fn shown(&self) -> usize {
        self.fitting.min(self.filter.limit)
    }

    /// Whether nothing has the query in it.
    pub(super) fn only_alike(&self) -> bool {
        self.only_alike
    }

    /// Whether an entry is wrong.
    pub(super) fn has_problems(&self) -> bool {
        self.has_problems
    }
}
