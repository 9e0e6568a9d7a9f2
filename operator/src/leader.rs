//! Leader election by a Lease, so that several operators are safe: one works, the others wait. Who
//! cannot renew in time ends, before another one may take over.

use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::Client;
use kube::api::ObjectMeta;
use kube::api::PostParams;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

/// How long a Lease holds without being renewed.
const HOLDS: Duration = Duration::from_secs(15);
/// How long its holder tries to renew it before it ends itself.
const GIVES_UP: Duration = Duration::from_secs(10);
/// Time between two attempts to get or renew it.
const EVERY: Duration = Duration::from_secs(3);

/// Why this operator is not the leader.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// The Lease was not renewed in time.
    #[error("could not renew the Lease {name} for {} s; another operator may work now", GIVES_UP.as_secs())]
    Renew {
        /// Its name.
        name: String,
    },
    /// Another one has it.
    #[error("the Lease {name} was taken by {holder}")]
    Taken {
        /// Its name.
        name: String,
        /// Who has it.
        holder: String,
    },
}

/// A Lease that this operator wants or has.
pub struct Leadership {
    api: Api<Lease>,
    name: String,
    identity: String,
    seen: Option<(String, Instant)>,
}

/// What became of an attempt.
enum Attempt {
    Held,
    HeldBy(String),
}

impl Leadership {
    /// A Lease of this namespace.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: String, identity: String) -> Self {
        Self { api: Api::namespaced(client, namespace), name, identity, seen: None }
    }

    /// Waits until the Lease is ours. False if it was told to end before.
    pub async fn acquire(&mut self, end: &CancellationToken) -> bool {
        let mut told = None;
        loop {
            match self.attempt().await {
                Ok(Attempt::Held) => {
                    info!(message = "This operator works now.", lease = self.name);
                    return true;
                }
                Ok(Attempt::HeldBy(holder)) => {
                    if told.as_ref() != Some(&holder) {
                        info!(message = "Another operator works.", lease = self.name, holder);
                        told = Some(holder);
                    }
                }
                Err(error) => {
                    warn!(message = "Failed to get the Lease.", lease = self.name, %error);
                }
            }
            tokio::select! {
                biased;
                () = end.cancelled() => return false,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Renews the Lease until it is told to end, then gives it back.
    ///
    /// # Errors
    /// It is no longer ours.
    pub async fn keep(mut self, end: CancellationToken) -> Result<(), LeaderError> {
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = end.cancelled() => break,
                () = tokio::time::sleep(EVERY) => {}
            }
            let left = GIVES_UP.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.attempt()).await {
                Ok(Ok(Attempt::Held)) => renewed = Instant::now(),
                Ok(Ok(Attempt::HeldBy(holder))) => {
                    return Err(LeaderError::Taken { name: self.name, holder });
                }
                Ok(Err(error)) => {
                    warn!(message = "Failed to renew the Lease.", lease = self.name, %error);
                }
                Err(_) => {}
            }
            if renewed.elapsed() >= GIVES_UP {
                return Err(LeaderError::Renew { name: self.name });
            }
        }
        if let Err(error) = self.release().await {
            warn!(message = "Failed to give the Lease back.", lease = self.name, %error);
        }
        Ok(())
    }

    async fn attempt(&mut self) -> Result<Attempt, kube::Error> {
        let now = Timestamp::now();
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.spec(None, now)),
            };
            self.api.create(&PostParams::default(), &lease).await?;
            return Ok(Attempt::Held);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder != self.identity && !holder.is_empty() && !self.has_run_out(&lease) {
            return Ok(Attempt::HeldBy(holder));
        }
        // The version of what was read goes with it, so that of two only one gets it.
        let lease = Lease { metadata: lease.metadata, spec: Some(self.spec(Some(&spec), now)) };
        self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        Ok(Attempt::Held)
    }

    /// Whether nobody has renewed it for as long as it holds, by our own clock: clocks differ.
    fn has_run_out(&mut self, lease: &Lease) -> bool {
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        match &self.seen {
            Some((seen, since)) if *seen == version => since.elapsed() > HOLDS,
            _ => {
                self.seen = Some((version, Instant::now()));
                false
            }
        }
    }

    fn spec(&self, before: Option<&LeaseSpec>, now: Timestamp) -> LeaseSpec {
        let ours = before.filter(|spec| spec.holder_identity.as_ref() == Some(&self.identity));
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(HOLDS.as_secs()).ok(),
            acquire_time: ours.and_then(|spec| spec.acquire_time.clone()).or(Some(MicroTime(now))),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions + i32::from(ours.is_none())),
            ..LeaseSpec::default()
        }
    }

    async fn release(&self) -> Result<(), kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
        let Some(spec) = lease.spec.as_mut() else { return Ok(()) };
        if spec.holder_identity.as_ref() == Some(&self.identity) {
            spec.holder_identity = Some(String::new());
            spec.renew_time = Some(MicroTime(Timestamp::now()));
            self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }
}
