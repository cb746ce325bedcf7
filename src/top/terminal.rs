//! The terminal: taken over, drawn to, and given back as it was, however the program ends.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, poll, read};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::frame::{Line, Tone};

/// How long to wait for a key before what is new is drawn.
const KEY_WAIT: Duration = Duration::from_millis(200);

/// The terminal, ours until this is dropped.
#[derive(Debug)]
pub struct Terminal {
    signalled: Arc<AtomicBool>,
    colours: bool,
}

impl Terminal {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it can't be.
    pub fn take_over() -> io::Result<Terminal> {
        let signalled = Arc::default();
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&signalled))?;
        }
        // From here on, what has been done is undone with the value.
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let terminal = Terminal { signalled, colours };
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(terminal)
    }

    /// Draws the lines that `frame` makes for the size that the terminal has now.
    ///
    /// # Errors
    /// When it can't be written to.
    pub fn draw(&mut self, frame: impl FnOnce(usize, usize) -> Vec<Line>) -> io::Result<()> {
        let (width, height) = crossterm::terminal::size()?;
        let mut out = io::BufWriter::new(io::stdout().lock());
        queue!(out, BeginSynchronizedUpdate)?;
        for (row, line) in (0..height).zip(frame(width.into(), height.into())) {
            queue!(out, MoveTo(0, row))?;
            for span in &line.spans {
                self.set(&mut out, span.tone)?;
                queue!(out, Print(&span.text), SetAttribute(Attribute::Reset), ResetColor)?;
            }
            queue!(out, Clear(ClearType::UntilNewLine))?;
        }
        queue!(out, EndSynchronizedUpdate)?;
        out.flush()
    }

    /// Waits a little for a key, a new size or a signal. Returns whether one of them asked to end.
    ///
    /// # Errors
    /// When the terminal can't be read.
    pub fn is_asked_to_end(&mut self) -> io::Result<bool> {
        let asked = match poll(KEY_WAIT) {
            Ok(true) => match read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => match key.code {
                    KeyCode::Char('q' | 'Q') | KeyCode::Esc => true,
                    KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
                    _ => false,
                },
                Event::Resize(..) => {
                    execute!(io::stdout(), Clear(ClearType::All))?;
                    false
                }
                _ => false,
            },
            Ok(false) => false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
            Err(error) => return Err(error),
        };
        Ok(asked || self.signalled.load(Ordering::Relaxed))
    }

    fn set(&self, out: &mut impl Write, tone: Tone) -> io::Result<()> {
        let colour = match tone {
            Tone::Plain => None,
            Tone::Strong => return queue!(out, SetAttribute(Attribute::Bold)),
            Tone::Head => return queue!(out, SetAttribute(Attribute::Reverse)),
            Tone::Faint => return queue!(out, SetAttribute(Attribute::Dim)),
            Tone::Good => Some(Color::Green),
            Tone::Warning => Some(Color::Yellow),
            Tone::Bad => Some(Color::Red),
        };
        match colour.filter(|_| self.colours) {
            Some(colour) => queue!(out, SetForegroundColor(colour)),
            None => Ok(()),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // If it is gone there is nothing to give back.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Columns and rows, if standard output is a terminal.
#[must_use]
pub fn size() -> Option<(u16, u16)> {
    use std::io::IsTerminal;
    io::stdout().is_terminal().then(|| crossterm::terminal::size().ok()).flatten()
}
