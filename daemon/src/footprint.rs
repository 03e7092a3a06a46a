//! Memory that only the start has needed.

use std::ffi::c_void;
use std::fs;
use std::ptr::NonNull;

use nix::sys::mman::{MmapAdvise, madvise};

/// Gives the pages of the program itself back to the system, which keeps them as long as it has room. What starts an
/// instance is most of the program and is not needed again; what is gets mapped again when it is next run.
pub(crate) fn give_back_program() {
    // On other systems there is no such file, and nothing to do.
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    for (start, length) in maps.lines().filter_map(code) {
        // SAFETY: what is mapped from a file to be executed, and cannot be written, is the same when it is read again.
        #[expect(unsafe_code, reason = "the kernel is told about memory by its address")]
        let given = unsafe { madvise(start, length, MmapAdvise::MADV_DONTNEED) };
        if let Err(error) = given {
            tracing::debug!(%error, "memory was not given back");
        }
    }
}

/// The place and length of a mapping, if it is code of a file that nobody can have changed: `proc_pid_maps(5)`.
fn code(line: &str) -> Option<(NonNull<c_void>, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (access, path) = (fields.next()?, fields.nth(3)?);
    if access != "r-xp" || !path.starts_with('/') {
        return None;
    }
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    Some((NonNull::new(std::ptr::with_exposed_provenance_mut(start))?, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_given_back() {
        let at = |line| code(line).map(|(start, length)| (start.as_ptr().addr(), length));
        let line = "55d0c0a00000-55d0c0b00000 r-xp 00001000 fe:00 42   /usr/bin/coattail";
        assert_eq!(at(line), Some((0x55d0_c0a0_0000, 0x10_0000)));
        for other in [
            "55d0c0a00000-55d0c0b00000 r--p 00001000 fe:00 42   /usr/bin/coattail",
            "55d0c0a00000-55d0c0b00000 rw-p 00001000 fe:00 42   /usr/bin/coattail",
            "7ffd10d00000-7ffd10d02000 r-xp 00000000 00:00 0    [vdso]",
            "7f0000000000-7f0000001000 r-xp 00000000 00:00 0",
            "",
            "nonsense",
        ] {
            assert_eq!(at(other), None, "{other}");
        }
    }

    #[test]
    fn a_program_goes_on_without_it() {
        give_back_program();
        assert_eq!(format!("{:?}", "still".len()), "5");
    }
}
