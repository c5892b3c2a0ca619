//! Loops over independent pieces, on all threads or on the one that is there.

use rayon::prelude::*;

/// Runs `work` on a thread of the pool that the kernels share. A network is many short loops: begun on a thread outside
/// the pool, each of them would put that thread to sleep and wake it again.
///
/// ```
/// assert_eq!(plantain_kernels::on_pool(|| 6 * 7), 42);
/// ```
pub fn on_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| work())
}

/// Calls `body` for every index, with a state for each thread.
pub(crate) fn for_each<S>(
    parallel: bool,
    count: usize,
    state: impl Fn() -> S + Send + Sync,
    body: impl Fn(&mut S, usize) + Send + Sync,
) {
    if parallel && count > 1 {
        (0..count).into_par_iter().for_each_init(state, body);
    } else {
        let mut state = state();
        (0..count).for_each(|index| body(&mut state, index));
    }
}
