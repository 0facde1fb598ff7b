use super::*;

fn corners() -> Frame {
    let mut frame = Frame::default();
    for (x, y) in [(0, 0), (127, 63), (1, 0), (0, 1)] {
        frame.set(x, y, true);
    }
    frame
}

#[test]
fn a_large_window_gets_half_blocks() {
    let lines = layout(&corners(), Light::Full, (140, 40));
    assert_eq!(lines.len(), 32 + 2 + 1);
    assert!(lines[1].contains("│█▀ ") && lines[32].ends_with("▄│"), "{}\n{}", lines[1], lines[32]);
    assert!(lines[34].contains("Enter press"));
    assert!(lines.iter().all(|line| line.chars().count() <= 140));
}

#[test]
fn a_usual_window_gets_braille() {
    let lines = layout(&corners(), Light::Full, (80, 24));
    assert_eq!(lines.len(), 16 + 2 + 1);
    assert!(lines[1].contains("│⠋") && lines[16].ends_with("⢀│"), "{}\n{}", lines[1], lines[16]);
    assert!(lines.iter().all(|line| line.chars().count() <= 80));
}

#[test]
fn a_tiny_window_says_what_it_needs() {
    assert!(layout(&corners(), Light::Full, (20, 5))[0].contains("66 columns"));
}

#[test]
fn a_dark_display_is_dark() {
    assert_eq!(layout(&corners(), Light::Off, (140, 40)), layout(&Frame::default(), Light::Full, (140, 40)));
}

#[test]
fn keys_are_the_knob() {
    let key = |code| key_of(&KeyEvent::new(code, KeyModifiers::NONE));
    assert_eq!(key(KeyCode::Right), Some(Key::Gesture(Gesture::Turn(1))));
    assert_eq!(key(KeyCode::Char('k')), Some(Key::Gesture(Gesture::Turn(-1))));
    assert_eq!(key(KeyCode::PageUp), Some(Key::Gesture(Gesture::Turn(-5))));
    assert_eq!(key(KeyCode::Enter), Some(Key::Gesture(Gesture::Press)));
    assert_eq!(key(KeyCode::Char(' ')), Some(Key::Gesture(Gesture::Hold)));
    assert_eq!(key(KeyCode::Esc), Some(Key::Gesture(Gesture::Key(crate::panel::Key::Back))));
    assert_eq!(key(KeyCode::Char('q')), Some(Key::Quit));
    assert_eq!(key(KeyCode::Char('x')), None);
    let release = KeyEvent::new_with_kind(KeyCode::Enter, KeyModifiers::NONE, KeyEventKind::Release);
    assert_eq!(key_of(&release), None);
    assert_eq!(key_of(&KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(Key::Quit));
}

#[test]
fn without_a_terminal_there_is_no_simulated_panel() {
    // Test runners have none on standard input; on a developer's screen the terminal is given back at once.
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        assert!(Terminal::start(crate::panel::OLED).err().unwrap().to_string().contains("display = \"none\""));
    }
}
