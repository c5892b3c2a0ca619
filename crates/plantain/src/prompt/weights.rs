//! Weights within prompts, as AUTOMATIC1111's web interface reads them.
//!
//! `(word)` weighs 1.1 times as much as without, `(word:1.3)` 1.3 times, `[word]` 1.1 times less; brackets within brackets
//! multiply. `\(`, `\)`, `\[`, `\]` and `\\` are the characters themselves, and `BREAK` goes on in the next chunk of tokens.

/// What a bracket without a number multiplies or divides by.
const STEP: f64 = 1.1;

/// A piece of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// A text and its weight.
    Text(String, f64),
    /// What follows begins a new chunk.
    Break,
}

/// A part of the grammar.
#[derive(Debug, PartialEq)]
enum Token<'a> {
    Text(&'a str),
    OpenRound,
    OpenSquare,
    /// `:1.3)`, which closes a round bracket.
    CloseWeighted(f64),
    CloseRound,
    CloseSquare,
}

/// Reads `prompt`. There is at least one piece; neighbours of the same weight are one.
pub(super) fn parse(prompt: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut round, mut square) = (Vec::new(), Vec::new());
    let mut rest = prompt;
    while let Some((token, after)) = next(rest) {
        match token {
            Token::OpenRound => round.push(pieces.len()),
            Token::OpenSquare => square.push(pieces.len()),
            Token::CloseWeighted(factor) => match round.pop() {
                Some(start) => multiply(&mut pieces[start..], factor),
                None => push(&mut pieces, &rest[..rest.len() - after.len()]),
            },
            Token::CloseRound => match round.pop() {
                Some(start) => multiply(&mut pieces[start..], STEP),
                None => push(&mut pieces, ")"),
            },
            Token::CloseSquare => match square.pop() {
                Some(start) => multiply(&mut pieces[start..], 1.0 / STEP),
                None => push(&mut pieces, "]"),
            },
            Token::Text(text) => push_with_breaks(&mut pieces, text),
        }
        rest = after;
    }
    // Brackets that nothing closes reach to the end.
    for start in round {
        multiply(&mut pieces[start..], STEP);
    }
    for start in square {
        multiply(&mut pieces[start..], 1.0 / STEP);
    }
    merged(pieces)
}

/// The first token of `text`, and what follows it.
fn next(text: &str) -> Option<(Token<'_>, &str)> {
    let first = text.chars().next()?;
    let after = &text[first.len_utf8()..];
    let token = match first {
        '(' => Token::OpenRound,
        '[' => Token::OpenSquare,
        ')' => Token::CloseRound,
        ']' => Token::CloseSquare,
        ':' => {
            let weighted = weighted_end(after);
            return Some(
                weighted.map_or((Token::Text(":"), after), |(factor, after)| {
                    (Token::CloseWeighted(factor), after)
                }),
            );
        }
        '\\' => {
            // A backslash before anything else is dropped.
            let escaped = after.chars().next().filter(|c| r"()[]\".contains(*c));
            let (text, after) = after.split_at(escaped.map_or(0, char::len_utf8));
            return Some((Token::Text(text), after));
        }
        _ => {
            let end = text.find(['\\', '(', ')', '[', ']', ':']);
            let (plain, after) = text.split_at(end.unwrap_or(text.len()));
            return Some((Token::Text(plain), after));
        }
    };
    Some((token, after))
}

/// The number in `1.3)`, with spaces around it if need be, and what follows the bracket.
fn weighted_end(text: &str) -> Option<(f64, &str)> {
    let (number, after) = text.split_once(')')?;
    let number = number.trim();
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    let numeric = digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let factor = number.parse::<f64>().ok().filter(|_| numeric)?;
    Some((factor, after))
}

/// Adds `text`, of which each word `BREAK` begins a new chunk.
fn push_with_breaks(pieces: &mut Vec<Piece>, text: &str) {
    let mut rest = text;
    let mut from = 0;
    while let Some(found) = rest[from..].find("BREAK").map(|at| from + at) {
        let end = found + "BREAK".len();
        let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        if word(rest[..found].chars().next_back()) || word(rest[end..].chars().next()) {
            from = end;
            continue;
        }
        push(pieces, rest[..found].trim_end());
        pieces.push(Piece::Break);
        rest = rest[end..].trim_start();
        from = 0;
    }
    push(pieces, rest);
}

fn push(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_string(), 1.0));
    }
}

fn multiply(pieces: &mut [Piece], factor: f64) {
    for piece in pieces {
        if let Piece::Text(_, weight) = piece {
            *weight *= factor;
        }
    }
}

fn merged(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut all: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (all.last_mut(), piece) {
            (Some(Piece::Text(before, weight)), Piece::Text(text, same)) if *weight == same => {
                before.push_str(&text);
            }
            (_, piece) => all.push(piece),
        }
    }
    if all.is_empty() {
        all.push(Piece::Text(String::new(), 1.0));
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str, weight: f64) -> Piece {
        Piece::Text(text.to_string(), weight)
    }

    /// What the two reference implementations make of a prompt; see `tests/reference/prompts.py`.
    #[test]
    fn prompts_are_read_as_the_web_interface_does() {
        let json = include_str!("../../../../tests/fixtures/prompts/parsed.json");
        let all: serde_json::Value = serde_json::from_str(json).unwrap();
        let prompts = all["prompts"].as_array().unwrap();
        assert!(prompts.len() > 60);
        for case in prompts {
            let prompt = case["prompt"].as_str().unwrap();
            // There, BREAK within brackets becomes words of negative weight.
            if prompt == "(a BREAK b)" {
                continue;
            }
            let pairs = case["parsed"].as_array().unwrap();
            let expected = pairs.iter().map(|pair| {
                let (part, weight) = (pair[0].as_str().unwrap(), pair[1].as_f64().unwrap());
                match (part, weight) {
                    ("BREAK", -1.0) => Piece::Break,
                    (part, weight) => text(part, weight),
                }
            });
            let empty = text("", 1.0);
            let without_empty = |pieces: Vec<Piece>| -> Vec<Piece> {
                pieces.into_iter().filter(|piece| *piece != empty).collect()
            };
            let actual = without_empty(parse(prompt));
            let expected = without_empty(expected.collect());
            assert_eq!(actual.len(), expected.len(), "{prompt:?}: {actual:?}");
            for pair in actual.iter().zip(&expected) {
                match pair {
                    (Piece::Text(a, weight), Piece::Text(b, same)) => {
                        assert!(
                            a == b && (weight - same).abs() < 1e-12,
                            "{prompt:?}: {pair:?}"
                        );
                    }
                    (a, b) => assert_eq!(a, b, "{prompt:?}"),
                }
            }
        }
        for prompt in all["unreadable"].as_array().unwrap() {
            let prompt = prompt.as_str().unwrap();
            let inner = prompt.trim_matches(['(', ')']);
            assert_eq!(
                parse(prompt),
                [text(inner, STEP)],
                "a number that is none stays text"
            );
        }
    }

    #[test]
    fn breaks_are_words() {
        let parts = parse("a cat BREAK a dog");
        assert_eq!(
            parts,
            [text("a cat", 1.0), Piece::Break, text("a dog", 1.0)]
        );
        assert_eq!(parse("BREAKFAST"), [text("BREAKFAST", 1.0)]);
        assert_eq!(
            parse("(a BREAK b:2)"),
            [text("a", 2.0), Piece::Break, text("b", 2.0)]
        );
        let twice = parse("BREAKFAST BREAK BREAK");
        assert_eq!(twice, [text("BREAKFAST", 1.0), Piece::Break, Piece::Break]);
    }

    #[test]
    fn a_number_that_is_none_stays_text() {
        assert_eq!(parse("(a:b)"), [text("a:b", STEP)]);
        assert_eq!(parse("(a:1.2.3)"), [text("a:1.2.3", STEP)]);
        assert_eq!(parse("a:2)"), [text("a:2)", 1.0)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_prompt_is_read(prompt in r"[ab():.0-9\[\]\\ BREAK]{0,40}") {
            let pieces = parse(&prompt);
            prop_assert!(!pieces.is_empty());
        }

        #[test]
        fn a_prompt_without_brackets_is_itself(prompt in "[a-z ,.!?]{1,60}") {
            prop_assert_eq!(parse(&prompt), [text(&prompt, 1.0)]);
        }
    }
}
