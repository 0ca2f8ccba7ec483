//! What signing in needs from the person.

use std::pin::Pin;

use url::Url;

/// One line that the person pastes; None when there is nobody to ask (the input ended).
///
/// A future of its own, not a blocking call: while the person looks for the address, the browser may still come back by
/// itself, the time may run out, or Ctrl-C may end it. It is dropped then.
pub type PastedLine = Pin<Box<dyn Future<Output = std::io::Result<Option<String>>> + Send>>;

/// The person at the other end of a sign-in. The methods must not block: the browser is answered on the same thread.
pub trait LoginPrompt: Send {
    /// Says one line, such as why this flow was chosen.
    fn note(&mut self, line: &str);

    /// Says one line that the person may not like, such as where the tokens will be.
    fn warn(&mut self, line: &str);

    /// Opens the browser at `url`. False when that cannot be done, or the person does not want it.
    fn open_browser(&mut self, url: &Url) -> bool;

    /// Shows the address to sign in at. Comes after [`open_browser`](Self::open_browser), also when that worked: the
    /// browser that opened may be the wrong one.
    fn visit(&mut self, url: &Url);

    /// Shows the code to enter at `verification_uri` on any device. `verification_uri_complete` has the code in it, for a
    /// link or a QR code. The person must be told to compare the codes: somebody else may have sent the link
    /// (RFC 8628 section 5.4).
    fn enter_code(
        &mut self,
        verification_uri: &Url,
        verification_uri_complete: Option<&Url>,
        code: &str,
    );

    /// Asks for the address that the browser ended at.
    fn pasted(&mut self) -> PastedLine;
}
