//! Text in, picture out: the generation pipeline as a library.
