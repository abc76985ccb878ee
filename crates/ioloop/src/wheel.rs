//! The timers: a hierarchical wheel with ticks of one millisecond.
//!
//! Arming and cancelling cost the same whether ten timers are armed or a million; a cancelled timer leaves nothing
//! behind. Level 0 holds the next 64 ticks, each further level 64 times as much; a slot of a higher level is
//! dealt out to the lower ones when its time comes. What is due runs by deadline, then in the order of insertion.
//!
//! Times are nanoseconds since the loop was made. A deadline's tick is rounded up and the present rounded down, so a
//! timer is never early, and at most one tick late.

use std::task::Waker;

const LEVELS: usize = 6;
const SLOTS: usize = 64;
const NANOS_PER_TICK: u64 = 1_000_000;
/// The end of a list, or of the free list.
const NIL: u32 = u32::MAX;

/// What a timer does when it is due.
pub(crate) enum Action {
    Call(Box<dyn FnOnce()>),
    Wake(Waker),
}

/// Names one armed timer. Once it fired or was removed the name is stale and names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    index: u32,
    serial: u64,
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

pub(crate) struct Wheel {
    entries: Vec<Entry>,
    free: u32,
    armed: usize,
    next_serial: u64,
    /// The tick up to which slots were dealt out.
    elapsed: u64,
    /// One bit for each slot that is not empty.
    occupied: [u64; LEVELS],
    heads: [[u32; SLOTS]; LEVELS],
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
            occupied: [0; LEVELS],
            heads: [[NIL; SLOTS]; LEVELS],
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

    /// The waker of an armed timer.
    pub(crate) fn waker(&self, key: Key) -> Option<&Waker> {
        match &self.get(key)?.action {
            Some(Action::Wake(waker)) => Some(waker),
            _ => None,
        }
    }

    /// Exchanges the waker of an armed timer for `waker` and hands the old one out, to be dropped by the caller.
    pub(crate) fn replace_waker(&mut self, key: Key, waker: Waker) -> Option<Action> {
        self.get(key)?;
        self.entries[key.index as usize].action.replace(Action::Wake(waker))
    }

    /// The time, in nanoseconds, at which `expire` has work to do next. May be earlier than the first deadline: the
    /// time to deal a slot out.
    pub(crate) fn next_expiration(&self) -> Option<u64> {
        if self.due != NIL {
            return Some(self.elapsed * NANOS_PER_TICK);
        }
        self.next_slot().map(|(_, _, tick)| tick * NANOS_PER_TICK)
    }

    /// Puts what is due at `now` into `batch`, in the order to run it.
    pub(crate) fn expire(&mut self, now: u64, batch: &mut Vec<Key>) {
        let now_tick = now / NANOS_PER_TICK;
        while let Some((level, slot, tick)) = self.next_slot() {
            if tick > now_tick {
                break;
            }
            self.elapsed = tick;
            self.deal_out(level, slot);
        }
        self.elapsed = self.elapsed.max(now_tick);
        let mut index = std::mem::replace(&mut self.due, NIL);
        while index != NIL {
            let entry = &mut self.entries[index as usize];
            entry.place = Place::Batch;
            batch.push(Key { index, serial: entry.serial });
            index = entry.next;
        }
        batch.sort_unstable_by_key(|key| (self.entries[key.index as usize].deadline, key.serial));
    }

    /// Takes every timer out, for a loop that closes.
    pub(crate) fn drain(&mut self) -> Vec<Action> {
        let actions = self.entries.iter_mut().filter_map(|entry| entry.action.take()).collect();
        *self = Self::new(self.next_serial);
        actions
    }

    fn get(&self, key: Key) -> Option<&Entry> {
        self.entries.get(key.index as usize).filter(|entry| entry.serial == key.serial && entry.place != Place::Free)
    }

    /// Links an entry into the slot of its deadline.
    fn file(&mut self, index: u32) {
        let tick = self.entries[index as usize].deadline.div_ceil(NANOS_PER_TICK);
        let place = if tick <= self.elapsed {
            Place::Due
        } else {
            let (level, slot) = self.slot_for(tick);
            self.occupied[level] |= 1 << slot;
            Place::Slot { level: level as u8, slot: slot as u8 }
        };
        let Some(head) = self.head(place) else { return };
        let next = std::mem::replace(head, index);
        if next != NIL {
            self.entries[next as usize].prev = index;
        }
        let entry = &mut self.entries[index as usize];
        (entry.next, entry.prev, entry.place) = (next, NIL, place);
    }

    /// Where the list begins that an entry of this place stands in.
    fn head(&mut self, place: Place) -> Option<&mut u32> {
        match place {
            Place::Slot { level, slot } => Some(&mut self.heads[usize::from(level)][usize::from(slot)]),
            Place::Due => Some(&mut self.due),
            Place::Batch | Place::Free => None,
        }
    }

    /// The highest group of six bits in which the tick differs from the present names the level.
    fn slot_for(&self, tick: u64) -> (usize, usize) {
        let distance = (tick ^ self.elapsed) | (SLOTS as u64 - 1);
        let level = ((63 - distance.leading_zeros()) / 6) as usize;
        if level < LEVELS {
            return (level, (tick >> (6 * level)) as usize % SLOTS);
        }
        // The top level wraps around. What lies further than its 64 slots (over two years) waits in the last of them and
        // is filed again from there.
        let top = 6 * (LEVELS as u32 - 1);
        let ahead = ((tick >> top) - (self.elapsed >> top)).min(SLOTS as u64 - 1);
        (LEVELS - 1, ((self.elapsed >> top) + ahead) as usize % SLOTS)
    }

    /// The slot that is to be dealt out first, and the tick at which.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let mut best: Option<(usize, usize, u64)> = None;
        for level in 0..LEVELS {
            let occupied = self.occupied[level];
            if occupied == 0 {
                continue;
            }
            let shift = 6 * level as u32;
            let present = (self.elapsed >> shift) as u32 % SLOTS as u32;
            // The present slot of a level has been dealt out; what stands in it lies a whole turn ahead.
            let ahead = occupied.rotate_right(present + 1).trailing_zeros() + 1;
            let slot = (present + ahead) as usize % SLOTS;
            let tick = ((self.elapsed >> shift) + u64::from(ahead)) << shift;
            if best.is_none_or(|(_, _, earliest)| tick < earliest) {
                best = Some((level, slot, tick));
            }
        }
        best
    }

    fn deal_out(&mut self, level: usize, slot: usize) {
        let mut index = std::mem::replace(&mut self.heads[level][slot], NIL);
        self.occupied[level] &= !(1 << slot);
        while index != NIL {
            let next = self.entries[index as usize].next;
            self.file(index);
            index = next;
        }
    }

    fn unlink(&mut self, index: u32) {
        let Entry { next, prev, place, .. } = self.entries[index as usize];
        let Some(head) = self.head(place) else { return };
        if prev == NIL {
            *head = next;
        }
        if let (Place::Slot { level, slot }, NIL, NIL) = (place, prev, next) {
            self.occupied[usize::from(level)] &= !(1 << slot);
        }
        if prev != NIL {
            self.entries[prev as usize].next = next;
        }
        if next != NIL {
            self.entries[next as usize].prev = prev;
        }
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
        let mut batch = Vec::new();
        wheel.expire(now, &mut batch);
        batch
            .into_iter()
            .map(|key| {
                let deadline = wheel.entries[key.index as usize].deadline;
                assert!(wheel.remove(key).is_some());
                deadline
            })
            .collect()
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
        let mut batch = Vec::new();
        wheel.expire(800 * MS, &mut batch);
        assert_eq!(batch, [keys[2], keys[1], keys[4], keys[0], keys[3]]);
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
        let mut batch = Vec::new();
        wheel.expire(5 * MS, &mut batch);
        assert_eq!(batch, keys);
        assert!(wheel.remove(keys[0]).is_some());
        assert!(wheel.remove(keys[2]).is_some());
        // Both take places that were freed.
        let due = wheel.insert(0, nothing());
        let later = wheel.insert(9 * MS, nothing());
        assert!(wheel.remove(keys[1]).is_some());
        assert!(wheel.remove(keys[2]).is_none());
        batch.clear();
        wheel.expire(5 * MS, &mut batch);
        assert_eq!(batch, [due]);
        assert!(wheel.remove(due).is_some() && wheel.remove(later).is_some());
        assert_eq!((wheel.next_expiration(), wheel.len()), (None, 0));
    }

    #[test]
    fn a_deadline_beyond_the_wheel_waits_its_time() {
        let mut wheel = Wheel::new(0);
        let years = 5 * 365 * 86_400_000 * MS;
        wheel.insert(years, nothing());
        assert_eq!(expire(&mut wheel, years - MS), []);
        assert_eq!(expire(&mut wheel, years), [years]);
    }
}
