//! User name and password, as the scheme Basic has them (RFC 7617).

use crate::error::HeaderError;

/// Joins a user name and a password by a colon: Tornado's function of that name. Base64 of it stands behind `Basic ` in `Authorization`.
///
/// Text is encoded as UTF-8 and not normalised (RFC 7617, section 2.1, asks for NFC, which what people type is in nearly always).
///
/// # Errors
/// [`HeaderError::InvalidCredentials`] if the name has a colon, where a server would cut, or either has control characters
/// (RFC 7617, section 2). Tornado lets them pass.
///
/// ```
/// use landspout_httputil::encode_username_password;
///
/// assert_eq!(encode_username_password("Aladdin", "open sesame")?, b"Aladdin:open sesame");
/// # Ok::<(), landspout_httputil::HeaderError>(())
/// ```
pub fn encode_username_password(
    username: impl AsRef<[u8]>,
    password: impl AsRef<[u8]>,
) -> Result<Vec<u8>, HeaderError> {
    let (username, password) = (username.as_ref(), password.as_ref());
    if username.contains(&b':') || [username, password].concat().iter().any(u8::is_ascii_control) {
        return Err(HeaderError::InvalidCredentials);
    }
    Ok([username, b":", password].concat())
}
