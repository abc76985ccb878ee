//! Wakers that run code of the test's when they are called or dropped: a stream must not be borrowed then.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Wake, Waker};

type Hooks = Vec<(usize, Box<dyn FnOnce()>)>;

thread_local! {
    /// A waker could travel to another thread, the hooks can't.
    static HOOKS: RefCell<Hooks> = const { RefCell::new(Vec::new()) };
}

struct Hooked {
    id: usize,
    on_wake: bool,
}

impl Hooked {
    fn waker(on_wake: bool, hook: impl FnOnce() + 'static) -> Waker {
        let id = HOOKS.with_borrow_mut(|hooks| {
            let id = hooks.iter().map(|(id, _)| id + 1).max().unwrap_or(0);
            hooks.push((id, Box::new(hook)));
            id
        });
        Waker::from(Arc::new(Self { id, on_wake }))
    }

    fn run(&self) {
        // After a failed test, wakers are dropped together with the thread.
        let hook = HOOKS.try_with(|hooks| {
            let mut hooks = hooks.borrow_mut();
            let at = hooks.iter().position(|(id, _)| *id == self.id)?;
            Some(hooks.swap_remove(at).1)
        });
        if let Ok(Some(hook)) = hook {
            hook();
        }
    }
}

impl Wake for Hooked {
    fn wake(self: Arc<Self>) {
        if self.on_wake {
            self.run();
        }
    }
}

impl Drop for Hooked {
    fn drop(&mut self) {
        if !self.on_wake {
            self.run();
        }
    }
}

/// A waker that runs `hook`, on this thread, when its last clone is dropped.
pub fn waker_with_drop(hook: impl FnOnce() + 'static) -> Waker {
    Hooked::waker(false, hook)
}

/// A waker that runs `hook`, on this thread, at its first wake.
pub fn waker_with_wake(hook: impl FnOnce() + 'static) -> Waker {
    Hooked::waker(true, hook)
}
