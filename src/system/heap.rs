//! How the process asks the system for memory.

/// Heaps of glibc's malloc that threads share.
///
/// By default there are eight for each processor, one for each thread that comes, and what one of them has given back is of
/// no use to the others, so the process keeps several times what it uses (`silverstream lab memory` shows heap and slope).
/// Threads wait for each other rarely; the one that must not wait, the one of sound, allocates nothing.
#[cfg(target_env = "gnu")]
const ARENAS: i32 = 2;

/// Keeps the heap small. To be called before the first thread is started; elsewhere than with glibc it does nothing.
pub fn keep_small() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(
            unsafe_code,
            reason = "no crate offers it, and an environment variable would have to be set by who starts us"
        )]
        // SAFETY: it takes two numbers, and no other thread is there that could be within malloc.
        let done = unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
        debug_assert_eq!(done, 1, "glibc takes the number");
    }
}
