//! What a check found, and the raw system call beneath most of them.

use std::fmt;

use nix::errno::Errno;

/// What a check found.
pub enum Answer {
    /// The kernel did it.
    Ok,
    /// The kernel refused.
    Refused(Errno),
    /// Something that an error number does not say.
    Text(String),
}

impl Answer {
    /// For tables: lines joined by commas.
    pub fn one_line(&self) -> String {
        self.to_string().replace('\n', ",")
    }

    /// `HELD` if nothing was found, else what was found, a line each.
    pub fn held_or(found: Vec<String>) -> Self {
        Answer::Text(if found.is_empty() { "HELD".to_owned() } else { found.join("\n") })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Ok => f.write_str("OK"),
            Answer::Refused(errno) => write!(f, "{errno:?}"),
            Answer::Text(text) => f.write_str(text),
        }
    }
}

impl<T> From<Result<T, Errno>> for Answer {
    fn from(result: Result<T, Errno>) -> Self {
        match result {
            Ok(_) => Answer::Ok,
            Err(errno) => Answer::Refused(errno),
        }
    }
}

impl<T> From<std::io::Result<T>> for Answer {
    fn from(result: std::io::Result<T>) -> Self {
        match result {
            Ok(_) => Answer::Ok,
            Err(error) => Answer::Refused(Errno::from_raw(error.raw_os_error().unwrap_or(0))),
        }
    }
}

/// A raw system call; missing arguments are 0.
pub fn call(number: libc::c_long, args: &[i64]) -> Result<i64, Errno> {
    let arg = |i: usize| args.get(i).copied().unwrap_or(0);
    // SAFETY: every caller in this program passes plain numbers, or addresses of live buffers of its own that are as
    // large as the call wants; no call here unmaps or protects memory of the program.
    let result = unsafe { libc::syscall(number, arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)) };
    Errno::result(result)
}

/// A raw system call that returns a descriptor, which is closed again.
pub fn call_fd(number: libc::c_long, args: &[i64]) -> Answer {
    let fd = call(number, args);
    if let Ok(fd) = fd {
        let _ = call(libc::SYS_close, &[fd]);
    }
    fd.into()
}

/// The address of a value for [`call`].
pub fn address<T: ?Sized>(value: &T) -> i64 {
    std::ptr::from_ref(value).cast::<u8>() as i64
}

/// The address of a value that the kernel writes to.
pub fn address_mut<T: ?Sized>(value: &mut T) -> i64 {
    std::ptr::from_mut(value).cast::<u8>() as i64
}

/// A number from the command line, or `default`.
pub fn number(args: &[String], index: usize, default: i64) -> i64 {
    args.get(index).and_then(|text| text.parse().ok()).unwrap_or(default)
}
