//! Pressure of our own making comes back less and less often, and that of others leaves nothing behind.

use super::*;

/// How often the sound breaks off in each of some hours.
fn broken_off_by_hour(world: &mut World, hours: usize) -> Vec<u64> {
    let each = |_| {
        let before = world.measured.underruns;
        world.pass(3600);
        world.measured.underruns - before
    };
    (0..hours).map(each).collect()
}

#[test]
fn work_that_makes_the_sound_break_off_is_tried_ever_less_often() {
    for (seed, bearable) in [(30, 40), (31, 200), (32, 460)] {
        let mut world = World::new(Bounds { is_forced: true, ..bounds() }, seed);
        world.bearable = bearable;
        let hours = broken_off_by_hour(&mut world, 12);
        // At once, after 5 minutes, 10 and 20; then once an hour.
        assert!((1..=6).contains(&hours[0]), "{hours:?}");
        assert!(hours[2..].iter().all(|times| *times <= 1), "{hours:?}");
        let Work { nodes, samples, workers } = world.decision.work;
        assert!((LEAST.nodes..=bearable).contains(&nodes) && nodes + 512 / 8 + 1 >= bearable, "{:?}", world.decision);
        assert!(samples >= LEAST.samples && workers >= LEAST.workers, "{:?}", world.decision);
        assert_eq!(world.decision.reason, Reason::Sound, "said so");
    }
}

#[test]
fn as_many_as_are_worth_it_are_no_more_than_music_bears() {
    let mut world = World::new(bounds(), 33);
    world.bearable = 100;
    let hours = broken_off_by_hour(&mut world, 24);
    assert!(hours.iter().sum::<u64>() >= 1 && hours.iter().all(|times| *times <= 4), "{hours:?}");
    // What is tried again is not what broke it off.
    assert!(hours[2..].iter().sum::<u64>() <= 6, "{hours:?}");
    assert!((32..=100).contains(&world.decision.work.nodes), "{:?}", world.decision);
}

/// Of a settled jukebox: how much of its nodes is at work a minute after something happened.
fn a_minute_after(happens: impl Fn(&mut World)) -> (u32, u32) {
    let mut world = World::new(Bounds { is_forced: true, ..bounds() }, 34);
    world.pass(600);
    assert_eq!(world.decision.work.nodes, 512);
    happens(&mut world);
    (world.measured.idle, world.measured.others, world.measured.is_awaited) = (0.9, 0.0, false);
    world.pass(60);
    (world.decision.work.nodes, world.decision.wanted.nodes)
}

#[test]
fn what_others_broke_off_is_all_back_soon() {
    let breaks = |world: &mut World, (idle, others), seconds| {
        (world.measured.idle, world.measured.others) = (idle, others);
        world.measured.underruns += 1;
        world.pass(1);
        (world.measured.idle, world.measured.others) = (0.0, 0.9);
        world.pass(seconds);
    };
    let ours = a_minute_after(|world| {
        world.measured.underruns += 1;
        world.pass(1);
    });
    assert!(ours.0 < ours.1, "{ours:?}");
    assert_eq!(a_minute_after(|world| breaks(world, (0.0, 0.9), 5)), (512, 512));
    assert_eq!(a_minute_after(|world| breaks(world, (0.0, 0.9), 0)), (512, 512), "who went at once");
    assert_eq!(a_minute_after(|world| breaks(world, (0.4, 0.4), 5)), (512, 512), "who came amid a measurement");
}

#[test]
fn a_song_whose_peers_are_slow_is_no_fault_of_ours() {
    let starves = |idle| {
        a_minute_after(move |world| {
            world.measured.underruns += 1;
            world.measured.is_awaited = true;
            world.measured.idle = idle;
            world.now = world.now + Duration::from_millis(3);
            world.step();
            assert_eq!((world.decision.work.nodes, world.decision.work.workers), (LEAST.nodes, 0), "in the very step");
            world.pass(5);
        })
    };
    assert_eq!(starves(0.9), (512, 512));
    let (at_work, wanted) = starves(0.0);
    assert!(at_work < wanted, "the processor was used up, and nobody else used it");
}

#[test]
fn measurements_that_are_late_are_ours_unless_others_use_the_processor() {
    let mut world = World::new(Bounds { is_forced: true, ..bounds() }, 35);
    world.pass(600);
    let mut late = 0;
    for _ in 0..6 * 3600 {
        let is_late = world.decision.work.nodes > 200;
        late += u32::from(is_late);
        world.measured.late = if is_late { Duration::from_millis(300) } else { Duration::ZERO };
        world.pass(1);
    }
    assert!((2..=40).contains(&late), "late for {late} seconds of six hours");
    assert!((128..=200).contains(&world.decision.work.nodes), "{:?}", world.decision);
    assert_eq!(world.decision.reason, Reason::Share);
    let others = a_minute_after(|world| {
        (world.measured.idle, world.measured.others) = (0.0, 0.9);
        world.measured.late = Duration::from_millis(300);
        world.pass(10);
        assert_eq!(world.decision.reason, Reason::Busy);
        world.measured.late = Duration::ZERO;
    });
    assert_eq!(others, (512, 512));
}

#[test]
fn after_an_hour_of_all_work_the_next_lid_is_short_again() {
    /// Seconds until all is at work again after pressure of our own.
    fn lid(world: &mut World) -> u64 {
        world.measured.underruns += 1;
        world.pass(20);
        assert!(!(512..).contains(&world.decision.work.nodes), "{:?}", world.decision);
        (20..10_000)
            .step_by(5)
            .find(|_| {
                world.pass(5);
                world.decision.work.nodes == 512
            })
            .unwrap()
    }
    let mut world = World::new(Bounds { is_forced: true, ..bounds() }, 36);
    world.pass(600);
    let lids: Vec<_> = (0..4).map(|_| lid(&mut world)).collect();
    assert!(lids.windows(2).all(|two| two[1] > two[0] * 3 / 2) && lids[3] > 2_000, "{lids:?}");
    let songs = |world: &mut World, count| {
        for _ in 0..count {
            world.pass(200);
            world.measured.is_awaited = true;
            world.pass(5);
            world.measured.is_awaited = false;
        }
        world.pass(30);
    };
    songs(&mut world, 10);
    assert!(lid(&mut world) > 3_000, "half an hour is not enough");
    (world.measured.idle, world.measured.others) = (0.0, 0.8);
    world.pass(2 * 3600);
    (world.measured.idle, world.measured.others) = (0.9, 0.0);
    world.pass(60);
    assert!(lid(&mut world) > 3_000, "while others need the processor, nothing is known of our own pressure");
    songs(&mut world, 20);
    let first = lid(&mut world);
    assert!(first <= lids[0] + 30, "{first} after {lids:?}: songs that are waited for do not begin it anew");
}

#[test]
fn the_lids_reason_outlasts_a_song_that_is_waited_for() {
    let mut world = World::new(Bounds { is_forced: true, cores: 0.1, ..bounds() }, 37);
    world.gives = 0.1;
    world.costs = [0.0004, 0.0004, 0.001, 0.02];
    world.pass(4 * 3600 + 600);
    assert_eq!(world.decision.reason, Reason::Share, "{:?}", world.decision);
    world.measured.is_awaited = true;
    world.pass(3);
    world.measured.is_awaited = false;
    world.pass(60);
    assert_eq!(world.decision.reason, Reason::Share, "{:?}", world.decision);
}

#[test]
fn nodes_without_sockets_are_not_counted() {
    for sockets in [8, 13, 100] {
        let mut world = World::new(bounds(), 38);
        world.sockets = sockets;
        world.pass(12 * 3600);
        assert!(world.decision.work.nodes <= sockets.max(2 * FIRST.nodes), "{:?}", world.decision);
        let (mut seconds, since) = (0, world.now);
        for _ in 0..12 * 3600 {
            world.pass(1);
            seconds += u32::from(world.decision.wanted.nodes > sockets);
        }
        assert!(seconds <= 12 * 60, "{seconds} s of 12 hours with more nodes than sockets");
        assert!(world.changes_since(since) <= 24, "{} changes", world.changes_since(since));
    }
}

#[test]
fn who_is_too_much_beside_a_steady_load_stays_below_it() {
    let mut world = World::new(Bounds { is_forced: true, ..bounds() }, 40);
    world.pass(600);
    world.measured.others = 0.5;
    let mut gave_way = 0;
    for _ in 0..3600 {
        let before = world.decision.work.nodes;
        // All of them together leave the machine a tenth.
        world.measured.idle = 0.5 - 0.4 * f64::from(before) / 512.0;
        world.pass(1);
        gave_way += u32::from(before > LEAST.nodes && world.decision.work.nodes == LEAST.nodes);
    }
    assert!((1..=5).contains(&gave_way), "{gave_way} times in an hour");
    assert!(world.decision.work.nodes > 256, "{:?}", world.decision);
    assert_eq!(world.decision.reason, Reason::Busy);
    (world.measured.idle, world.measured.others) = (0.9, 0.0);
    world.pass(3700);
    assert_eq!(world.decision.work.nodes, 512, "{:?}", world.decision);
}

#[test]
fn the_beginning_of_a_song_says_nothing_of_the_nodes_that_stayed_at_work() {
    let mut world = World::new(Bounds { is_forced: true, ..bounds() }, 41);
    world.pass(600);
    world.measured.is_awaited = true;
    world.pass(3);
    world.measured.is_awaited = false;
    world.pass(3);
    assert_eq!(world.decision.work.nodes, 512);
    world.measured.underruns += 1;
    world.pass(1);
    assert_eq!(world.decision.work.nodes, LEAST.nodes);
    world.pass(60);
    assert!((256..512).contains(&world.decision.work.nodes), "one step less than it was: {:?}", world.decision);
}
