//! Statements from a file or standard input, one after the other, up to the first that fails.

use std::path::Path;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader};

use super::buffer::{Buffer, Piece};
use super::command::Command;
use super::run::{Next, Prompt, is_the_statements};
use crate::error::{Error, ErrorKind, Result, ResultExt as _};
use crate::sql::text::is_blank;
use crate::tunnel::Dial;

/// A statement of a script failed, as with `psql -v ON_ERROR_STOP=1 -c`.
const FAILED: u8 = 1;

/// Runs the options' file, else standard input.
pub(super) async fn run<D: Dial>(prompt: &mut Prompt<'_, D>) -> Result<u8> {
    if let Some(file) = prompt.options.file.clone() {
        return run_file(prompt, &file).await;
    }
    let mut input = BufReader::new(tokio::io::stdin());
    run_lines(prompt, &mut input, "standard input").await
}

/// Runs a file.
pub(super) async fn run_file<D: Dial>(prompt: &mut Prompt<'_, D>, file: &Path) -> Result<u8> {
    let name = file.display().to_string();
    let opened = tokio::fs::File::open(file).await;
    let opened = opened.or_fail(ErrorKind::Usage, || format!("cannot read `{name}`"))?;
    run_lines(prompt, &mut BufReader::new(opened), &name).await
}

async fn run_lines<D: Dial>(
    prompt: &mut Prompt<'_, D>,
    input: &mut (impl AsyncBufRead + Unpin),
    name: &str,
) -> Result<u8> {
    let dialect = prompt.session.login().dialect;
    let mut buffer = Buffer::new(dialect);
    let mut number = 0;
    // Where the statement began.
    let mut began = 1;
    let mut exit = 0;
    loop {
        let shutdown = prompt.session.shutdown();
        let mut bytes = Vec::new();
        let reading = async {
            let read = input.read_until(b'\n', &mut bytes).await;
            read.or_fail(ErrorKind::Usage, || format!("cannot read `{name}`"))
        };
        let read = shutdown.or_interrupted(reading).await?;
        number += 1;
        if buffer.text().is_empty() {
            began = number;
        }
        let pieces = if read > 0 {
            buffer.feed(line(&bytes, name, number)?)
        } else {
            // The last statement needs no semicolon.
            let rest = buffer.take();
            let rest = (!is_blank(dialect, &rest)).then_some(Piece::Statement(rest));
            rest.into_iter().collect()
        };
        for piece in pieces {
            // What follows is meant for the other database.
            let must_work = matches!(piece, Piece::Command(Command::Connect(_)));
            match Box::pin(act(prompt, &mut buffer, piece)).await {
                Ok(None) => {}
                Ok(Some(end)) => return Ok(end),
                // `head` has seen enough.
                Err(_) if prompt.ui.stdout_closed() => return Ok(exit),
                Err(error) if is_the_statements(&error) => {
                    prompt.complain(&error, Some(&format!("{name}:{began}")));
                    exit = FAILED;
                    if must_work || !prompt.options.keep_going || prompt.session.is_lost() {
                        return Ok(exit);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if read == 0 {
            return Ok(exit);
        }
    }
}

/// `Some` at the end of the script.
async fn act<D: Dial>(
    prompt: &mut Prompt<'_, D>,
    buffer: &mut Buffer,
    piece: Piece,
) -> Result<Option<u8>> {
    let next = match piece {
        Piece::Statement(sql) => {
            prompt.execute(&sql, false).await?;
            return Ok(None);
        }
        Piece::Bad(why) => return Err(ErrorKind::Usage.error(why)),
        Piece::Command(command) => prompt.command(command).await?,
    };
    match next {
        Next::Line | Next::Ended(0) => {}
        Next::Quit => return Ok(Some(0)),
        Next::Ended(exit) if prompt.options.keep_going => {
            tracing::debug!(exit, "an included file failed");
        }
        Next::Ended(exit) => return Ok(Some(exit)),
        Next::Run { sql, expanded } => {
            let sql = sql.unwrap_or_else(|| buffer.take());
            if !is_blank(prompt.session.login().dialect, &sql) {
                prompt.execute(&sql, expanded).await?;
            }
        }
        Next::Reset => drop(buffer.take()),
        Next::Show => prompt.ui.print(&format!("{}\n", buffer.text()))?,
        Next::Edit(_) => return Err(ErrorKind::Usage.error("a script cannot edit")),
    }
    Ok(None)
}

/// A line without its end, also when that is Windows', and without the mark that Windows' editors put before the first.
fn line<'a>(bytes: &'a [u8], name: &str, number: usize) -> Result<&'a str> {
    let refuse = |why: &str| -> Error {
        ErrorKind::Usage
            .error(format!("cannot run line {number} of {name}"))
            .because(anyhow::anyhow!("{why}"))
    };
    if bytes.contains(&0) {
        return Err(refuse("it has a NUL byte, which SQL cannot hold")
            .hint("if it is UTF-16, convert it: iconv -f UTF-16 -t UTF-8"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| {
        refuse("it is not UTF-8").hint("convert it, for example: iconv -f LATIN1 -t UTF-8")
    })?;
    let text = if number == 1 {
        text.trim_start_matches('\u{feff}')
    } else {
        text
    };
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(text.strip_suffix('\r').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_windows_and_what_is_no_text() {
        assert_eq!(line(b"select 1;\r\n", "x", 2).unwrap(), "select 1;");
        assert_eq!(line(b"select 1;", "x", 2).unwrap(), "select 1;");
        assert_eq!(
            line("\u{feff}select 1;\n".as_bytes(), "x", 1).unwrap(),
            "select 1;"
        );
        let error = line(b"s\0e\0", "standard input", 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(error.to_string(), "cannot run line 1 of standard input");
        assert!(error.causes()[0].contains("NUL"));
        assert!(line(b"\xfc\n", "x", 1).unwrap_err().causes()[0].contains("UTF-8"));
    }
}
