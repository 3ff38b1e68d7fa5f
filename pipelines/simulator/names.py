"""Names that nobody is likely to bear, and NHS numbers that are never issued."""

import numpy as np
from numpy.typing import NDArray

from features.errors import ConfigError

GIVEN = (
    *("Ada", "Agnieszka", "Aisha", "Alun", "Amara", "Anil", "Anwen", "Arthur", "Beatriz", "Bhavna"),
    *("Bronwen", "Carys", "Chidi", "Clarice", "Dafydd", "Daljit", "Dorota", "Edith", "Efua", "Elsie"),
    *("Emrys", "Farah", "Fergus", "Gwen", "Halina", "Harjit", "Hector", "Hyacinth", "Ifor", "Imran"),
    *("Iris", "Jadwiga", "Joyce", "Kwame", "Lakshmi", "Leila", "Leonard", "Mabel", "Maeve", "Mei"),
    *("Mircea", "Nasreen", "Neville", "Ngozi", "Olive", "Olu", "Padma", "Patience", "Rajesh", "Roisin"),
    *("Rosalind", "Sadiq", "Seamus", "Sunita", "Tamsin", "Thelma", "Usha", "Vera", "Winston", "Yusuf"),
)
FAMILY_HEADS = (
    *("Ada", "Alder", "Amber", "Bala", "Bramble", "Chand", "Clover", "Dela", "Elder", "Fara", "Fen", "Hazel"),
    *("Heron", "Ivo", "Jala", "Kestrel", "Kova", "Lark", "Linden", "Mara", "Moss", "Nko", "Oba", "Otter"),
    *("Pala", "Quince", "Rowan", "Sana", "Sorrel", "Tala", "Teasel", "Uma", "Wren", "Yara", "Zele", "Zan"),
)
FAMILY_TAILS = (
    *("bank", "beck", "brook", "dale", "dara", "field", "ford", "gate", "holt", "imra", "jani", "koya"),
    *("low", "mere", "moor", "nath", "oru", "pani", "ridge", "shaw", "stead", "thorpe", "ula", "wick"),
)

FIRST_BODY, LAST_BODY = 999_000_000, 999_999_999
"""The first nine digits of the range reserved for tests."""


def check_digits(bodies: NDArray[np.int64]) -> NDArray[np.int64]:
    """The tenth digit of each nine-digit body; 10 where no valid number has that body."""
    powers = 10 ** np.arange(8, -1, -1, dtype=np.int64)
    total = ((bodies[:, None] // powers % 10) * np.arange(10, 1, -1)).sum(axis=1)
    return np.asarray((11 - total % 11) % 11, dtype=np.int64)


def nhs_numbers(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """`count` different valid numbers from 999 000 0000 to 999 999 9999. ConfigError where there are not so many."""
    bodies = FIRST_BODY + rng.permutation(LAST_BODY - FIRST_BODY + 1)[: count * 5 // 4 + 200]
    checks = check_digits(bodies)
    valid = (bodies * 10 + checks)[checks < 10]
    if count > len(valid):
        message = (
            f"Simulated people must have NHS numbers from the test range, which holds {len(valid):,}; this trust would "
            f"have {count:,} people. Give it fewer places or days."
        )
        raise ConfigError(message)
    return valid[:count]


def family_names() -> tuple[str, ...]:
    return tuple(head + tail for head in FAMILY_HEADS for tail in FAMILY_TAILS)
