"""Encoders of DICOM frames for phantoms: RLE and lossless JPEG (selection value 1) in numpy, others by imagecodecs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clinclip.errors import ConfigError
from clinclip.images import codecs


def encode_frame(pixels: NDArray, syntax: str, bits_stored: int) -> bytes:
    """Compress one frame losslessly.

    Args:
        pixels: uint8 or uint16 (H, W).
        syntax: Transfer syntax UID.
        bits_stored: Significant bits of a pixel.

    Returns:
        The code stream.

    Raises:
        ConfigError: No encoder for this syntax, or imagecodecs is not installed.
    """
    if syntax == codecs.RLE:
        return encode_rle(pixels)
    if syntax == codecs.JPEG_LOSSLESS_SV1:
        return encode_jpeg_lossless_sv1(pixels, bits_stored)
    try:
        import imagecodecs
    except ImportError as error:
        raise ConfigError(
            f"transfer syntax {syntax} needs an encoder that is not installed: pip install 'clinclip[dicom]'"
        ) from error
    if syntax == codecs.JPEG_LOSSLESS:
        return bytes(imagecodecs.ljpeg_encode(pixels, bitspersample=bits_stored))
    if syntax == codecs.JPEG_LS_LOSSLESS:
        return bytes(imagecodecs.jpegls_encode(pixels))
    if syntax == codecs.JPEG_2000_LOSSLESS:
        return bytes(imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True))
    if syntax == codecs.HTJ2K_LOSSLESS:
        return bytes(imagecodecs.htj2k_encode(pixels, reversible=True))
    if syntax == codecs.JPEG_EXTENDED:
        return bytes(imagecodecs.jpeg_encode(pixels, level=100, bitspersample=12))
    raise ConfigError(
        f"no encoder for transfer syntax {syntax}; phantoms are written as explicit or implicit VR little endian, "
        f"or as {', '.join(sorted(codecs.NAMES.values()))}"
    )


def encode_rle(pixels: NDArray) -> bytes:
    """DICOM PS3.5 annex G: byte planes, most significant first, each row packed on its own."""
    height, width = pixels.shape
    size = pixels.dtype.itemsize
    planes = (
        np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(">"))).view(np.uint8).reshape(height, width, size)
    )
    segments = []
    for plane in range(size):
        packed = b"".join(_pack_bits(row.tobytes()) for row in np.ascontiguousarray(planes[:, :, plane]))
        segments.append(packed + b"\0" * (len(packed) % 2))
    header, at = [size], 64
    for segment in segments:
        header.append(at)
        at += len(segment)
    return np.array(header + [0] * (16 - len(header)), "<u4").tobytes() + b"".join(segments)


def _pack_bits(row: bytes) -> bytes:
    out, at = bytearray(), 0
    values = np.frombuffer(row, np.uint8)
    # Ends of runs of equal bytes.
    ends = np.append(np.flatnonzero(np.diff(values)) + 1, len(row)).tolist()
    literal = bytearray()

    def flush() -> None:
        for i in range(0, len(literal), 128):
            part = literal[i : i + 128]
            out.append(len(part) - 1)
            out.extend(part)
        literal.clear()

    for end in ends:
        run = end - at
        if run < 3:
            literal.extend(row[at:end])
        else:
            flush()
            while run > 0:
                n = min(run, 128)
                if n == 1:
                    literal.append(row[at])
                else:
                    out.extend((257 - n, row[at]))
                run -= n
        at = end
    flush()
    return bytes(out)


def encode_jpeg_lossless_sv1(pixels: NDArray, bits: int) -> bytes:
    """Lossless JPEG, process 14, selection value 1 (ITU-T T.81 annex H): each pixel predicted by its left neighbour.

    Args:
        pixels: uint8 or uint16 (H, W) below ``2**bits``.
        bits: Sample precision, 2 to 16.

    Returns:
        A JPEG code stream.
    """
    height, width = pixels.shape
    values = pixels.astype(np.int32)
    prediction = np.empty_like(values)
    prediction[:, 1:] = values[:, :-1]
    prediction[1:, 0] = values[:-1, 0]
    prediction[0, 0] = 1 << (bits - 1)
    difference = (values - prediction).astype(np.int16).astype(np.int32).ravel()  # modulo 2**16, as the standard asks
    magnitude = np.abs(difference)
    category = np.zeros(difference.shape, np.int64)
    for bit in range(17):
        category += magnitude >= (1 << bit)
    lengths, symbols = _huffman(np.bincount(category, minlength=17))
    code, size = _canonical(lengths, symbols)
    # -32768 is the only value of category 16, which carries no further bits.
    extra_bits = np.where(category == 16, 0, category)
    extra = np.where(difference < 0, difference + (1 << category) - 1, difference) & ((1 << extra_bits) - 1)
    stream = _pack((code[category].astype(np.int64) << extra_bits) | extra, size[category] + extra_bits)
    table = bytes([0x00, *lengths, *symbols])
    return b"".join(
        [
            b"\xff\xd8\xff\xc3",
            np.array([11], ">u2").tobytes()
            + bytes([bits])
            + np.array([height, width], ">u2").tobytes()
            + b"\x01\x01\x11\0",
            b"\xff\xc4" + np.array([2 + len(table)], ">u2").tobytes() + table,
            b"\xff\xda\x00\x08\x01\x01\x00\x01\x00\x00",
            stream.replace(b"\xff", b"\xff\x00"),
            b"\xff\xd9",
        ]
    )


def _huffman(counts: NDArray) -> tuple[list[int], list[int]]:
    """Code lengths up to 16 (codes per length 1..16, symbols by length); the code of all ones stays unused."""
    import heapq

    used = [(max(1, int(c)), (s,)) for s, c in enumerate(counts) if c]
    heap: list[tuple[int, tuple[int, ...]]] = [*used, (0, (-1,))]  # the reserved code
    heapq.heapify(heap)
    depth = dict.fromkeys([s for _, group in heap for s in group], 0)
    while len(heap) > 1:
        (a, left), (b, right) = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in left + right:
            depth[symbol] += 1
        heapq.heappush(heap, (a + b, left + right))
    # At most 18 leaves can be 17 deep: a balanced code is then short enough.
    if max(depth.values()) > 16:
        depth = dict.fromkeys(depth, 5)
    order = sorted((s for s in depth if s >= 0), key=lambda s: (depth[s], s))
    # Canonical codes grow with length; keeping the reserved leaf longest keeps all ones free.
    deepest = max(depth.values())
    depth[-1] = deepest
    return [sum(depth[s] == n for s in order) for n in range(1, 17)], order


def _canonical(lengths: list[int], symbols: list[int]) -> tuple[NDArray, NDArray]:
    code, size = np.zeros(17, np.int64), np.zeros(17, np.int64)
    value, at = 0, 0
    for n, count in enumerate(lengths, start=1):
        for symbol in symbols[at : at + count]:
            code[symbol], size[symbol] = value, n
            value += 1
        at += count
        value <<= 1
    return code, size


def _pack(words: NDArray, sizes: NDArray) -> bytes:
    """Concatenate variable-length words, most significant bit first; the last byte is filled with ones."""
    ends = np.cumsum(sizes)
    total = int(ends[-1])
    bits = np.ones(-(-total // 8) * 8, np.uint8)
    starts = ends - sizes
    for bit in range(int(sizes.max())):
        mask = sizes > bit
        bits[starts[mask] + bit] = (words[mask] >> (sizes[mask] - 1 - bit)) & 1
    return np.packbits(bits).tobytes()
