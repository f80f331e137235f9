"""Payload codec 1: docs/format/codec-1.md. Slow, and meant to be read beside it."""

import copy
import hashlib
import zlib
from bisect import bisect_right
from heapq import merge
from itertools import accumulate, groupby
from operator import mul
from pathlib import Path

from jpeg import Damaged, Input, Template, check

# Diagonal by diagonal, up and down in turn.
NATURAL = sorted(range(64), key=lambda n: (n // 8 + n % 8, n // 8 if (n // 8 + n % 8) % 2 else n % 8))
ALONE, COARSER, FINER = 0, 1, 2
PREDICTED = {ALONE: 40, COARSER: 40, FINER: 64}
PIECES = [0, 3, 10, 21, 36, 52, 64]
# The sixteen lanes that a piece begins.
BEGINS = {0: 0, 2: 1, 3: 2, 4: 3}
LANES = 64 + 5
BUCKETS = 53
CLASS = [0] + [1] * 5 + [2] * 9 + [3] * 13 + [4] * 36
COARSE = [0] * 3 + [1] * 3 + [2] * 4 + [3] * 4 + [4] * 5 + [5] * 13
FINE = [min(9, f // 3) for f in range(32)]
# Height and slope of an error at the edge, by frequency across it.
ENDS = [[2896, -4017, 3784, -3406, 2896, -2276, 1567, -799], [0, -611, 2217, -4205, 5792, -6293, 5351, -3075]]
EIGHTHS = [256, 279, 304, 332, 362, 395, 431, 470]
BUILT_IN = Path(__file__).parents[2] / "crates/microtome-codec/src/cross_scale/built_in.bin"
BUILT_IN_SHA256 = "fff87326638acd4e9948035f637afbb6a0de777a23714d942a06b9b0c7451d7b"


def clamp(value, low, high):
    return low if value < low else high if value > high else value


def sat16(value):
    return clamp(value, -32768, 32767)


def wrap(value, bits):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


def inflate(data, length):
    inflater = zlib.decompressobj(-15)
    try:
        plain = inflater.decompress(data, length + 1)
    except zlib.error as error:
        raise Damaged(str(error)) from None
    check(len(plain) == length and inflater.eof, "parameters that do not decompress to their length")
    check(not inflater.unused_data, "bytes behind the parameters")
    return plain


# Parameters and models


class Model:
    def __init__(self, source, kind, base=None):
        """A whole model, or what differs from another."""
        self.weights = []

        def weights(count, most=32767):
            values = [source.signed() for _ in range(count)]
            if base:
                at = len(self.weights)
                values = [a + b for a, b in zip(values, base.weights[at : at + count])]
            check(all(-most - (most == 32767) <= v <= most for v in values), "a weight outside its range")
            self.weights += values
            return values

        if kind == COARSER:
            w = weights(18 * 3 * 8 * 2)
            self.parent = [[w[(i // 2 * 24 + k) * 2 + i % 2] for i in range(36)] for k in range(24)]
        if kind == FINER:
            self.gain = weights(64)
        self.bias = weights(LANES)
        self.shared = [weights(LANES) for _ in range(4)]
        self.own = [weights(64) for _ in range(4)]
        self.inner = []
        for k in range(64):
            behind = [(l if l < 64 else PIECES[l - 64]) > k for l in range(LANES)]
            self.inner.append([weights(1)[0] if b else 0 for b in behind])
        self.edges = [weights(4, 16383) for _ in range(40)]
        # By piece and coefficient, then source.
        self.ahead = [[]]
        for i in range(1, 5):
            by_source = [weights(PIECES[i + 1] - PIECES[i], 8191) for _ in range(PIECES[i])]
            self.ahead.append(list(zip(*by_source)))
        self.taught = {}
        self.flags = []
        for i in range(5):
            row = [source.signed() for _ in range(BUCKETS)]
            row = [a + b for a, b in zip(row, base.flags[i])] if base else list(accumulate(row, initial=8192))[1:]
            check(all(1 <= flag <= 16383 for flag in row), "a probability outside its range")
            self.flags.append(row)
        self.widths = []
        self.fraction = FINE if kind == FINER else COARSE
        self.fractions = self.fraction[-1] + 1
        for context in range(5 * BUCKETS * self.fractions):
            first = context // self.fractions % BUCKETS == 0
            widths = [80] * 16 if first else self.widths[context - self.fractions]
            if base:
                widths = base.widths[context]
            own = source.byte()
            check(own < 2, "neither a table nor none")
            if own:
                widths = [(a + b) % 256 for a, b in zip(widths, source.take(16))]
                check(max(widths) <= 112, "a width outside its range")
            self.widths.append(widths)
        self.ends = {}

    def table(self, context):
        """The ends of the 16 intervals."""
        if context not in self.ends:
            weights = [EIGHTHS[w % 8] << w // 8 for w in self.widths[context]]
            self.ends[context] = [sum(weights[: s + 1]) * 16368 // sum(weights) + s + 1 for s in range(16)]
        return self.ends[context]

    def lesson(self, k, magnitude):
        """What a magnitude at k adds to each lane."""
        if (k, magnitude) not in self.taught:
            self.taught[k, magnitude] = [wrap(magnitude * w, 16) for w in self.inner[k]]
        return self.taught[k, magnitude]


class Parameters:
    def __init__(self, section):
        source = Input(section)
        length = source.unsigned(4)
        check(length <= 4 << 20, "parameters of more than 4 MiB")
        source = Input(inflate(source.rest(), length))
        self.completion = Completion(source.block())
        self.kinds = list(source.block())
        check(all(kind <= FINER for kind in self.kinds), "an unknown kind of level")
        count = source.number()
        check(count <= 255, "more than 255 templates")
        self.templates = [Template(source.block()) for _ in range(count)]
        self.derived = source.byte()
        check(self.derived == 255 or self.derived < count, "no such template")
        built_in = BUILT_IN.read_bytes()
        check(hashlib.sha256(built_in).hexdigest() == BUILT_IN_SHA256, "the built-in models are not those")
        built_in = Input(zlib.decompress(built_in, -15))
        self.models, self.own = [], 0
        for kind in (ALONE, ALONE, COARSER, COARSER, FINER, FINER):
            model = Model(built_in, kind)
            own = source.byte()
            check(own < 3, "neither a model nor none")
            self.own += own > 0
            self.models.append(Model(source, kind, model if own == 2 else None) if own else model)
        built_in.end()
        source.end()

    def kind(self, level):
        return self.kinds[level] if level < len(self.kinds) else ALONE


class Completion:
    """Codec 0's parameters."""

    def __init__(self, data):
        source = Input(data)
        quality, chroma, count, reserved = source.take(4)
        check(1 <= quality <= 100 and chroma < 3 and reserved == 0, "wrong codec 0 parameters")
        self.streams = {}
        for _ in range(count):
            level, colour, padded = source.byte(), source.byte(), source.unsigned(2)
            length = source.unsigned(4)
            check(colour < 3 and level not in self.streams and length <= 65536, "a wrong stream description")
            self.streams[level] = colour, padded, source.take(length)
        source.end()

    def of(self, level):
        return self.streams.get(level, (0, 0, b""))


# Coder


class Words:
    """Words that are taken one after the other."""

    def __init__(self, words, backwards=False):
        self.words = words
        self.at, self.by = (len(words) - 1, -1) if backwards else (0, 1)

    def take(self):
        check(0 <= self.at < len(self.words), "words are cut off")
        self.at += self.by
        return self.words[self.at - self.by]


class Coder:
    """A state, and the words that it takes."""

    def __init__(self, state, words):
        check(state >= 65536, "a coder state below its range")
        self.state, self.words = state, words

    def step(self, start, width):
        self.state = width * (self.state >> 14) + (self.state & 16383) - start
        if self.state < 65536:
            self.state = self.state << 16 | self.words.take()

    def symbol(self, ends):
        s = bisect_right(ends, self.state & 16383)
        start = ends[s - 1] if s else 0
        self.step(start, ends[s] - start)
        return s

    def flag(self, zero):
        if self.state & 16383 < zero:
            self.step(0, zero)
            return False
        self.step(zero, 16384 - zero)
        return True

    def plain(self, bits):
        width = 1 << 14 - bits
        value = (self.state & 16383) // width
        self.step(value * width, width)
        return value

    def escape(self):
        negative = self.plain(1)
        length = self.plain(4)
        high = self.plain(max(0, length - 8))
        low = self.plain(min(8, length))
        top = (1 << length) + (high << min(8, length)) + low + 7
        return -top if negative else top

    def value(self, ends, raw, place):
        """Reads it; yields the place of what is read next."""
        yield place + 1
        s = self.symbol(ends)
        top = -(s + 1) // 2 if s & 1 else s // 2
        if s == 15:
            yield place + 2
            top = self.escape()
        if raw:
            yield place + 3
            top = (top << raw) + self.plain(raw)
        return top


def split(data, count):
    """The states and words of a coder."""
    states = [data.unsigned(4) for _ in range(count)]
    return states, rest_as_words(data)


def packed(data, count):
    """The same, of states whose upper halves have as many bits as they need."""
    lengths = [nibble for byte in data.take(count // 2) for nibble in (byte & 15, byte >> 4)]
    bits = int.from_bytes(data.take(-(-sum(lengths) // 8)), "little")
    uppers = []
    for length in lengths:
        uppers.append(1 << length | bits & (1 << length) - 1)
        bits >>= length
    check(bits == 0, "bits that no state has")
    return [upper << 16 | data.unsigned(2) for upper in uppers], rest_as_words(data)


def rest_as_words(data):
    data = data.rest()
    check(len(data) % 2 == 0, "half a word")
    return [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]


class Strands:
    """One strand or four: row by row."""

    def __init__(self, data, count):
        source = Input(data)
        front = source.number() if count == 4 else None
        states, words = split(source, count)
        check(front is None or front <= len(words), "words are cut off")
        parts = [words] if count == 1 else [words[:front]] * 2 + [words[front:]] * 2
        self.coders = [Coder(state, Words(part, i % 2 == 1)) for i, (state, part) in enumerate(zip(states, parts))]

    def decode(self, area, rows):
        for r, row in enumerate(rows):
            for column in range(area.plane.width):
                for _ in area.block(self.coders[r % len(self.coders)], column, row):
                    pass

    def finish(self):
        check(all(coder.state == 65536 for coder in self.coders), "a strand does not end in its place")
        words = [coder.words for coder in self.coders]
        for forwards, backwards in zip(words[::2], words[1::2]):
            check(forwards.at == backwards.at + 1, "two strands do not meet")
        check(len(words) == 4 or words[0].at == len(words[0].words), "words behind the strand")


class Sixteen:
    """Sixteen states: as many rows abreast, each a block behind the one above it."""

    def __init__(self, data, goes_round):
        self.goes_round = goes_round
        states, words = (packed if goes_round else split)(Input(data), 16)
        # Words of the payload that are still to come when some are given back.
        self.words, self.rest = Words(words), 0
        self.coders = [Coder(state, self.words) for state in states]

    def decode(self, run, is_last):
        """`run` are areas, each a whole plane."""
        width, height = run[0].plane.width, run[0].plane.height
        rows, period = len(run) * height, max(width, 16)
        around = -(-rows // 16) * period
        steps = around if self.goes_round else around + 15
        for t in range(steps):
            blocks = {}
            for l, coder in enumerate(self.coders):
                s = (t - l) % around if self.goes_round else t - l
                column, row = s % period, s // period * 16 + l
                if s >= 0 and column < width and row < rows:
                    knows = not self.goes_round or t > 0
                    blocks[l] = run[row // height].block(coder, column, row % height, knows)
            if self.goes_round and is_last and t == steps - 1:
                self.step(block for l, block in blocks.items() if l < 12)
                self.give_back(self.coders[:12])
                self.step(block for l, block in blocks.items() if l >= 12)
            else:
                self.step(blocks.values())

    def step(self, blocks):
        # Place by place; of those at the same place the first one first.
        for _ in merge(*blocks):
            pass

    def give_back(self, coders):
        self.rest = len(self.words.words) - self.words.at
        self.words.words[self.words.at : self.words.at] = [coder.state & 65535 for coder in coders]
        for coder in coders:
            coder.state &= ~65535

    def finish(self):
        check(all(coder.state == 65536 for coder in self.coders), "a state does not end in its place")
        left = self.words.words[self.words.at :]
        # Zeros that were given back may be left, which come before what is left of the payload.
        check(not left or self.goes_round and not any(left) and not self.rest, "words behind the states")


# Samples and alignment


class Samples:
    """The samples of a decoded plane, row by row."""

    def __init__(self, plane):
        self.h, self.v = plane.h, plane.v
        self.rows = [[] for _ in range(8 * plane.height)]
        for i, block in enumerate(plane.blocks):
            y = i // plane.width * 8
            for row, samples in zip(self.rows[y : y + 8], inverse(block, plane.steps)):
                row.extend(samples)

    def within(self, size, components):
        """Those of a tile of this size alone."""
        across, down = (-(-length // pixels) for length, pixels in zip(size, pixels_per_sample(components, self)))
        own = copy.copy(self)
        own.rows = [row[:across] for row in self.rows[:down]]
        return own

    def at(self, x, y):
        row = self.rows[clamp(y, 0, len(self.rows) - 1)]
        return row[clamp(x, 0, len(row) - 1)]


def inverse(block, steps):
    if not any(block[1:]):
        sample = clamp((wrap(block[0] * steps[0] + 4, 32) >> 3) + 128, 0, 255)
        return [[sample] * 8] * 8
    x = [0] * 64
    for k, coefficient in enumerate(block):
        if coefficient:
            x[NATURAL[k]] = coefficient * steps[k]
    columns = [idct(x[u::8], 11) for u in range(8)]
    return [[clamp(y + 128, 0, 255) for y in idct(row, 18)] for row in zip(*columns)]


def idct(x, shift):
    # Modulo 2^32 only where the specification's sums may leave that range.
    x0, x1, x2, x3, x4, x5, x6, x7 = x
    z = (x2 + x6) * 4433
    a2, a3 = z - x6 * 15137, z + x2 * 6270
    a0, a1 = (x0 + x4) << 13, (x0 - x4) << 13
    e0, e3, e1, e2 = a0 + a3, a0 - a3, a1 + a2, a1 - a2
    z5 = (x7 + x3 + x5 + x1) * 9633
    z1, z2 = (x7 + x1) * -7373, (x5 + x3) * -20995
    z3, z4 = (x7 + x3) * -16069 + z5, (x5 + x1) * -3196 + z5
    b0, b1 = x7 * 2446 + z1 + z3, x5 * 16819 + z2 + z4
    b2, b3 = x3 * 25172 + z2 + z3, x1 * 12299 + z1 + z4
    out = e0 + b3, e1 + b2, e2 + b1, e3 + b0, e3 - b0, e2 - b1, e1 - b2, e0 - b3
    half = 1 << shift - 1
    return [((value + half + 0x80000000 & 0xFFFFFFFF) - 0x80000000) >> shift for value in out]


def pixels_per_sample(planes, plane):
    return max(1, max(p.h for p in planes) // plane.h), max(1, max(p.v for p in planes) // plane.v)


def taps(f):
    a, b, d = (-(f**3) + 32 * f * f - 256 * f + 16) >> 5, (3 * f**3 - 80 * f * f + 8208) >> 5, (f**3 - 16 * f * f + 16) >> 5
    return [a, b, 256 - a - b - d, d]


def align_coarser(samples, offset, pixels, plane):
    width, height = 2 * plane.width + 4, 2 * plane.height + 4
    (x0, tx), (y0, ty) = ((o // (4 * p), taps(o % (4 * p) * 16 // (4 * p))) for o, p in zip(offset, pixels))
    lines = []
    for y in range(height + 3):
        near = [samples.at(x0 + x - 3, y0 + y - 3) for x in range(width + 3)]
        lines.append([((sum(map(mul, near[x : x + 4], tx)) + 16) >> 5) - 1024 for x in range(width)])
    return [[(sum(map(mul, four, ty)) + 128) >> 8 for four in zip(*lines[y : y + 4])] for y in range(height)]


def align_finer(tiles, pixels, plane):
    """`tiles` are samples and offset of each finer tile."""
    out = [[0] * (8 * plane.width) for _ in range(8 * plane.height)]
    for samples, offset in tiles:
        spans = []
        for axis, (o, p, size) in enumerate(zip(offset, pixels, (8 * plane.width, 8 * plane.height))):
            others = [other[axis] for _, other in tiles]
            begin = 0 if min(others) == o else -(-o // (2 * p))
            end = min((-(-other // (2 * p)) for other in others if other > o), default=size)
            origin = -(2 * o // p)
            weights = [(0, 1), (1, 2), (2, 1)] if origin % 2 else [(0, 2), (1, 2)]
            spans.append((range(begin, min(end, size)), origin // 2, weights))
        (columns, x0, wx), (rows, y0, wy) = spans
        for y in rows:
            for x in columns:
                total = sum(a * b * samples.at(x0 + 2 * x + i, y0 + 2 * y + j) for j, b in wy for i, a in wx)
                out[y][x] = (total + 2 >> 2) - 512
    return out


# Coefficients

HALF_BASIS = [
    [2896, 4017, 3784, 3406, 2896, 2276, 1567, 799],
    [2896, 3406, 1567, -799, -2896, -4017, -3784, -2276],
    [2896, 2276, -1567, -4017, -2896, 799, 3784, 3406],
    [2896, 799, -3784, -2276, 2896, 3406, -1567, -4017],
]
# By frequency, then place.
BASIS = [[HALF_BASIS[min(x, 7 - x)][u] * (-1 if x > 3 and u % 2 else 1) for x in range(8)] for u in range(8)]


def forward(aligned, column, row, gain):
    """The `known` of kind 2."""
    lines = [line[8 * column : 8 * column + 8] for line in aligned[8 * row : 8 * row + 8]]
    columns = [[(sum(map(mul, line, basis)) + 512) >> 10 for line in lines] for basis in BASIS]
    both = [[(sum(map(mul, line, basis)) + 8192) >> 14 for basis in BASIS] for line in columns]
    return [(both[n % 8][n // 8] * g + 8192) >> 14 for n, g in zip(NATURAL, gain)]


def patch(aligned, column, row, model):
    """The `known` of kind 1."""
    near = [s for line in aligned[2 * row : 2 * row + 6] for s in line[2 * column : 2 * column + 6]]
    return [sat16((sum(map(mul, near, weights)) + 512) >> 10) for weights in model.parent] + [0] * 40


def bucket(expected):
    v = max(4, expected)
    q = v.bit_length() - 1
    return (q - 2) * 4 + (v >> q - 2) % 4


def add(expected, terms):
    sums = list(map(int.__add__, expected, terms))
    if max(sums) > 32767 or min(sums) < -32768:
        sums = list(map(sat16, sums))
    return sums


def whole(predicted):
    return predicted >> 5 if predicted >= 0 else -(-predicted >> 5)


def in_steps(sixteenths, reciprocals):
    return [clamp((p * r + 16384) >> 15, -32767, 32767) for p, r in zip(sixteenths, reciprocals)]


class Expectation:
    """Expected magnitudes of a block's lanes."""

    def __init__(self, model, left, above, steps):
        self.model, self.lanes = model, [0] * LANES
        near = [a + b for a, b in zip(left or above or [0] * 64, above or left or [0] * 64)]
        sizes = [min(1023, abs(p)) for p in steps]
        self.shared = [min(255, sum(near)) << 7]
        self.shared += [min(1023, sum(s >> 2 for s in sizes[8 * g : 8 * g + 8])) << 5 for g in range(3)]
        beside = map(int.__add__, [0, *near], near[1:] + [0])
        self.own = [
            [n << 10 for n in near],
            [b << 9 for b in beside],
            [s << 5 for s in sizes],
            [abs(p) % 32 << 10 for p in steps],
        ]
        self.expect(range(64, LANES))

    def expect(self, lanes):
        for lane in lanes:
            x = self.model.bias[lane]
            terms = list(zip(self.shared, self.model.shared))
            if lane < 64:
                terms += [(own[lane], weights) for own, weights in zip(self.own, self.model.own)]
            for feature, weights in terms:
                x = sat16(x + (feature * weights[lane] >> 16))
            self.lanes[lane] = sat16(self.lanes[lane] + x)

    def learn(self, k, magnitude):
        self.lanes = add(self.lanes, self.model.lesson(k, magnitude))


def edges_of(block, known, capped):
    """Heights and slopes along the right and the lower edge."""
    errors = [0] * 64
    for k, (coefficient, step, k_known) in enumerate(zip(block, capped, known)):
        value = clamp(coefficient * step, -1023, 1023) * 8
        errors[NATURAL[k]] = clamp(value - (k_known >> 1), -8191, 8191)

    def along(lines):
        return [[sat16((sum(map(mul, line, ends)) + 4096) >> 13) for ends in ENDS] for line in lines]

    rows = [errors[8 * v : 8 * v + 8] for v in range(8)]
    return along(rows), along(zip(*rows))


def correction(model, kind, left, above):
    none = [[0, 0]] * 8
    if kind == ALONE and (left is None) != (above is None):
        left, above = ([[sat16(2 * x) for x in pair] for pair in edge] if edge else None for edge in (left, above))
    left, above = left or none, above or none
    inputs = [left[n // 8] + above[n % 8] for n in NATURAL[:40]]
    return [sat16((sum(map(mul, near, weights)) + 1024) >> 11) for near, weights in zip(inputs, model.edges)]


class Area:
    """A plane's blocks on their way, or those of a part of its rows."""

    def __init__(self, model, kind, aligned, plane):
        self.model, self.kind, self.aligned, self.plane = model, kind, aligned, plane
        self.reciprocals = [(65536 + step // 2) // step for step in plane.steps]
        self.capped = [min(step, 2047) for step in plane.steps]
        # By column and row: edges on the right and below, and magnitudes.
        self.decoded = {}

    def block(self, coder, column, row, knows=True):
        """Decodes a block, and `knows` its neighbours; yields the place of what it reads next, 4 for each index."""
        model, kind, count = self.model, self.kind, PREDICTED[self.kind]
        known = [0] * 64
        if kind == COARSER:
            known = patch(self.aligned, column, row, model)
        elif kind == FINER:
            known = forward(self.aligned, column, row, model.gain)
        neighbours = self.decoded if knows else {}
        right, _, left = neighbours.get((column - 1, row), (None, None, None))
        _, lower, above = neighbours.get((column, row - 1), (None, None, None))
        corrected = correction(model, kind, right, lower)
        first = [sat16(a + b) for a, b in zip(known, corrected)] + known[40:]
        first[count:] = [0] * (64 - count)
        expected = Expectation(model, left, above, in_steps(first, self.reciprocals))
        block, magnitudes = yield from decode_block(coder, expected, first, self.reciprocals, self.capped)
        self.plane.blocks[row * self.plane.width + column] = block
        self.decoded[column, row] = *edges_of(block, known, self.capped), magnitudes


def decode_block(coder, expected, first, reciprocals, capped):
    model = expected.model
    block = [whole(p) for p in in_steps(first, reciprocals)]
    magnitudes, off = [0] * 64, [0] * 36
    for i, (start, end) in enumerate(zip(PIECES, PIECES[1:])):
        if i < 5:
            yield 4 * start
            if not coder.flag(model.flags[i][bucket(expected.lanes[64 + i])]):
                break
        if i in BEGINS:
            expected.expect(range(16 * BEGINS[i], 16 * BEGINS[i] + 16))
        sixteenths = first[start:end]
        if 1 <= i <= 4:
            sums = (sum(map(mul, off[:start], weights)) + 2048 for weights in model.ahead[i])
            sums = [sat16(wrap(s, 32) >> 12) for s in sums]
            sixteenths = [sat16(a + b) for a, b in zip(sixteenths, sums)]
        for k, predicted in zip(range(start, end), in_steps(sixteenths, reciprocals[start:end])):
            b = bucket(expected.lanes[k])
            raw = 0 if b < 32 else (b - 32) // 4 + 1
            context = (CLASS[k] * BUCKETS + b) * model.fractions + model.fraction[abs(predicted) % 32]
            residual = yield from coder.value(model.table(context), raw, 4 * k)
            signed = -residual if predicted < 0 else residual
            block[k] = wrap(whole(predicted) + wrap(signed, 16), 16)
            if residual:
                magnitudes[k] = min(15, abs(residual))
                expected.learn(k, magnitudes[k])
        if i < 4:
            for k, p in zip(range(start, end), sixteenths):
                off[k] = clamp(clamp(block[k] * capped[k], -2047, 2047) * 16 - p, -8191, 8191)
    return block, magnitudes


# Tiles

FORMS = 0, 1, 2, 5, 6, 9, 10, 13, 14, 25, 26, 29, 30, 33, 34, 37, 38, 97, 98, 101, 102


class Payload:
    """What is in a payload before its coder."""

    def __init__(self, parameters, level, size, data):
        source = Input(data)
        self.form = source.byte()
        check(self.form in FORMS, "an unknown form of payload")
        self.kind = parameters.kind(level) if self.form & 2 else ALONE
        check(not self.form & 2 or self.kind != ALONE, "predicted in a level that is predicted from nothing")
        if self.form:
            number = source.byte()
            check(number == 255 or number < len(parameters.templates), "no such template")
            length = source.unsigned(4) if number == 255 else 0
            check(length <= 65536, "a template of more than 64 KiB")
            self.template = Template(source.take(length)) if number == 255 else parameters.templates[number]
            padded = parameters.completion.of(level)[1]
            check(not self.form & 4 or padded, "padded where nothing is")
            self.size = (padded, padded) if self.form & 4 else size
        self.body = source.rest()

    def decode(self, parameters, reference):
        """The planes; `reference` are samples of all components, and offset, of each tile of the reference."""
        planes = self.template.planes(*self.size)
        if self.kind != ALONE:
            check(reference and all(samples for samples, _ in reference), "a reference without samples")
            check(all(same_components(samples, planes) for samples, _ in reference), "other components")
        areas = []
        for i, plane in enumerate(planes):
            pixels = pixels_per_sample(planes, plane)
            aligned = None
            if self.kind == COARSER:
                aligned = align_coarser(reference[0][0][i], reference[0][1], pixels, plane)
            elif self.kind == FINER:
                aligned = align_finer([(samples[i], offset) for samples, offset in reference], pixels, plane)
            areas.append(Area(parameters.models[2 * self.kind + min(i, 1)], self.kind, aligned, plane))
            plane.blocks = [None] * (plane.width * plane.height)
        if self.form & 32:
            self.decode_runs(areas)
        elif self.form & 16:
            self.decode_parts(areas)
        else:
            decode_strands(Strands(self.body, 4 if self.form & 8 else 1), map(whole_area, areas))
        return planes

    def decode_runs(self, areas):
        coder = Sixteen(self.body, bool(self.form & 64))
        runs = groupby(areas[1:], lambda area: (area.plane.width, area.plane.height, area.plane.steps))
        runs = [areas[:1], *(list(run) for _, run in runs)]
        if self.form & 64:
            runs = runs[1:] + runs[:1]
        for run in runs:
            coder.decode(run, run is runs[-1])
        coder.finish()

    def decode_parts(self, areas):
        first, source = areas[0], Input(self.body)
        rows, height = source.number(), areas[0].plane.height
        check(1 <= rows <= height, "a part without rows, or with too many")
        upper, lower = source.take(source.number()), source.rest()
        decode_strands(Strands(upper, 4), [(first, range(rows))])
        # The lower rows know nothing of the upper ones.
        first.decoded = {}
        decode_strands(Strands(lower, 4), [(first, range(rows, height)), *map(whole_area, areas[1:])])

    def record(self, parameters, level, planes):
        """The record, once decoded."""
        if not self.form:
            return self.body
        stream = self.template.write(*self.size, planes)
        tables = parameters.completion.of(level)[2]
        if not tables:
            return stream
        check(stream.startswith(tables[:-2]), "the tile's template lacks the tables of its level")
        return stream[:2] + stream[len(tables) - 2 :]


def whole_area(area):
    return area, range(area.plane.height)


def decode_strands(strands, parts):
    """Decodes areas, of each the rows given."""
    for area, rows in parts:
        strands.decode(area, rows)
    strands.finish()


def same_components(samples, planes):
    return [(s.h, s.v) for s in samples] == [(p.h, p.v) for p in planes]


def derive(parameters, size, reference):
    """The stream of a derived tile made of samples, or None."""
    if parameters.derived == 255 or not all(samples for samples, _ in reference):
        return None
    template = parameters.templates[parameters.derived]
    planes = template.planes(*size)
    if not all(same_components(samples, planes) for samples, _ in reference):
        return None
    for i, plane in enumerate(planes):
        pixels = pixels_per_sample(planes, plane)
        aligned = align_finer([(samples[i], offset) for samples, offset in reference], pixels, plane)
        reciprocals = [(65536 + step // 2) // step for step in plane.steps]
        for at in range(plane.width * plane.height):
            known = forward(aligned, at % plane.width, at // plane.width, [1 << 14] * 64)
            values = [(v * r + (1 << 19)) >> 20 for v, r in zip(known, reciprocals)]
            plane.blocks.append([clamp(values[0], -2047, 2047)] + [clamp(v, -1023, 1023) for v in values[1:]])
    return template.write(*size, planes)
