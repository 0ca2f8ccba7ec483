//! What was typed, what fits it, and which one is chosen.

use super::keys::Key;
use crate::ui::search::{Likeness, Search};

/// Longer than this, nobody typed it.
const LONGEST_QUERY: usize = 200;

/// One that can be chosen. The texts are shown as they are: they must be fit for a terminal, and on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What it is called.
    pub name: String,
    /// The environment, shown behind the name.
    pub environment: String,
    /// One cannot try things out here: shown in red.
    pub is_production: bool,
    /// More columns, shown as far as there is room.
    pub columns: Vec<String>,
    /// More words to be found by.
    pub about: String,
    /// What is shown of the one that is chosen: a word for it, and the value.
    pub details: Vec<(String, String)>,
}

/// What a key led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Stay,
    /// This one.
    Chosen(usize),
    Leave,
    Interrupted,
    Refresh,
    Redraw,
}

/// The list and where the person is in it.
#[derive(Debug)]
pub struct Picker {
    pub(super) choices: Vec<Choice>,
    pub(super) query: String,
    pub(super) search: Search,
    /// Those that fit, best first.
    pub(super) found: Vec<usize>,
    /// Which of them is chosen.
    pub(super) cursor: usize,
    /// The first of them that is shown.
    pub(super) top: usize,
    /// How many of them are shown.
    pub(super) page: usize,
    /// What there is to say of the list, for example how old it is.
    pub(super) status: String,
    /// What Enter does.
    pub(super) verb: String,
}

impl Picker {
    /// Of these, the first being the likeliest; `verb` says what Enter does.
    pub fn new(choices: Vec<Choice>, verb: &str, status: impl Into<String>) -> Self {
        let found = (0..choices.len()).collect();
        Self {
            choices,
            query: String::new(),
            search: Search::new(""),
            found,
            cursor: 0,
            top: 0,
            page: 1,
            status: status.into(),
            verb: verb.to_owned(),
        }
    }

    /// What can be chosen.
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// Takes other choices, and stays at the same name if that is still there and the person has gone to it.
    pub(super) fn replace(&mut self, choices: Vec<Choice>) {
        let at = self.cursor;
        let name = self.selected().map(|choice| choice.name.clone());
        self.choices = choices;
        self.look();
        if at > 0
            && let Some(place) = self
                .found
                .iter()
                .position(|nth| Some(&self.choices[*nth].name) == name.as_ref())
        {
            self.cursor = place;
        }
    }

    /// The one that Enter would choose.
    pub(super) fn selected(&self) -> Option<&Choice> {
        self.found.get(self.cursor).map(|nth| &self.choices[*nth])
    }

    pub(super) fn press(&mut self, key: Key) -> Step {
        match key {
            Key::Text(c) => {
                if self.query.chars().count() < LONGEST_QUERY {
                    self.query.push(c);
                    self.look();
                }
            }
            Key::Backspace => {
                if self.query.pop().is_some() {
                    self.look();
                }
            }
            Key::ForgetWord => {
                let before = self.query.trim_end();
                let end = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
                self.query.truncate(end);
                self.look();
            }
            Key::Forget => {
                self.query.clear();
                self.look();
            }
            Key::Up => self.cursor = self.cursor.saturating_sub(1),
            Key::Down => self.go(self.cursor + 1),
            Key::PageUp => self.cursor = self.cursor.saturating_sub(self.page),
            Key::PageDown => self.go(self.cursor + self.page),
            Key::Home => self.cursor = 0,
            Key::End => self.go(usize::MAX),
            Key::Enter => {
                return self
                    .found
                    .get(self.cursor)
                    .map_or(Step::Stay, |nth| Step::Chosen(*nth));
            }
            Key::Escape => return Step::Leave,
            Key::Interrupt => return Step::Interrupted,
            Key::Refresh => return Step::Refresh,
            Key::Redraw => return Step::Redraw,
        }
        Step::Stay
    }

    fn go(&mut self, to: usize) {
        self.cursor = to.min(self.found.len().saturating_sub(1));
    }

    /// Finds what fits. What is equally good stays in the order it came in: the likeliest first.
    fn look(&mut self) {
        self.search = Search::new(&self.query);
        let mut scored: Vec<(u32, usize)> = Vec::new();
        for (nth, choice) in self.choices.iter().enumerate() {
            let score = self
                .search
                .score(Likeness::Letters, &choice.name, &choice.about);
            scored.extend(score.map(|score| (score, nth)));
        }
        scored.sort_by_key(|(score, nth)| (std::cmp::Reverse(*score), *nth));
        self.found = scored.into_iter().map(|(_, nth)| nth).collect();
        self.cursor = 0;
        self.top = 0;
    }

    /// Makes the one that is chosen one of the `page` that are shown.
    pub(super) fn scroll(&mut self, page: usize) {
        self.page = page.max(1);
        let last_top = self.found.len().saturating_sub(self.page);
        self.top = self
            .top
            .min(self.cursor)
            .max((self.cursor + 1).saturating_sub(self.page))
            .min(last_top);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::ui::picker) fn choice(name: &str, environment: &str) -> Choice {
        Choice {
            name: name.to_owned(),
            environment: environment.to_owned(),
            is_production: environment == "production",
            columns: vec!["PostgreSQL".to_owned(), "payments".to_owned()],
            about: format!("{environment} payments checkout"),
            details: vec![
                ("owner".to_owned(), "payments".to_owned()),
                ("instance".to_owned(), format!("acme:europe-west1:{name}")),
            ],
        }
    }

    pub(in crate::ui::picker) fn picker(names: &[&str]) -> Picker {
        let environment = |name: &str| name.rsplit('-').next().unwrap_or_default().to_owned();
        let choices = names
            .iter()
            .map(|name| choice(name, &environment(name)))
            .collect();
        Picker::new(choices, "connect", "3 min old")
    }

    fn names(picker: &Picker) -> Vec<&str> {
        picker
            .found
            .iter()
            .map(|nth| picker.choices[*nth].name.as_str())
            .collect()
    }

    fn type_in(picker: &mut Picker, text: &str) {
        for c in text.chars() {
            assert_eq!(picker.press(Key::Text(c)), Step::Stay);
        }
    }

    const FOUR: [&str; 4] = [
        "ledger-staging",
        "payments-production",
        "payments-staging",
        "orders-development",
    ];

    #[test]
    fn typing_narrows_and_forgetting_widens() {
        let mut picker = picker(&FOUR);
        assert_eq!(names(&picker), FOUR);
        type_in(&mut picker, "paystag");
        assert_eq!(names(&picker), ["payments-staging", "ledger-staging"][..1]);
        assert_eq!(picker.press(Key::Enter), Step::Chosen(2));
        picker.press(Key::Backspace);
        assert_eq!(picker.query, "paysta");
        picker.press(Key::Forget);
        assert_eq!(names(&picker), FOUR);
        type_in(&mut picker, "staging led");
        assert_eq!(names(&picker), ["ledger-staging"]);
        picker.press(Key::ForgetWord);
        assert_eq!(picker.query, "staging ");
        picker.press(Key::ForgetWord);
        assert_eq!(picker.query, "");
    }

    #[test]
    fn nothing_found_is_nothing_chosen() {
        let mut picker = picker(&FOUR);
        type_in(&mut picker, "zzz");
        assert_eq!(picker.selected(), None);
        assert_eq!(picker.press(Key::Down), Step::Stay);
        assert_eq!(picker.press(Key::End), Step::Stay);
        assert_eq!(picker.press(Key::Enter), Step::Stay);
        assert_eq!(picker.press(Key::Escape), Step::Leave);
        assert_eq!(picker.press(Key::Interrupt), Step::Interrupted);
    }

    #[test]
    fn moving_stops_at_the_ends() {
        let mut picker = picker(&FOUR);
        picker.scroll(2);
        for (key, cursor, top) in [
            (Key::Up, 0, 0),
            (Key::Down, 1, 0),
            (Key::Down, 2, 1),
            (Key::PageDown, 3, 2),
            (Key::Down, 3, 2),
            (Key::PageUp, 1, 1),
            (Key::Home, 0, 0),
            (Key::End, 3, 2),
        ] {
            picker.press(key);
            picker.scroll(2);
            assert_eq!((picker.cursor, picker.top), (cursor, top), "{key:?}");
        }
        // A terminal that grew shows no empty lines while there is more to show.
        picker.scroll(4);
        assert_eq!(picker.top, 0);
    }

    #[test]
    fn newer_choices_do_not_move_the_person() {
        let mut picker = picker(&FOUR);
        picker.press(Key::Down);
        picker.replace(vec![
            choice("new", "staging"),
            choice("payments-production", "production"),
        ]);
        assert_eq!(picker.selected().unwrap().name, "payments-production");
        picker.replace(vec![choice("other", "staging")]);
        assert_eq!(picker.selected().unwrap().name, "other");
        picker.replace(Vec::new());
        assert_eq!(picker.selected(), None);
    }

    #[test]
    fn a_paste_does_not_grow_without_end() {
        let mut picker = picker(&FOUR);
        type_in(&mut picker, &"x".repeat(500));
        assert_eq!(picker.query.len(), LONGEST_QUERY);
    }
}
