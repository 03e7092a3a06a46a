//! A new pair takes the place of an old one, in two files that cannot be replaced at once.
//!
//! 1. [`prepare`](PairFiles::prepare) has the new pair written beside the old one, as `NAME.next`.
//! 2. The caller stores that the old one is replaced: this is the moment at which it is.
//! 3. [`finish`](PairFiles::finish) renames both, the private half first.
//!
//! After a kill at any line, `finish` finds out how far it came: the next pair counts only if the old one is stored as
//! replaced, and while the public half has its old content there is a rename left to do.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use coattail::kill_point;

use super::{KeyError, file};

/// Where the two halves of a pair are: private and public key, or key and certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairFiles {
    /// The private half.
    pub private: PathBuf,
    /// The public half.
    pub public: PathBuf,
}

impl PairFiles {
    /// Writes the next pair by `write`, which is told where. What an earlier attempt has left is overwritten.
    pub fn prepare(&self, write: impl FnOnce(&Self) -> Result<(), KeyError>) -> Result<(), KeyError> {
        write(&self.beside("next"))
    }

    /// Puts the next pair in place if `is_replaced` says so of the text of the public half that is there; throws it
    /// away if not.
    pub fn finish(&self, is_replaced: impl FnOnce(&str) -> bool) -> Result<(), KeyError> {
        let next = self.beside("next");
        if !next.private.exists() && !next.public.exists() {
            return Ok(());
        }
        if is_replaced(&file::read_public(&self.public)?) {
            if next.private.exists() {
                file::rename(&next.private, &self.private)?;
                kill_point!("rotation.private-renamed");
            }
            if next.public.exists() {
                file::rename(&next.public, &self.public)?;
            }
            return Ok(());
        }
        next.remove()
    }

    /// Keeps a copy of the pair that is about to be replaced, as `NAME.ID.old`.
    pub fn keep(&self, id: &str) -> Result<(), KeyError> {
        let old = self.old(id);
        file::write_private(&old.private, &file::read_private(&self.private)?)?;
        file::write_public(&old.public, &file::read_public(&self.public)?)
    }

    /// Where [`keep`](Self::keep) has put the copy.
    pub fn old(&self, id: &str) -> Self {
        self.beside(&format!("{id}.old"))
    }

    /// Removes both files.
    pub fn remove(&self) -> Result<(), KeyError> {
        file::remove(&self.private)?;
        file::remove(&self.public)
    }

    fn beside(&self, ending: &str) -> Self {
        let with = |path: &Path| {
            let mut name = OsString::from(path);
            name.push(format!(".{ending}"));
            PathBuf::from(name)
        };
        Self { private: with(&self.private), public: with(&self.public) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::keys::Identity;

    #[test]
    fn whenever_it_is_killed_the_pair_is_the_old_one_or_the_new_one() {
        let (old, new) = (Identity::generate(), Identity::generate());
        // How many of the files of the next pair were written, whether the old one was stored as replaced, and how
        // many renames were done.
        for (written, replaced, renamed, expected) in [
            (0, false, 0, &old),
            (1, false, 0, &old),
            (2, false, 0, &old),
            (2, true, 0, &new),
            (2, true, 1, &new),
            (2, true, 2, &new),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let files = PairFiles { private: dir.path().join("k.pem"), public: dir.path().join("k.pub") };
            old.save(&files.private, &files.public).unwrap();
            files.prepare(|next| new.save(&next.private, &next.public)).unwrap();
            let next = files.beside("next");
            [&next.private, &next.public].into_iter().skip(written).for_each(|path| fs::remove_file(path).unwrap());
            for (from, to) in [(&next.private, &files.private), (&next.public, &files.public)].into_iter().take(renamed)
            {
                fs::rename(from, to).unwrap();
            }
            for _ in 0..2 {
                files.finish(|text| replaced && text == old.public_pem()).unwrap();
                let found = Identity::load(&files.private, &files.public).unwrap();
                assert_eq!(found.issuer(), expected.issuer(), "{written} {replaced} {renamed}");
                assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
            }
        }
    }

    #[test]
    fn what_is_kept_is_private_and_goes_again() {
        let dir = tempfile::tempdir().unwrap();
        let files = PairFiles { private: dir.path().join("k.pem"), public: dir.path().join("k.pub") };
        let pair = Identity::generate();
        pair.save(&files.private, &files.public).unwrap();
        files.keep("1").unwrap();
        let old = files.old("1");
        assert_eq!(Identity::load(&old.private, &old.public).unwrap().issuer(), pair.issuer());
        old.remove().unwrap();
        old.remove().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
