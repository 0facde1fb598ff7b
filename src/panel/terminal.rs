//! A panel without hardware: the display drawn in the terminal, the knob on its keys.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Print, SetAttribute};
use crossterm::{cursor, event, execute, queue, terminal};
use embedded_graphics::geometry::{OriginDimensions, Size};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Display, Frame, Gesture, Light, PanelError};

/// How long the key thread waits for a key before it looks whether the jukebox ends.
const POLL: Duration = Duration::from_millis(200);
/// Detents of the keys that turn fast.
const FAST: i32 = 5;
/// What the keys do, under the picture and no wider than it.
const HELP: &str = "←/→ turn   PgUp/PgDn fast   Enter press   Space hold   q quit";
/// Cells of the frame around the picture, on each side.
const BORDER: u16 = 1;

/// Who has the terminal. Locked while something is drawn, so that nothing is drawn once it is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The shell that started us.
    Shell,
    /// The panel: raw mode, alternate screen.
    Panel,
}

static OWNER: Mutex<Owner> = Mutex::new(Owner::Shell);
/// A panic has given the terminal back to be read; if the program goes on, the next picture takes it again.
static PANICKED: AtomicBool = AtomicBool::new(false);

fn owner() -> MutexGuard<'static, Owner> {
    OWNER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the terminal back when dropped. Display and keys have one each; the first that goes ends the panel.
struct Guard;

impl Guard {
    fn take() -> Result<Self, PanelError> {
        static HOOK: Once = Once::new();
        let error = |reason: String| PanelError::Terminal { reason };
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(error("standard input and output are not one".to_owned()));
        }
        HOOK.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                after_panic();
                previous(info);
            }));
        });
        let mut owner = owner();
        if *owner != Owner::Panel {
            enter().inspect_err(|_| leave()).map_err(|source| error(source.to_string()))?;
            *owner = Owner::Panel;
        }
        Ok(Self)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back if the simulated panel has it; for those who end the process without dropping the panel.
pub fn give_back() {
    let mut owner = owner();
    if std::mem::replace(&mut *owner, Owner::Shell) == Owner::Panel {
        leave();
    }
}

/// Makes the message of a panic readable. Never waits: the panicking thread may itself be drawing.
fn after_panic() {
    // Locked: somebody draws, so it is the panel's.
    if OWNER.try_lock().map_or(true, |owner| *owner == Owner::Panel) {
        leave();
        PANICKED.store(true, Ordering::Release);
    }
}

fn enter() -> io::Result<()> {
    terminal::enable_raw_mode()?;
    execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide, terminal::DisableLineWrap)
}

/// Best effort: there is nobody to tell if the terminal is gone.
fn leave() {
    let _ = execute!(io::stdout(), terminal::EnableLineWrap, cursor::Show, terminal::LeaveAlternateScreen);
    let _ = terminal::disable_raw_mode();
}

/// What is drawn; shared only with the key thread, which must redraw when the window changes its size.
static SCREEN: Mutex<Weak<Mutex<Screen>>> = Mutex::new(Weak::new());

#[derive(Default)]
struct Screen {
    frame: Frame,
    light: Light,
    /// Lines as they stand in the terminal; none: unknown, everything is drawn.
    lines: Option<Vec<String>>,
}

/// The display in the terminal.
pub struct Terminal {
    screen: Arc<Mutex<Screen>>,
    canvas: Size,
    _guard: Guard,
}

impl Terminal {
    /// Takes the terminal, for frames of this size.
    ///
    /// # Errors
    /// If standard input and output are not a terminal.
    pub fn start(canvas: Size) -> Result<Self, PanelError> {
        let guard = Guard::take()?;
        let screen = Arc::new(Mutex::new(Screen::default()));
        *SCREEN.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&screen);
        Ok(Self { screen, canvas, _guard: guard })
    }

    fn update(&mut self, change: impl FnOnce(&mut Screen)) -> Result<(), PanelError> {
        let mut screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut screen);
        screen.paint(terminal::size()).map_err(|source| PanelError::Display { reason: source.to_string() })
    }
}

impl Display for Terminal {
    fn canvas(&self) -> watch::Receiver<Size> {
        watch::channel(self.canvas).1
    }

    fn show(&mut self, frame: &Frame) -> Result<(), PanelError> {
        self.update(|screen| screen.frame = frame.clone())
    }

    fn light(&mut self, light: Light) -> Result<(), PanelError> {
        self.update(|screen| {
            screen.light = light;
            screen.lines = None;
        })
    }
}

impl Screen {
    fn paint(&mut self, size: io::Result<(u16, u16)>) -> io::Result<()> {
        let owner = owner();
        if *owner == Owner::Shell {
            return Ok(()); // Given back: the panel ends.
        }
        if PANICKED.swap(false, Ordering::AcqRel) {
            enter()?;
            self.lines = None;
        }
        let lines = layout(&self.frame, self.light, size?);
        let mut out = io::stdout().lock();
        let old = self.lines.take().filter(|old| old.len() == lines.len());
        if old.is_none() {
            queue!(out, terminal::Clear(terminal::ClearType::All))?;
        }
        let attribute = if self.light == Light::Dim { Attribute::Dim } else { Attribute::Reset };
        queue!(out, SetAttribute(attribute))?;
        for (y, line) in lines.iter().enumerate() {
            if old.as_ref().is_none_or(|old| old[y] != *line) {
                queue!(
                    out,
                    cursor::MoveTo(0, y as u16),
                    Print(line),
                    terminal::Clear(terminal::ClearType::UntilNewLine)
                )?;
            }
        }
        queue!(out, SetAttribute(Attribute::Reset))?;
        out.flush()?;
        self.lines = Some(lines);
        Ok(())
    }
}

/// The lines of a window of `columns` and `rows`: half blocks where they fit, Braille dots where the window is small.
fn layout(frame: &Frame, light: Light, (columns, rows): (u16, u16)) -> Vec<String> {
    let size = frame.size();
    let dark = Frame::new(size);
    let frame = if light == Light::Off { &dark } else { frame };
    let fits = |cell_width: u32, cell_height: u32| {
        u32::from(columns) >= size.width.div_ceil(cell_width) + 2 * u32::from(BORDER)
            && u32::from(rows) >= size.height.div_ceil(cell_height) + 2 * u32::from(BORDER)
    };
    let picture = if fits(1, 2) { cells(frame, 1, 2, half_block) } else { cells(frame, 2, 4, braille) };
    if !fits(2, 4) {
        return vec![
            format!("Make the window at least {} columns wide", size.width.div_ceil(2) + 2),
            format!("and {} lines high.", size.height.div_ceil(4) + 2),
        ];
    }
    let width = picture.first().map_or(0, |line| line.chars().count());
    let margin = " ".repeat((usize::from(columns).saturating_sub(width + 2)) / 2);
    let bar = "─".repeat(width);
    let mut lines = vec![format!("{margin}╭{bar}╮")];
    lines.extend(picture.into_iter().map(|line| format!("{margin}│{line}│")));
    lines.push(format!("{margin}╰{bar}╯"));
    if usize::from(rows) > lines.len() {
        let help: String = HELP.chars().take(width).collect();
        lines.push(format!("{margin} {help}"));
    }
    lines
}

/// The frame in cells of so many pixels; `glyph` makes a character of a cell's pixels, row by row.
fn cells(frame: &Frame, width: u32, height: u32, glyph: fn(&[bool]) -> char) -> Vec<String> {
    let size = frame.size();
    (0..size.height.div_ceil(height))
        .map(|row| {
            (0..size.width.div_ceil(width))
                .map(|column| {
                    let pixels: Vec<bool> = (0..width * height)
                        .map(|index| frame.pixel(column * width + index % width, row * height + index / width))
                        .collect();
                    glyph(&pixels)
                })
                .collect()
        })
        .collect()
}

fn half_block(pixels: &[bool]) -> char {
    match pixels {
        [true, true] => '█',
        [true, false] => '▀',
        [false, true] => '▄',
        _ => ' ',
    }
}

/// Unicode orders the dots of a Braille cell by column, the fourth row last (The Unicode Standard, 21.1).
fn braille(pixels: &[bool]) -> char {
    const DOTS: [u32; 8] = [0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80];
    let bits = pixels.iter().zip(DOTS).filter(|(lit, _)| **lit).fold(0, |bits, (_, dot)| bits | dot);
    char::from_u32(0x2800 + bits).unwrap_or(' ')
}

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Gesture(Gesture),
    Quit,
    Redraw,
}

fn key_of(event: &KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    if event.modifiers.contains(KeyModifiers::CONTROL) {
        return match event.code {
            KeyCode::Char('c' | 'd') => Some(Key::Quit),
            KeyCode::Char('l') => Some(Key::Redraw),
            _ => None,
        };
    }
    let gesture = match event.code {
        KeyCode::Right | KeyCode::Down | KeyCode::Char('j' | 'l' | '+') => Gesture::Turn(1),
        KeyCode::Left | KeyCode::Up | KeyCode::Char('k' | 'h' | '-') => Gesture::Turn(-1),
        KeyCode::PageDown => Gesture::Turn(FAST),
        KeyCode::PageUp => Gesture::Turn(-FAST),
        KeyCode::Enter => Gesture::Press,
        KeyCode::Char(' ') => Gesture::Hold,
        KeyCode::Esc => Gesture::Key(super::Key::Back),
        KeyCode::Char('q') => return Some(Key::Quit),
        _ => return None,
    };
    Some(Key::Gesture(gesture))
}

/// Starts the thread `panel-keys`; quitting cancels `cancel`.
///
/// # Errors
/// If standard input and output are not a terminal.
pub fn spawn_keys(gestures: mpsc::Sender<Gesture>, cancel: CancellationToken) -> Result<(), PanelError> {
    let guard = Guard::take()?;
    std::thread::Builder::new()
        .name("panel-keys".to_owned())
        .spawn(move || {
            let _guard = guard;
            while !cancel.is_cancelled() && !gestures.is_closed() {
                match next_key() {
                    Ok(Some(Key::Gesture(gesture))) => {
                        // When full, the key is lost: see GESTURE_CAPACITY.
                        let _ = gestures.try_send(gesture);
                    }
                    Ok(Some(Key::Redraw)) => redraw(),
                    Ok(Some(Key::Quit)) => {
                        // First, for the process may end as soon as it is told.
                        give_back();
                        cancel.cancel();
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(%error, "the terminal is gone; the jukebox ends");
                        cancel.cancel();
                    }
                }
            }
        })
        .map(drop)
        .map_err(|source| PanelError::Terminal { reason: source.to_string() })
}

fn next_key() -> io::Result<Option<Key>> {
    if !event::poll(POLL)? {
        return Ok(None);
    }
    Ok(match event::read()? {
        Event::Key(key) => key_of(&key),
        Event::Resize(..) => Some(Key::Redraw),
        _ => None,
    })
}

fn redraw() {
    let screen = SCREEN.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
    if let Some(screen) = screen {
        let mut screen = screen.lock().unwrap_or_else(PoisonError::into_inner);
        screen.lines = None;
        if let Err(error) = screen.paint(terminal::size()) {
            tracing::debug!(%error, "cannot redraw the simulated panel");
        }
    }
}

#[cfg(test)]
mod tests;
