//! How long a thread has worked.
//!
//! What peers are charged must not depend on who else uses the machine: on a busy one a turn takes many times longer by
//! the clock than it works, and honest peers would be short.

use std::time::Duration;
#[cfg(not(unix))]
use std::time::Instant;

/// The beginning of some work on this thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuTimer {
    #[cfg(unix)]
    worked: Duration,
    #[cfg(not(unix))]
    began: Instant,
}

#[cfg(unix)]
impl CpuTimer {
    pub(super) fn start() -> Self {
        CpuTimer { worked: worked() }
    }

    /// Microseconds worked since then. To be asked on the same thread.
    pub(super) fn micros(self) -> u64 {
        micros(worked().saturating_sub(self.worked))
    }
}

/// Processor time of this thread.
#[cfg(unix)]
fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Elsewhere by the clock.
#[cfg(not(unix))]
impl CpuTimer {
    pub(super) fn start() -> Self {
        CpuTimer { began: Instant::now() }
    }

    pub(super) fn micros(self) -> u64 {
        micros(self.began.elapsed())
    }
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
        assert!(timer.micros() < 100_000, "{} us", timer.micros());
    }
}
