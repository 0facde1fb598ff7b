//! Carries out what the faces ask for, each command by the room that it is for.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::source::Songs;
use super::supervise::{TaskError, Tick};
use super::torrents::Torrents;
use super::traces::Traces;
use crate::control::{Command, CommandError, ErrorCode, Picture, Reply, Request, Status};
use crate::panel::{Frame, Gesture};
use crate::player::PlayerHandle;
use crate::search::Searcher;
use crate::types::Clock;
use crate::ui::Farewell;

/// Commands that are carried out at once; further ones wait in the control's channel.
const MAX_AT_ONCE: usize = 16;

/// Torrents that are added or shared at once, which takes seconds to minutes; one more is refused, so that the knob never
/// waits for them.
const MAX_SLOW: usize = 8;

/// Most results of one search.
const MAX_RESULTS: u32 = 500;

/// Longest query in bytes; longer ones are refused.
const MAX_QUERY_BYTES: usize = 1024;

/// Most detents of one command.
const MAX_DETENTS: i32 = 1000;

/// What commands are carried out with.
#[derive(Debug, Clone)]
pub struct Desk {
    pub clock: Clock,
    pub searcher: Searcher,
    pub player: PlayerHandle<Songs>,
    pub torrents: Torrents,
    pub status: watch::Receiver<Arc<Status>>,
    pub frames: watch::Receiver<Frame>,
    pub gestures: mpsc::Sender<Gesture>,
    pub traces: Arc<Traces>,
    pub farewell: Farewell,
    pub cancel: CancellationToken,
}

/// Takes requests until the token is cancelled. Each is carried out by itself, so that a slow one (`share` of a large
/// folder) holds up no other.
///
/// # Errors
/// Never; the signature is the supervisor's.
pub async fn serve(desk: &Desk, requests: &mut mpsc::Receiver<Request>, tick: Tick) -> Result<(), TaskError> {
    let (quick, slow) = (Arc::new(Semaphore::new(MAX_AT_ONCE)), Arc::new(Semaphore::new(MAX_SLOW)));
    loop {
        tick.tick();
        let request = tokio::select! {
            () = desk.cancel.cancelled() => return Ok(()),
            () = tokio::time::sleep(Tick::IDLE) => continue,
            request = requests.recv() => request,
        };
        let Some(Request { command, reply }) = request else { return Ok(()) };
        let desk = desk.clone();
        if matches!(command, Command::Add { .. } | Command::Share { .. }) {
            let Ok(place) = Arc::clone(&slow).try_acquire_owned() else {
                let message = "several torrents are being added or shared already; try again when they are done";
                let _ = reply.send(Reply::Error(CommandError { code: ErrorCode::Full, message: message.to_owned() }));
                continue;
            };
            tokio::spawn(desk.answer(command, reply, place));
            continue;
        }
        let place = tokio::select! {
            () = desk.cancel.cancelled() => return Ok(()),
            place = Arc::clone(&quick).acquire_owned() => place?,
        };
        tokio::spawn(desk.answer(command, reply, place));
    }
}

impl Desk {
    async fn answer(self, command: Command, reply: oneshot::Sender<Reply>, place: OwnedSemaphorePermit) {
        let answer = self.carry_out(command).await;
        drop(place);
        // The face has gone: nothing to answer.
        let _ = reply.send(answer);
    }

    async fn carry_out(&self, command: Command) -> Reply {
        let outcome = match command {
            Command::Search { query, .. } if query.len() > MAX_QUERY_BYTES => {
                Err(usage("the query is too long; use a few words"))
            }
            Command::Search { query, limit, mode } => {
                let limit = limit.clamp(1, MAX_RESULTS) as usize;
                self.searcher
                    .search(&query, mode, limit, self.clock.unix())
                    .await
                    .map(Reply::Search)
                    .map_err(|e| failed(&e))
            }
            Command::Dial { prefix } if prefix.len() > MAX_QUERY_BYTES => Err(usage("that is too long to dial")),
            Command::Dial { prefix } => self.searcher.dial(&prefix).await.map(Reply::Dial).map_err(|e| failed(&e)),
            Command::Add { source } => self.torrents.add(&source).await.map(Reply::Torrent),
            Command::Share { path } => self.torrents.share(&path).await.map(Reply::Torrent),
            Command::Unshare { infohash } => self.torrents.unshare(infohash).await.map(|()| Reply::Done),
            Command::Status => Ok(Reply::Status(Box::new((**self.status.borrow()).clone()))),
            Command::PanelTurn { detents } => {
                self.gesture(Gesture::Turn(detents.clamp(-MAX_DETENTS, MAX_DETENTS))).await
            }
            Command::PanelPress => self.gesture(Gesture::Press).await,
            Command::PanelDouble => self.gesture(Gesture::Double).await,
            Command::PanelHold => self.gesture(Gesture::Hold).await,
            Command::PanelPicture => Ok(Reply::Picture(self.picture())),
            Command::Trace => Ok(Reply::Trace { rings: self.traces.rings(true) }),
            Command::PowerOff => {
                self.farewell.ask();
                self.cancel.cancel();
                Ok(Reply::Done)
            }
            Command::Shutdown => {
                self.cancel.cancel();
                Ok(Reply::Done)
            }
            command => match self.player.command(command).await {
                Some(reply) => Ok(reply),
                None => Err(usage("this jukebox does not know that command; are command and jukebox of one version?")),
            },
        };
        outcome.unwrap_or_else(Reply::Error)
    }

    async fn gesture(&self, gesture: Gesture) -> Result<Reply, CommandError> {
        self.gestures.send(gesture).await.map(|()| Reply::Done).map_err(|_| CommandError {
            code: ErrorCode::NotNow,
            message: "the panel has ended; the jukebox is shutting down".to_owned(),
        })
    }

    fn picture(&self) -> Picture {
        self.frames.borrow().to_picture()
    }
}

fn usage(message: &str) -> CommandError {
    CommandError { code: ErrorCode::Usage, message: message.to_owned() }
}

fn failed(error: &dyn std::fmt::Display) -> CommandError {
    CommandError { code: ErrorCode::Failed, message: error.to_string() }
}
