//! How long a thread has worked.
//!
//! What peers are charged must not depend on who else uses the machine: on a busy one a turn takes many times longer by
//! the clock than it works, and honest peers would be short.

#[cfg(unix)]
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Work shorter than this is taken at its time by the clock: asking the system for a thread's processor time takes longer than
/// handling a small frame, and so short a time is seldom shared with another thread.
#[cfg(unix)]
const SHORT: Duration = Duration::from_micros(100);

#[cfg(unix)]
thread_local! {
    /// This thread's processor time when it was last asked for, and the time by the clock of the short work since.
    static SAMPLE: Cell<(Duration, Duration)> = const { Cell::new((Duration::ZERO, Duration::ZERO)) };
}

/// The beginning of some work on this thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuTimer {
    began: Instant,
}

impl CpuTimer {
    pub(super) fn start() -> Self {
        CpuTimer { began: Instant::now() }
    }

    /// Microseconds worked since then. To be asked on the same thread.
    #[cfg(unix)]
    pub(super) fn micros(self) -> u64 {
        let elapsed = self.began.elapsed();
        let (before, short) = SAMPLE.get();
        if elapsed < SHORT {
            SAMPLE.set((before, short + elapsed));
            return micros(elapsed);
        }
        let worked = worked();
        SAMPLE.set((worked, Duration::ZERO));
        micros(worked.saturating_sub(before).saturating_sub(short).min(elapsed))
    }

    /// Microseconds since then by the clock.
    #[cfg(not(unix))]
    pub(super) fn micros(self) -> u64 {
        micros(self.began.elapsed())
    }
}

/// Processor time of this thread.
#[cfg(unix)]
fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_no_effort() {
        let timer = CpuTimer::start();
        // As long as other threads have the processor, for all that this one can tell.
        std::thread::sleep(Duration::from_millis(200));
        let micros = timer.micros();
        assert!(micros < 100_000, "{micros} us");
    }

    #[test]
    fn work_counts_in_full_whether_it_comes_in_short_pieces_or_in_a_long_one() {
        let work = |enough: Duration| {
            let (timer, before) = (CpuTimer::start(), worked());
            while worked().saturating_sub(before) < enough {}
            timer.micros()
        };
        for _ in 0..50 {
            assert!(work(Duration::from_micros(20)) >= 20);
        }
        // Less what the clock took for work of the short ones while other threads had the processor.
        let micros = work(Duration::from_millis(300));
        assert!(micros >= 200_000, "{micros} us");
    }
}
