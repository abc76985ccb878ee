//! Wakers whose drop runs code of the test's: a stream must not be borrowed then.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Wake, Waker};

type Hooks = Vec<(usize, Box<dyn FnOnce()>)>;

thread_local! {
    static HOOKS: RefCell<Hooks> = const { RefCell::new(Vec::new()) };
}

struct Hooked(usize);

impl Wake for Hooked {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Hooked {
    fn drop(&mut self) {
        let hook = HOOKS.with_borrow_mut(|hooks| {
            let at = hooks.iter().position(|(id, _)| *id == self.0)?;
            Some(hooks.swap_remove(at).1)
        });
        if let Some(hook) = hook {
            hook();
        }
    }
}

/// A waker that runs `hook`, on this thread, when its last clone is dropped.
pub fn waker_with_drop(hook: impl FnOnce() + 'static) -> Waker {
    let id = HOOKS.with_borrow_mut(|hooks| {
        let id = hooks.iter().map(|(id, _)| id + 1).max().unwrap_or(0);
        hooks.push((id, Box::new(hook)));
        id
    });
    Waker::from(Arc::new(Hooked(id)))
}
