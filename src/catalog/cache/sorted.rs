//! A file of sorted lines, searched without reading it as a whole.
//!
//! A line is `KEY<TAB>…<NEWLINE>`; keys are compared byte by byte. Every read says where it reads, so that several readers
//! of one open file do not disturb each other.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};

/// Read at a time while searching: a line or two.
const PROBE: usize = 2 * 1024;
/// Read at a time while going along.
const STRETCH: usize = 32 * 1024;

/// The lines of `file` between two places, both of which are beginnings of lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sorted<'a> {
    pub(super) file: &'a File,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// Lines one after the other.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    reader: BufReader<Part<'a>>,
    line: Vec<u8>,
}

/// A part of a file.
#[derive(Debug)]
struct Part<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let read = read_at(self.file, &mut buffer[..length], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

/// Reads exactly this part of a file.
pub(super) fn read_exactly(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<()> {
    let end = at + buffer.len() as u64;
    Part { file, at, end }.read_exact(buffer)
}

impl Lines<'_> {
    /// The next line without its end. A last line without one was cut off: it is none.
    pub(super) fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        self.reader.read_until(b'\n', &mut self.line)?;
        Ok(self.line.strip_suffix(b"\n"))
    }
}

/// The part of a line that it is sorted by.
pub(super) fn key(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b'\t').next().unwrap_or(line)
}

impl<'a> Sorted<'a> {
    /// All lines.
    pub(super) fn lines(self) -> Lines<'a> {
        self.lines_in_blocks(self.start, STRETCH)
    }

    /// The lines from the first on whose key is `wanted` or comes behind it.
    pub(super) fn lines_from(self, wanted: &[u8]) -> io::Result<Lines<'a>> {
        let at = self.lower_bound(wanted)?;
        Ok(self.lines_in_blocks(at, STRETCH))
    }

    fn lines_in_blocks(self, at: u64, block: usize) -> Lines<'a> {
        let part = Part {
            file: self.file,
            at,
            end: self.end,
        };
        Lines {
            reader: BufReader::with_capacity(block, part),
            line: Vec::new(),
        }
    }

    /// Where the first line begins whose key is `wanted` or comes behind it; the end when there is none.
    fn lower_bound(self, wanted: &[u8]) -> io::Result<u64> {
        // Always beginnings of lines; the one that is looked for is not before `low` and not behind `high`.
        let (mut low, mut high) = (self.start, self.end);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut begin = self.line_at_or_after(middle, low)?;
            if begin >= high {
                // The line at `low` reaches beyond the middle.
                begin = low;
            }
            let mut lines = self.lines_in_blocks(begin, PROBE);
            let Some(line) = lines.next_line()? else {
                high = begin;
                continue;
            };
            if key(line) < wanted {
                low = begin + line.len() as u64 + 1;
            } else {
                high = begin;
            }
        }
        Ok(low)
    }

    /// Where the first line begins at or after `at`. `low` begins one.
    fn line_at_or_after(self, at: u64, low: u64) -> io::Result<u64> {
        if at <= low {
            return Ok(low);
        }
        // One byte earlier: a line that begins right here is behind its predecessor's end.
        let mut lines = self.lines_in_blocks(at - 1, PROBE);
        let rest = lines.next_line()?;
        Ok(rest.map_or(self.end, |rest| at + rest.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(text: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn from(text: &str, start: usize, wanted: &str) -> Vec<String> {
        let file = file(text);
        let sorted = Sorted {
            file: &file,
            start: start as u64,
            end: text.len() as u64,
        };
        let mut lines = sorted.lines_from(wanted.as_bytes()).unwrap();
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            found.push(String::from_utf8(key(line).to_vec()).unwrap());
        }
        found
    }

    #[test]
    fn every_key_is_found_wherever_it_is_and_however_long_its_line() {
        let keys: Vec<String> = (0..200).map(|n| format!("k{:03}", n * 2)).collect();
        let mut text = "header\n".to_owned();
        for (n, key) in keys.iter().enumerate() {
            let long = "x".repeat(if n % 7 == 0 { 5_000 } else { n % 50 });
            text.extend([key, "\t", &long, "\n"]);
        }
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(from(&text, 7, key), keys[n..], "{key}");
            let behind = format!("{key}!");
            assert_eq!(from(&text, 7, &behind), keys[n + 1..], "{behind}");
        }
        assert_eq!(from(&text, 7, ""), keys);
        assert!(from(&text, 7, "z").is_empty());
    }

    #[test]
    fn the_least_there_can_be() {
        assert!(from("", 0, "a").is_empty());
        assert_eq!(from("b\t1\n", 0, "a"), ["b"]);
        assert!(from("b\t1\n", 0, "c").is_empty());
        // Cut off in the middle of a line.
        assert_eq!(from("a\t1\nb\t2\nc\t", 0, "a"), ["a", "b"]);
        assert!(from("a\t1\nb\t2\nc\t", 0, "c").is_empty());
    }
}
