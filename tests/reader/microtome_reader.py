"""A second reader of containers, written from docs/format/: slow, and in nothing but Python's standard library.

    python3 microtome_reader.py FILE                   a line for each tile: level column row sha256
    python3 microtome_reader.py FILE LEVEL COLUMN ROW  the tile's JPEG stream on standard output

It gives what is served. A tile that needs a JPEG decoder or libjpeg's cropping (derived from pixels; cropped) is listed
with `-`. Bounds are checked as the specification asks, but not checksums: XXH3 and BLAKE3 are not in the library.
"""

import hashlib
import sys
from pathlib import Path

import codec1
from jpeg import Damaged, check, segments


def integer(data, at, width):
    check(at + width <= len(data), "cut off")
    return int.from_bytes(data[at : at + width], "little")


class Level:
    def __init__(self, width, height, stored, side, overlap):
        self.width, self.height, self.stored = width, height, stored
        self.side, self.overlap = side, overlap
        self.columns, self.rows = -(-width // side), -(-height // side)

    def has(self, column, row):
        return 0 <= column < self.columns and 0 <= row < self.rows

    def origin(self, column, row):
        return max(0, column * self.side - self.overlap), max(0, row * self.side - self.overlap)

    def size(self, column, row):
        x, y = self.origin(column, row)
        right = min(self.width, (column + 1) * self.side + self.overlap)
        bottom = min(self.height, (row + 1) * self.side + self.overlap)
        return right - x, bottom - y


def hilbert_rank(x, y, columns, rows):
    side = 1
    while side < max(columns, rows):
        side *= 2
    left = top = count = 0
    flipped = exchanged = False
    while side > 1:
        side //= 2
        for q, (qx, qy) in enumerate([(0, 0), (0, 1), (1, 1), (1, 0)]):
            if exchanged:
                qx, qy = qy, qx
            if flipped:
                qx, qy = 1 - qx, 1 - qy
            l, t = left + qx * side, top + qy * side
            if l <= x < l + side and t <= y < t + side:
                left, top = l, t
                flipped ^= q == 3
                exchanged ^= q in (0, 3)
                break
            count += min(side, max(0, columns - l)) * min(side, max(0, rows - t))
    return count


class Container:
    def __init__(self, path):
        self.data = data = Path(path).read_bytes()
        check(data[:8] == b"\x89MTM\r\n\x1a\n", "not a container")
        check(integer(data, 8, 2) == 1, "another major version")
        check(integer(data, 16, 8) == 0, "an unknown critical feature")
        check(integer(data, 80, 8) == len(data), "the file is not of its length")
        side, overlap = integer(data, 88, 4), integer(data, 92, 4)
        levels, sections = integer(data, 96, 2), integer(data, 98, 2)
        check(1 <= levels <= 33 and 1 <= sections <= 64, "no levels or sections")
        header = integer(data, 12, 4)
        check(136 + 16 * levels + 64 * sections <= header <= 16384 and header % 16 == 0, "a wrong header length")
        check(16 <= side <= 4096 and overlap <= min(64, side // 2), "a wrong tile size")
        self.levels = []
        for at in range(128, 128 + 16 * levels, 16):
            width, height, flags = (integer(data, at + i, 4) for i in (0, 4, 8))
            check(width > 0 and height > 0, "an empty level")
            self.levels.append(Level(width, height, flags & 1, side, overlap))
        self.sections = []
        for i in range(sections):
            at = 128 + 16 * levels + 64 * i
            offset, length = integer(data, at + 16, 8), integer(data, at + 24, 8)
            check(offset >= header and offset + length <= len(data), "a section outside the file")
            self.sections.append((data[at : at + 4], integer(data, at + 6, 2), offset, length))
        self.index = self.section(b"INDX")
        codecs = {codec for kind, codec, _, _ in self.sections if kind == b"TILE"}
        check(codecs <= {0, 1}, "an unknown codec")
        self.completion, self.parameters = None, None
        if 0 in codecs:
            self.completion = codec1.Completion(self.section(b"CPAR", 0))
        if 1 in codecs:
            self.parameters = codec1.Parameters(self.section(b"CPAR", 1))
            self.check_kinds()
        self.samples_of = {}

    def section(self, kind, codec=0):
        for k, c, offset, length in self.sections:
            if (k, c) == (kind, codec):
                return self.data[offset : offset + length]
        raise Damaged(f"no section {kind.decode()}")

    def check_kinds(self):
        def kind(k):
            stored = 0 <= k < len(self.levels) and self.levels[k].stored
            return self.parameters.kind(k) if stored else None

        for k, level in enumerate(self.levels):
            if level.stored and kind(k) == codec1.COARSER:
                check(kind(k + 2) == codec1.ALONE, "a base level that cannot be one")
            if level.stored and kind(k) == codec1.FINER:
                check(kind(k - 1) in (codec1.ALONE, codec1.COARSER), "a finer level that cannot be one")

    def slot(self, level, column, row):
        coarse = [k.columns * k.rows for k in self.levels[3:]]
        if level > 2:
            return sum(coarse[level - 2 :]) + row * self.levels[level].columns + column
        s = 4 >> level
        columns, rows = -(-self.levels[0].columns // 4), -(-self.levels[0].rows // 4)
        rank = hilbert_rank(column // s, row // s, columns, rows)
        within = {2: 0, 1: 1, 0: 5}[level] + row % s * s + column % s
        return -(-sum(coarse) // 21) * 21 + 21 * rank + within

    def payload(self, level, column, row):
        """Codec and bytes of a record."""
        slot = self.slot(level, column, row)
        at = slot // 1638 * 32768 + slot % 1638 * 20
        place, length = integer(self.index, at, 8), integer(self.index, at + 8, 4)
        check(length, "a tile without a record")
        check(place >> 48 < len(self.sections), "a record in no section")
        kind, codec, offset, room = self.sections[place >> 48]
        place &= (1 << 48) - 1
        check(kind == b"TILE" and place + length <= room, "a record outside its section")
        return codec, self.data[offset + place : offset + place + length]

    def finer_tiles(self, level, column, row):
        """The tiles below one, with their offsets."""
        finer, out = self.levels[level - 1], []
        x, y = self.levels[level].origin(column, row)
        for r in (2 * row, 2 * row + 1):
            for c in (2 * column, 2 * column + 1):
                if finer.has(c, r):
                    fx, fy = finer.origin(c, r)
                    out.append(((level - 1, c, r), (fx - 2 * x, fy - 2 * y)))
        return out

    def reference(self, kind, level, column, row):
        tiles = []
        if kind == codec1.COARSER and self.levels[level + 2].has(column // 4, row // 4):
            x, y = self.levels[level].origin(column, row)
            bx, by = self.levels[level + 2].origin(column // 4, row // 4)
            tiles = [((level + 2, column // 4, row // 4), (x - 4 * bx, y - 4 * by))]
        elif kind == codec1.FINER:
            tiles = self.finer_tiles(level, column, row)
        return [(self.samples(*tile), offset) for tile, offset in tiles]

    def decode(self, level, column, row):
        """The payload of a tile of codec 1, and its planes; None for planes of a verbatim one."""
        codec, data = self.payload(level, column, row)
        check(codec == 1, "not a tile of codec 1")
        payload = codec1.Payload(self.parameters, level, self.levels[level].size(column, row), data)
        if not payload.form:
            return payload, None
        return payload, payload.decode(self.parameters, self.reference(payload.kind, level, column, row))

    def own_samples(self, level, column, row):
        """The samples of a tile without those that its stream is padded with."""
        samples, size = self.samples(level, column, row), self.levels[level].size(column, row)
        if not samples or codec1.Payload(self.parameters, level, size, self.payload(level, column, row)[1]).size == size:
            return samples
        return [s.within(size, samples) for s in samples]

    def samples(self, level, column, row):
        """The samples of a tile, component by component; None if it has none."""
        tile = level, column, row
        if tile not in self.samples_of:
            planes = self.decode(*tile)[1] if self.payload(*tile)[0] == 1 else None
            self.samples_of[tile] = planes and [codec1.Samples(plane) for plane in planes]
        return self.samples_of[tile]

    def record(self, level, column, row):
        codec, data = self.payload(level, column, row)
        if codec == 0:
            return data
        payload, planes = self.decode(level, column, row)
        # Samples for others, without decoding again.
        self.samples_of[level, column, row] = planes and [codec1.Samples(plane) for plane in planes]
        return payload.record(self.parameters, level, planes)

    def stream(self, level, column, row):
        """What is served; None where a JPEG decoder is needed."""
        size = self.levels[level].size(column, row)
        if self.levels[level].stored:
            codec = self.payload(level, column, row)[0]
            completion = self.parameters.completion if codec else self.completion
            colour, _, tables = completion.of(level)
            stream = complete(colour, tables, self.record(level, column, row))
            return stream if frame_size(stream) == size else None
        if self.payload(level - 1, 2 * column, 2 * row)[0] == 0:
            return None
        reference = [(self.own_samples(*tile), offset) for tile, offset in self.finer_tiles(level, column, row)]
        stream = codec1.derive(self.parameters, size, reference)
        colour = self.parameters.completion.of(level - 1)[0]
        return stream and complete(colour, b"", stream)

    def tiles(self):
        for k, level in enumerate(self.levels):
            for row in range(level.rows):
                for column in range(level.columns):
                    yield k, column, row


def complete(colour, tables, record):
    """Step 1 of codec 0's "From record to served stream"."""
    if not tables and not colour:
        return record
    check(record[:2] == b"\xff\xd8", "no SOI")
    out = record[:2]
    if colour:
        out += b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([colour - 1])
    for data in (tables, record):
        # The tables end in EOI, which is no segment.
        at = 2
        while at < len(data) - (2 if data is tables else 0):
            start, code, _, at = next(segments(data, at))
            if code == 0xDA:
                out += data[start:]
                break
            if not colour or code not in (0xE0, 0xEE):
                out += data[start:at]
    return out


def frame_size(stream):
    for _, code, content, _ in segments(stream):
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(content[3:5], "big"), int.from_bytes(content[1:3], "big")
    raise Damaged("no frame header")


def main(arguments):
    container = Container(arguments[0])
    if len(arguments) == 4:
        stream = container.stream(*map(int, arguments[1:]))
        if stream is None:
            sys.exit("this tile needs a JPEG decoder")
        sys.stdout.buffer.write(stream)
        return
    for tile in container.tiles():
        stream = container.stream(*tile)
        print(*tile, "-" if stream is None else hashlib.sha256(stream).hexdigest(), flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Damaged as error:
        sys.exit(f"{sys.argv[1]}: {error}")
