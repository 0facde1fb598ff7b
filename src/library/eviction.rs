//! Which tracks to give up when room is needed.

use crate::types::{Bytes, TrackId, UnixTime};

/// Age at which a track is worth half of one that was just played: people return within days or not for long.
const HALF_VALUE_HOURS: f64 = 72.0;

/// Why a track must stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pin {
    /// It plays, or is loaded in the player.
    Playing,
    /// It waits in the queue or is being fetched ahead.
    Queued,
    /// Its owner published it with `share`; the files are theirs.
    Shared,
}

/// A track on the disk, as the policy sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Item {
    pub track: TrackId,
    /// What evicting it frees: allocated blocks.
    pub bytes: u64,
    /// When it was heard last, or added if never.
    pub last_played: UnixTime,
    /// Other peers that are known to have the whole torrent.
    pub other_seeds: u32,
    /// Set if it must stay.
    pub pin: Option<Pin>,
}

impl Item {
    /// What would be lost with the track: it falls with the time since it was heard (hyperbolically, so that very old
    /// tracks still differ) and with the number of others who would still have it.
    fn value(&self, now: UnixTime) -> f64 {
        let hours = now.since(self.last_played).as_secs_f64() / 3600.0;
        let recency = HALF_VALUE_HOURS / (HALF_VALUE_HOURS + hours);
        recency / (1.0 + f64::from(self.other_seeds))
    }

    fn value_per_byte(&self, now: UnixTime) -> f64 {
        self.value(now) / self.bytes.max(1) as f64
    }
}

/// No set of evictable tracks makes enough room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{needed} do not fit: there is room for {budget} in all and what plays, is queued or shared takes {pinned}")]
pub struct DoesNotFit {
    pub needed: Bytes,
    pub budget: Bytes,
    /// What is used and may not be evicted.
    pub pinned: Bytes,
}

/// The tracks to evict, in this order, so that `needed` more bytes fit into `budget` while `used` bytes are in use.
///
/// `used` may be more than the items together (reservations, fragments). The plan frees enough, never contains a
/// pinned or empty item, takes the least value per byte first, and contains no item without which it would still
/// free enough. It is empty if nothing has to go. Equal values are ordered by track, so the plan depends on nothing
/// but the arguments.
///
/// # Errors
/// If evicting everything that may go would not be enough.
pub fn plan_eviction(
    items: &[Item],
    used: Bytes,
    budget: Bytes,
    needed: Bytes,
    now: UnixTime,
) -> Result<Vec<TrackId>, DoesNotFit> {
    let excess = used.0.saturating_add(needed.0).saturating_sub(budget.0);
    let mut candidates: Vec<&Item> = items.iter().filter(|item| item.pin.is_none() && item.bytes > 0).collect();
    candidates
        .sort_by(|a, b| a.value_per_byte(now).total_cmp(&b.value_per_byte(now)).then_with(|| a.track.cmp(&b.track)));

    let mut freed = 0u64;
    let mut chosen = 0;
    while freed < excess {
        let Some(item) = candidates.get(chosen) else {
            return Err(DoesNotFit { needed, budget, pinned: Bytes(used.0.saturating_sub(freed)) });
        };
        freed = freed.saturating_add(item.bytes);
        chosen += 1;
    }
    candidates.truncate(chosen);

    // The last ones may have made earlier ones superfluous: spare those that are worth most.
    let mut by_value = candidates.clone();
    by_value.sort_by(|a, b| b.value(now).total_cmp(&a.value(now)).then_with(|| b.track.cmp(&a.track)));
    for item in by_value {
        if freed - item.bytes >= excess {
            freed -= item.bytes;
            candidates.retain(|kept| kept.track != item.track);
        }
    }
    Ok(candidates.iter().map(|item| item.track).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::InfoHash;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn item(file: u32, bytes: u64, hours_ago: u64, other_seeds: u32) -> Item {
        Item {
            track: TrackId { infohash: InfoHash([7; 20]), file },
            bytes,
            last_played: UnixTime(NOW.0 - hours_ago * 3600),
            other_seeds,
            pin: None,
        }
    }

    fn plan(items: &[Item], budget: u64, needed: u64) -> Result<Vec<u32>, DoesNotFit> {
        let used = Bytes(items.iter().map(|item| item.bytes).sum());
        Ok(plan_eviction(items, used, Bytes(budget), Bytes(needed), NOW)?.iter().map(|track| track.file).collect())
    }

    #[test]
    fn least_recently_played_goes_first() {
        let items = [item(0, 100, 1, 3), item(1, 100, 900, 3), item(2, 100, 30, 3)];
        assert_eq!(plan(&items, 300, 50), Ok(vec![1]));
        assert_eq!(plan(&items, 300, 150), Ok(vec![1, 2]));
    }

    #[test]
    fn what_others_have_goes_before_what_only_we_have() {
        let items = [item(0, 100, 50, 0), item(1, 100, 50, 20)];
        assert_eq!(plan(&items, 200, 1), Ok(vec![1]));
    }

    #[test]
    fn one_large_file_goes_rather_than_several_small_ones_of_the_same_age() {
        let items = [item(0, 10, 50, 1), item(1, 10, 50, 1), item(2, 500, 50, 1)];
        assert_eq!(plan(&items, 520, 20), Ok(vec![2]));
    }

    #[test]
    fn nothing_goes_while_there_is_room() {
        assert_eq!(plan(&[item(0, 10, 1000, 9)], 100, 90), Ok(vec![]));
    }

    #[test]
    fn pinned_tracks_stay_and_the_refusal_says_why() {
        let mut items = [item(0, 60, 1000, 9), item(1, 40, 1, 0)];
        items[0].pin = Some(Pin::Shared);
        let refusal = plan(&items, 100, 50).unwrap_err();
        assert_eq!(refusal.pinned, Bytes(60));
        assert!(refusal.to_string().contains("queued or shared takes 60 B"), "{refusal}");
    }

    fn any_item(file: u32) -> impl Strategy<Value = Item> {
        (0u64..5000, 0u64..20_000, 0u32..50, 0u8..6).prop_map(move |(bytes, hours, seeds, pin)| Item {
            pin: match pin {
                0 => Some(Pin::Playing),
                1 => Some(Pin::Queued),
                2 => Some(Pin::Shared),
                _ => None,
            },
            ..item(file, bytes, hours, seeds)
        })
    }

    fn any_items() -> impl Strategy<Value = Vec<Item>> {
        (0usize..40).prop_flat_map(|count| (0..count as u32).map(any_item).collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn plan_frees_enough_spares_pins_and_wastes_nothing(
            items in any_items(), other in 0u64..3000, budget in 0u64..100_000, needed in 0u64..20_000,
        ) {
            let used = items.iter().map(|item| item.bytes).sum::<u64>() + other;
            let evictable: u64 = items.iter().filter(|item| item.pin.is_none()).map(|item| item.bytes).sum();
            match plan_eviction(&items, Bytes(used), Bytes(budget), Bytes(needed), NOW) {
                Ok(plan) => {
                    let distinct: HashSet<_> = plan.iter().collect();
                    prop_assert_eq!(distinct.len(), plan.len());
                    let chosen: Vec<&Item> = items.iter().filter(|item| distinct.contains(&item.track)).collect();
                    prop_assert!(chosen.iter().all(|item| item.pin.is_none() && item.bytes > 0));
                    let freed: u64 = chosen.iter().map(|item| item.bytes).sum();
                    prop_assert!(used - freed + needed <= budget || plan.is_empty() && used + needed <= budget);
                    for item in chosen {
                        prop_assert!(used - (freed - item.bytes) + needed > budget, "{} is superfluous", item.track);
                    }
                }
                Err(refusal) => {
                    prop_assert!(used - evictable + needed > budget);
                    prop_assert_eq!(refusal.pinned, Bytes(used - evictable));
                }
            }
        }

        #[test]
        fn anything_spared_was_worth_more_per_byte_or_not_needed(items in any_items(), needed in 1u64..20_000) {
            let used = items.iter().map(|item| item.bytes).sum::<u64>();
            if let Ok(plan) = plan_eviction(&items, Bytes(used), Bytes(used), Bytes(needed), NOW) {
                let worst = plan.iter()
                    .map(|track| items[track.file as usize].value_per_byte(NOW))
                    .fold(0.0, f64::max);
                let cheaper: u64 = items.iter()
                    .filter(|item| item.pin.is_none() && item.value_per_byte(NOW) < worst)
                    .map(|item| item.bytes)
                    .sum();
                prop_assert!(cheaper < needed, "tracks of less value alone would have been enough");
            }
        }

        #[test]
        fn plan_does_not_depend_on_the_order_of_the_items(items in any_items(), needed in 1u64..20_000) {
            let used = Bytes(items.iter().map(|item| item.bytes).sum::<u64>());
            let mut reversed = items.clone();
            reversed.reverse();
            prop_assert_eq!(
                plan_eviction(&items, used, used, Bytes(needed), NOW),
                plan_eviction(&reversed, used, used, Bytes(needed), NOW)
            );
        }
    }
}
