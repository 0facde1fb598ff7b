//! The state machine with an honest source and an honest engine: does the music play, and does it break off?

use proptest::prelude::*;

use super::*;

/// A step of the world.
const STEP: Duration = Duration::from_millis(50);

/// From asking for a song to having it open.
const OPENING: Duration = Duration::from_millis(300);

/// From asking for the beginning of a file to knowing what it says.
const PROBING: Duration = Duration::from_millis(100);

/// Bytes a second of every song.
const DEMAND: f64 = 40_000.0;

#[derive(Debug, Clone, Copy)]
struct Opened {
    ticket: u64,
    number: u32,
    asked: Time,
    told: bool,
    probe: Option<Time>,
}

/// Songs of the given lengths in seconds that come over one line of `line` bytes a second.
struct World {
    rig: Rig,
    seconds: Vec<u64>,
    have: Vec<f64>,
    line: f64,
    open: Vec<Opened>,
    sounding: Option<(u64, f64)>,
    queued: Option<u64>,
    paused: bool,
    heard: Vec<u32>,
    starved: u32,
    gaps: u32,
}

impl World {
    fn new(seconds: &[u64], line: f64) -> Self {
        let count = seconds.len() as u32;
        let mut rig = Rig::with_queue(0);
        rig.order(Order::QueueAdd((0..count).map(song).collect())).unwrap();
        rig.order(Order::Play(None)).unwrap();
        Self {
            rig,
            seconds: seconds.to_vec(),
            have: vec![0.0; seconds.len()],
            line,
            open: Vec::new(),
            sounding: None,
            queued: None,
            paused: false,
            heard: Vec::new(),
            starved: 0,
            gaps: 0,
        }
    }

    fn len(&self, number: u32) -> f64 {
        self.seconds[number as usize] as f64 * DEMAND
    }

    fn number(&self, ticket: u64) -> u32 {
        self.open.iter().find(|open| open.ticket == ticket).expect("open while it sounds").number
    }

    fn download(&mut self) {
        let now = self.rig.now;
        let wanting: Vec<u32> = self
            .open
            .iter()
            .filter(|open| now.since(open.asked) >= OPENING && self.have[open.number as usize] < self.len(open.number))
            .map(|open| open.number)
            .collect();
        for number in &wanting {
            let arrived = self.line * STEP.as_secs_f64() / wanting.len() as f64;
            let (have, len) = (self.have[*number as usize], self.len(*number));
            self.have[*number as usize] = (have + arrived).min(len);
        }
    }

    fn sound(&mut self) {
        let Some((token, position)) = self.sounding.filter(|_| !self.paused) else { return };
        let number = self.number(token);
        let then = position + STEP.as_secs_f64();
        if then >= self.seconds[number as usize] as f64 {
            self.heard.push(number);
            self.sounding = None;
            if let Some(next) = self.queued.take() {
                self.begin(next);
            } else {
                self.gaps += 1;
            }
            self.rig.heard(AudioEvent::Finished { token });
        } else if then * DEMAND > self.have[number as usize] {
            self.starved += 1;
            self.rig.heard(AudioEvent::Starved { token });
        } else {
            self.sounding = Some((token, then));
        }
    }

    fn begin(&mut self, token: u64) {
        self.sounding = Some((token, 0.0));
        let duration = secs(self.seconds[self.number(token) as usize]);
        self.rig.heard(AudioEvent::Duration { token, duration });
        self.rig.heard(AudioEvent::Started { token });
    }

    fn tell(&mut self) {
        let now = self.rig.now;
        if let Some((token, position)) = self.sounding {
            let position = Duration::from_secs_f64(position);
            self.rig.player.progressed(now, Progress { token, position, ..Progress::default() });
        }
        for at in 0..self.open.len() {
            let Opened { ticket, number, asked, told, probe } = self.open[at];
            if now.since(asked) < OPENING {
                continue;
            }
            if !told {
                self.open[at].told = true;
                self.rig.player.opened(now, ticket, Ok(song(number)));
            }
            if probe.is_some_and(|since| now.since(since) >= PROBING) {
                self.open[at].probe = None;
                let facts = Facts { duration: Some(secs(self.seconds[number as usize])), ..Facts::default() };
                self.rig.player.probed(now, ticket, facts, None);
            }
            let (len, have) = (self.len(number) as u64, self.have[number as usize] as u64);
            let from = self.rig.player.read_offset(ticket);
            let fetch =
                Fetch { len, have, contiguous: have, rate_bps: 0.0, lump: 0, complete: have == len, damaged: 0 };
            self.rig.player.supplied(now, ticket, Supply { fetch, from, ahead: have.saturating_sub(from) });
        }
        self.rig.player.handle_timeout(now);
    }

    fn act(&mut self) {
        for action in self.rig.acts() {
            match action {
                Action::Open { ticket, track } => {
                    let open = Opened { ticket, number: track.file, asked: self.rig.now, told: false, probe: None };
                    self.open.push(open);
                }
                Action::Close { ticket } => self.open.retain(|open| open.ticket != ticket),
                Action::Probe { ticket, .. } => {
                    let now = self.rig.now;
                    let open = self.open.iter_mut().find(|open| open.ticket == ticket).expect("it is open");
                    open.probe = Some(now);
                }
                Action::Play { ticket, .. } => self.begin(ticket),
                Action::Enqueue { ticket } => self.queued = Some(ticket),
                Action::Pause => self.paused = true,
                Action::Resume => self.paused = false,
                Action::Silence => self.sounding = None,
                Action::Dequeue => self.queued = None,
                _ => {}
            }
        }
    }

    fn run(&mut self, limit: Duration) {
        while self.rig.player.activity() == Activity::Playing && self.rig.now < Time::ZERO + limit {
            self.rig.now = self.rig.now + STEP;
            self.download();
            self.sound();
            self.tell();
            self.act();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_song_is_heard_in_order_and_steady_data_never_runs_out(
        seconds in prop::collection::vec(5u64..90, 1..5),
        speed in 0.3..8.0f64,
    ) {
        let mut world = World::new(&seconds, DEMAND * speed);
        let total: u64 = seconds.iter().sum();
        world.run(secs(100) + Duration::from_secs_f64(total as f64 * (1.0 + 2.0 / speed)));
        let all: Vec<u32> = (0..seconds.len() as u32).collect();
        prop_assert_eq!(&world.heard, &all);
        prop_assert_eq!(world.starved, 0);
        prop_assert!(world.open.is_empty());
    }

    #[test]
    fn fast_line_leaves_no_gap(seconds in prop::collection::vec(15u64..90, 2..5), speed in 6.0..50.0f64) {
        let mut world = World::new(&seconds, DEMAND * speed);
        world.run(secs(600));
        prop_assert_eq!(world.heard.len(), seconds.len());
        // After the last song there is nothing to follow.
        prop_assert_eq!(world.gaps, 1);
    }
}

#[test]
fn line_that_breaks_down_and_comes_back_is_sat_out() {
    let mut world = World::new(&[60], DEMAND * 2.0);
    world.run(secs(4));
    assert!(world.sounding.is_some());
    world.line = 0.0;
    world.run(secs(40));
    assert_eq!((world.paused, world.starved), (true, 1));
    world.line = DEMAND * 2.0;
    world.run(secs(200));
    assert_eq!((world.heard.as_slice(), world.starved), (&[0][..], 1));
}
