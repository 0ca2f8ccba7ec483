//! Where the answers for one profile and one person are kept, and the rules of that directory: the user's alone, files
//! replaced as a whole, what nobody uses is removed.
//!
//! Nothing here is an error: what cannot be read is not there, and what cannot be written is not kept. The caller says so
//! where it matters.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

use crate::clock::Clock;
use crate::hex;
use crate::private_dir;
use crate::private_file;

/// Whose answers are kept: another company's Backstage and another person see another catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The profile's name.
    pub profile: String,
    /// The Backstage backend's base URL.
    pub backstage: String,
    /// The identity provider's issuer.
    pub issuer: String,
    /// Who is signed in there; empty is nobody.
    pub subject: String,
}

/// What nobody used for so long is removed.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// What a bsql that was killed left half written.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);
/// How exactly the last use is kept: telling it costs a write.
const USE_NOTED: Duration = Duration::from_secs(24 * 60 * 60);
/// Files of answers to one question are smaller.
const LONGEST_ANSWER: u64 = 8 * 1024 * 1024;
/// Of a file that is being written.
const UNFINISHED: &str = ".unfinished-";

/// The directory of one owner.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// `…/catalog`.
    root: PathBuf,
    dir: PathBuf,
    profile: String,
    clock: Clock,
}

impl Place {
    pub(super) fn new(cache: &Path, owner: &Owner, clock: Clock) -> Self {
        let Owner {
            profile,
            backstage,
            issuer,
            subject,
        } = owner;
        let root = cache.join("catalog");
        let name = format!("{profile}-{}", fingerprint(&[backstage, issuer, subject]));
        Self {
            dir: root.join(name),
            root,
            profile: profile.clone(),
            clock,
        }
    }

    /// The directory of whoever used the profile last, for when there is no time to ask who is signed in.
    pub(super) fn of_last(cache: &Path, profile: &str, clock: Clock) -> Option<Self> {
        let root = cache.join("catalog");
        let name = read_private(&root.join(last_user(profile)), 200)?;
        let name = String::from_utf8(name).ok()?;
        let is_ours = name
            .strip_prefix(profile)
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        is_ours.then(|| Self {
            dir: root.join(name),
            root,
            profile: profile.to_owned(),
            clock,
        })
    }

    /// Makes the directory, and refuses one that others can put files into.
    pub(super) fn make(&self) -> io::Result<()> {
        private_dir::create(&self.dir)?;
        for dir in [&self.root, &self.dir] {
            if private_dir::is_open_to_others(dir)? {
                return Err(io::Error::other(format!(
                    "`{}` is open to others",
                    dir.display()
                )));
            }
        }
        Ok(())
    }

    /// Remembers that this owner was the last one of the profile.
    pub(super) fn note_last_user(&self) {
        let name = self.dir.file_name().unwrap_or_default().as_encoded_bytes();
        let path = self.root.join(last_user(&self.profile));
        if read_private(&path, 200).is_some_and(|last| last == name) {
            return;
        }
        let noted = self.make().and_then(|()| {
            let mut file = self.unfinished_in(&self.root)?;
            file.write_all(name)?;
            Ok(file.persist(path)?)
        });
        if let Err(error) = noted {
            tracing::debug!(%error, "cannot tell completion whose names to offer");
        }
    }

    /// The names of the files that begin so.
    pub(super) fn names(&self, prefix: &str) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    /// A file that is there and this user's alone.
    pub(super) fn open(&self, name: &str) -> Option<File> {
        open_private(&self.dir.join(name))
    }

    /// What is in a file that is there, this user's alone and of a sensible size.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        read_private(&self.dir.join(name), LONGEST_ANSWER)
    }

    /// Notes that a file is still of use.
    pub(super) fn note_use(&self, name: &str) {
        let path = self.dir.join(name);
        if self.age(&path).is_some_and(|age| age > USE_NOTED) {
            let now = SystemTime::from(self.clock.now());
            let noted = File::options()
                .append(true)
                .open(&path)
                .and_then(|file| file.set_modified(now));
            if let Err(error) = noted {
                tracing::debug!(%error, name, "cannot note that the file is still used");
            }
        }
    }

    /// A file to fill; [`keep`](Self::keep) gives it its name.
    pub(super) fn unfinished(&self) -> io::Result<NamedTempFile> {
        self.make()?;
        self.unfinished_in(&self.dir)
    }

    fn unfinished_in(&self, dir: &Path) -> io::Result<NamedTempFile> {
        // Made with mode 0600, and deleted if anything fails.
        let file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(dir)?;
        file.as_file()
            .set_modified(SystemTime::from(self.clock.now()))?;
        Ok(file)
    }

    /// Puts a finished file in the place of the one that may be there. Not synchronised: what a crash cuts off is noticed
    /// by whoever reads it, and can be fetched again.
    pub(super) fn keep(&self, file: NamedTempFile, name: &str) -> io::Result<File> {
        let now = SystemTime::from(self.clock.now());
        file.as_file().set_modified(now)?;
        let file = file.persist(self.dir.join(name))?;
        self.tidy();
        Ok(file)
    }

    /// Writes a small file as a whole.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.unfinished()?;
        BufWriter::new(&mut file).write_all(bytes)?;
        self.keep(file, name).map(drop)
    }

    pub(super) fn remove(&self, name: &str) {
        if let Err(error) = fs::remove_file(self.dir.join(name))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%error, name, "cannot remove from the cache");
        }
    }

    /// Keeps the newest `most` of the files whose names begin so.
    pub(super) fn keep_newest(&self, prefix: &str, most: usize) {
        let names = self.names(prefix);
        if names.len() <= most {
            return;
        }
        let mut by_age: Vec<(Duration, String)> = names
            .into_iter()
            .filter_map(|name| Some((self.age(&self.dir.join(&name))?, name)))
            .collect();
        by_age.sort();
        for (_, name) in by_age.into_iter().skip(most) {
            self.remove(&name);
        }
    }

    /// Removes what nobody used for a long time, of whichever owner.
    fn tidy(&self) {
        let owners = fs::read_dir(&self.root).into_iter().flatten().flatten();
        for owner in owners
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
        {
            for entry in fs::read_dir(&owner).into_iter().flatten().flatten() {
                let is_unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
                let limit = if is_unfinished { LEFT_BEHIND } else { UNUSED };
                if self.age(&entry.path()).is_some_and(|age| age > limit) {
                    let _ = fs::remove_file(entry.path());
                }
            }
            // Succeeds for an empty one only.
            let _ = fs::remove_dir(&owner);
        }
    }

    /// How long ago a file was written, or noted as used.
    fn age(&self, path: &Path) -> Option<Duration> {
        let modified = fs::symlink_metadata(path).ok()?.modified().ok()?;
        SystemTime::from(self.clock.now())
            .duration_since(modified)
            .ok()
    }
}

fn last_user(profile: &str) -> String {
    format!("{profile}.last")
}

fn open_private(path: &Path) -> Option<File> {
    let opened = private_file::open(path)
        .and_then(|file| Ok(private_file::unsafe_because(&file)?.map_or(Ok(file), Err)));
    match opened {
        Ok(Ok(file)) => Some(file),
        Ok(Err(why)) => {
            tracing::debug!(path = %path.display(), why, "did not use a file of the cache");
            None
        }
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::debug!(path = %path.display(), %error, "cannot use a file of the cache");
            }
            None
        }
    }
}

fn read_private(path: &Path, longest: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = open_private(path)?
        .take(longest + 1)
        .read_to_end(&mut bytes);
    (read.is_ok() && bytes.len() as u64 <= longest).then_some(bytes)
}

/// Tells things apart in a file's name: 16 hexadecimal digits.
pub(super) fn fingerprint(parts: &[&str]) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        // With its length, so that `a`, `b` is not `ab`.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    hex::encode(&context.finish().as_ref()[..8])
}
