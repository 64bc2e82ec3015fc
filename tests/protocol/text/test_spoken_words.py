"""The words that people read aloud: as many as 11 bits need, plain, told apart by their first letters."""

import hashlib
import re

from wardround.protocol.text.spoken_words import BITS_PER_WORD, SPOKEN_WORDS


def test_there_is_one_plain_word_for_each_number() -> None:
    assert len(set(SPOKEN_WORDS)) == 2**BITS_PER_WORD
    assert all(re.fullmatch("[a-z]{3,9}", word) for word in SPOKEN_WORDS)
    assert list(SPOKEN_WORDS) == sorted(SPOKEN_WORDS)


def test_four_letters_tell_a_word() -> None:
    assert len({word[:4] for word in SPOKEN_WORDS}) == len(SPOKEN_WORDS)


def test_the_list_of_words_never_changes() -> None:
    digest = hashlib.sha256(" ".join(SPOKEN_WORDS).encode()).hexdigest()
    assert digest == "df1bd1694cbd4f281cab58b6424e9dceecbd0d035f858862ba81ff64c5e30ca1"
