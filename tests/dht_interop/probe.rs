//! A stranger with a bare socket: asks what no node of ours would, and sees the answers as they were written.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use silverstream::dht::krpc::{Body, Message, Query};
use silverstream::types::NodeId;

/// Its id; it belongs in no table and says so (BEP 43).
const ID: NodeId = NodeId(*b"a stranger who looks");

/// How long the answer to a ping is waited for before it is asked once more.
const ANSWER: Duration = Duration::from_secs(2);

/// Pings until a client counts as gone.
const TRIES: u32 = 10;

pub struct Probe {
    socket: UdpSocket,
    client: SocketAddr,
    asked: u32,
    /// All that came from the client in answer.
    pub heard: Vec<Vec<u8>>,
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Response(Vec<u8>),
    Error(i64),
    Silence,
}

impl Probe {
    pub fn new(ip: IpAddr, client: SocketAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(ANSWER)).unwrap();
        Self { socket, client, asked: 0, heard: Vec::new() }
    }

    pub fn addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// A transaction id of four bytes, which every client takes.
    fn transaction(&mut self) -> [u8; 4] {
        self.asked += 1;
        self.asked.to_be_bytes()
    }

    pub fn ask(&mut self, query: Query<'_>) -> Answer {
        let transaction = self.transaction();
        self.ask_raw(&write(&transaction, query), &transaction)
    }

    /// Asks, and pings behind it: a client that answers the ping has read the question before.
    pub fn ask_raw(&mut self, question: &[u8], transaction: &[u8]) -> Answer {
        for _ in 0..TRIES {
            let ping = self.transaction();
            self.socket.send_to(question, self.client).unwrap();
            self.socket.send_to(&write(&ping, Query::Ping), self.client).unwrap();
            let mut answer = None;
            while let Some(datagram) = self.receive() {
                let Ok(message) = Message::parse(&datagram) else { continue };
                if message.transaction == ping && !matches!(message.body, Body::Query { .. }) {
                    return answer.unwrap_or(Answer::Silence);
                }
                match message.body {
                    _ if message.transaction != transaction => {}
                    Body::Response(_) => answer = Some(Answer::Response(datagram.clone())),
                    Body::Error { code, .. } => answer = Some(Answer::Error(code)),
                    Body::Query { .. } => {}
                }
            }
        }
        panic!("{} answers no ping", self.client);
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = self.socket.recv_from(&mut buffer).ok()?;
            if from == self.client {
                self.heard.push(buffer[..length].to_vec());
                return Some(buffer[..length].to_vec());
            }
        }
    }
}

fn write(transaction: &[u8], query: Query<'_>) -> Vec<u8> {
    let body = Body::Query { id: ID, query };
    Message { transaction, body, version: None, read_only: true, external: None }.encode()
}
