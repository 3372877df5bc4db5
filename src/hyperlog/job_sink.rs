//! Where jobs go: to the commit pipeline, or nowhere if the store belongs to another process.

use super::commit_pipeline::CommitPipeline;
use super::following::Following;
use super::job::Job;
use super::parking::ParkedTotal;

/// Takes jobs.
pub(super) enum JobSink {
    /// Stores them.
    Pipeline(Box<CommitPipeline>),
    /// Refuses them, and follows the store instead.
    Following(Following),
}

impl JobSink {
    /// Queues or refuses a job.
    pub(super) fn submit(&self, job: Job) {
        match self {
            JobSink::Pipeline(pipeline) => pipeline.submit(job),
            JobSink::Following(following) => following.refuse(job),
        }
    }

    /// Does the writing, or follows the store, until [`JobSink::close`].
    pub(super) fn run(&self) {
        match self {
            JobSink::Pipeline(pipeline) => pipeline.run(),
            JobSink::Following(following) => following.run(),
        }
    }

    /// Stops accepting jobs.
    pub(super) fn close(&self) {
        match self {
            JobSink::Pipeline(pipeline) => pipeline.close(),
            JobSink::Following(following) => following.close(),
        }
    }

    /// How much sessions have parked.
    pub(super) fn parked(&self) -> ParkedTotal {
        match self {
            JobSink::Pipeline(pipeline) => pipeline.parked(),
            JobSink::Following(_) => ParkedTotal::default(),
        }
    }
}
