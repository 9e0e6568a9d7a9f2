//! Names of a pipeline's objects, all made here, so that two builders agree on them.

/// Names of the objects of one pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    namespace: String,
    pipeline: String,
}

/// A part of a pipeline that has pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Takes events in.
    Ingest,
    /// Computes.
    Workers,
    /// Answers.
    Query,
    /// The nginx before all of it.
    Edge,
    /// Makes topics, tables and users; a Job.
    Provision,
    /// A managed Kafka.
    Kafka,
    /// A managed Postgres.
    Postgres,
    /// Dumps of a managed Postgres.
    Backup,
}

impl Part {
    /// The part's name in names, labels and the status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Workers => "workers",
            Self::Query => "query",
            Self::Edge => "edge",
            Self::Provision => "provision",
            Self::Kafka => "kafka",
            Self::Postgres => "postgres",
            Self::Backup => "backup",
        }
    }
}

impl Names {
    /// Names of the pipeline in this namespace. A pipeline's name has at most 63 characters; those
    /// above 40 are cut for objects and end in a part of their hash, so that what Kubernetes puts
    /// behind them (an ordinal, a revision) still fits into 63.
    #[must_use]
    pub fn new(namespace: &str, pipeline: &str) -> Self {
        Self { namespace: namespace.to_owned(), pipeline: pipeline.to_owned() }
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The pipeline's own name.
    #[must_use]
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// The name of an object of the pipeline: `race-ingest`.
    #[must_use]
    pub fn of(&self, what: &str) -> String {
        const LONGEST: usize = 40;
        if self.pipeline.len() <= LONGEST {
            return format!("{}-{what}", self.pipeline);
        }
        let hash = blake3::hash(self.pipeline.as_bytes()).to_hex();
        let kept = self.pipeline[..LONGEST - 9].trim_end_matches('-');
        format!("{kept}-{}-{what}", &hash[..8])
    }

    /// The name of a part's Deployment, StatefulSet or Service.
    #[must_use]
    pub fn part(&self, part: Part) -> String {
        self.of(part.name())
    }

    /// The name within the cluster of a part's Service.
    #[must_use]
    pub fn host(&self, part: Part) -> String {
        format!("{}.{}.svc.cluster.local", self.part(part), self.namespace)
    }

    /// What names of topics, groups and transactional ids begin with, so that pipelines can share a
    /// Kafka.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("{}.{}.", self.namespace, self.pipeline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_after_the_pipeline_and_what_they_are() {
        let names = Names::new("factory", "race");
        assert_eq!(names.part(Part::Ingest), "race-ingest");
        assert_eq!(names.host(Part::Kafka), "race-kafka.factory.svc.cluster.local");
        assert_eq!(names.prefix(), "factory.race.");
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let one = Names::new("factory", &format!("{}-one", "x".repeat(59)));
        let other = Names::new("factory", &format!("{}-two", "x".repeat(59)));
        assert_eq!(one.of("ingest").len(), 31 + 1 + 8 + 7);
        assert_ne!(one.of("ingest"), other.of("ingest"));
    }
}
