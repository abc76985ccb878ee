//! A Unix listener: a socket file with the right mode, or an abstract name.
//!
//! Rules:
//! - The order is restrict, bind, chmod, listen. A bound socket that doesn't listen refuses every connection, so nobody gets
//!   in before the mode is right; on Linux the file isn't even born with more permissions than asked for. The umask would do
//!   that everywhere, but it belongs to the whole process and stays as it is.
//! - A file is removed only when it is a socket that nobody listens on, or when the caller insists.
//! - A file that this call made is removed again when a later step fails.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::{BindError, DEFAULT_BACKLOG};

/// Opens a listening Unix socket that only this user may connect to: [`UnixBindOptions::bind_unix_socket`] with the defaults.
///
/// ```
/// # let directory = std::env::temp_dir().join(format!("landspout-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// let path = directory.join("server.sock");
/// let listener = landspout_netutil::bind_unix_socket(&path)?;
/// # drop(listener);
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// See [`UnixBindOptions::bind_unix_socket`].
pub fn bind_unix_socket(path: impl AsRef<Path>) -> Result<UnixListener, BindError> {
    UnixBindOptions::new().bind_unix_socket(path)
}

/// What [`bind_unix_socket`] takes beyond the path.
#[derive(Clone, Debug)]
pub struct UnixBindOptions {
    mode: u32,
    backlog: u32,
    replace_live: bool,
}

impl Default for UnixBindOptions {
    fn default() -> UnixBindOptions {
        UnixBindOptions::new()
    }
}

impl UnixBindOptions {
    /// Mode 0o600, a backlog of [`DEFAULT_BACKLOG`], a live socket is left alone.
    pub const fn new() -> UnixBindOptions {
        UnixBindOptions { mode: 0o600, backlog: DEFAULT_BACKLOG, replace_live: false }
    }

    /// The permissions of the socket file, whatever the umask is. To connect, a process needs the permission to write.
    /// Abstract names have no permissions: everybody in the same network namespace may connect.
    pub const fn mode(mut self, mode: u32) -> UnixBindOptions {
        self.mode = mode;
        self
    }

    /// How many connections may wait for `accept`.
    pub const fn backlog(mut self, connections: u32) -> UnixBindOptions {
        self.backlog = connections;
        self
    }

    /// Takes the file away from a server that still listens on it, as Tornado does: new clients come here, those it has
    /// stay there. For a moment there is no file, or one that refuses connections.
    pub const fn replace_live(mut self, replace: bool) -> UnixBindOptions {
        self.replace_live = replace;
        self
    }

    /// Opens a listening socket, non-blocking and close-on-exec, at `path`.
    ///
    /// A path that starts with a NUL byte is a name in Linux' abstract namespace: no file, gone with its last listener.
    ///
    /// A socket file that nobody listens on, left by a server that ended, is replaced. To find that out this connects to
    /// it: a live server sees one connection that closes at once. Two servers that replace the same stale file at the same
    /// instant are not kept apart. The file stays when the listener is closed, as in Tornado.
    ///
    /// Tornado's `bind_unix_socket(file, mode, backlog)`.
    ///
    /// # Errors
    /// - [`BindError::InUse`]: somebody listens there, and [`replace_live`](Self::replace_live) is off or the name is abstract.
    /// - [`BindError::NotASocket`]: there is something else, a symbolic link for instance. It is left as it is.
    /// - [`BindError::Unix`]: whatever else the system objects to, with its reason.
    pub fn bind_unix_socket(&self, path: impl AsRef<Path>) -> Result<UnixListener, BindError> {
        let path = path.as_ref();
        self.bind(path).map_err(|fault| match fault {
            Fault::InUse => BindError::InUse { path: path.to_owned() },
            Fault::NotASocket => BindError::NotASocket { path: path.to_owned() },
            Fault::Io(source) => BindError::Unix { path: path.to_owned(), source },
        })
    }

    fn bind(&self, path: &Path) -> Result<UnixListener, Fault> {
        let name = Name::of(path)?;
        let address = SockAddr::unix(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        if name == Name::File {
            self.clear(path, &address)?;
        }
        let socket = restrict(socket, self.mode);
        socket.bind(&address)?;
        let mut made = MadeFile((name == Name::File).then_some(path));
        if name == Name::File {
            // Adds what the umask took away.
            fs::set_permissions(path, Permissions::from_mode(self.mode))?;
        }
        socket.listen(i32::try_from(self.backlog).unwrap_or(i32::MAX))?;
        made.0 = None;
        Ok(OwnedFd::from(socket).into())
    }

    /// Makes room at `path`, if what is there may go.
    fn clear(&self, path: &Path, address: &SockAddr) -> Result<(), Fault> {
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        if !found.file_type().is_socket() {
            return Err(Fault::NotASocket);
        }
        if !self.replace_live && is_live(address)? {
            return Err(Fault::InUse);
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Linux makes the socket file with the mode of the socket's own inode, less the umask (unix(7) is silent; `unix_bind` in
/// net/unix/af_unix.c). Elsewhere fchmod refuses a socket, which is fine: see the rules above.
fn restrict(socket: Socket, mode: u32) -> Socket {
    let file = File::from(OwnedFd::from(socket));
    let _ = file.set_permissions(Permissions::from_mode(mode));
    OwnedFd::from(file).into()
}

/// Does somebody listen there? Non-blocking, since a connect to a server with a full backlog would wait for it.
fn is_live(address: &SockAddr) -> io::Result<bool> {
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(false),
            // A file that we may not connect to tells nothing; to remove it nevertheless is for the caller to say.
            io::ErrorKind::PermissionDenied => Err(error),
            // EAGAIN: the backlog is full. EPROTOTYPE: a datagram socket. Somebody is there.
            _ => Ok(true),
        },
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Name {
    File,
    Abstract,
}

impl Name {
    fn of(path: &Path) -> io::Result<Name> {
        let bytes = path.as_os_str().as_bytes();
        match bytes.first() {
            // Linux would pick a random abstract name for an empty one.
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is empty")),
            Some(0) if cfg!(any(target_os = "linux", target_os = "android")) => Ok(Name::Abstract),
            // The kernel would cut the path there and make another file than the one asked for.
            Some(_) if bytes.contains(&0) => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "the path contains a NUL byte"))
            }
            Some(_) => Ok(Name::File),
        }
    }
}

/// Why it failed, without the path, so that `?` works inside.
enum Fault {
    InUse,
    NotASocket,
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::AddrInUse => Fault::InUse,
            _ => Fault::Io(error),
        }
    }
}

/// The socket file between bind and success: removed when dropped with a path.
struct MadeFile<'a>(Option<&'a Path>);

impl Drop for MadeFile<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            // Whatever went wrong is reported already.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_file_is_born_with_no_more_than_its_mode() {
        let path = std::env::temp_dir().join(format!("landspout-born-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let socket = restrict(Socket::new(Domain::UNIX, Type::STREAM, None).unwrap(), 0o400);
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        fs::remove_file(&path).unwrap();
        // 0o755 is what a plain bind leaves under the usual umask.
        assert_eq!(mode & !0o400, 0, "{mode:o}");
    }

    #[test]
    fn a_file_made_by_a_call_that_failed_is_removed() {
        let path = std::env::temp_dir().join(format!("landspout-made-{}", std::process::id()));
        fs::write(&path, "").unwrap();
        drop(MadeFile(None));
        assert!(path.exists());
        drop(MadeFile(Some(&path)));
        assert!(!path.exists());
    }
}
