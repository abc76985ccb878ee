//! The timers: a hierarchical wheel with ticks of one millisecond.
//!
//! Arming and cancelling cost the same whether ten timers are armed or a million; a cancelled timer leaves no entry
//! behind. A tick is a number of eight digits of six bits. A timer stands at the level of the highest digit in which its tick
//! differs from the present one, in the slot of that digit: all timers of a level come before all of the next, and those of
//! a slot before those of the next slot. When the time of a slot has come it is dealt out to the lower levels. What is due
//! runs by deadline, then in the order of insertion.
//!
//! Nobody has to look at the wheel only to deal slots out: each slot knows the earliest of its ticks, so that the loop
//! sleeps until a timer is due. Cancelling just that one may leave its tick behind if the slot holds more than a few others;
//! then the loop wakes once at that time, in vain, and deals the slot out, which tells the truth about its parts.
//!
//! Times are nanoseconds since the loop was made. A deadline's tick is rounded up and the present rounded down, so a
//! timer is never early, and at most one tick late.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::task::Wakee;

/// With six bits each, enough for every `u64` of nanoseconds.
const LEVELS: usize = 8;
const SLOTS: usize = 64;
const NANOS_PER_TICK: u64 = 1_000_000;
/// In a slot with as many timers or fewer the earliest is looked for when the earliest is cancelled.
const FEW: u32 = 16;
/// The end of a list, or of the free list.
const NIL: u32 = u32::MAX;

/// What a timer does when it is due.
pub(crate) enum Action {
    Call(Box<dyn FnOnce()>),
    Wake(Wakee),
}

/// Names one armed timer. Once it fired or was removed the name is stale and names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    serial: u64,
    index: u32,
}

impl Key {
    /// Names no timer.
    pub(crate) const NONE: Self = Self { index: NIL, serial: u64::MAX };
}

/// The timers that are due, each with its deadline; the first to run comes out first. A turn rarely has more than a few, and a heap is a
/// tenth of a sort's code.
#[derive(Default)]
pub(crate) struct Batch(BinaryHeap<Reverse<(u64, Key)>>);

impl Batch {
    pub(crate) fn pop(&mut self) -> Option<Key> {
        self.0.pop().map(|Reverse((_, key))| key)
    }
}

struct Entry {
    deadline: u64,
    /// Insertion order, and the generation that tells a stale `Key`.
    serial: u64,
    /// The neighbours in the list of the slot or of `due`; `next` also links the free entries.
    next: u32,
    prev: u32,
    place: Place,
    action: Option<Action>,
}

impl Entry {
    fn tick(&self) -> u64 {
        self.deadline.div_ceil(NANOS_PER_TICK)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Free,
    Slot {
        level: u8,
        slot: u8,
    },
    /// In the list of `due`: its time had come when it was armed or dealt out.
    Due,
    /// Handed out by `expire`, to run if nobody removes it before.
    Batch,
}

#[derive(Clone, Copy)]
struct Slot {
    /// The list of its timers, and how many they are.
    head: u32,
    count: u32,
    /// None of them is due before this tick; nearly always the first is due then. Without meaning while the list is empty.
    earliest: u64,
}

pub(crate) struct Wheel {
    entries: Vec<Entry>,
    free: u32,
    armed: usize,
    next_serial: u64,
    /// The tick up to which slots were dealt out.
    elapsed: u64,
    /// One bit for each level that is not empty.
    levels: u8,
    /// One bit for each slot that is not empty.
    occupied: [u64; LEVELS],
    slots: [[Slot; SLOTS]; LEVELS],
    /// The list of those that wait for the next `expire`, in no order.
    due: u32,
}

impl Wheel {
    /// `serial_base` makes the keys of different wheels different.
    pub(crate) fn new(serial_base: u64) -> Self {
        Self {
            entries: Vec::new(),
            free: NIL,
            armed: 0,
            next_serial: serial_base,
            elapsed: 0,
            levels: 0,
            occupied: [0; LEVELS],
            slots: [[Slot { head: NIL, count: 0, earliest: 0 }; SLOTS]; LEVELS],
            due: NIL,
        }
    }

    /// How many timers are armed.
    pub(crate) fn len(&self) -> usize {
        self.armed
    }

    pub(crate) fn insert(&mut self, deadline: u64, action: Action) -> Key {
        let serial = self.next_serial;
        self.next_serial += 1;
        let entry = Entry { deadline, serial, next: NIL, prev: NIL, place: Place::Due, action: Some(action) };
        let index = if self.free == NIL {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 timers")
        } else {
            let index = self.free;
            self.free = self.entries[index as usize].next;
            self.entries[index as usize] = entry;
            index
        };
        self.armed += 1;
        self.file(index);
        Key { index, serial }
    }

    /// Takes the timer out; `None` if it fired or was removed before.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Action> {
        self.get(key)?;
        self.unlink(key.index);
        self.release(key.index)
    }

    /// When an armed timer is due, and whom it wakes then.
    #[inline]
    pub(crate) fn wakee(&self, key: Key) -> Option<(u64, &Wakee)> {
        let entry = self.get(key)?;
        match &entry.action {
            Some(Action::Wake(wakee)) => Some((entry.deadline, wakee)),
            _ => None,
        }
    }

    /// The time, in nanoseconds, at which the first timer is due.
    #[inline]
    pub(crate) fn next_expiration(&self) -> Option<u64> {
        if self.due != NIL {
            return Some(self.elapsed * NANOS_PER_TICK);
        }
        let (level, slot) = self.next_slot()?;
        // The last tick of all ends after the last nanosecond.
        Some(self.slots[level][slot].earliest.saturating_mul(NANOS_PER_TICK))
    }

    /// Puts what is due at `now` into `batch`.
    pub(crate) fn expire(&mut self, now: u64, batch: &mut Batch) {
        let now_tick = now / NANOS_PER_TICK;
        while let Some((level, slot)) = self.next_slot() {
            let begin = self.first_tick(level, slot);
            if begin > now_tick {
                break;
            }
            self.elapsed = begin;
            self.deal_out(level, slot);
        }
        self.elapsed = self.elapsed.max(now_tick);
        let mut index = std::mem::replace(&mut self.due, NIL);
        while index != NIL {
            let entry = &mut self.entries[index as usize];
            entry.place = Place::Batch;
            batch.0.push(Reverse((entry.deadline, Key { serial: entry.serial, index })));
            index = entry.next;
        }
    }

    /// Takes every timer out, for a loop that closes.
    pub(crate) fn drain(&mut self) -> Vec<Action> {
        let actions = self.entries.iter_mut().filter_map(|entry| entry.action.take()).collect();
        *self = Self::new(self.next_serial);
        actions
    }

    #[inline]
    fn get(&self, key: Key) -> Option<&Entry> {
        self.entries.get(key.index as usize).filter(|entry| entry.serial == key.serial && entry.place != Place::Free)
    }

    /// Links an entry into the slot of its deadline.
    fn file(&mut self, index: u32) {
        let tick = self.entries[index as usize].tick();
        let (place, next) = if tick <= self.elapsed {
            (Place::Due, std::mem::replace(&mut self.due, index))
        } else {
            let (level, slot) = self.slot_for(tick);
            self.levels |= 1 << level;
            self.occupied[level] |= 1 << slot;
            let Slot { head, count, earliest } = &mut self.slots[level][slot];
            *earliest = if *count == 0 { tick } else { tick.min(*earliest) };
            *count += 1;
            (Place::Slot { level: level as u8, slot: slot as u8 }, std::mem::replace(head, index))
        };
        if next != NIL {
            self.entries[next as usize].prev = index;
        }
        let entry = &mut self.entries[index as usize];
        (entry.next, entry.prev, entry.place) = (next, NIL, place);
    }

    /// The highest digit in which the tick, which is to come, differs from the present one.
    fn slot_for(&self, tick: u64) -> (usize, usize) {
        let level = (63 - (tick ^ self.elapsed).leading_zeros()) as usize / 6;
        (level, (tick >> (6 * level)) as usize % SLOTS)
    }

    /// The slot of the earliest timers.
    #[inline]
    fn next_slot(&self) -> Option<(usize, usize)> {
        let level = self.levels.trailing_zeros() as usize;
        // The present slot of a level and those before it are empty: their time has come.
        self.occupied.get(level).map(|occupied| (level, occupied.trailing_zeros() as usize))
    }

    /// The first tick of a slot's time: the higher digits are those of the present, the lower ones 0.
    fn first_tick(&self, level: usize, slot: usize) -> u64 {
        let shift = 6 * level;
        (self.elapsed >> shift & !(SLOTS as u64 - 1) | slot as u64) << shift
    }

    fn deal_out(&mut self, level: usize, slot: usize) {
        let Slot { head, count, .. } = &mut self.slots[level][slot];
        let mut index = std::mem::replace(head, NIL);
        *count = 0;
        self.vacate(level, slot);
        while index != NIL {
            let next = self.entries[index as usize].next;
            self.file(index);
            index = next;
        }
    }

    /// A slot has become empty.
    fn vacate(&mut self, level: usize, slot: usize) {
        self.occupied[level] &= !(1 << slot);
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    fn unlink(&mut self, index: u32) {
        let Entry { next, prev, place, .. } = self.entries[index as usize];
        if let Place::Batch | Place::Free = place {
            return;
        }
        if prev != NIL {
            self.entries[prev as usize].next = next;
        }
        if next != NIL {
            self.entries[next as usize].prev = prev;
        }
        let Place::Slot { level, slot } = place else {
            if prev == NIL {
                self.due = next;
            }
            return;
        };
        let (level, slot) = (usize::from(level), usize::from(slot));
        let Slot { head, count, earliest } = &mut self.slots[level][slot];
        if prev == NIL {
            *head = next;
        }
        *count -= 1;
        if *count == 0 {
            self.vacate(level, slot);
        } else if *count <= FEW && *earliest == self.entries[index as usize].tick() {
            self.find_earliest(level, slot);
        }
    }

    fn find_earliest(&mut self, level: usize, slot: usize) {
        let mut earliest = u64::MAX;
        let mut index = self.slots[level][slot].head;
        while index != NIL {
            let entry = &self.entries[index as usize];
            earliest = earliest.min(entry.tick());
            index = entry.next;
        }
        self.slots[level][slot].earliest = earliest;
    }

    fn release(&mut self, index: u32) -> Option<Action> {
        let entry = &mut self.entries[index as usize];
        entry.place = Place::Free;
        entry.next = self.free;
        self.free = index;
        self.armed -= 1;
        entry.action.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = NANOS_PER_TICK;

    fn nothing() -> Action {
        Action::Call(Box::new(|| {}))
    }

    /// Runs the wheel to `now` and gives the deadlines that came out.
    fn expire(wheel: &mut Wheel, now: u64) -> Vec<u64> {
        due(wheel, now)
            .into_iter()
            .map(|key| {
                let deadline = wheel.entries[key.index as usize].deadline;
                assert!(wheel.remove(key).is_some());
                deadline
            })
            .collect()
    }

    /// What is due, in the order to run it.
    fn due(wheel: &mut Wheel, now: u64) -> Vec<Key> {
        let mut batch = Batch::default();
        wheel.expire(now, &mut batch);
        std::iter::from_fn(|| batch.pop()).collect()
    }

    #[test]
    fn never_early_and_at_most_a_tick_late() {
        let mut wheel = Wheel::new(0);
        wheel.insert(5 * MS + 1, nothing());
        assert_eq!(expire(&mut wheel, 5 * MS + 999_999), []);
        assert_eq!(expire(&mut wheel, 6 * MS), [5 * MS + 1]);
    }

    #[test]
    fn due_ones_come_by_deadline_then_by_insertion() {
        let mut wheel = Wheel::new(0);
        let mut keys = Vec::new();
        for deadline in [3 * MS, MS + 7, MS + 2, 700 * MS, MS + 7] {
            keys.push(wheel.insert(deadline, nothing()));
        }
        assert_eq!(due(&mut wheel, 800 * MS), [keys[2], keys[1], keys[4], keys[0], keys[3]]);
    }

    #[test]
    fn every_distance_is_reached_by_following_next_expiration() {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut wheel = Wheel::new(0);
        let mut expected = Vec::new();
        for round in 0..4000_u32 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let deadline = state >> (20 + round % 40);
            wheel.insert(deadline, nothing());
            expected.push(deadline);
        }
        expected.sort_unstable();
        let mut got = Vec::new();
        let mut now = 0;
        while let Some(next) = wheel.next_expiration() {
            assert!(next >= now, "time to look again lies behind");
            now = next;
            for deadline in expire(&mut wheel, now) {
                assert!(deadline <= now && now - deadline < MS, "deadline {deadline} ran at {now}");
                got.push(deadline);
            }
        }
        assert_eq!(got, expected);
        assert_eq!(wheel.len(), 0);
    }

    #[test]
    fn a_removed_timer_is_gone_and_its_place_is_used_again() {
        let mut wheel = Wheel::new(0);
        for round in 0..100_000_u64 {
            let key = wheel.insert(3_600_000 * MS + round, nothing());
            assert!(wheel.remove(key).is_some());
            assert!(wheel.remove(key).is_none(), "a stale key names nothing");
        }
        assert_eq!((wheel.len(), wheel.entries.len()), (0, 1));
        assert_eq!(wheel.next_expiration(), None);
    }

    #[test]
    fn a_stale_key_does_not_touch_its_successor() {
        let mut wheel = Wheel::new(0);
        let old = wheel.insert(MS, nothing());
        wheel.remove(old);
        let new = wheel.insert(MS, nothing());
        assert_eq!(old.index, new.index);
        assert!(wheel.remove(old).is_none());
        assert!(wheel.remove(new).is_some());
    }

    #[test]
    fn removing_in_the_middle_of_a_slot_keeps_the_others() {
        let mut wheel = Wheel::new(0);
        let keys: Vec<_> = (0..5).map(|i| wheel.insert(1000 * MS + i, nothing())).collect();
        for i in [2, 0, 4] {
            wheel.remove(keys[i]);
        }
        assert_eq!(expire(&mut wheel, 2000 * MS), [1000 * MS + 1, 1000 * MS + 3]);
    }

    #[test]
    fn a_past_deadline_is_due_at_once_but_not_in_the_batch_under_way() {
        let mut wheel = Wheel::new(0);
        expire(&mut wheel, 500 * MS);
        wheel.insert(20 * MS, nothing());
        assert_eq!(wheel.next_expiration(), Some(500 * MS));
        assert_eq!(expire(&mut wheel, 500 * MS), [20 * MS]);
    }

    #[test]
    fn removed_ones_that_were_due_leave_nothing() {
        let mut wheel = Wheel::new(0);
        expire(&mut wheel, 500 * MS);
        let keys: Vec<_> = (0..4).map(|i| wheel.insert(i * MS, nothing())).collect();
        for i in [1, 0, 3] {
            assert!(wheel.remove(keys[i]).is_some());
        }
        assert_eq!(wheel.next_expiration(), Some(500 * MS));
        assert_eq!(expire(&mut wheel, 500 * MS), [2 * MS]);
        let key = wheel.insert(0, nothing());
        wheel.remove(key);
        assert_eq!((wheel.next_expiration(), wheel.len()), (None, 0));
    }

    #[test]
    fn one_of_a_batch_can_be_removed_and_another_be_armed_meanwhile() {
        let mut wheel = Wheel::new(0);
        let keys = [1, 2, 3].map(|i| wheel.insert(i * MS, nothing()));
        assert_eq!(due(&mut wheel, 5 * MS), keys);
        assert!(wheel.remove(keys[0]).is_some());
        assert!(wheel.remove(keys[2]).is_some());
        // Both take places that were freed.
        let now = wheel.insert(0, nothing());
        let later = wheel.insert(9 * MS, nothing());
        assert!(wheel.remove(keys[1]).is_some());
        assert!(wheel.remove(keys[2]).is_none());
        assert_eq!(due(&mut wheel, 5 * MS), [now]);
        assert!(wheel.remove(now).is_some() && wheel.remove(later).is_some());
        assert_eq!((wheel.next_expiration(), wheel.len()), (None, 0));
    }

    #[test]
    fn no_deadline_is_too_far() {
        let mut wheel = Wheel::new(0);
        let years = 5 * 365 * 86_400_000 * MS;
        wheel.insert(u64::MAX, nothing());
        wheel.insert(years, nothing());
        wheel.insert(MS, nothing());
        assert_eq!(wheel.next_expiration(), Some(MS));
        assert_eq!(expire(&mut wheel, years - MS), [MS]);
        assert_eq!(wheel.next_expiration(), Some(years));
        assert_eq!(expire(&mut wheel, years), [years]);
        assert_eq!(wheel.next_expiration(), Some(u64::MAX));
        assert_eq!(expire(&mut wheel, u64::MAX), [], "its tick ends later");
        assert_eq!(wheel.drain().len(), 1);
    }

    /// Marsaglia's xorshift: the same numbers in every run.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, end: u64) -> u64 {
            self.next() % end
        }
    }

    /// The wheel beside a sorted list, through random arming, cancelling and passing of time.
    fn compare_with_a_sorted_list(seed: u64, cancels: u64) {
        let mut random = Random(seed);
        let mut wheel = Wheel::new(0);
        let mut model = std::collections::BTreeMap::<(u64, u64), Key>::new();
        // Ticks for which the wheel may still wake up in vain.
        let mut cancelled = std::collections::BTreeSet::new();
        let mut now = 0;
        let mut early = 0;
        for _ in 0..5000 {
            for _ in 0..random.below(4) {
                // Near and far ones, and crowds in a few slots.
                let distance = match random.below(3) {
                    0 => random.next() >> (20 + random.below(40)),
                    1 => 5000 * MS + random.below(100 * MS),
                    _ => random.below(70) * MS,
                };
                let key = wheel.insert(now + distance, nothing());
                model.insert((now + distance, key.serial), key);
            }
            for _ in 0..random.below(cancels + 1) {
                // Half of the time the earliest.
                let nth = if random.below(2) == 0 { 0 } else { random.below(1 + model.len() as u64) };
                let Some((&id, _)) = model.iter().nth(nth as usize) else { continue };
                assert!(wheel.remove(model.remove(&id).unwrap()).is_some());
                cancelled.insert(id.0.div_ceil(MS) * MS);
            }
            assert_eq!(wheel.len(), model.len());
            let due = model.keys().next().map(|(deadline, _)| (deadline.div_ceil(MS) * MS).max(now / MS * MS));
            let next = wheel.next_expiration();
            if next != due {
                let vain = next.expect("armed timers are waited for");
                assert!(due.is_some_and(|due| vain < due), "late: {vain} instead of {due:?}");
                assert!(cancelled.contains(&vain), "{vain} was nobody's deadline, {due:?} is next");
            }
            // To the next time, short of it, or far beyond; sometimes not at all.
            let Some(next) = next else { continue };
            match random.below(4) {
                0 => continue,
                1 => now += next.saturating_sub(now) / 2,
                2 => now = now.max(next),
                _ => now += random.below(300 * MS),
            }
            // What is due by the last whole tick.
            let later = model.split_off(&(now / MS * MS + 1, 0));
            let due: Vec<u64> =
                std::mem::replace(&mut model, later).into_keys().map(|(deadline, _)| deadline).collect();
            let got = expire(&mut wheel, now);
            assert_eq!(got, due);
            if next <= now && got.is_empty() {
                early += 1;
                assert!(cancelled.remove(&next), "twice in vain for {next}");
            }
            cancelled = cancelled.split_off(&(now + 1));
        }
        assert!(cancels > 0 || early == 0);
    }

    #[test]
    fn it_tells_the_earliest_of_all_timers_at_all_times() {
        for seed in 1..=10 {
            compare_with_a_sorted_list(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed), 0);
        }
    }

    #[test]
    fn cancelled_timers_cost_one_look_in_vain_at_most() {
        for cancels in [1, 3, 5] {
            for seed in 1..=10 {
                compare_with_a_sorted_list(0x2545_F491_4F6C_DD1D_u64.wrapping_mul(seed), cancels);
            }
        }
    }
}
