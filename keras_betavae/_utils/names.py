"""What files and pictures make of names that a user, or a user's file, has chosen."""

import collections
import hashlib
import re
import unicodedata
from collections.abc import Iterable

# Windows keeps these for devices, whatever comes after a dot.
_ENDS_AS_A_HASH = re.compile(r"-[0-9a-f]{8}$", re.IGNORECASE)
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def file_names(names: Iterable[str], most_bytes: int = 80) -> dict[str, str]:
    """Returns for each name one that is a file's name on every system, and no other's.

    A name of letters, digits, spaces and `_.,+=()-` stays as it is. Any other gets a few digits of
    its hash, and so does one that is too long or ends like a hash, and those that differ only in
    case or Unicode form.

    Example:
        >>> file_names(["pos_x", "a/b", "a:b"])
        {'pos_x': 'pos_x', 'a/b': 'a_b-c14cddc0', 'a:b': 'a_b-6783a31e'}
    """
    names = list(dict.fromkeys(names))
    keys = [unicodedata.normalize("NFKC", name).casefold() for name in names]
    found, times = {}, collections.Counter(keys)
    for name, key in zip(names, keys, strict=True):
        plain = _plain(name, most_bytes)
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        stays = plain == name and times[key] == 1 and not _ENDS_AS_A_HASH.search(name)
        found[name] = name if stays else f"{plain}-{digest}"
    return found


def printable(text: str) -> str:
    r"""Returns a text with a space for each character that would do something to a terminal.

    Example:
        >>> printable("a\x1b[31mb\n")
        'a [31mb '
    """
    return "".join(c if c.isprintable() else " " for c in text)


def one_line(name: str, width: int = 40) -> str:
    r"""Returns a name as a label shows it: one line of printable text, cut in its middle.

    Example:
        >>> one_line("two\nlines"), one_line("first, second and last", 11)
        ('two lines', 'first,…last')
    """
    text = printable(str(name)).strip()
    if len(text) <= width:
        return text
    tail = width // 3 + 1
    return f"{text[: width - tail - 1]}…{text[-tail:]}"


def figure_text(name: str, width: int = 60) -> str:
    r"""Returns a name as matplotlib shows it as it is, which takes what is between $ for a formula.

    Example:
        >>> print(figure_text("from 1$ to 2$"))
        from 1\$ to 2\$
    """
    return in_legend(one_line(name, width).replace("$", r"\$"))


def in_legend(name: str) -> str:
    """Returns a name that matplotlib does not leave out of a legend, as those that begin with _.

    Example:
        >>> len(in_legend("_a")), len(in_legend("a"))
        (3, 1)
    """
    zero_width = "\u200b"
    return zero_width + name if name.startswith("_") else name


def _plain(name: str, most_bytes: int) -> str:
    text = re.sub(r"[^\w .,+=()-]", "_", name).strip(" .-")
    text = text.encode("utf-8", "replace")[:most_bytes].decode("utf-8", "ignore").strip(" .-")
    return f"_{text}" if not text or _DEVICES.fullmatch(text) else text
