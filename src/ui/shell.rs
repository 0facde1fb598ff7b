//! Runs the face: gestures, answers and the published state in; frames and commands out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;

use embedded_graphics::geometry::Size;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Ui;
use super::farewell::{Curtain, Farewell, Shown};
use super::text::MARQUEE_STEP;
use crate::control::{Command, CommandError, ErrorCode, Handle, PanelStatus, Reply};
use crate::panel::{Display, Frame, Gesture, Light};
use crate::types::{Clock, Tick, Time};

/// Commands of one kind that wait for the jukebox; when full, the newest is refused with a message to the person.
const COMMAND_CAPACITY: usize = 16;
/// The display's thread is waited for so long at the end; it may hang in a broken bus.
const DISPLAY_END: Duration = Duration::from_secs(1);
/// Answers that wait for the face; when full, the next command waits.
const ANSWER_CAPACITY: usize = 16;

/// What the face tells others.
#[derive(Debug)]
pub struct Outlets {
    /// Every frame.
    pub frames: watch::Sender<Frame>,
    /// How far the knob was turned.
    pub turned: watch::Sender<PanelStatus>,
    /// Ticks at least as often as the jukebox publishes its state.
    pub tick: Tick,
    /// What a person at the display should know at once: why the knob does not work, say.
    pub notice: Option<String>,
    /// Has the face end on a screen that stays, if it is asked before the end.
    pub farewell: Farewell,
}

/// Runs until `cancel` is cancelled or the jukebox is gone.
///
/// Nothing wakes up while nothing moves; while something does, at most one frame per [`MARQUEE_STEP`] is drawn. The
/// display has a thread of its own: a slow one skips frames and never holds up the knob.
pub async fn run(
    handle: Handle,
    display: Box<dyn Display>,
    mut gestures: mpsc::Receiver<Gesture>,
    Outlets { frames, turned, tick, notice, farewell }: Outlets,
    cancel: CancellationToken,
) {
    let clock = Clock::start();
    let mut ui = Ui::new(clock.now());
    notice.iter().for_each(|notice| ui.notice(clock.now(), notice));
    let mut canvas = display.canvas();
    let mut canvas_lives = true;
    let stay = Arc::new(AtomicBool::new(false));
    let (picture, bell, display_thread) = spawn_display(display, Arc::clone(&stay));
    let (answers, mut answered) = mpsc::channel(ANSWER_CAPACITY);
    let lanes = Lanes::start(&handle, &answers);
    let mut status = handle.status();
    status.mark_changed();
    let mut gestures_open = true;
    let mut last_drawn = None;
    while !cancel.is_cancelled() {
        tick.tick();
        let now = clock.now();
        let size = *canvas.borrow_and_update();
        ui.resize(size);
        let drawn = draw(&mut ui, now, size, &mut last_drawn, (&frames, &picture));
        if drawn {
            // When full, the bell has rung already and the thread will see this frame.
            let _ = bell.try_send(());
        }
        // Not before the next frame may be drawn, whatever the screens ask for.
        let due = ui.next_tick(now).map(|at| clock.instant(at.max(now + MARQUEE_STEP)));
        let commands = tokio::select! {
            () = cancel.cancelled() => break,
            // Displays that keep their size end the channel at once.
            changed = canvas.changed(), if canvas_lives => {
                canvas_lives = changed.is_ok();
                Vec::new()
            }
            gesture = gestures.recv(), if gestures_open => match gesture {
                Some(first) => {
                    // All that have come meanwhile, before the next frame: a slow display never lags behind the hand.
                    let mut commands = Vec::new();
                    let mut next = Some(first);
                    while let Some(gesture) = next {
                        turned.send_modify(|turned| turned.turned(gesture.detents()));
                        commands.extend(ui.gesture(clock.now(), gesture));
                        next = gestures.try_recv().ok();
                    }
                    commands
                }
                None => {
                    gestures_open = false;
                    Vec::new()
                }
            },
            Some((command, reply)) = answered.recv() => ui.reply(clock.now(), &command, reply),
            changed = status.changed() => {
                if changed.is_err() {
                    break;
                }
                let new = Arc::clone(&status.borrow_and_update());
                ui.status(clock.now(), new)
            }
            () = sleep_until(due) => Vec::new(),
        };
        for command in commands {
            if let Err(refused) = lanes.send(command) {
                let reply = Reply::Error(CommandError {
                    code: ErrorCode::Full,
                    message: "Too much at once; wait a moment and try again".to_owned(),
                });
                ui.reply(clock.now(), &refused, reply);
            }
        }
    }
    if farewell.is_asked() {
        let curtain = Curtain::new(*canvas.borrow(), picture, bell, display_thread, stay);
        frames.send_replace(curtain.tell_that_it_ends());
        return farewell.keep(curtain);
    }
    drop(bell);
    // The display is dark, and a terminal given back, before the process ends.
    let ended = tokio::task::spawn_blocking(move || display_thread.map(JoinHandle::join));
    if tokio::time::timeout(DISPLAY_END, ended).await.is_err() {
        tracing::warn!("the display does not answer and stays as it is");
    }
}

/// Draws if the picture has changed; returns whether it has.
fn draw(
    ui: &mut Ui,
    now: Time,
    size: Size,
    last: &mut Option<Shown>,
    (frames, picture): (&watch::Sender<Frame>, &watch::Sender<Shown>),
) -> bool {
    ui.tick(now);
    let mut shown = Shown { light: ui.light(now), frame: Frame::new(size) };
    ui.draw(now, &mut shown.frame);
    if last.as_ref() == Some(&shown) {
        return false;
    }
    frames.send_replace(shown.frame.clone());
    picture.send_replace(shown.clone());
    *last = Some(shown);
    true
}

async fn sleep_until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Two ways to the jukebox, so that a slow search never holds up pause or volume. Within one the order is kept.
struct Lanes {
    questions: mpsc::Sender<Command>,
    actions: mpsc::Sender<Command>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Lanes {
    fn start(handle: &Handle, answers: &mpsc::Sender<(Command, Reply)>) -> Self {
        let lane = || {
            let (sender, mut commands) = mpsc::channel::<Command>(COMMAND_CAPACITY);
            let (handle, answers) = (handle.clone(), answers.clone());
            let task = tokio::spawn(async move {
                while let Some(command) = commands.recv().await {
                    let reply = handle.send(command.clone()).await;
                    if answers.send((command, reply)).await.is_err() {
                        break;
                    }
                }
            });
            (sender, AbortOnDropHandle::new(task))
        };
        let ((questions, first), (actions, second)) = (lane(), lane());
        Self { questions, actions, _tasks: [first, second] }
    }

    fn send(&self, command: Command) -> Result<(), Command> {
        let lane = match command {
            Command::Search { .. } | Command::Dial { .. } => &self.questions,
            _ => &self.actions,
        };
        lane.try_send(command).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(command) | mpsc::error::TrySendError::Closed(command) => command,
        })
    }
}

/// Starts the thread `display`; it shows the latest picture when the bell rings and ends when the bell is gone.
fn spawn_display(
    mut display: Box<dyn Display>,
    stay: Arc<AtomicBool>,
) -> (watch::Sender<Shown>, SyncSender<()>, Option<JoinHandle<()>>) {
    let (picture, mut latest) = watch::channel(Shown::default());
    let (bell, rung) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name("display".to_owned()).spawn(move || {
        let mut light = Light::default();
        let mut broken = false;
        while rung.recv().is_ok() {
            let shown = latest.borrow_and_update().clone();
            let mut result = Ok(());
            if shown.light != light {
                result = display.light(shown.light);
                light = shown.light;
            }
            if shown.light != Light::Off {
                result = display.show(&shown.frame).and(result);
            }
            match &result {
                Err(error) if !broken => tracing::warn!(%error, "the panel is dark"),
                Ok(()) if broken => tracing::info!("the panel is back"),
                _ => {}
            }
            broken = result.is_err();
        }
        // The last picture would stay, and tell of music that no longer plays.
        if !stay.load(Ordering::Acquire) {
            let _ = display.light(Light::Off);
        }
    });
    let thread = thread.inspect_err(|error| {
        tracing::error!(%error, "cannot start the display's thread; the jukebox plays on without a picture");
    });
    (picture, bell, thread.ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{self, DialState, Status};
    use crate::panel::PanelError;

    /// A display that hands its frames on.
    struct Probe(std::sync::mpsc::Sender<Frame>);

    impl Display for Probe {
        fn show(&mut self, frame: &Frame) -> Result<(), PanelError> {
            let _ = self.0.send(frame.clone());
            Ok(())
        }

        fn light(&mut self, _light: Light) -> Result<(), PanelError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn gestures_reach_the_jukebox_and_frames_the_display() {
        let (publish, status) = watch::channel(Arc::new(Status::default()));
        let (handle, mut requests) = control::channel(status);
        let (sender, gestures) = mpsc::channel(8);
        let (frames, mut frame) = watch::channel(Frame::default());
        let (probe, shown) = std::sync::mpsc::channel();
        let (cancel, tick) = (CancellationToken::new(), Tick::default());
        let (turned, turns) = watch::channel(PanelStatus::default());
        let outlets = Outlets { frames, turned, tick: tick.clone(), notice: None, farewell: Farewell::default() };
        let task = tokio::spawn(run(handle, Box::new(Probe(probe)), gestures, outlets, cancel.clone()));
        // Nothing plays: pressing searches.
        sender.send(Gesture::Press).await.unwrap();
        let request = requests.recv().await.unwrap();
        assert_eq!(request.command, Command::Dial { prefix: String::new() });
        let letters = vec![control::DialLetter { letter: 'e', hits: 3 }];
        let reply = Reply::Dial(DialState { prefix: String::new(), hits: 3, letters });
        let mut wheel = Frame::default();
        let mut twin = Ui::new(Time::ZERO);
        twin.gesture(Time::ZERO, Gesture::Press);
        twin.reply(Time::ZERO, &request.command, reply.clone());
        twin.draw(Time::ZERO, &mut wheel);
        request.reply.send(reply).unwrap();
        frame.wait_for(|frame| *frame == wheel).await.unwrap();
        sender.send(Gesture::Press).await.unwrap();
        let request = requests.recv().await.unwrap();
        assert_eq!(request.command, Command::Dial { prefix: "e".to_owned() });
        // A question without an answer holds up neither the volume nor the end.
        sender.send(Gesture::Hold).await.unwrap();
        sender.send(Gesture::Hold).await.unwrap();
        sender.send(Gesture::Turn(1)).await.unwrap();
        assert!(matches!(requests.recv().await.unwrap().command, Command::Volume { .. }));
        sender.send(Gesture::Spin { detents: -2, reach: -6 }).await.unwrap();
        assert!(matches!(requests.recv().await.unwrap().command, Command::Volume { .. }));
        assert_eq!(*turns.borrow(), PanelStatus { clockwise: 1, counterclockwise: 2 });
        cancel.cancel();
        task.await.unwrap();
        // The thread may skip frames, but not the last one.
        assert_eq!(shown.iter().last(), Some(frame.borrow().clone()));
        // A round for each gesture and answer at least.
        assert!(tick.count() > 4, "{}", tick.count());
        drop((request, publish));
    }

    #[tokio::test]
    async fn the_face_ends_with_the_jukebox() {
        let (publish, status) = watch::channel(Arc::new(Status::default()));
        let (handle, _requests) = control::channel(status);
        let (_sender, gestures) = mpsc::channel(1);
        let (frames, _frame) = watch::channel(Frame::default());
        drop(publish);
        let turned = watch::Sender::default();
        let outlets = Outlets { frames, turned, tick: Tick::default(), notice: None, farewell: Farewell::default() };
        run(handle, Box::new(crate::panel::NoDisplay), gestures, outlets, CancellationToken::new()).await;
    }

    /// Remembers the light and the frame that it was left with.
    struct Last(Arc<std::sync::Mutex<(Frame, Option<Light>)>>);

    impl Display for Last {
        fn show(&mut self, frame: &Frame) -> Result<(), PanelError> {
            self.0.lock().unwrap().0 = frame.clone();
            Ok(())
        }

        fn light(&mut self, light: Light) -> Result<(), PanelError> {
            self.0.lock().unwrap().1 = Some(light);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_jukebox_that_is_switched_off_ends_on_a_screen_that_stays_and_says_when_it_is_safe() {
        let (_publish, status) = watch::channel(Arc::new(Status::default()));
        let (handle, _requests) = control::channel(status);
        let (_sender, gestures) = mpsc::channel(1);
        let (frames, frame) = watch::channel(Frame::default());
        let (left, cancel, farewell) = (Arc::default(), CancellationToken::new(), Farewell::default());
        let turned = watch::Sender::default();
        let outlets = Outlets { frames, turned, tick: Tick::default(), notice: None, farewell: farewell.clone() };
        let task = tokio::spawn(run(handle, Box::new(Last(Arc::clone(&left))), gestures, outlets, cancel.clone()));
        farewell.ask();
        cancel.cancel();
        task.await.unwrap();
        let ending = frame.borrow().clone();
        let curtain = farewell.take().expect("the display is kept");
        tokio::task::spawn_blocking(|| curtain.tell_that_it_is_safe()).await.unwrap();
        let (last, light) = left.lock().unwrap().clone();
        assert!(last != ending && last != Frame::default(), "it still says that it is ending");
        assert_ne!(light, Some(Light::Off));
        assert!(farewell.take().is_none());
    }
}
