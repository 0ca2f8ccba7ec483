//! The picker on a terminal: keys from standard input, lines to stderr, and everything as it was afterwards.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::pin::Pin;

use console::Term;

use super::keys::Keys;
use super::state::{Choice, Picker, Step};
use super::view::{Frame, Look, frame};
use crate::error::{Error, ErrorKind, Result, ResultExt as _, printable};
use crate::ui::Ui;

/// How the person left the picker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picked {
    /// With this one of [`Picker::choices`].
    Chosen(usize),
    /// With none.
    Nothing,
}

/// What was found out while the picker was open.
#[derive(Debug)]
pub struct Update {
    /// What there is now.
    pub choices: Vec<Choice>,
    /// What there is to say of it.
    pub status: String,
}

impl Ui {
    /// Lets the person choose. Needs a terminal, see [`can_ask`](Self::can_ask).
    ///
    /// `refresh` is called when the person asks for newer choices, and at the start if `refresh_now`; meanwhile they can
    /// go on. That it failed is said, and the choices stay as they are. Ctrl-C fails with [`ErrorKind::Interrupted`].
    /// Cancel safe: dropping the future gives the terminal back.
    pub async fn pick<F>(
        &self,
        picker: &mut Picker,
        refresh_now: bool,
        mut refresh: impl FnMut() -> F,
    ) -> Result<Picked>
    where
        F: Future<Output = Result<Update>>,
    {
        let term = Term::stderr();
        let mut screen =
            Screen::open().or_fail(ErrorKind::CannotCreate, || "cannot use the terminal")?;
        let mut keys = Keys::default();
        let mut refreshing: Option<Pin<Box<F>>> = None;
        if refresh_now {
            "asking Backstage …".clone_into(&mut picker.status);
            refreshing = Some(Box::pin(refresh()));
        }
        let mut reading = input::read();
        loop {
            // Asked for each time: there is no signal to miss, and it costs one system call.
            let (height, width) = term.size_checked().unwrap_or((24, 80));
            screen
                .show(&frame(picker, width.into(), height.into()), self.color)
                .or_fail(ErrorKind::CannotCreate, || "cannot write to the terminal")?;
            tokio::select! {
                updated = done(&mut refreshing) => {
                    refreshing = None;
                    match updated {
                        Ok(update) => {
                            picker.replace(update.choices);
                            picker.status = update.status;
                        }
                        Err(error) => picker.status = printable(&error.to_string()),
                    }
                }
                bytes = &mut reading => {
                    let bytes = bytes
                        .map_err(io::Error::other)
                        .and_then(|read| read)
                        .or_fail(ErrorKind::CannotCreate, || "cannot read from the terminal")?;
                    for key in keys.read(&bytes) {
                        match picker.press(key) {
                            Step::Redraw => screen.forget(),
                            Step::Chosen(nth) => return Ok(Picked::Chosen(nth)),
                            Step::Leave => return Ok(Picked::Nothing),
                            Step::Interrupted => return Err(interrupted()),
                            Step::Refresh if refreshing.is_none() => {
                                "asking Backstage …".clone_into(&mut picker.status);
                                refreshing = Some(Box::pin(refresh()));
                            }
                            Step::Stay | Step::Refresh => {}
                        }
                    }
                    // Only now: what is typed after the last key is for whatever comes next.
                    reading = input::read();
                }
            }
        }
    }
}

fn interrupted() -> Error {
    ErrorKind::Interrupted.error("interrupted by Ctrl-C")
}

async fn done<F: Future>(refreshing: &mut Option<Pin<Box<F>>>) -> F::Output {
    match refreshing {
        Some(refreshing) => refreshing.await,
        None => std::future::pending().await,
    }
}

/// The alternate screen, without wrapping; dropping it brings back what was there, after a panic too.
struct Screen {
    _input: input::Raw,
    shown: String,
}

/// xterm's alternate screen, wrapping off, and an empty screen.
const ENTER: &str = "\x1b[?1049h\x1b[?7l\x1b[2J";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

impl Screen {
    fn open() -> io::Result<Self> {
        let input = input::Raw::start()?;
        // From here on dropping it undoes both.
        let screen = Self {
            _input: input,
            shown: String::new(),
        };
        io::stderr().write_all(ENTER.as_bytes())?;
        Ok(screen)
    }

    /// Draws everything anew next time.
    fn forget(&mut self) {
        self.shown.clear();
    }

    fn show(&mut self, frame: &Frame, color: bool) -> io::Result<()> {
        let text = text(frame, color);
        if text == self.shown {
            return Ok(());
        }
        // At once, so that nothing flickers.
        let mut stderr = io::stderr().lock();
        stderr.write_all(text.as_bytes())?;
        stderr.flush()?;
        self.shown = text;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = io::stderr().write_all(LEAVE.as_bytes());
    }
}

/// The frame as a terminal takes it. Without colours what is chosen still has its mark.
fn text(frame: &Frame, color: bool) -> String {
    let mut text = "\x1b[?25l\x1b[H".to_owned();
    for (nth, line) in frame.lines.iter().enumerate() {
        if nth > 0 {
            text.push_str("\r\n");
        }
        // Ahead of the text: behind it, it would take the last character of a line that is full.
        text.push_str("\x1b[K");
        for (look, piece) in line {
            let code = match look {
                _ if !color => None,
                Look::Plain => None,
                Look::Faint => Some("2"),
                Look::Strong => Some("1"),
                Look::Found => Some("1;36"),
                Look::Danger => Some("1;31"),
            };
            match code {
                Some(code) => {
                    let _ = write!(text, "\x1b[{code}m{piece}\x1b[0m");
                }
                None => text.push_str(piece),
            }
        }
    }
    let _ = write!(text, "\x1b[1;{}H\x1b[?25h", frame.cursor + 1);
    text
}

#[cfg(unix)]
mod input {
    //! Standard input, byte by byte as it is typed.

    use std::io;

    use rustix::termios::{OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
    use tokio::task::JoinHandle;

    /// Reading gives up after this many tenths of a second, so that nobody waits for a reader that waits for a key.
    const PATIENCE: u8 = 1;

    /// The terminal without line editing, echo and signals, until it is dropped.
    pub(super) struct Raw(Termios);

    impl Raw {
        pub(super) fn start() -> io::Result<Self> {
            let before = tcgetattr(io::stdin())?;
            let mut raw = before.clone();
            raw.make_raw();
            // What is written goes on as before.
            raw.output_modes = before.output_modes;
            raw.special_codes[SpecialCodeIndex::VMIN] = 0;
            raw.special_codes[SpecialCodeIndex::VTIME] = PATIENCE;
            tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
            Ok(Self(before))
        }
    }

    impl Drop for Raw {
        fn drop(&mut self) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
        }
    }

    /// Waits a moment for what is typed; nothing is nothing.
    pub(super) fn read() -> JoinHandle<io::Result<Vec<u8>>> {
        tokio::task::spawn_blocking(|| {
            let mut bytes = [0; 256];
            match rustix::io::read(io::stdin(), &mut bytes) {
                Ok(read) => Ok(bytes[..read].to_vec()),
                Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
                Err(error) => Err(error.into()),
            }
        })
    }
}

#[cfg(not(unix))]
mod input {
    //! The console's keys, as the bytes that terminals elsewhere send for them.

    use std::io;

    use console::{Key, Term};
    use tokio::task::JoinHandle;

    /// The console is only without echo while a key is awaited.
    pub(super) struct Raw;

    impl Raw {
        pub(super) fn start() -> io::Result<Self> {
            Ok(Self)
        }
    }

    /// Waits for a key.
    pub(super) fn read() -> JoinHandle<io::Result<Vec<u8>>> {
        tokio::task::spawn_blocking(|| {
            Ok(match Term::stderr().read_key_raw()? {
                Key::Char(c) => c.to_string().into_bytes(),
                Key::Enter => b"\r".to_vec(),
                Key::Escape => b"\x1b\x1b".to_vec(),
                Key::Backspace => b"\x7f".to_vec(),
                Key::Tab => b"\t".to_vec(),
                Key::ArrowUp => b"\x1b[A".to_vec(),
                Key::ArrowDown => b"\x1b[B".to_vec(),
                Key::Home => b"\x1b[H".to_vec(),
                Key::End => b"\x1b[F".to_vec(),
                Key::PageUp => b"\x1b[5~".to_vec(),
                Key::PageDown => b"\x1b[6~".to_vec(),
                Key::CtrlC => vec![3],
                _ => Vec::new(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::picker;
    use super::*;

    #[test]
    fn colours_only_where_there_are_colours() {
        let mut picker = picker(&["payments-production"]);
        let frame = frame(&mut picker, 40, 4);
        let coloured = text(&frame, true);
        assert!(coloured.contains("\x1b[1;31mproduction\x1b[0m"));
        let plain = text(&frame, false);
        assert!(plain.contains("▌ payments-production  production\r\n"));
        assert!(!plain.contains("\x1b[0m"), "{plain:?}");
    }
}
