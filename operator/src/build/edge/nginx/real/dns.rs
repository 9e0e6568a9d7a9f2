//! A server of names: pods under the names of their Services.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::net::UdpSocket;

/// Addresses of names, which a test may change.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Arc<Mutex<BTreeMap<String, Vec<Ipv4Addr>>>>);

impl Names {
    /// The pods of a Service are these from now on.
    pub(super) fn set(&self, name: &str, addresses: &[Ipv4Addr]) {
        self.0.lock().unwrap().insert(name.to_owned(), addresses.to_vec());
    }

    /// Answers until the test ends.
    pub(super) async fn serve(&self) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let names = self.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                let answer = names.answer(&buffer[..length]);
                let _ = socket.send_to(&answer, client).await;
            }
        });
        address
    }

    fn answer(&self, query: &[u8]) -> Vec<u8> {
        let (mut labels, mut at) = (Vec::new(), 12);
        while query[at] != 0 {
            let end = at + 1 + usize::from(query[at]);
            labels.push(std::str::from_utf8(&query[at + 1..end]).unwrap().to_owned());
            at = end;
        }
        let question = &query[12..at + 5];
        let is_version_4 = query[at + 2] == 1;
        let names = self.0.lock().unwrap();
        let known = names.get(&labels.join("."));
        let addresses = known.filter(|_| is_version_4).map_or(&[][..], Vec::as_slice);
        let code = if known.is_some_and(|known| !known.is_empty()) { 0 } else { 3 };
        let mut answer = query[..2].to_vec();
        answer.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(addresses.len()).unwrap()]);
        answer.extend([0, 0, 0, 0]);
        answer.extend(question);
        for address in addresses {
            // The same name, an address of the Internet, for a second, of four bytes.
            answer.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
            answer.extend(address.octets());
        }
        answer
    }
}
