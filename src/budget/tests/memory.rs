//! Memory that is nearly used up, for a while or for good.

use super::*;

fn forced() -> Bounds {
    Bounds { is_forced: true, ..bounds() }
}

#[test]
fn memory_is_kept_to() {
    let mut world = World::new(forced(), 8);
    world.pass(60);
    assert_eq!(world.decision.work.nodes, 512);
    world.measured.memory = 63 << 20;
    world.pass(40);
    assert!(world.decision.work.nodes <= 256, "{:?}", world.decision);
    assert_eq!(world.decision.reason, Reason::Memory);
    world.pass(600);
    assert_eq!(world.decision.work.nodes, LEAST.nodes);
}

#[test]
fn after_a_peak_what_was_asked_for_comes_back() {
    let mut world = World::new(forced(), 20);
    world.pass(600);
    world.measured.memory = 63 << 20;
    world.pass(60);
    assert!(world.decision.work.nodes <= 256, "{:?}", world.decision);
    world.measured.memory = REST_MEMORY;
    world.pass(300);
    assert_eq!(world.decision.reason, Reason::Memory, "not at once");
    world.pass(3600);
    assert_eq!((world.decision.work.nodes, world.decision.reason), (512, Reason::Settled), "{:?}", world.decision);
    let since = world.now;
    world.pass(3600);
    assert!(world.decision.work.nodes == 512 && world.changes_since(since) <= 6, "{:?}", world.decision);
}

#[test]
fn after_a_peak_what_was_asked_for_comes_back_though_little_room_is_left() {
    for is_forced in [true, false] {
        let mut world = World::new(Bounds { is_forced, ..bounds() }, 24);
        world.pass(3 * 3600);
        world.measured.memory = 63 << 20;
        world.pass(60);
        let cut = world.decision.work.nodes;
        // Neither too much nor little.
        world.measured.memory = 54 << 20;
        world.pass(3600);
        assert_eq!((world.decision.work.nodes, world.decision.reason), (cut, Reason::Memory));
        world.pass(24 * 3600);
        assert_ne!(world.decision.reason, Reason::Memory, "{:?}", world.decision);
        assert_eq!(world.decision.work.nodes, if is_forced { 512 } else { cut });
    }
}

#[test]
fn nodes_that_rest_already_are_not_cut_for_memory() {
    let mut world = World::new(forced(), 25);
    world.pass(600);
    (world.measured.idle, world.measured.others) = (0.0, 0.9);
    world.pass(10);
    world.measured.memory = 63 << 20;
    world.pass(180);
    world.measured.memory = REST_MEMORY;
    (world.measured.idle, world.measured.others) = (0.9, 0.0);
    world.pass(120);
    assert_eq!(world.decision.work.nodes, 512, "{:?}", world.decision);
}

#[test]
fn memory_that_is_too_small_for_what_is_asked_for_settles_what_fits() {
    let mut world = World::new(forced(), 21);
    // 128 nodes take 40 MiB, which leaves room for more, and twice as many 60, which are too much.
    world.node_memory = 160 << 10;
    world.pass(24 * 3600);
    let since = world.now;
    let mut nodes = [0_u32; 2];
    for _ in 0..24 * 60 {
        world.pass(60);
        nodes[usize::from(world.decision.wanted.nodes == 512 && world.decision.work.nodes >= 64)] += 1;
        assert!(world.measured.memory < bounds().memory, "{:?}", world.decision);
    }
    assert!(nodes[1] > nodes[0], "as many as fit most of the time: {nodes:?}");
    assert_ne!(world.decision.work.nodes, 512);
    let said = world.decision.sentence(&forced());
    assert!(said.starts_with("512 nodes asked for, ") && said.ends_with("nearly used up"), "{said}");
    let changes = world.changes_since(since);
    assert!(changes <= 24 * 2, "{changes} changes in a day");
    // More memory is given, and nobody has to wait for hours.
    world.controller.set_machine(0.5, 256 << 20);
    world.pass(3600);
    assert_eq!((world.decision.work.nodes, world.decision.reason), (512, Reason::Settled));
}

#[test]
fn nodes_that_rest_do_not_show_that_the_memory_has_room() {
    let mut world = World::new(forced(), 22);
    world.pass(600);
    world.measured.memory = 63 << 20;
    world.pass(40);
    world.measured.memory = REST_MEMORY;
    (world.measured.idle, world.measured.others) = (0.0, 0.8);
    world.pass(2 * 3600);
    (world.measured.idle, world.measured.others) = (0.9, 0.0);
    world.pass(120);
    assert_eq!((world.decision.work.nodes, world.decision.reason), (128, Reason::Memory), "{:?}", world.decision);
}

#[test]
fn as_many_as_are_worth_it_come_back_too_and_meanwhile_memory_is_why_not() {
    let mut world = World::new(bounds(), 23);
    // Until all knobs rest for hours.
    world.pass(24 * 3600);
    let before = world.decision.wanted.nodes;
    assert!(before > 64, "{:?}", world.decision);
    world.measured.memory = 63 << 20;
    world.pass(60);
    let Decision { work, wanted, reason, .. } = world.decision;
    assert!(work.nodes < wanted.nodes && wanted.nodes == before && reason == Reason::Memory, "{:?}", world.decision);
    let said = world.decision.sentence(&bounds());
    assert_eq!(said, format!("{} of {before} nodes at work: the memory is nearly used up", work.nodes));
    world.measured.memory = 50 << 20;
    world.pass(600);
    assert_eq!(world.decision.reason, Reason::Memory, "no room yet");
    world.measured.memory = REST_MEMORY;
    world.pass(1);
    assert_ne!(world.decision.reason, Reason::Memory);
    world.pass(2 * 3600);
    assert!(world.decision.wanted.nodes >= before, "{:?}", world.decision);
}

#[test]
fn more_that_has_no_memory_is_undone_and_no_more_than_that() {
    let mut world = World::new(bounds(), 24);
    // 128 nodes take 40 MiB, twice as many 60.
    world.node_memory = 160 << 10;
    world.pass(24 * 3600);
    let (since, mut fewer) = (world.now, 0);
    for _ in 0..24 * 3600 {
        world.pass(1);
        fewer += u32::from(world.decision.work.nodes < 128);
        assert_ne!(world.decision.reason, Reason::Memory, "nothing that was there is cut");
    }
    // Less is tried now and then, too.
    assert!(fewer <= 900, "fewer than fit for {fewer} s of a day");
    assert!(world.changes_since(since) <= 24 * 2, "{} changes in a day", world.changes_since(since));
}
