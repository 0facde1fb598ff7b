//! Any gestures and any answers.

use std::time::Duration;

use super::*;
use proptest::prelude::*;

fn gestures() -> impl Strategy<Value = Gesture> {
    prop_oneof![
        (-5i32..6).prop_map(Turn),
        Just(Press),
        Just(Press),
        Just(Hold),
        Just(Double),
        Just(Key(panel::Key::Back)),
        any::<i32>().prop_map(Turn),
        any::<(i32, i32)>().prop_map(|(detents, reach)| Spin { detents, reach })
    ]
}

/// What a jukebox might answer, right or wrong.
fn answer(command: &Command, number: u64) -> Reply {
    let error = CommandError { code: ErrorCode::Failed, message: "x".repeat(number as usize % 300) };
    match (command, number % 4) {
        (_, 0) => Reply::Error(error),
        (Command::Dial { prefix }, _) => {
            let letters: Vec<_> = ('a'..='z').take(number as usize % 27).map(|letter| (letter, number)).collect();
            Reply::Dial(dial_state(prefix, number, &letters))
        }
        (Command::Search { query, .. }, _) => {
            let results = hits().into_iter().cycle().take(number as usize % 100).collect();
            Reply::Search(SearchResults { query: query.clone(), results, ..SearchResults::default() })
        }
        (Command::QueueList, _) => {
            let upcoming = waiting().into_iter().cycle().take(number as usize % 50).collect();
            Reply::Queue(QueueState { current: number.is_multiple_of(2).then(song), upcoming })
        }
        _ => Reply::Done,
    }
}

fn odd_status(number: u64) -> Status {
    let mut status = playing(song());
    status.player.duration_s = [0.0, f64::NAN, f64::INFINITY, -1.0, 245.0][number as usize % 5];
    status.player.position_s = [f64::NAN, -5.0, 1e300, 3.0][number as usize % 4];
    status.player.buffered_s = [f64::INFINITY, f64::NAN, -1.0][number as usize % 3];
    status.player.volume = number as u8;
    status.player.state = [PlayState::Playing, PlayState::Stopped, PlayState::Buffering][number as usize % 3];
    status.index.tracks = number;
    status
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_gesture_and_no_answer_breaks_the_face(
        steps in prop::collection::vec((gestures(), any::<u64>(), 0u64..90_000), 0..40),
        // Also smaller than any display that is sold.
        size in prop_oneof![Just((128, 64)), (120u32..140, 64u32..140), (1u32..140, 1u32..140)],
    ) {
        let mut ui = Ui::new(at(0));
        let size = Size::new(size.0, size.1);
        ui.resize(size);
        let mut now = at(0);
        for (gesture, number, later) in steps {
            now = now + Duration::from_millis(later);
            let mut commands = ui.gesture(now, gesture);
            for round in 0..3 {
                let asked = std::mem::take(&mut commands);
                for command in asked {
                    let reply = answer(&command, number.wrapping_add(round));
                    commands.extend(ui.reply(now, &command, reply));
                }
            }
            commands.extend(ui.status(now, Arc::new(odd_status(number))));
            prop_assert!(commands.len() <= 4);
            let mut frame = Frame::new(size);
            ui.draw(now, &mut frame);
            prop_assert_eq!(frame.size(), size);
            prop_assert!(ui.next_tick(now).is_none_or(|next| next > now));
        }
    }
}
