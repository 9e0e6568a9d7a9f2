//! One connection to an MQTT broker: its address, and its event loop on a task of its own.
//!
//! It knows nothing of what is sent again after it broke: that is the sender's own book, since a
//! broker that died may have forgotten the session.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::AsyncClient;
use rumqttc::ConnectionError;
use rumqttc::Event;
use rumqttc::EventLoop;
use rumqttc::MqttOptions;
use rumqttc::Outgoing;
use rumqttc::Packet;
use rumqttc::TlsConfiguration;
use rumqttc::Transport;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::MqttTarget;

/// Messages that may wait for their confirmation at a time.
pub(super) const WINDOW: u16 = 100;

/// A broker: `mqtt://host` or `mqtt://host:port`, or with TLS `mqtts://…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Host name or address.
    pub host: String,
    /// Port; where none is written 1883, and 8883 with TLS.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// A text that is not the address of a broker.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not the address of an MQTT broker: write `mqtt://HOST:PORT`, such as `mqtt://127.0.0.1:1883`, or `mqtts://HOST:PORT` with TLS"
)]
pub struct ParseBrokerAddressError(String);

/// Who we are to the broker.
#[derive(Clone)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

impl FromStr for BrokerAddress {
    type Err = ParseBrokerAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseBrokerAddressError(text.to_owned());
        let (tls, rest) = match text.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => return Err(error()),
        };
        let rest = rest.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| error())?)
            }
            _ => (rest, if tls { 8883 } else { 1883 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(error());
        }
        Ok(Self { host: host.to_owned(), port, tls })
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// What a connection says.
#[derive(Debug)]
pub(super) enum Report {
    /// The broker accepted us.
    Connected,
    /// The next publish in order got this packet id.
    Published(u16),
    /// The broker confirmed the publish with this packet id.
    Acknowledged(u16),
    /// The connection is gone; nothing comes after this.
    Broken(ConnectionError),
}

/// An open or opening connection. Dropping it closes it.
pub(super) struct Connection {
    pub(super) client: AsyncClient,
    pub(super) reports: mpsc::Receiver<Report>,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    pub(super) fn open(target: &MqttTarget, client_id: &str) -> Self {
        let MqttTarget { address, credentials, tls } = target;
        let mut options = MqttOptions::new(client_id, address.host.as_str(), address.port);
        options.set_keep_alive(Duration::from_secs(15)).set_inflight(WINDOW);
        if let Some(credentials) = credentials {
            options.set_credentials(credentials.username.as_str(), credentials.password.as_str());
        }
        if let Some(tls) = tls {
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(
                Arc::clone(tls),
            )));
        }
        // The channel takes a whole window, so that handing over never waits.
        let (client, events) = AsyncClient::new(options, usize::from(WINDOW) + 1);
        let (sender, reports) = mpsc::channel(4 * usize::from(WINDOW));
        Self { client, reports, task: tokio::spawn(poll(events, sender)) }
    }
}

async fn poll(mut events: EventLoop, reports: mpsc::Sender<Report>) {
    loop {
        let report = match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => Report::Connected,
            Ok(Event::Incoming(Packet::PubAck(ack))) => Report::Acknowledged(ack.pkid),
            Ok(Event::Outgoing(Outgoing::Publish(id))) => Report::Published(id),
            Ok(_) => continue,
            Err(error) => Report::Broken(error),
        };
        let broken = matches!(report, Report::Broken(_));
        if reports.send(report).await.is_err() || broken {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host_and_maybe_a_port() {
        let address = |text: &str| text.parse::<BrokerAddress>().map(|a| (a.host, a.port, a.tls));
        assert_eq!(address("mqtt://127.0.0.1:1884"), Ok(("127.0.0.1".into(), 1884, false)));
        assert_eq!(address("mqtt://broker/"), Ok(("broker".into(), 1883, false)));
        assert_eq!(address("mqtt://[::1]:1883"), Ok(("::1".into(), 1883, false)));
        assert_eq!(address("mqtts://broker"), Ok(("broker".into(), 8883, true)));
        assert_eq!(
            "mqtts://broker".parse::<BrokerAddress>().unwrap().to_string(),
            "mqtts://broker:8883"
        );
        for bad in ["127.0.0.1:1883", "http://x", "mqtt://", "mqtt://h:99999", "mqtt://u@h"] {
            assert_eq!(address(bad), Err(ParseBrokerAddressError(bad.into())), "{bad}");
        }
    }
}
