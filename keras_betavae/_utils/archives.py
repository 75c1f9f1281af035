"""Zip files from others."""

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_CHUNK = 2**20
_HEADER = 30  # Bytes of the header before a member, without its name and extra field.


def check_unpacked_size(path: str | os.PathLike, limit: int = 64 * 2**20) -> None:
    """Checks that a zip file does not unpack to far more than it holds.

    Keras stores the members of a `.keras` file without compression, so only a file that was
    packed again, or made to do harm, is affected. Compressed members are unpacked in small
    pieces to count their bytes, since a member may claim to be smaller than it is.

    Args:
        path: The zip file.
        limit: Bytes that the compressed members may unpack to in all, if that is more than
            four times the file's own size.

    Raises:
        ValueError: If they unpack to more, or are compressed in another way than by deflate.
        zipfile.BadZipFile: If it is not a zip file.
    """
    allowed = max(limit, 4 * Path(path).stat().st_size)
    total = 0
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        for member in archive.infolist():
            if member.compress_type == zipfile.ZIP_STORED:
                continue  # It is no larger than the file.
            if member.compress_type != zipfile.ZIP_DEFLATED:
                raise ValueError(
                    f"{path}: the member {member.filename} is not compressed by deflate, the only "
                    "way that is read"
                )
            for size in _sizes(file, member):
                total += size
                if total > allowed:
                    raise ValueError(
                        f"{path} unpacks to more than {allowed:,} bytes, reached in the member "
                        f"{member.filename}"
                    )


def _sizes(file: BinaryIO, member: zipfile.ZipInfo) -> Iterator[int]:
    """Yields the sizes of the pieces that a deflated member unpacks to.

    `zipfile` trusts the size that is claimed, and cuts a member only after it was unpacked.
    """
    file.seek(member.header_offset)
    header = file.read(_HEADER)
    if len(header) < _HEADER:
        return
    n_name, n_extra = struct.unpack_from("<HH", header, 26)
    file.seek(n_name + n_extra, os.SEEK_CUR)
    left, inflate = member.compress_size, zlib.decompressobj(-zlib.MAX_WBITS)
    while left > 0 and not inflate.eof and (packed := file.read(min(left, _CHUNK))):
        left -= len(packed)
        size = _CHUNK
        while (packed or size == _CHUNK) and not inflate.eof:
            try:
                size = len(inflate.decompress(packed, _CHUNK))
            except zlib.error:
                return  # Damaged: no reader gets further.
            packed = inflate.unconsumed_tail
            yield size
