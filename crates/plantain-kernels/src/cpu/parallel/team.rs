//! Threads that do the pieces of one loop together, and look out for the next loop before they go to sleep.
//!
//! A network is some hundred loops, many of them shorter than it takes to wake a thread. Threads that keep looking for a
//! while join the next one within a fraction of a microsecond, as OpenMP's do between parallel regions.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a member looks out for a loop before it sleeps: longer than what lies between two loops of a network.
const PATIENCE: Duration = Duration::from_micros(500);
/// How long it does so without offering the core to other programs.
const EAGERNESS: Duration = Duration::from_micros(50);
/// Looks between two glances at the clock.
const LOOKS: usize = 64;

/// [`Shared::state`] is the number of a loop, above whether it is open to members, above how many are in it.
const INSIDE: u64 = OPEN - 1;
const OPEN: u64 = 1 << 16;
const NUMBER: u32 = 17;

thread_local! {
    /// Whether this thread is in a loop. Loops within its pieces are its own to do.
    static IN_A_LOOP: Cell<bool> = const { Cell::new(false) };
}

/// What every thread in a loop does: it takes pieces until there are no more.
type Work<'a> = dyn Fn() + Sync + 'a;

/// Threads that help whoever has a loop.
pub(crate) struct Team {
    shared: &'static Shared,
    members: usize,
    /// Held by the thread whose loop it is.
    leading: Mutex<()>,
}

/// What a leader and the members share.
struct Shared {
    state: AtomicU64,
    work: UnsafeCell<Option<*const Work<'static>>>,
    /// Members that sleep, or are about to.
    sleeping: AtomicUsize,
    bed: Mutex<()>,
    woken: Condvar,
    /// What a member panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: of the fields only `work` is not `Sync` and `Send` by itself. The one leader writes it while the loop is closed and
// nobody is in it; members read it while they are in the loop; `state` orders the two. What it points to is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Team {
    /// A team of so many threads, counting the one that has the loop; fewer where the system gives no more. The others
    /// live as long as the process.
    pub(crate) fn start(threads: usize) -> Self {
        let shared: &'static Shared = Box::leak(Box::new(Shared {
            state: AtomicU64::new(0),
            work: UnsafeCell::new(None),
            sleeping: AtomicUsize::new(0),
            bed: Mutex::new(()),
            woken: Condvar::new(),
            panic: Mutex::new(None),
        }));
        let start = |member: &usize| {
            let builder = thread::Builder::new().name(format!("kernels {member}"));
            builder.spawn(|| shared.serve()).is_ok()
        };
        Self {
            shared,
            members: (1..threads).take_while(start).count(),
            leading: Mutex::new(()),
        }
    }

    /// Threads that take part in a loop.
    pub(crate) fn threads(&self) -> usize {
        self.members + 1
    }

    /// Has `work` done by this thread, and at the same time by every member that comes before this thread is through with
    /// it; returns when all are. Where the members are in another loop this thread does it alone: waiting for a thread that
    /// has one loop after the other could take until it has no more.
    ///
    /// # Panics
    /// If `work` panics on any of them.
    pub(crate) fn run(&self, work: &Work<'_>) {
        if self.members == 0 || IN_A_LOOP.get() {
            return work();
        }
        let leading = match self.leading.try_lock() {
            Ok(leading) => leading,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return work(),
        };
        // SAFETY: the lifetime that is left out here ends after this function. Members use the pointer while they are in
        // the loop, and `open` ends, however it is left, when the loop is closed and nobody is in it any more.
        let work_of_loop =
            unsafe { std::mem::transmute::<*const Work<'_>, *const Work<'static>>(work) };
        // A loop before may have ended by a panic of its leader, with others' left.
        *locked(&self.shared.panic) = None;
        let open = self.shared.open(work_of_loop);
        work();
        drop(open);
        let panic = locked(&self.shared.panic).take();
        drop(leading);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

/// A loop that is open; dropping it closes it, and waits for those in it.
struct Open<'a>(&'a Shared);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        IN_A_LOOP.set(false);
        self.0.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut looks = 0;
        while self.0.state.load(Ordering::Acquire) & INSIDE > 0 {
            looks += 1;
            // Where threads are more than cores, the one that is waited for may need this one.
            if looks % LOOKS == 0 {
                thread::yield_now()
            } else {
                spin_loop()
            }
        }
    }
}

impl Shared {
    /// Opens the next loop. The caller leads, and the one before is closed and empty.
    fn open(&self, work: *const Work<'static>) -> Open<'_> {
        // SAFETY: nobody is in a loop, and nobody can enter one that is not open.
        unsafe { *self.work.get() = Some(work) };
        let number = (self.state.load(Ordering::Relaxed) >> NUMBER) + 1;
        // In one order with `sleep`: either this thread sees who sleeps, or they see the loop.
        self.state.store(number << NUMBER | OPEN, Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) > 0 {
            drop(locked(&self.bed));
            self.woken.notify_all();
        }
        IN_A_LOOP.set(true);
        Open(self)
    }

    /// What a member does for ever.
    fn serve(&self) {
        IN_A_LOOP.set(true);
        let mut last = 0;
        loop {
            let state = self.look_out(last);
            let (inside, order) = (state + 1, Ordering::AcqRel);
            if self
                .state
                .compare_exchange(state, inside, order, Ordering::Relaxed)
                .is_err()
            {
                // Others came, or it was closed.
                continue;
            }
            last = state >> NUMBER;
            // SAFETY: this thread is in the loop, so its work is there, and stays until it leaves.
            let work = unsafe { (*self.work.get()).map(|work| &*work) };
            if let Some(Err(panic)) = work.map(|work| catch_unwind(AssertUnwindSafe(work))) {
                locked(&self.panic).get_or_insert(panic);
            }
            self.state.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for an open loop other than number `last`.
    fn look_out(&self, last: u64) -> u64 {
        let is_new = |state: u64| state & OPEN > 0 && state >> NUMBER != last;
        let since = Instant::now();
        loop {
            for _ in 0..LOOKS {
                let state = self.state.load(Ordering::Acquire);
                if is_new(state) {
                    return state;
                }
                spin_loop();
            }
            match since.elapsed() {
                waited if waited > PATIENCE => break,
                waited if waited > EAGERNESS => thread::yield_now(),
                _ => {}
            }
        }
        let mut bed = locked(&self.bed);
        self.sleeping.fetch_add(1, Ordering::SeqCst);
        let state = loop {
            let state = self.state.load(Ordering::SeqCst);
            if is_new(state) {
                break state;
            }
            bed = self.woken.wait(bed).unwrap_or_else(PoisonError::into_inner);
        };
        self.sleeping.fetch_sub(1, Ordering::SeqCst);
        state
    }
}

/// A panic elsewhere leaves nothing half done under these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each of `count` pieces was done in a loop of `team`.
    fn done(team: &Team, count: usize, piece: impl Fn(usize) + Sync) -> Vec<usize> {
        let times: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        let next = AtomicUsize::new(0);
        team.run(&|| {
            while let Some(times) = times.get(next.fetch_add(1, Ordering::Relaxed)) {
                times.fetch_add(1, Ordering::Relaxed);
                piece(0);
            }
        });
        times.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_piece_is_done_once() {
        for threads in 1..5 {
            let team = Team::start(threads);
            assert_eq!(team.threads(), threads);
            for count in (0..40).chain([0, 1000]) {
                assert_eq!(
                    done(&team, count, |_| ()),
                    vec![1; count],
                    "{threads} threads"
                );
            }
        }
    }

    #[test]
    fn members_that_sleep_are_woken_and_all_of_them_come() {
        let team = Team::start(4);
        for _ in 0..3 {
            thread::sleep(4 * PATIENCE);
            let here = AtomicUsize::new(0);
            team.run(&|| {
                here.fetch_add(1, Ordering::SeqCst);
                // Nobody leaves before everybody is here.
                while here.load(Ordering::SeqCst) < 4 {
                    thread::yield_now();
                }
            });
        }
    }

    #[test]
    fn what_a_loop_wrote_is_read_after_it() {
        let team = Team::start(3);
        for round in 0..2_000 {
            let mut values = vec![0_usize; 64];
            let pieces: Vec<_> = values.iter_mut().map(Mutex::new).collect();
            let next = AtomicUsize::new(0);
            team.run(&|| {
                while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                    **locked(piece) = round;
                }
            });
            assert!(values.iter().all(|value| *value == round));
        }
    }

    #[test]
    fn loops_within_loops_and_of_several_threads_are_done() {
        let team = Team::start(3);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let outer = done(&team, 5, |_| assert_eq!(done(&team, 3, |_| ()), [1; 3]));
                        assert_eq!(outer, [1; 5]);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_in_any_piece_reaches_the_caller_and_the_team_goes_on() {
        let team = Team::start(3);
        for _ in 0..50 {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                done(&team, 20, |_| panic!("as it should"));
            }));
            assert!(panicked.is_err());
            assert_eq!(done(&team, 20, |_| ()), [1; 20]);
        }
    }
}
