use super::*;

/// A small form of the experiment, so that what it measures stays measured.
#[test]
fn the_truth_is_told_in_a_small_world() {
    let size = Size { nodes: 1500, torrents: 300, crawlers: 96, time: Duration::from_secs(75 * 60) };
    let scene = Scene::new(&size, 5, false).play();
    let (believed, heard) = (scene.believed.clone(), scene.heard.clone());
    let torrents = &scene.stage.torrents;
    let wrong = believed.iter().filter(|infohash| torrents.find(infohash).is_none()).count();
    let found = heard.iter().filter(|torrent| believed.contains(&torrents.infohashes[**torrent as usize])).count();
    assert!(heard.len() >= 60, "{} heard", heard.len());
    // The credit of the stubborn liar, some of it earned, whatever the size of the world.
    assert!((1..=8).contains(&wrong), "{wrong} of {} are wrong", believed.len());
    assert!(scene.deceived_by.keys().all(|who| *who == "stubborn liar"), "{:?}", scene.deceived_by);
    assert!(found * 100 >= heard.len() * 95, "{found} of {} heard", heard.len());
    assert!(scene.stage.core.stats().shunned > 0);
}
