"""Small grammar for captions: articles, synonyms, numbers."""

SYNONYM_CHANCE = 0.15

COLOUR_SYNONYMS = {
    "grey": ["gray"], "navy": ["dark blue", "navy blue"], "purple": ["violet"], "cyan": ["light blue", "sky blue"],
    "lime": ["lime green"], "gold": ["golden"], "beige": ["cream"],
}
NUMBERS = ("no", "one", "two", "three", "four")

SOUNDS_LIKE_CONSONANT = ("euro", "one", "u-", "ufo", "ui ", "ukulele", "uni", "usb", "use")
SOUNDS_LIKE_VOWEL = ("heir", "honest", "hour", "x-ray")


def with_article(words, article=None):
    """The words with their article; without a given one it is a or an, by sound."""
    if article is None:
        start = words.lower()
        vowel = start[0] in "aeiou" and not start.startswith(SOUNDS_LIKE_CONSONANT)
        article = "an" if vowel or start.startswith(SOUNDS_LIKE_VOWEL) else "a"
    return f"{article} {words}".strip()


class Words:
    """Chooses words: the usual ones, and at times others if there is a random generator."""

    def __init__(self, rng=None):
        self.rng = rng

    def pick(self, usual, synonyms=()):
        """The usual word mostly, a synonym at times."""
        if self.rng and synonyms and self.rng.random() < SYNONYM_CHANCE:
            return self.rng.choice(list(synonyms))
        return usual

    def any(self, *phrases):
        """Any of the phrases; the first without a generator."""
        return self.rng.choice(phrases) if self.rng else phrases[0]

    def colour(self, colour):
        """A word for a colour."""
        return self.pick(colour, COLOUR_SYNONYMS.get(colour, ()))
