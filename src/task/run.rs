//! `Job::run`: work on a job, on the calling thread.

use crate::api::job::Job;
use crate::sync::panics::Panics;
use crate::types::error::StepError;
use crate::types::failure::Failure;

impl<T: Send + 'static> Job<T> {
    /// Starts the job, calls `f`, and ends the job. The job completes if `f` returns `Ok`, and
    /// fails with the error's text if it returns `Err`. If a stop was requested, an error cancels
    /// it. It fails with `panicked: …` if `f` panics, and the panic is contained.
    ///
    /// This is for threads of your own, such as those of a thread pool. The work counts as running
    /// for [`idle`](crate::JobRegistry::idle) and [`shutdown`](crate::JobRegistry::shutdown). `f`
    /// is not interrupted if another call ends the job, and learns of that from the error of its
    /// next step.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); `f` has not been called then. As the ending, if another call has
    /// ended the job before `f` returned.
    ///
    /// # Locking
    ///
    /// Takes the job's lock to start and to end it, and holds no lock while `f` runs. On a thread
    /// that holds a job's lock, the call is refused, and the job fails as `abandoned`.
    ///
    /// ```
    /// use job_registry::{JobRegistry, Progress, Status};
    ///
    /// let jobs = JobRegistry::new();
    /// let job = jobs.register(Vec::new())?;
    /// let id = job.id();
    /// let worker = std::thread::spawn(move || {
    ///     job.run(|job| {
    ///         job.update(|pages| pages.push(1))?;
    ///         job.advance(Progress::DONE)?;
    ///         Ok(())
    ///     })
    /// });
    /// worker.join().unwrap()?;
    /// assert_eq!(jobs.snapshot(id)?.status(), Status::Completed);
    ///
    /// let job = jobs.register(Vec::new())?;
    /// let id = job.id();
    /// job.run(|_| panic!("page {} is empty", 7))?;
    /// let reason = jobs.details(id)?.reason;
    /// assert_eq!(reason.as_deref(), Some("panicked: page 7 is empty"));
    /// # Ok::<(), job_registry::Error>(())
    /// ```
    #[allow(clippy::missing_panics_doc)] // panics of `f` are contained
    pub fn run<F>(self, f: F) -> Result<(), StepError>
    where
        F: FnOnce(&Job<T>) -> Result<(), Failure>,
    {
        // Dropped last: the work counts as running until the job has ended.
        let _working = self.registry().state.works.enter(self.id());
        let job = self;
        #[cfg(feature = "tracing")]
        let _in_span = job.span().entered();
        job.start()?;
        let mut panics = Panics::default();
        let result = panics.catch(|| f(&job));
        job.finish(result.ok_or(panics))
    }

    /// Ends the job with the outcome of its work. Refused if the job has been ended by another call,
    /// or retried.
    pub(super) fn finish(
        &self,
        outcome: Result<Result<(), Failure>, Panics>,
    ) -> Result<(), StepError> {
        match outcome {
            Ok(Ok(())) => self.complete(),
            Ok(Err(failure)) => self.end_for_error(failure.to_string()),
            Err(panics) => self.fail(format!("panicked: {}", panics.message())),
        }
    }
}
